//! A partition goes, and comes back, while the node runs.

use super::*;
use crate::actors::node::MoveError;
use crate::actors::router::owned::Tenure;
use crate::storage::journal::embedded::{self, EmbeddedJournal};

/// Four devices write while their room's partition goes and comes back, ten times.
async fn moves_under_load(node: &Node, journal: &dyn Journal, env: &Env) {
    const MESSAGES: usize = 60;
    let (room, create) = direct();
    let partition = room.partition();
    let command = |body| node.router().command(partition, record(env, room, body)).get();
    assert_eq!(seq_of(command(create).await), 1);
    let say = |sender: &'static str, id: String| command(message(sender, &id));
    let send = |device: usize| async move {
        let (sender, mut seqs) = (["alice", "bob"][device % 2], Vec::new());
        for n in 0..MESSAGES {
            // What was refused, and what may have happened, is sent again.
            let seq = loop {
                match say(sender, format!("{device}-{n}")).await {
                    Answer::Accepted { seq, .. } => break seq.0,
                    Answer::Unavailable { .. } | Answer::Unknown => node.router().owned().served(partition).await,
                    other @ Answer::Rejected(_) => panic!("{other:?}"),
                }
            };
            seqs.push(seq);
        }
        seqs
    };
    let moves = async {
        for epoch in 2..12 {
            let folded = node.release(partition).await.unwrap();
            assert_eq!(node.router().owned().tenure(partition), Tenure::Elsewhere { folded });
            assert_eq!(folded, journal.bounds(partition).end, "all that was taken is folded");
            node.acquire(partition, OwnerEpoch(epoch)).await.unwrap();
        }
    };
    let sends = futures_util::future::join_all((0..4).map(send));
    let (all, ()) = within("all is sent", futures_util::future::join(sends, moves)).await;
    assert!(all.iter().all(|seqs| seqs.is_sorted()), "{all:?}");
    let mut seqs: Vec<u64> = all.into_iter().flatten().collect();
    seqs.sort_unstable();
    let last = 1 + 4 * MESSAGES as u64;
    assert_eq!(seqs, (2..=last).collect::<Vec<_>>(), "each has a place of its own, and there is no other");
    assert_eq!(seq_of(say("alice", "last".to_owned()).await), last + 1);
    let again = [say("alice", "0-0".to_owned()).await, say("alice", "0-0".to_owned()).await];
    assert_eq!(seq_of(again[0]), seq_of(again[1]), "known again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_reordered_while_a_partition_goes_and_comes_back_under_load() {
    let it = Fixture::new().await;
    moves_under_load(&it.node, &it.journal, &it.env).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_on_a_disk_whose_readable_end_is_durable() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let (journal, _) = EmbeddedJournal::open(dir.path(), embedded::Options::new(env.clone())).unwrap();
    let (journal, store) = (Arc::new(journal), Arc::new(MemoryStore::new()));
    let (deps, ..) = deps(Arc::clone(&journal) as _, Rule::ReadableIsDurable, store, &env, MEMORY);
    let node = Node::start(deps).await.unwrap();
    moves_under_load(&node, &*journal, &env).await;
    node.stop(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn what_the_partitions_here_share_is_divided_by_those_that_are_here() {
    let it = Fixture::new().await;
    let context = it.node.context();
    let all = Partition::all().count();
    assert_eq!(context.resident_share(), 100_000_usize.div_ceil(all));
    for partition in Partition::all().skip(1) {
        it.node.release(partition).await.unwrap();
    }
    assert_eq!(context.resident_share(), 100_000);
    it.node.acquire(Partition::new(7).unwrap(), OwnerEpoch(2)).await.unwrap();
    assert_eq!(context.resident_share(), 50_000);
}

#[tokio::test]
async fn what_another_owner_wrote_meanwhile_is_folded_before_the_partition_is_served() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    let partition = room.partition();
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
    it.node.release(partition).await.unwrap();
    let other = it.journal.for_node(1);
    other.append(partition, vec![it.record(room, message("bob", "m2"))]).await.unwrap();
    within("it comes back", it.node.acquire(partition, OwnerEpoch(2))).await.unwrap();
    assert_eq!(it.node.router().owned().tenure(partition), Tenure::Here(OwnerEpoch(2)));
    assert!(it.node.applied().get(partition) > Offset(2), "the other's message is folded");
    assert_eq!(seq_of(it.say(room, "alice", "m3").await), 4);
    assert_eq!(seq_of(it.say(room, "bob", "m2").await), 3, "a repetition of it is known");
}

#[tokio::test]
async fn a_partition_that_is_gone_refuses_commands_and_nothing_of_it_is_kept() {
    let mut it = Fixture::new().await;
    let room = it.direct().await;
    let partition = room.partition();
    it.listen(room, "bob");
    assert!(matches!(it.frame().await, ToGateway::Granted { .. }));
    let folded = it.node.release(partition).await.unwrap();
    assert!(matches!(it.say(room, "alice", "m1").await, Answer::Unavailable { .. }));
    assert_eq!(it.journal.bounds(partition).end, folded, "nothing is written");
    assert_eq!((it.node.residents(partition).await, it.node.directory().residents(partition)), (0, 0));
    assert!(it.node.router().listeners(partition).is_empty());
    assert!(!it.node.router().owned().iter().any(|own| own == partition));
    let elsewhere = Tenure::Elsewhere { folded };
    assert_eq!(it.node.release(partition).await, Err(MoveError::Tenure(elsewhere)));
    it.node.acquire(partition, OwnerEpoch(2)).await.unwrap();
    assert_eq!(it.node.acquire(partition, OwnerEpoch(3)).await, Err(MoveError::Tenure(Tenure::Here(OwnerEpoch(2)))));
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
}
