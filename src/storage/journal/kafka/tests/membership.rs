//! Workers share partitions out among themselves.

use super::Cluster;
use crate::ids::Partition;
use crate::storage::journal::kafka::Options;
use crate::storage::journal::kafka::membership::{Membership, Share};
use crate::testing::{found, within};

async fn join(options: &Options, name: &'static str) -> Membership {
    let options = options.clone();
    tokio::task::spawn_blocking(move || Membership::join(&options, "workers", name)).await.unwrap().unwrap()
}

async fn leave(member: Membership) {
    tokio::task::spawn_blocking(move || drop(member)).await.unwrap();
}

/// Waits until its share is so.
async fn until(member: &Membership, what: &str, is_so: impl FnMut(&Share) -> bool) -> Share {
    let mut share = member.share();
    within(what, share.wait_for(is_so)).await.unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn workers_share_all_partitions_and_one_that_comes_back_under_its_name_takes_nothing_from_others() {
    let cluster = Cluster::start().await;
    let options = cluster.topic().await;
    let all = Partition::all().count();
    let one = join(&options, "one").await;
    until(&one, "the first has all", |share| share.partitions.len() == all).await;
    let other = join(&options, "other").await;
    found("each has its half, and both have all", async || {
        let (mine, others) = (one.share().borrow().clone(), other.share().borrow().clone());
        let is_fair = mine.partitions.len() == all / 2 && others.partitions.len() == all / 2;
        (is_fair && mine.partitions.is_disjoint(&others.partitions)).then_some(())
    })
    .await;

    let before = other.share().borrow().clone();
    let mut of_one = one.share();
    of_one.mark_unchanged();
    leave(other).await;
    let other = join(&options, "other").await;
    let again = until(&other, "it has what it had", |share| share.is_told && !share.partitions.is_empty()).await;
    assert_eq!(again, before);
    assert!(!of_one.has_changed().unwrap(), "the other one has noticed nothing");

    let thief = join(&options, "one").await;
    until(&one, "only one has a name", |share| share.is_out.is_some()).await;
    leave(one).await;
    leave(other).await;
    // Behind the session of those who left: their names may come back.
    until(&thief, "who is left has all", |share| share.partitions.len() == all).await;
    leave(thief).await;
}
