//! Three Apache Kafka brokers on the loopback interface, each of them a controller as well, with failures on request.
//!
//! [`Brokers::start`] returns when all three are registered. The first start on a machine fetches Kafka by Maven (a minute);
//! later ones take 5 to 10 seconds.

mod archive;
mod distribution;
mod node;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;

use crate::ports::Port;
use crate::process::{Process, Starter};

pub(crate) use distribution::Distribution;
use node::Member;

/// How many there are.
pub const COUNT: usize = 3;

/// How long a broker may take to start. On a machine that has much else to do it was seen to take 26 s.
const START: Duration = Duration::from_secs(180);

/// How long a broker may take to format its folder.
const FORMAT: Duration = Duration::from_secs(90);

/// How long brokers that are told to end may hand over what they lead. All three at once take 12 s.
const HAND_OVER: Duration = Duration::from_secs(30);

/// Three running brokers, numbered 1 to 3. Killed, and waited for, when dropped; what they hold is in their folder.
#[derive(Debug)]
pub struct Brokers {
    kafka: Distribution,
    cluster: String,
    members: [Member; COUNT],
    // Before the starter: they are to have ended when its thread does.
    processes: [Process; COUNT],
    starter: Starter,
    _ports: Vec<Port>,
}

impl Brokers {
    /// Starts them with their data in `dir` (made if it is new; otherwise they go on with what is there) at the given ports,
    /// or at free ones, and waits until all three are registered. Broker N logs to `dir/nN/log`.
    ///
    /// # Errors
    /// No Java or Maven, jars that are not the expected ones, a port that is taken, a broker that does not start: its log's
    /// end is told.
    pub fn start(dir: &Path, ports: Option<[u16; COUNT]>) -> anyhow::Result<Self> {
        let kafka = Distribution::ready()?;
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let dir = dir.canonicalize()?;
        let brokers = match ports {
            Some(ports) => each(|at| Port::exactly(ports[at]))?,
            None => each(|_| Port::free())?,
        };
        let controllers = each(|_| Port::free())?;
        let members =
            each(|at| Member::new(&dir, at + 1, brokers[at].number(), controllers.each_ref().map(Port::number)))?;
        let cluster = cluster_id(&dir)?;
        let starter = Starter::new()?;
        node::format(&kafka, &starter, &cluster, &members)?;
        let processes = each(|at| members[at].start(&kafka, &starter))?;
        let ports = brokers.into_iter().chain(controllers).collect();
        let mut brokers = Self { kafka, cluster, members, processes, starter, _ports: ports };
        for number in 1..=COUNT {
            brokers.until_started(number)?;
        }
        Ok(brokers)
    }

    /// Where clients find them: "127.0.0.1:P1,127.0.0.1:P2,127.0.0.1:P3".
    #[must_use]
    pub fn addresses(&self) -> String {
        self.members.each_ref().map(|member| format!("127.0.0.1:{}", member.port())).join(",")
    }

    /// The port of broker `number`.
    ///
    /// # Panics
    /// There is no such broker. The same holds for the other functions that take a number.
    #[must_use]
    pub fn port(&self, number: usize) -> u16 {
        self.members[at(number)].port()
    }

    /// The process id of broker `number`: the last one that it had, if it has ended.
    #[must_use]
    pub fn pid(&self, number: usize) -> u32 {
        self.processes[at(number)].pid()
    }

    /// Where broker `number` logs.
    #[must_use]
    pub fn log(&self, number: usize) -> PathBuf {
        self.members[at(number)].log()
    }

    /// Whether broker `number` runs; a paused one does.
    ///
    /// # Errors
    /// The system can't say.
    pub fn runs(&mut self, number: usize) -> anyhow::Result<bool> {
        Ok(self.processes[at(number)].ended()?.is_none())
    }

    /// SIGKILL to broker `number`; returns when it is gone.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        Ok(self.processes[at(number)].kill()?)
    }

    /// SIGSTOP to broker `number`: it keeps its connections, and does nothing.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn pause(&mut self, number: usize) -> anyhow::Result<()> {
        Ok(self.processes[at(number)].signal(Signal::STOP)?)
    }

    /// SIGCONT to broker `number`.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn resume(&mut self, number: usize) -> anyhow::Result<()> {
        Ok(self.processes[at(number)].signal(Signal::CONT)?)
    }

    /// Starts broker `number`, which has ended, at its old port, and waits until it is registered. That takes a majority of
    /// the three: where two are down, [`Brokers::launch`] both first.
    ///
    /// # Errors
    /// It runs, or it does not start: its log's end is told.
    pub fn start_again(&mut self, number: usize) -> anyhow::Result<()> {
        self.launch(number)?;
        self.until_started(number)
    }

    /// Starts broker `number`, which has ended, and does not wait for it: [`Brokers::until_started`] does.
    ///
    /// # Errors
    /// It runs, or the program can't be started.
    pub fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        ensure!(!self.runs(number)?, "broker {number} runs");
        let member = &self.members[at(number)];
        node::format(&self.kafka, &self.starter, &self.cluster, std::slice::from_ref(member))?;
        self.processes[at(number)] = member.start(&self.kafka, &self.starter)?;
        Ok(())
    }

    /// Waits until broker `number` is registered.
    ///
    /// # Errors
    /// It ended, or takes too long: its log's end is told.
    pub fn until_started(&mut self, number: usize) -> anyhow::Result<()> {
        self.processes[at(number)].until("started", START, |process| process.said("Kafka Server started"))
    }

    /// Takes all that broker `number`, which has ended, holds, as if its disk were lost. Started again it is formatted anew,
    /// and copies everything from the others.
    ///
    /// # Errors
    /// It runs, or the files can't be removed.
    pub fn lose_disk(&mut self, number: usize) -> anyhow::Result<()> {
        ensure!(!self.runs(number)?, "broker {number} runs");
        Ok(std::fs::remove_dir_all(self.members[at(number)].data())?)
    }

    /// Ends all three in an orderly way, which takes some 12 s; says whether all of them did.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn stop(mut self) -> anyhow::Result<bool> {
        for process in &mut self.processes {
            process.signal(Signal::TERM)?;
        }
        let mut all = true;
        for process in &mut self.processes {
            all &= process.end(Signal::TERM, HAND_OVER)?;
        }
        Ok(all)
    }
}

/// The place of broker `number`.
fn at(number: usize) -> usize {
    assert!((1..=COUNT).contains(&number), "there is no broker {number}");
    number - 1
}

/// Three of a kind.
fn each<T>(mut make: impl FnMut(usize) -> anyhow::Result<T>) -> anyhow::Result<[T; COUNT]> {
    Ok([make(0)?, make(1)?, make(2)?])
}

/// The id of the cluster in `dir`, which is made with it: brokers of another one that come to the same ports some day are
/// refused by it. 22 characters of base64url, as Kafka wants it.
fn cluster_id(dir: &Path) -> anyhow::Result<String> {
    let path = dir.join("cluster.id");
    if let Ok(id) = std::fs::read_to_string(&path) {
        return Ok(id);
    }
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("a random id")?;
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(21).collect();
    if digits.len() != 21 {
        bail!("the kernel's random uuid is {uuid:?}");
    }
    // 128 bits are 21 characters and a third: only some characters may be the last.
    let id = format!("{digits}A");
    std::fs::write(&path, &id).with_context(|| path.display().to_string())?;
    Ok(id)
}
