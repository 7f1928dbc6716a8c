//! Where the configuration of a real process comes from: its flags, its environment, `.env`, `cluster.toml`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{self, Flag, Loaded, Sources};

use super::{Refused, Settings};

const FILE: &str = "cluster.toml";
const DOTENV: &str = ".env";

/// Loads the configuration.
///
/// # Errors
/// All that is wrong with it, or a file that can't be read.
pub(super) fn load(settings: &Settings) -> anyhow::Result<Loaded> {
    load_with(settings, Vec::new())
}

/// Loads the configuration, with flags of one command on top.
///
/// # Errors
/// As [`load`].
pub(super) fn load_with(settings: &Settings, more: Vec<Flag>) -> anyhow::Result<Loaded> {
    Ok(config::load(&gather(settings, more)?)?)
}

/// Loads the configuration for a command that looks for a running server or its data folder: it needs no secrets.
///
/// # Errors
/// What can't be read.
pub(super) fn load_to_find(settings: &Settings) -> anyhow::Result<Loaded> {
    load_to_find_with(settings, Vec::new())
}

/// The same, with flags of one command on top.
///
/// # Errors
/// As [`load_to_find`].
pub(super) fn load_to_find_with(settings: &Settings, more: Vec<Flag>) -> anyhow::Result<Loaded> {
    Ok(config::load_to_find(&gather(settings, more)?)?)
}

/// The configuration of a data folder that is left for another one: what the flags say, and the file if they name one. The
/// environment, and `cluster.toml`, are the other one's.
///
/// # Errors
/// What can't be read.
pub(super) fn load_left(settings: &Settings) -> anyhow::Result<Loaded> {
    let file = settings.config.as_deref().map(|path| read(Some(path))).transpose()?.flatten();
    let sources = Sources { file, flags: flags(settings).collect(), ..Sources::default() };
    Ok(config::load_to_find(&sources)?)
}

fn flags(settings: &Settings) -> impl Iterator<Item = Flag> {
    let flag = |name, key, value: &Option<String>| value.clone().map(|value| Flag { name, key, value });
    let flags =
        [flag("--data-dir", ("data", "dir"), &settings.data_dir), flag("--port", ("server", "port"), &settings.port)];
    flags.into_iter().flatten()
}

fn gather(settings: &Settings, more: Vec<Flag>) -> Result<Sources, Refused> {
    Ok(Sources {
        file: read(settings.config.as_deref())?,
        environment: std::env::vars_os().collect(),
        dotenv: dotenv()?,
        flags: flags(settings).chain(more).collect(),
    })
}

fn read(given: Option<&Path>) -> Result<Option<(PathBuf, String)>, Refused> {
    let path = given.unwrap_or(Path::new(FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if error.kind() == ErrorKind::NotFound && given.is_none() => Ok(None),
        Err(error) => Err(Refused(format!("{}: {error}", path.display()))),
    }
}

/// The `.env` of the working directory. A folder of that name is somebody else's (a Python environment's).
fn dotenv() -> Result<Option<(PathBuf, String)>, Refused> {
    let path = Path::new(DOTENV);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(Refused(format!("{DOTENV}: {error}"))),
    }
}
