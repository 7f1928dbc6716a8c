//! Power cuts and failed syncs at any step, with the pages of a write kept in any part: whatever was acknowledged, or shown
//! by a start, is there after any number of further ones.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::faults::{Chance, Faults};
use super::*;

const PARTITIONS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Partition and record sizes.
    Append(u16, Vec<usize>),
    /// The sync after so many good ones fails, and its pages look clean.
    FailSync(u32),
    /// The power goes after so many changes of the disk.
    Dark(u32),
    /// Nothing can be allocated, or again.
    Full(bool),
    /// The process ends and is started again.
    Restart,
    /// The power goes now and comes back.
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![5 => 0..200usize, 3 => 200..3_000usize, 2 => 3_000..9_000usize];
    prop_oneof![
        8 => (0..PARTITIONS, prop::collection::vec(size, 1..6)).prop_map(|(p, sizes)| Step::Append(p, sizes)),
        3 => (0..6u32).prop_map(Step::FailSync),
        3 => (0..12u32).prop_map(Step::Dark),
        1 => any::<bool>().prop_map(Step::Full),
        3 => Just(Step::Restart),
        3 => Just(Step::PowerCut),
    ]
}

struct World {
    dir: tempfile::TempDir,
    options: Options,
    journal: Option<EmbeddedJournal>,
    seed: u64,
    written: u64,
    /// What must be there, by partition, and what may follow it.
    known: [Vec<Bytes>; PARTITIONS as usize],
    maybe: [Vec<Bytes>; PARTITIONS as usize],
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = scratch();
        let mut world = Self {
            options: watched(dir.path(), seed),
            dir,
            journal: None,
            seed,
            written: 0,
            known: Default::default(),
            maybe: Default::default(),
        };
        world.journal = Some(open(world.dir.path(), &world.options));
        world
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append(partition, sizes) => self.append(partition, sizes).await,
            Step::FailSync(good) => self.options.faults.fail_sync_after(good),
            Step::Dark(changes) => self.options.faults.cut_power_after(changes),
            Step::Full(full) => self.options.faults.set_full(full),
            Step::Restart => {
                self.journal = None;
                self.start().await;
            }
            Step::PowerCut => self.power_cut().await,
        }
    }

    async fn append(&mut self, partition: u16, sizes: Vec<usize>) {
        let Some(journal) = &self.journal else { return };
        let at = usize::from(partition);
        let batch: Vec<_> = sizes
            .into_iter()
            .map(|size| {
                self.written += 1;
                body(self.written, size)
            })
            .collect();
        match journal.append(p(partition), batch.clone()).await {
            Ok(appended) => {
                assert_eq!(appended.first, Offset(self.known[at].len() as u64));
                self.known[at].extend(batch);
            }
            Err(AppendError::Unknown(_)) => self.maybe[at].extend(batch),
            Err(AppendError::Refused(_) | AppendError::Closed(_)) => {}
        }
    }

    async fn power_cut(&mut self) {
        let to = scratch();
        self.options.faults.power_cut(to.path());
        self.journal = None;
        self.seed += 1;
        self.options = watched(to.path(), self.seed);
        self.dir = to;
        self.start().await;
    }

    /// Starts the journal, again and again if the disk fails in the middle, and looks what is there.
    async fn start(&mut self) {
        for _ in 0..10 {
            match EmbeddedJournal::open(self.dir.path(), self.options.clone()) {
                Ok((journal, _)) => {
                    self.check(&journal).await;
                    self.journal = Some(journal);
                    return;
                }
                // A failed sync: the next start may do. If the power went, it has to come back first.
                Err(JournalError::Io(why)) if why.contains("injected") => {}
                Err(JournalError::Io(why)) if why.contains("power") => return Box::pin(self.power_cut()).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it never opens");
    }

    async fn check(&mut self, journal: &EmbeddedJournal) {
        for partition in 0..PARTITIONS {
            let at = usize::from(partition);
            let found = bodies(journal, partition).await;
            let (known, maybe) = (&self.known[at], &self.maybe[at]);
            assert!(found.len() >= known.len(), "partition {partition}: {} of {}", found.len(), known.len());
            assert_eq!(found[..known.len()], known[..]);
            assert!(maybe.starts_with(&found[known.len()..]), "partition {partition} holds what nobody wrote");
            // It is shown: from now on it is final.
            self.known[at] = found;
            self.maybe[at].clear();
        }
    }
}

fn watched(dir: &Path, seed: u64) -> Options {
    let options = small_segments();
    let faults = Faults::default();
    faults.watch(dir, Chance(seed));
    Options { faults: Arc::new(faults), ..options }
}

fn run(steps: Vec<Step>, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        for step in steps {
            world.step(step).await;
        }
        for step in [Step::PowerCut, Step::Restart, Step::PowerCut] {
            world.step(step).await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_acknowledged_or_shown_survives_power_cuts_and_failed_syncs(
        steps in prop::collection::vec(step(), 1..30),
        seed in any::<u64>(),
    ) {
        run(steps, seed);
    }
}

/// The sync of an append fails, the process is started again and shows the record: then the power goes.
#[test]
fn what_a_start_shows_after_a_failed_sync_is_there_after_a_power_cut() {
    for seed in 0..40 {
        let append = |n: usize| Step::Append(1, vec![n]);
        run(vec![append(100), Step::FailSync(0), append(200), Step::Restart, Step::PowerCut], seed);
    }
}

/// A roll is interrupted by a failed sync of the seal, the process is started again and goes on: then the power goes.
#[test]
fn a_seal_whose_sync_failed_is_there_after_a_power_cut() {
    for seed in 0..8 {
        for good in 0..8 {
            let append = || Step::Append(1, vec![3_000]);
            let mut steps = vec![append(), append(), append()];
            steps.push(Step::FailSync(good));
            steps.extend([append(), append(), append(), Step::Restart, append(), Step::PowerCut]);
            run(steps, seed);
        }
    }
}

/// Any page of a seal may be missing while the power goes in the middle of a roll.
#[test]
fn a_power_cut_at_any_step_of_a_roll_leaves_a_journal_that_opens_with_everything() {
    for seed in 0..5 {
        for changes in 0..14 {
            let small = || Step::Append(2, vec![1; 5]);
            let mut steps: Vec<_> = (0..30).map(|_| small()).collect();
            steps.extend([Step::Append(1, vec![5_000]), Step::Dark(changes)]);
            steps.extend((0..3).map(|_| Step::Append(1, vec![6_000])));
            run(steps, seed);
        }
    }
}
