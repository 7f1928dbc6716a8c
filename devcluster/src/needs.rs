//! The programs that the engines need on this machine, and Debian's packages of them.

use anyhow::ensure;

/// A program and its package. PostgreSQL's are in a folder of their own, see [`crate::postgres`].
const PROGRAMS: &[(&str, &str)] = &[
    ("setpriv", "util-linux"),
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
];

/// The Debian packages of what is missing.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let missing = PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package);
    let postgres = (!crate::postgres::is_installed()).then_some("postgresql");
    missing.chain(postgres).collect()
}

/// Says which package has a program that is not there.
///
/// # Errors
/// It is not there.
pub(crate) fn must_have(program: &str) -> anyhow::Result<()> {
    let package = PROGRAMS.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| *package);
    ensure!(is_there(program), "there is no `{program}` on this machine: apt-get install {package}");
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_missed() {
        assert!(is_there("sh"));
        let error = must_have("no-such-program").unwrap_err();
        assert_eq!(error.to_string(), "there is no `no-such-program` on this machine: apt-get install no-such-program");
    }
}
