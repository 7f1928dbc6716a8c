//! What is wrong with a configuration, and where.

use std::collections::BTreeMap;
use std::fmt;

use super::layer::Origin;

/// One thing that is wrong: `cluster.toml:3: server.port: expected …`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The setting, as `section.key`; empty if it is not about one.
    pub path: String,
    /// The place to look at.
    pub origin: Origin,
    /// What is wrong.
    pub what: String,
}

impl Problem {
    /// A problem with the setting `path`, at the place that it came from.
    pub(super) fn at(path: &str, origins: &BTreeMap<String, Origin>, what: impl Into<String>) -> Self {
        let origin = origins.get(path).cloned().unwrap_or(Origin::Default);
        Self { path: path.to_owned(), origin, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

/// Everything that is wrong, a line each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// What was loaded, if nothing is wrong.
    pub(super) fn or<T>(problems: Vec<Problem>, loaded: T) -> Result<T, Self> {
        if problems.is_empty() { Ok(loaded) } else { Err(Self(problems)) }
    }

    /// How to start without the variables that ask for the cluster, all of them.
    fn way_out(&self) -> Option<String> {
        let of_cluster = |problem: &&Problem| problem.what.contains("comes with the cluster");
        let names = self.0.iter().filter(of_cluster).filter_map(|problem| problem.origin.variable());
        let names: Vec<String> = names.flat_map(|names| names.split(", ")).map(|name| format!("{name}=")).collect();
        (!names.is_empty()).then(|| format!("to run on one node without them: {} kervan", names.join(" ")))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.way_out() {
            Some(way) => write!(f, "\n{way}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problems {}
