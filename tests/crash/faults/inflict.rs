//! Carries the faults out, one after the other, while the clients work: each is inflicted, mended, and over when everything is
//! whole and nobody waits for an answer any more.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kervan_devcluster::Engine;

use super::plan::{Fault, Part};
use super::site::{BROKER_WITH_DISK, PATIENCE, Site};
use crate::history::Recorder;
use crate::rng::Rng;
use crate::rooms::Room;

/// How long the database is away at its longest.
const AWAY: Duration = Duration::from_secs(60);
/// How long a broker may need to notice that its disk is full, and to end.
const NOTICES: Duration = Duration::from_secs(15);
/// Over is a fault after so many further acknowledgements, and when nobody has waited for one longer than this.
const ACKS_AFTER: u64 = 20;
const NOBODY_WAITS: Duration = Duration::from_secs(2);

/// A fault that was inflicted: from when to when, in the recorder's milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Inflicted {
    pub fault: Fault,
    pub begin_ms: u64,
    pub end_ms: u64,
    /// Channels of the rooms whose leader was lost.
    pub leaderless: Vec<String>,
}

/// Who inflicts them.
pub(crate) struct Torment {
    pub site: Site,
    pub rooms: Vec<Room>,
    pub recorder: Arc<Recorder>,
    pub rng: Rng,
}

impl Torment {
    /// One fault, to its end. `None` if it can't be inflicted on this machine.
    #[expect(clippy::print_stdout, reason = "what happens is part of the result")]
    pub(crate) fn inflict(&mut self, fault: Fault) -> Option<Inflicted> {
        if let (Fault::DiskFull, Err(why)) = (fault, &self.site.disk) {
            println!("SKIPPED: {fault}: this process may not mount a small disk: {why}");
            return None;
        }
        let begin_ms = self.recorder.now_ms();
        let leaderless = self.carry_out(fault).unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        self.site.until_whole();
        self.until_nobody_waits(fault);
        let end_ms = self.recorder.now_ms();
        println!("{fault}: over after {:.1} s, {} acks", (end_ms - begin_ms) as f64 / 1000.0, self.recorder.acks());
        self.pause(300, 1_000);
        Some(Inflicted { fault, begin_ms, end_ms, leaderless })
    }

    fn carry_out(&mut self, fault: Fault) -> anyhow::Result<Vec<String>> {
        match fault {
            Fault::Killed(Part::Node) => {
                self.site.node.kill9();
                self.pause(0, 300);
                self.site.node.restart();
            }
            Fault::Killed(Part::Broker) => {
                let number = self.one_of(Part::Broker);
                return self.broker_dies(number);
            }
            Fault::Killed(part) => {
                let number = self.one_of(part);
                self.die(part, &[number], (0, 3_000))?;
            }
            Fault::Paused(Part::Node, ms) => {
                self.site.node.pause();
                self.pause(ms, ms + 1);
                self.site.node.resume();
            }
            Fault::Paused(part, ms) => {
                let number = self.one_of(part);
                self.site.engine(part).pause(number)?;
                self.pause(ms, ms + 1);
                self.site.engine(part).resume(number)?;
            }
            Fault::LeaderKilled => {
                let rooms = self.rooms.iter().filter(|room| room.room.is_some()).cloned().collect::<Vec<_>>();
                let room = self.rng.pick(&rooms).expect("there are rooms");
                let leader = self.site.leaders.of_room(room).expect("everything is whole, each partition has a leader");
                return self.broker_dies(leader);
            }
            Fault::TwoBrokersKilled => {
                let survivor = self.one_of(Part::Broker);
                let dead: Vec<usize> = (1..=self.site.brokers.count()).filter(|number| *number != survivor).collect();
                self.die(Part::Broker, &dead, (500, 4_000))?;
            }
            Fault::AllBrokersKilled => {
                let all: Vec<usize> = (1..=self.site.brokers.count()).collect();
                self.die(Part::Broker, &all, (0, 3_000))?;
            }
            Fault::PostgresAway => {
                let away = AWAY.as_millis() as u64;
                self.die(Part::Postgres, &[1], (away, away + 1))?;
            }
            Fault::RedisGone => {
                let all: Vec<usize> = (1..=self.site.redis.count()).collect();
                self.die(Part::Redis, &all, (0, 3_000))?;
            }
            Fault::DiskFull => self.fill_disk()?,
        }
        Ok(Vec::new())
    }

    /// Gives the channels of the rooms that it led.
    fn broker_dies(&mut self, number: usize) -> anyhow::Result<Vec<String>> {
        let led = |room: &&Room| self.site.leaders.of_room(room) == Some(number);
        let leaderless = self.rooms.iter().filter(led).map(|room| room.channel.clone()).collect();
        self.die(Part::Broker, &[number], (0, 6_000))?;
        Ok(leaderless)
    }

    /// SIGKILL to each, and started again after a while.
    fn die(&mut self, part: Part, numbers: &[usize], away_ms: (u64, u64)) -> anyhow::Result<()> {
        for number in numbers {
            self.site.engine(part).kill(*number)?;
        }
        self.pause(away_ms.0, away_ms.1);
        // All of them before the first is waited for: it may need the others.
        for number in numbers {
            self.site.engine(part).launch(*number)?;
        }
        numbers.iter().try_for_each(|number| self.site.engine(part).until_started(*number))
    }

    fn fill_disk(&mut self) -> anyhow::Result<()> {
        let disk = self.site.disk.as_ref().expect("there is a small disk");
        disk.fill();
        // Pauses: the bound of the wait below.
        let end = Instant::now() + NOTICES;
        while self.site.brokers.runs(BROKER_WITH_DISK)? && Instant::now() < end {
            // Pauses: between looks, within a bound.
            sleep(Duration::from_millis(50));
        }
        disk.clear();
        // A broker whose only disk fails ends by itself. One that had nothing to write goes on.
        if !self.site.brokers.runs(BROKER_WITH_DISK)? {
            self.site.brokers.start_again(BROKER_WITH_DISK)?;
        }
        Ok(())
    }

    fn one_of(&mut self, part: Part) -> usize {
        let count = self.site.engine(part).count() as u64;
        self.rng.range(1, count + 1) as usize
    }

    fn pause(&mut self, low_ms: u64, high_ms: u64) {
        // Pauses: the schedule of the faults.
        sleep(Duration::from_millis(self.rng.range(low_ms, high_ms)));
    }

    fn until_nobody_waits(&self, fault: Fault) {
        let goal = self.recorder.acks() + ACKS_AFTER;
        // Pauses: the bound of the wait below.
        let end = Instant::now() + PATIENCE;
        while self.recorder.acks() < goal || self.recorder.longest_wait() > NOBODY_WAITS {
            let (acks, wait) = (self.recorder.acks(), self.recorder.longest_wait());
            let tail = || self.site.node.log_tail();
            assert!(Instant::now() < end, "{fault}: no answers: {acks} of {goal}, one waits {wait:?}: {}", tail());
            // Pauses: between looks, within a bound.
            sleep(Duration::from_millis(20));
        }
    }
}
