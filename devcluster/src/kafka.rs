//! Three Apache Kafka brokers on the loopback interface, each of them a controller as well, with failures on request.
//!
//! [`Brokers::start`] returns when all three are registered. The first start on a machine fetches Kafka by Maven (a minute);
//! later ones take 5 to 10 seconds.

mod archive;
mod distribution;
mod node;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;

use crate::engine::{Engine, at};
use crate::ports::Port;
use crate::process::{self, Process, Starter};
use crate::random;

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

/// Three running brokers, numbered 1 to 3.
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

    /// Takes all that broker `number`, which has ended, holds, as if its disk were lost. Started again it is formatted anew,
    /// and copies everything from the others.
    ///
    /// # Errors
    /// It runs, or the files can't be removed.
    pub fn lose_disk(&mut self, number: usize) -> anyhow::Result<()> {
        self.must_have_ended(number)?;
        Ok(std::fs::remove_dir_all(self.members[at(number)].data())?)
    }
}

impl Engine for Brokers {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn port(&self, number: usize) -> u16 {
        self.members[at(number)].port()
    }

    fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        self.must_have_ended(number)?;
        let member = &self.members[at(number)];
        node::format(&self.kafka, &self.starter, &self.cluster, std::slice::from_ref(member))?;
        self.processes[at(number)] = member.start(&self.kafka, &self.starter)?;
        Ok(())
    }

    /// A broker is registered when a majority of the three runs.
    fn until_started(&mut self, number: usize) -> anyhow::Result<()> {
        self.processes[at(number)].until("started", START, |process| process.said("Kafka Server started"))
    }

    /// They wait for each other: it takes some 12 s.
    fn stop(&mut self) -> anyhow::Result<bool> {
        process::end_all(&mut self.processes, Signal::TERM, HAND_OVER)
    }
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
    let digits = random::digits()?;
    // 128 bits are 21 characters and a third: only some characters may be the last.
    let id = format!("{}A", &digits[..21]);
    std::fs::write(&path, &id).with_context(|| path.display().to_string())?;
    Ok(id)
}
