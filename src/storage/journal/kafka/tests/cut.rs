//! A log that was cut: an election by which a broker that lags behind becomes the leader. The journal's own topics forbid it; a
//! reader must notice it all the same.

use bytes::Bytes;
use kervan_devcluster::Engine as _;
use rdkafka::admin::{AdminClient, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::super::topics::patience;
use super::{Cluster, Options, open};
use crate::ids::{Offset, PARTITIONS, Partition};
use crate::storage::journal::{Journal, Tail, Tailed};
use crate::testing::{found, within};

/// A topic whose partitions lie on the first two brokers, one of which is enough, and which lets any of them lead.
async fn weak_topic(options: &Options) {
    let admin: AdminClient<DefaultClientContext> = options.client().create().unwrap();
    let places: Vec<&[i32]> = vec![&[1, 2]; usize::from(PARTITIONS)];
    let topic = NewTopic::new(&options.topic, i32::from(PARTITIONS), TopicReplication::Variable(&places))
        .set("min.insync.replicas", "1")
        .set("unclean.leader.election.enable", "true")
        .set("message.timestamp.type", "LogAppendTime");
    admin.create_topics([&topic], &patience()).await.unwrap().remove(0).unwrap();
}

async fn next(tail: &mut dyn Tail) -> Tailed {
    within("the tail tells something", tail.next(1 << 20)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn a_reader_notices_that_what_it_read_is_gone_and_reads_what_took_its_place() {
    let mut cluster = Cluster::start().await;
    let options = Options { topic: "weak".to_owned(), ..cluster.topic().await };
    weak_topic(&options).await;
    let (writer, reader) = (open(&options).await, open(&options).await);
    let write = async |partition: Partition, name: &str, count: u64| {
        let batch = (0..count).map(|n| Bytes::from(format!("{name}-{n}"))).collect();
        found("it is written", async || writer.append(partition, Vec::clone(&batch)).await.ok()).await
    };
    // Of one several records are lost, of one only the last.
    let cases = [(Partition::new(5).unwrap(), 5), (Partition::new(6).unwrap(), 1)];
    let mut kept = Vec::new();
    for (partition, _) in cases {
        kept.push(write(partition, "kept", 10).await.end);
    }
    tokio::task::block_in_place(|| cluster.brokers.kill(2)).unwrap();
    let mut tails = Vec::new();
    for ((partition, count), kept) in cases.into_iter().zip(&kept) {
        let lost = write(partition, "lost", count).await;
        assert_eq!((lost.first, lost.end), (*kept, kept.plus(count)));
        let mut tail = reader.tail(partition, Offset::ZERO);
        let mut told = Vec::new();
        while (told.len() as u64) < lost.end.0 {
            match next(&mut *tail).await {
                Tailed::Batch { records, losses: 0, .. } => told.extend(records),
                other => panic!("{other:?}"),
            }
        }
        tails.push(tail);
    }
    tokio::task::block_in_place(|| {
        cluster.brokers.kill(1).unwrap();
        cluster.brokers.launch(2).unwrap();
        cluster.brokers.until_started(2).unwrap();
    });
    let other = open(&options).await;
    for (((partition, _), kept), mut tail) in cases.into_iter().zip(kept).zip(tails) {
        // More than was lost: where the log ends tells nothing.
        let batch: Vec<Bytes> = (0..20).map(|n| Bytes::from(format!("other-{n}"))).collect();
        found("the lagging broker leads", async || other.append(partition, batch.clone()).await.ok()).await;
        let cut = loop {
            match next(&mut *tail).await {
                Tailed::Truncated { end, losses } => break (end, losses),
                Tailed::Batch { records, losses, .. } => assert!(losses == 0 && records.is_empty(), "{records:?}"),
            }
        };
        assert_eq!(cut, (kept, 1), "of {partition}");
        let mut told = Vec::new();
        while told.len() < 20 {
            match next(&mut *tail).await {
                Tailed::Batch { records, losses: 1, .. } => told.extend(records),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told[0].offset, kept);
        assert_eq!(told.iter().map(|record| record.bytes.clone()).collect::<Vec<_>>()[..20], batch[..]);
    }
}
