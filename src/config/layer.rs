//! A layer of settings with their origins, and how it is laid over the ones below.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::hint::nearest;
use super::problem::Problem;
use super::schema::{Schema, Section, SetError};
use super::value::Raw;
use super::{Config, Namespace};

/// What [`load`](super::load) reads from.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// The configuration file's path and text.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables: all of them, whichever belong to Kervan.
    pub environment: Vec<(OsString, OsString)>,
    /// Path and text of a `.env` file: variables that the environment does not have.
    pub dotenv: Option<(PathBuf, String)>,
    /// Settings given as flags.
    pub flags: Vec<Flag>,
}

/// A setting given as a flag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flag {
    /// The flag, with its dashes.
    pub name: &'static str,
    /// The section and key that it sets.
    pub key: (&'static str, &'static str),
    /// The value.
    pub value: String,
}

/// Where a setting came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Built in.
    Default,
    /// Built in for development mode.
    Development,
    /// A line of the configuration file, counted from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A line of a `.env` file, counted from 1, and the variable that it sets.
    DotEnv(PathBuf, usize, String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Development => f.write_str("development mode"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::DotEnv(path, line, name) => write!(f, "{}:{line}: {name}", path.display()),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Origin {
    /// How to start without what was set here, for an error.
    pub(super) fn without(&self) -> Option<String> {
        match self {
            Self::Default | Self::Development => None,
            Self::File(path, line) => Some(format!("take line {line} out of {}", path.display())),
            Self::Environment(names) | Self::DotEnv(_, _, names) => {
                let empty: Vec<String> = names.split(", ").map(|name| format!("{name}=")).collect();
                Some(format!("{} kervan", empty.join(" ")))
            }
            Self::Flag(name) => Some(format!("leave {name} out")),
        }
    }

    /// The variable that a setting came from, if it came from one.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::Environment(name) | Self::DotEnv(_, _, name) => Some(name),
            Self::Default | Self::Development | Self::File(..) | Self::Flag(_) => None,
        }
    }
}

/// One setting of a layer.
pub(super) struct Setting {
    pub section: String,
    pub key: String,
    pub raw: Raw,
    pub origin: Origin,
}

/// What one source says.
#[derive(Default)]
pub(super) struct Layer {
    pub settings: Vec<Setting>,
    /// The `[[channels]]`, if the layer has any: they replace those of the layers below, all of them.
    pub channels: Option<(Origin, Vec<Vec<Setting>>)>,
    pub problems: Vec<Problem>,
}

pub(super) fn from_flags(flags: &[Flag]) -> Layer {
    let setting = |flag: &Flag| Setting {
        section: flag.key.0.to_owned(),
        key: flag.key.1.to_owned(),
        raw: Raw::Text(flag.value.clone()),
        origin: Origin::Flag(flag.name),
    };
    Layer { settings: flags.iter().map(setting).collect(), ..Layer::default() }
}

impl Layer {
    pub(super) fn apply(
        self,
        config: &mut Config,
        origins: &mut BTreeMap<String, Origin>,
        problems: &mut Vec<Problem>,
    ) {
        problems.extend(self.problems);
        for setting in self.settings {
            let sections = config.sections_mut();
            match sections.into_iter().find(|section| section.schema().name == setting.section) {
                Some(section) => apply_one(section, &setting.section, &setting, origins, problems),
                None => problems.push(unknown_section(&setting)),
            }
        }
        let Some((origin, tables)) = self.channels else { return };
        let name = Namespace::SCHEMA.name;
        origins.retain(|path, _| !path.starts_with(name));
        origins.insert(name.to_owned(), origin);
        config.channels = Vec::with_capacity(tables.len());
        for (index, table) in tables.iter().enumerate() {
            let mut namespace = Namespace::default();
            for setting in table {
                apply_one(&mut namespace, &format!("{name}[{index}]"), setting, origins, problems);
            }
            config.channels.push(namespace);
        }
    }
}

fn apply_one(
    section: &mut dyn Section,
    prefix: &str,
    setting: &Setting,
    origins: &mut BTreeMap<String, Origin>,
    problems: &mut Vec<Problem>,
) {
    let path = format!("{prefix}.{}", setting.key);
    match section.set(&setting.key, &setting.raw) {
        Ok(()) => {
            origins.insert(path, setting.origin.clone());
        }
        Err(SetError::Bad(what)) => problems.push(Problem { path, origin: setting.origin.clone(), what }),
        Err(SetError::Unknown) => problems.push(unknown_key(section.schema(), path, setting)),
    }
}

fn unknown_key(schema: &Schema, path: String, setting: &Setting) -> Problem {
    let what = match nearest(&setting.key, schema.keys.iter().map(|key| key.name)) {
        Some(near) => format!("unknown key, did you mean {near}?"),
        None => {
            let keys: Vec<_> = schema.keys.iter().map(|key| key.name).collect();
            format!("unknown key, [{}] has {}", schema.name, keys.join(", "))
        }
    };
    Problem { path, origin: setting.origin.clone(), what }
}

fn unknown_section(setting: &Setting) -> Problem {
    let what = match nearest(&setting.section, section_names().iter().copied()) {
        Some(near) => format!("unknown section, did you mean [{near}]?"),
        None => format!("unknown section, there are {}", section_names().join(", ")),
    };
    let path = match setting.key.as_str() {
        "" => setting.section.clone(),
        key => format!("{}.{key}", setting.section),
    };
    Problem { path, origin: setting.origin.clone(), what }
}

pub(super) fn section_names() -> Vec<&'static str> {
    let config = Config::bare();
    config.sections().iter().map(|section| section.schema().name).chain([Namespace::SCHEMA.name]).collect()
}
