//! A router without a node: mailboxes that are the test's own actors.

use super::owned::OwnerEpoch;
use super::*;
use crate::env::Env;
use crate::ids::RoomId;

fn stream() -> Entity {
    Entity::Room(RoomId::open("somewhere"))
}

fn router(owned: Owned) -> Router {
    let (clock, metrics) = (Env::system().clock, Arc::new(Metrics::new()));
    Router::new(Deps { node: NodeId(3), owned, clock, metrics, memory: 1 << 20 })
}

#[tokio::test]
async fn what_nobody_here_owns_is_refused_at_once_and_leaves_no_question() {
    let router = router(Owned::new([], OwnerEpoch(1)));
    let answer = router.command(stream().partition(), Bytes::from_static(b"x")).get().await;
    assert_eq!(answer, Answer::Unavailable { retry_after_ms: limits::NOT_TAKEN_RETRY_MS });
    assert_eq!(router.query(stream(), Query::Position).await, QueryAnswer::Unavailable);
    assert_eq!(router.fetch(stream(), Seq(1), Seq(2)).await, Err(FetchError::Unavailable));
    assert_eq!((router.pending.open(), router.budget(stream().partition()).used()), (0, 0));
}
