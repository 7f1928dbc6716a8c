//! Brokers die, pause and come back while records are appended. What was acknowledged is there once, at its place and in its order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kervan_devcluster::Engine as _;

use super::{Cluster, open};
use crate::ids::{Offset, Partition};
use crate::storage::journal::contract::read_all;
use crate::storage::journal::kafka::{KafkaJournal, Options};
use crate::storage::journal::{AppendError, Journal};
use crate::testing::{found, within};

const PARTITIONS: u16 = 12;

/// What a writer was told.
#[derive(Default)]
struct Told {
    written: Vec<(Partition, Offset, Bytes)>,
    unknown: usize,
    refused: usize,
    /// The longest time from an append to what it was told.
    longest: Duration,
}

/// Writers that append one record after the other, each to a partition of its own, until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<Told>>,
}

impl Load {
    fn begin(journal: &Arc<KafkaJournal>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |number: u16| {
            let (journal, stop) = (Arc::clone(journal), Arc::clone(&stop));
            tokio::spawn(async move {
                let (partition, mut told) = (Partition::new(number).unwrap(), Told::default());
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (record, begun) = (Bytes::from(format!("{number}/{n}")), Instant::now());
                    match journal.append(partition, vec![record.clone()]).await {
                        Ok(report) => told.written.push((partition, report.first, record)),
                        Err(AppendError::Unknown(_)) => told.unknown += 1,
                        Err(AppendError::Refused(_)) => {
                            told.refused += 1;
                            // Pauses: a client that was told to try again later.
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        Err(AppendError::Closed(why)) => panic!("{why}"),
                    }
                    told.longest = told.longest.max(begun.elapsed());
                }
                told
            })
        };
        Self { writers: (0..PARTITIONS).map(writer).collect(), stop }
    }

    async fn end(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for writer in self.writers {
            let told = within("a writer ends", writer).await.unwrap();
            all.written.extend(told.written);
            all.unknown += told.unknown;
            all.refused += told.refused;
            all.longest = all.longest.max(told.longest);
        }
        all
    }
}

/// Reads all by a client that knows nothing.
async fn nothing_is_lost_or_doubled(options: &Options, told: &Told) {
    let journal = open(options).await;
    let mut places: HashMap<Bytes, Vec<(Partition, Offset)>> = HashMap::new();
    for partition in (0..PARTITIONS).map(|number| Partition::new(number).unwrap()) {
        for record in read_all(&*journal, partition, Offset::ZERO, 1 << 20).await {
            places.entry(record.bytes).or_default().push((partition, record.offset));
        }
    }
    for (partition, offset, record) in &told.written {
        assert_eq!(places.get(record), Some(&vec![(*partition, *offset)]), "{record:?}");
    }
    assert!(places.values().all(|places| places.len() == 1), "a record stands twice in the log");
    let mut last: HashMap<Partition, Offset> = HashMap::new();
    for (partition, offset, _) in &told.written {
        assert!(last.insert(*partition, *offset).is_none_or(|before| before < *offset), "reports are in order");
    }
    // One whose outcome is unknown may be there; nothing else is.
    assert!(places.len() <= told.written.len() + told.unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn a_broker_that_dies_or_hangs_costs_seconds_and_no_record() {
    let mut cluster = Cluster::start().await;
    let options = cluster.topic().await;
    let journal = open(&options).await;
    let load = Load::begin(&journal);
    for broker in 1..=3 {
        let before = journal.bounds(Partition::new(0).unwrap()).end;
        let goes_on = async || {
            found("it goes on", async || {
                (journal.bounds(Partition::new(0).unwrap()).end > before.plus(20)).then_some(())
            })
            .await
        };
        goes_on().await;
        if broker == 2 {
            cluster.brokers.pause(broker).unwrap();
            goes_on().await;
            cluster.brokers.resume(broker).unwrap();
        } else {
            cluster.brokers.kill(broker).unwrap();
            goes_on().await;
            tokio::task::block_in_place(|| cluster.brokers.start_again(broker)).unwrap();
        }
    }
    let told = load.end().await;
    eprintln!("{} written, {} unknown, {} refused, {:?}", told.written.len(), told.unknown, told.refused, told.longest);
    nothing_is_lost_or_doubled(&options, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn without_a_majority_the_first_are_told_in_time_and_later_ones_at_once() {
    let mut cluster = Cluster::start().await;
    let options = cluster.topic().await;
    let journal = open(&options).await;
    let load = Load::begin(&journal);
    let first = Partition::new(0).unwrap();
    found("it writes", async || (journal.bounds(first).end > Offset(20)).then_some(())).await;
    cluster.brokers.kill(1).unwrap();
    cluster.brokers.kill(2).unwrap();
    let partition = Partition::new(200).unwrap();
    // Refused as long as no leader can be asked at all; unknown of what lies at one that lacks followers.
    let (mut refused, mut is_unknown) = (Vec::new(), false);
    for record in ["first", "second", "third"] {
        let begun = Instant::now();
        match journal.append(partition, vec![Bytes::from_static(record.as_bytes())]).await.unwrap_err() {
            AppendError::Unknown(_) => is_unknown = true,
            AppendError::Refused(_) => {
                assert!(refused.is_empty() || begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
                refused.push(record);
            }
            other => panic!("{other:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        if is_unknown {
            break;
        }
    }
    if is_unknown {
        let begun = Instant::now();
        let outcome = journal.append(partition, vec![Bytes::from_static(b"later")]).await;
        assert!(matches!(outcome, Err(AppendError::Refused(_))), "{outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        refused.push("later");
    }
    tokio::task::block_in_place(|| {
        cluster.brokers.launch(1).unwrap();
        cluster.brokers.launch(2).unwrap();
        cluster.brokers.until_started(1).unwrap();
        cluster.brokers.until_started(2).unwrap();
    });
    found("it is written again", async || journal.append(partition, vec![Bytes::from_static(b"again")]).await.ok())
        .await;
    let before = journal.bounds(first).end;
    found("all go on", async || (journal.bounds(first).end > before.plus(20)).then_some(())).await;
    let told = load.end().await;
    eprintln!("{} written, {} unknown, {} refused, {:?}", told.written.len(), told.unknown, told.refused, told.longest);
    nothing_is_lost_or_doubled(&options, &told).await;
    let stands = read_all(&*journal, partition, Offset::ZERO, 1 << 20).await;
    let ghost = stands.iter().find(|record| refused.iter().any(|refused| record.bytes == *refused));
    assert!(ghost.is_none(), "what was refused is never written: {ghost:?}");
}
