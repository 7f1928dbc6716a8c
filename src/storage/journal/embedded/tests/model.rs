//! Random appends, reads, trims, backups, crashes and restarts, against the most naive journal there is.

use proptest::prelude::*;

use super::*;
use crate::storage::journal::{Bounds, ReadError};

const PARTITIONS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Partition and record sizes.
    Append(u16, Vec<usize>),
    /// Several appends at once.
    AppendAll(Vec<(u16, usize)>),
    /// Partition, where between start and end (in 1/16, beyond it above 16), bytes.
    Read(u16, u64, usize),
    /// Partition, where.
    Trim(u16, u64),
    Restart,
    /// Go on with a copy of the files as they are.
    Crash,
    /// Go on with a backup.
    Backup,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![5 => 0..200usize, 2 => 200..3_000usize, 1 => 3_000..20_000usize];
    let partition = || 0..PARTITIONS;
    prop_oneof![
        8 => (partition(), prop::collection::vec(size.clone(), 0..6)).prop_map(|(p, sizes)| Step::Append(p, sizes)),
        2 => prop::collection::vec((partition(), size), 1..8).prop_map(Step::AppendAll),
        5 => (partition(), 0..20u64, 0..40_000usize).prop_map(|(p, at, bytes)| Step::Read(p, at, bytes)),
        2 => (partition(), 0..18u64).prop_map(|(p, at)| Step::Trim(p, at)),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => Just(Step::Backup),
    ]
}

/// The naive journal: all records for ever, and a start.
#[derive(Default)]
struct Model {
    partitions: [(u64, Vec<Bytes>); PARTITIONS as usize],
    written: u64,
}

impl Model {
    fn make(&mut self, partition: u16, len: usize) -> Bytes {
        self.written += 1;
        let bytes = body(self.written, len);
        self.partitions[usize::from(partition)].1.push(bytes.clone());
        bytes
    }

    fn bounds(&self, partition: u16) -> Bounds {
        let (start, records) = &self.partitions[usize::from(partition)];
        Bounds { start: Offset(*start), end: Offset(records.len() as u64) }
    }
}

async fn check_all(journal: &EmbeddedJournal, model: &Model) {
    for partition in 0..PARTITIONS {
        let (start, records) = &model.partitions[usize::from(partition)];
        assert_eq!(journal.bounds(p(partition)), model.bounds(partition));
        assert_eq!(bodies(journal, partition).await, records[*start as usize..]);
    }
}

async fn run(steps: Vec<Step>, cache_bytes: usize) {
    let options = Options { cache_bytes, ..small_segments() };
    let mut dir = scratch();
    let mut journal = open(dir.path(), &options);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(partition, sizes) => {
                let first = model.bounds(partition).end;
                let batch = sizes.into_iter().map(|size| model.make(partition, size)).collect();
                let appended = journal.append(p(partition), batch).await.unwrap();
                assert_eq!((appended.first, appended.end), (first, model.bounds(partition).end));
            }
            Step::AppendAll(records) => {
                let appends = records.into_iter().map(|(partition, size)| {
                    let offset = model.bounds(partition).end;
                    let record = model.make(partition, size);
                    let journal = &journal;
                    async move { (append(journal, partition, record).await.unwrap().first, offset) }
                });
                for (found, expected) in futures_util::future::join_all(appends.collect::<Vec<_>>()).await {
                    assert_eq!(found, expected);
                }
            }
            Step::Read(partition, at, max_bytes) => {
                let (start, records) = &model.partitions[usize::from(partition)];
                let from = records.len() as u64 * at / 16;
                let page = journal.read(p(partition), Offset(from), max_bytes).await;
                if from < *start {
                    assert!(matches!(page, Err(ReadError::Trimmed { .. })));
                    continue;
                }
                let page = page.unwrap();
                let expected = records.iter().skip(from as usize).take(page.len());
                assert!(page.iter().map(|record| &record.bytes).eq(expected));
                assert!(page.iter().map(|record| record.offset.0).eq(from..from + page.len() as u64));
                assert_eq!(page.is_empty(), from >= records.len() as u64);
                assert!(page.len() <= 1 || page.iter().map(|record| record.bytes.len()).sum::<usize>() <= max_bytes);
            }
            Step::Trim(partition, at) => {
                let (start, records) = &mut model.partitions[usize::from(partition)];
                let to = records.len() as u64 * at / 16;
                let outcome = journal.maintenance().trim(&[(p(partition), Offset(to))]);
                assert_eq!(outcome.is_ok(), to <= records.len() as u64);
                if outcome.is_ok() {
                    *start = (*start).max(to);
                }
            }
            Step::Restart => {
                drop(journal);
                journal = open(dir.path(), &options);
                check_all(&journal, &model).await;
            }
            Step::Crash => {
                let copy = scratch();
                copy_files(dir.path(), copy.path());
                drop(journal);
                (journal, dir) = (open(copy.path(), &options), copy);
                check_all(&journal, &model).await;
            }
            Step::Backup => {
                let copy = scratch();
                let taken = journal.maintenance().backup_to(copy.path()).unwrap();
                for partition in 0..PARTITIONS {
                    assert_eq!(taken.ends[usize::from(partition)], model.bounds(partition).end);
                }
                drop(journal);
                (journal, dir) = (open(copy.path(), &options), copy);
                check_all(&journal, &model).await;
            }
        }
    }
    check_all(&journal, &model).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_naive_journal_does(
        steps in prop::collection::vec(step(), 1..40),
        cache_bytes in prop_oneof![Just(0), Just(5_000), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, cache_bytes));
    }
}
