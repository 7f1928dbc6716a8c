//! Two journals over one topic: owners of one partition at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Options, open};
use crate::ids::{Offset, Partition};
use crate::storage::journal::contract::read_all;
use crate::storage::journal::kafka::parts::Pace;
use crate::storage::journal::{Appended, Journal, StoredRecord, Tail, Tailed};
use crate::testing::{found, within};

async fn next(tail: &mut dyn Tail) -> Vec<StoredRecord> {
    match within("the tail tells something", tail.next(1 << 20)).await.unwrap() {
        Tailed::Batch { records, .. } => records,
        told @ Tailed::Truncated { .. } => panic!("nothing was lost: {told:?}"),
    }
}

pub(super) async fn see_each_others_records_once_and_their_reports_are_honest(options: &Options) {
    let (one, other) = (open(options).await, open(options).await);
    let partition = Partition::new(7).unwrap();
    let mut tail = one.tail(partition, Offset::ZERO);
    assert_eq!(next(&mut *tail).await, []);
    let write = |journal: &Arc<super::KafkaJournal>, name: &'static str| {
        let journal = Arc::clone(journal);
        tokio::spawn(async move {
            let mut reports: Vec<(Appended, Vec<Bytes>)> = Vec::new();
            for n in 0..100 {
                let batch: Vec<Bytes> = (0..3).map(|m| Bytes::from(format!("{name}/{n}/{m}"))).collect();
                reports.push((journal.append(partition, batch.clone()).await.unwrap(), batch));
            }
            reports
        })
    };
    let (mine, others) = (write(&one, "one"), write(&other, "other"));
    let mut told = Vec::new();
    while told.len() < 600 {
        told.extend(next(&mut *tail).await);
    }
    // By one who asks the brokers for the end: of a partition that it does not follow, `other` knows no end but that of its own
    // records, and the last ones may be those of `one`.
    let all = read_all(&*open(options).await, partition, Offset::ZERO, 1 << 20).await;
    assert_eq!(told, all, "each record once and in order");
    for (report, batch) in mine.await.unwrap().into_iter().chain(others.await.unwrap()) {
        let lies = &all[report.first.0 as usize..report.end.0 as usize];
        assert_eq!((lies[0].bytes.clone(), lies[lies.len() - 1].bytes.clone()), (batch[0].clone(), batch[2].clone()));
        let is_dense = lies.len() == 3 && lies.iter().all(|record| record.time == report.time);
        assert_eq!(report.is_dense, is_dense);
        if is_dense {
            assert_eq!(lies.iter().map(|record| record.bytes.clone()).collect::<Vec<_>>(), batch);
        }
    }
}

/// Of a partition that is read calmly, as only one node writes to it: what another one writes is told within the half second
/// that a calm reader waits, and at once if the node's own next report shows that it was not alone.
pub(super) async fn what_another_one_writes_is_told_in_time_though_it_is_read_calmly(options: &Options) {
    let (one, other) = (open(options).await, open(options).await);
    let own = |name: &'static str| vec![Bytes::from_static(name.as_bytes())];
    for (number, knows_of_it) in [(8, false), (9, true)] {
        let partition = Partition::new(number).unwrap();
        let mut tail = one.tail(partition, Offset::ZERO);
        assert_eq!(next(&mut *tail).await, []);
        let part = one.shared.parts.of(partition);
        found("it is read calmly", async || {
            let report = one.append(partition, own("mine")).await.unwrap();
            tail.place().reported(&report);
            (part.pace() == Pace::Calm && tail.place().next() == report.end).then_some(())
        })
        .await;
        other.append(partition, own("other")).await.unwrap();
        let begun = Instant::now();
        if knows_of_it {
            one.append(partition, own("mine")).await.unwrap();
        }
        let told = next(&mut *tail).await;
        assert_eq!(told[0].bytes, "other");
        eprintln!("told after {:?}", begun.elapsed());
        // A calm reader waits for half a second; the rest is for machines that are busy.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        if knows_of_it && told.len() == 1 {
            assert_eq!(next(&mut *tail).await[0].bytes, "mine");
        }
        found("whoever is not alone is read at once", async || (part.pace() == Pace::Prompt).then_some(())).await;
    }
}
