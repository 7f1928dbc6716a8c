//! Apache Kafka itself: the jars that `kafka/pom.xml` names, fetched by Maven once, and checked against the committed sums
//! each time. Nothing is run whose sum is another one.

use std::fs::{File, create_dir_all, read_dir, remove_dir_all};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use super::archive;
use crate::needs::must_have;
use crate::process::bound_to_parent;
use crate::settings::KAFKA_JVM;

const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/pom.xml");
const SUMS: &str = include_str!("../../kafka/jars.sha256");

/// Where Kafka is kept, unless `DEVCLUSTER_KAFKA_DIR` says otherwise.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kafka");

/// The oldest Java that it runs on.
const JAVA: u32 = 17;

/// Kafka on this machine, ready to be run.
#[derive(Debug)]
pub(crate) struct Distribution {
    class_path: String,
    archive: PathBuf,
}

impl Distribution {
    /// Fetches what is missing. Another program that does the same at the same time is waited for.
    ///
    /// # Errors
    /// No Java or Maven, nothing to fetch from, or a jar with another sum.
    pub(crate) fn ready() -> anyhow::Result<Self> {
        let java = java_version()?;
        let folder = std::env::var_os("DEVCLUSTER_KAFKA_DIR").map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
        create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // One way to write it, whoever asks: the class archive knows its jars by their paths.
        let folder = folder.canonicalize()?;
        let lock = File::create(folder.join("LOCK")).context("the lock of Kafka's folder")?;
        lock.lock().context("the lock of Kafka's folder")?;
        let jars = folder.join("jars");
        if let Err(reason) = check(&jars) {
            fetch(&folder, &jars).with_context(|| format!("Kafka is to be fetched: {reason:#}"))?;
            check(&jars).context("what Maven resolved is not what kafka/jars.sha256 says")?;
        }
        let names = SUMS.lines().filter_map(|line| line.split_whitespace().nth(1));
        let class_path = names.map(|name| jars.join(name).display().to_string()).collect::<Vec<_>>().join(":");
        let mut kafka = Self { class_path, archive: archive::path(&folder, &java, SUMS) };
        if !kafka.archive.exists() {
            kafka.archive = archive::make(&kafka, &folder, kafka.archive.clone())?;
        }
        Ok(kafka)
    }

    /// A command that runs the main class with its arguments to follow.
    pub(super) fn java(&self, main: &str) -> Command {
        self.java_with(&[&format!("-XX:SharedArchiveFile={}", self.archive.display())], main)
    }

    pub(super) fn java_with(&self, flags: &[&str], main: &str) -> Command {
        let mut command = bound_to_parent(Path::new("java"));
        command.args(KAFKA_JVM).args(flags);
        command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.showThreadName=false"]);
        command.arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS");
        // What the settings of a shell add for programs of its own.
        command.env_remove("JAVA_TOOL_OPTIONS").env_remove("JDK_JAVA_OPTIONS").env_remove("CLASSPATH");
        command.arg("-cp").arg(&self.class_path).arg(main);
        command
    }
}

/// What `java -version` says, of one that is new enough.
fn java_version() -> anyhow::Result<String> {
    let hint = "Kafka needs Java 17 or newer: apt-get install default-jre-headless";
    let asked = Command::new("java").arg("-version").stdin(Stdio::null()).output().context(hint)?;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    let major = said.split('"').nth(1).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    ensure!(major.is_some_and(|major| major >= JAVA), "{hint}; `java -version` says: {}", said.trim_end());
    Ok(said)
}

/// Whether the folder holds the jars, and no others.
fn check(jars: &Path) -> anyhow::Result<()> {
    let is_jar = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "jar");
    let there = read_dir(jars).context("there are no jars yet")?.flatten().filter(is_jar).count();
    let wanted = SUMS.lines().count();
    ensure!(there == wanted, "there are {there} jars, and not {wanted}");
    let mut child = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .current_dir(jars)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("sha256sum")?;
    // Its end is seen when this is dropped.
    child.stdin.take().context("no pipe")?.write_all(SUMS.as_bytes())?;
    let checked = child.wait_with_output()?;
    if !checked.status.success() {
        bail!("{}", String::from_utf8_lossy(&checked.stdout).trim_end());
    }
    Ok(())
}

fn fetch(folder: &Path, jars: &Path) -> anyhow::Result<()> {
    must_have("mvn")?;
    if jars.exists() {
        remove_dir_all(jars).context("the old jars")?;
    }
    let repository = folder.join("m2");
    let run = bound_to_parent(Path::new("mvn"))
        // -C: a checksum of the registry that does not fit is an error.
        .args(["-B", "-q", "-ntp", "-C", "-f", POM])
        .arg(format!("-Dmaven.repo.local={}", repository.display()))
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .arg("dependency:copy-dependencies")
        .output()
        .context("mvn")?;
    let said = [run.stdout, run.stderr].concat();
    ensure!(run.status.success(), "mvn: {}\n{}", run.status, String::from_utf8_lossy(&said).trim_end());
    // Its copies of the jars and of its own plugins: nothing needs them any more.
    remove_dir_all(&repository).context("Maven's own folder")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_with_another_sum_is_found() {
        let jars = tempfile::tempdir().unwrap();
        let error = |jars: &Path| check(jars).unwrap_err().to_string();
        assert_eq!(error(&jars.path().join("none")), "there are no jars yet");
        assert_eq!(error(jars.path()), "there are 0 jars, and not 45");
        for name in SUMS.lines().filter_map(|line| line.split_whitespace().nth(1)) {
            std::fs::write(jars.path().join(name), "something else").unwrap();
        }
        assert!(error(jars.path()).contains("kafka-clients-4.4.0.jar: FAILED"));
    }
}
