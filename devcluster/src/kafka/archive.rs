//! Java's class archive: the classes that a broker loads, as the JVM has them in memory. It halves the time to start, and takes
//! a third of the memory. It fits one set of jars and one Java; the JVM ignores one that does not.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use super::{Distribution, node};
use crate::ports::Port;
use crate::process::{Process, Starter};

/// How long each step of making it may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where the archive for these jars and this Java is.
pub(super) fn path(folder: &Path, java: &str, sums: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (java, sums).hash(&mut hasher);
    folder.join(format!("kafka-{:016x}.jsa", hasher.finish()))
}

/// Makes it: a broker that is alone starts, and writes it as it ends. Those for other jars are removed.
pub(super) fn make(kafka: &Distribution, folder: &Path, archive: PathBuf) -> anyhow::Result<PathBuf> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "jsa") {
            std::fs::remove_file(entry.path())?;
        }
    }
    let scratch = folder.join("scratch");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir(&scratch)?;
    let (broker, controller) = (Port::free()?, Port::free()?);
    let configuration = scratch.join("server.properties");
    std::fs::write(
        &configuration,
        node::properties(1, broker.number(), &[controller.number()], &scratch.join("data")),
    )?;
    let (starter, log) = (Starter::new()?, scratch.join("log"));

    let mut format = kafka.java_with(&[], "kafka.tools.StorageTool");
    format.args(["format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c"]).arg(&configuration);
    Process::start(&starter, "formatting a broker", format, &log)?.until_done(PATIENCE)?;

    // It gets its name when it is whole.
    let unfinished = scratch.join("archive");
    let flag = format!("-XX:ArchiveClassesAtExit={}", unfinished.display());
    let mut run = kafka.java_with(&[&flag], "kafka.Kafka");
    run.arg(&configuration);
    let mut broker = Process::start(&starter, "the broker that writes the class archive", run, &log)?;
    broker.until("started", PATIENCE, |process| process.said("Kafka Server started"))?;
    ensure!(broker.end(Signal::TERM, PATIENCE)?, "the broker that writes the class archive does not end");
    std::fs::rename(&unfinished, &archive)
        .with_context(|| format!("no class archive was written, see {}", log.display()))?;
    std::fs::remove_dir_all(&scratch)?;
    Ok(archive)
}
