//! Where the configuration of a real process comes from: its flags, its environment, `cluster.toml`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kervan::config::{self, Flag, Loaded, Sources};

use super::{Refused, Settings};

const FILE: &str = "cluster.toml";

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
    let flag = |name, key, value: &Option<String>| value.clone().map(|value| Flag { name, key, value });
    let flags =
        [flag("--data-dir", ("data", "dir"), &settings.data_dir), flag("--port", ("server", "port"), &settings.port)];
    let sources = Sources {
        file: read(settings.config.as_deref())?,
        environment: std::env::vars_os().collect(),
        flags: flags.into_iter().flatten().chain(more).collect(),
    };
    Ok(config::load(&sources)?)
}

fn read(given: Option<&Path>) -> Result<Option<(PathBuf, String)>, Refused> {
    let path = given.unwrap_or(Path::new(FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if error.kind() == ErrorKind::NotFound && given.is_none() => Ok(None),
        Err(error) => Err(Refused(format!("{}: {error}", path.display()))),
    }
}
