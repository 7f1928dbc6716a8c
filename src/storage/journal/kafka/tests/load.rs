//! A topic that is loaded with another journal.

use uuid::Uuid;

use super::super::load::{self, Loader};
use super::super::topics::delete_below;
use super::*;
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::{Bounds, Journal as _, JournalError, StoredRecord};

/// Writes records `from..to` of a partition, each with a time of its own, long ago.
fn put(options: &Options, partition: Partition, from: u64, to: u64) -> Result<(), JournalError> {
    let loader = Loader::new(options)?;
    for n in from..to {
        loader.put(partition, Offset(n), Timestamp(1_000 + n), Some(format!("record {n}").as_bytes()))?;
    }
    loader.flush()
}

fn read(options: &Options, partition: Partition, to: u64) -> Vec<StoredRecord> {
    let held = Bounds { start: Offset::ZERO, end: Offset(to) };
    let mut found = Vec::new();
    load::read(options, &[(partition, held)], |_, record| {
        found.push(record);
        Ok::<_, JournalError>(())
    })
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn on_kafka_a_topic_is_loaded_with_given_times_and_what_comes_in_between_is_noticed() {
    let cluster = Cluster::start().await;
    let (options, id, partition) = (cluster.topic().await, Uuid::from_u128(7), Partition::new(9).unwrap());
    assert_eq!(load::look(&options).await.unwrap().journal, None);
    load::begin(&options, id).await.unwrap();
    let other = load::begin(&options, Uuid::from_u128(8)).await.unwrap_err().to_string();
    assert!(other.contains(&id.to_string()), "{other}");
    let refused = topics::check(&options).await.unwrap_err().to_string();
    assert!(refused.contains("message.timestamp.type is CreateTime"), "nobody serves it meanwhile: {refused}");

    let (first, then) = (tokio::task::block_in_place(|| put(&options, partition, 0, 500)), 700);
    first.unwrap();
    let settled = tokio::task::block_in_place(|| load::settled(&options)).unwrap();
    assert_eq!(settled[partition.index()], Bounds { start: Offset::ZERO, end: Offset(500) });
    tokio::task::block_in_place(|| put(&options, partition, 500, then)).unwrap();
    let found = tokio::task::block_in_place(|| read(&options, partition, then));
    for (n, record) in (0..then).zip(&found) {
        let expected = StoredRecord {
            offset: Offset(n),
            time: Timestamp(1_000 + n),
            bytes: format!("record {n}").into_bytes().into(),
        };
        assert_eq!(*record, expected);
    }
    let state = load::look(&options).await.unwrap();
    assert!(state.is_loading && state.journal == Some(id) && state.wrong.is_empty(), "{state:?}");

    delete_below(&options, &[(partition, Offset(600))]).await.unwrap();
    load::open(&options).await.unwrap();
    let journal = open(&options).await;
    assert_eq!(journal.maintenance().id(), id);
    assert_eq!(journal.bounds(partition), Bounds { start: Offset(600), end: Offset(then) });
    let added = journal.append(partition, vec!["new".into()]).await.unwrap();
    assert!(added.first == Offset(then) && added.time > Timestamp(1_000_000), "the brokers' own time: {added:?}");

    // Whoever loads on now meets that record, and times that are not the given ones.
    let met = tokio::task::block_in_place(|| put(&options, partition, then, then + 1)).unwrap_err().to_string();
    assert!(met.contains(&format!("record {then} of partition {partition} came to lie at {}", then + 1)), "{met}");
    let fresh = Partition::new(10).unwrap();
    let own = tokio::task::block_in_place(|| put(&options, fresh, 0, 1)).unwrap_err().to_string();
    assert!(own.contains("their own time") && own.contains("remove the topic"), "{own}");
}
