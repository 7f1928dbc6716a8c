//! A partition goes, and comes back, while the node runs.

use super::*;
use crate::actors::node::MoveError;
use crate::actors::router::owned::Tenure;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_reordered_while_a_partition_goes_and_comes_back_under_load() {
    const MESSAGES: usize = 60;
    let it = Fixture::new().await;
    let room = it.direct().await;
    let (partition, it) = (room.partition(), &it);
    let send = |device: usize| async move {
        let (sender, mut seqs) = (["alice", "bob"][device % 2], Vec::new());
        for n in 0..MESSAGES {
            let id = format!("{device}-{n}");
            // What was refused, and what may have happened, is sent again.
            let seq = loop {
                match it.say(room, sender, &id).await {
                    Answer::Accepted { seq, .. } => break seq.0,
                    Answer::Unavailable { .. } | Answer::Unknown => it.node.router().owned().served(partition).await,
                    other @ Answer::Rejected(_) => panic!("{other:?}"),
                }
            };
            seqs.push(seq);
        }
        seqs
    };
    let moves = async {
        for epoch in 2..12 {
            let folded = it.node.release(partition).await.unwrap();
            assert_eq!(it.node.router().owned().tenure(partition), Tenure::Elsewhere { folded });
            assert_eq!(folded, it.journal.bounds(partition).end, "all that was taken is folded");
            it.node.acquire(partition, OwnerEpoch(epoch)).await.unwrap();
        }
    };
    let sends = futures_util::future::join_all((0..4).map(send));
    let (all, ()) = within("all is sent", futures_util::future::join(sends, moves)).await;
    assert!(all.iter().all(|seqs| seqs.is_sorted()), "{all:?}");
    let mut seqs: Vec<u64> = all.into_iter().flatten().collect();
    seqs.sort_unstable();
    let last = 1 + 4 * MESSAGES as u64;
    assert_eq!(seqs, (2..=last).collect::<Vec<_>>(), "each has a place of its own, and there is no other");
    assert_eq!(seq_of(it.say(room, "alice", "last").await), last + 1);
    assert_eq!(seq_of(it.say(room, "alice", "0-0").await), seq_of(it.say(room, "alice", "0-0").await), "known again");
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
