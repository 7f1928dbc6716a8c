//! A router without a node: mailboxes that are the test's own actors.

use ractor::{Actor, ActorProcessingErr};
use tokio::sync::mpsc;

use super::owned::OwnerEpoch;
use super::*;
use crate::env::Env;
use crate::ids::RoomId;
use crate::testing::within;

/// The node of the tests.
const HERE: NodeId = NodeId { number: 3, life: 1 };

fn stream() -> Entity {
    Entity::Room(RoomId::open("somewhere"))
}

fn router(owned: Owned) -> Router {
    let (clock, metrics) = (Env::system().clock, Arc::new(Metrics::new()));
    Router::new(Deps { node: HERE, owned, clock, metrics, memory: 1 << 20 })
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

/// Takes whatever comes.
struct Anywhere(Pending);

impl Owners for Anywhere {
    fn send(&self, _: ToOwner) -> Result<(), NotTaken> {
        Ok(())
    }

    fn next_request(&self) -> RequestId {
        self.0.next_request()
    }
}

fn owner(epoch: u64) -> Owner {
    Owner { partition: stream().partition(), epoch: OwnerEpoch(epoch) }
}

#[tokio::test]
async fn how_things_stood_with_an_owner_that_has_gone_is_not_passed_on() {
    let router = router(Owned::new([stream().partition()], OwnerEpoch(2)));
    let (request, generation, seq) = (RequestId(9), Generation::FIRST, Seq(1));
    let granted = ToGateway::Granted { request, stream: stream(), generation, head: seq, floor: seq };
    assert_eq!(router.receive(owner(1), HERE, granted.clone()), None, "it may have missed what is decided since");
    assert_eq!(router.receive(owner(2), HERE, granted.clone()), Some(granted));
    let events = ToGateway::Events { stream: stream(), generation, events: Arc::from([]) };
    assert_eq!(router.receive(owner(1), HERE, events.clone()), Some(events), "the log says the same to everybody");

    let ask = || {
        let query = |request| ToOwner::Query { request, stream: stream(), query: Query::Position };
        router.pending.send(&Anywhere(Pending::default()), query).unwrap()
    };
    let answer =
        |asked: &OpenQuestion| ToGateway::Queried { request: asked.request(), answer: QueryAnswer::Blocks(true) };
    let (old, new) = (ask(), ask());
    assert_eq!(router.receive(owner(1), HERE, answer(&old)), None);
    assert_eq!(old.answer().await, None, "whoever asked does not wait for the deadline");
    let expected = answer(&new);
    assert_eq!(router.receive(owner(2), HERE, expected.clone()), None);
    assert_eq!(new.answer().await, Some(expected));
}

/// Hands on what it is told.
struct Mailbox;

impl Actor for Mailbox {
    type Msg = PartitionMessage;
    type State = mpsc::UnboundedSender<PartitionMessage>;
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<PartitionMessage>,
        told: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<PartitionMessage>,
        message: PartitionMessage,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(told.send(message)?)
    }
}

#[tokio::test]
async fn the_mailbox_of_an_owner_before_this_one_is_handed_to_nobody() {
    let router = router(Owned::new([stream().partition()], OwnerEpoch(2)));
    let (tell, mut told) = mpsc::unbounded_channel();
    let (actor, _) = Actor::spawn(None, Mailbox, tell).await.unwrap();
    let unlisten = || ToOwner::Unlisten { request: router.next_request(), stream: stream() };
    router.set(owner(1), actor.clone());
    assert_eq!(router.send(unlisten()), Err(NotTaken));
    let refused = router.command(stream().partition(), Bytes::from_static(b"x")).get().await;
    assert!(matches!(refused, Answer::Unavailable { .. }), "{refused:?}");
    router.set(owner(2), actor);
    assert_eq!(router.send(unlisten()), Ok(()));
    let message = within("it is told", told.recv()).await;
    assert!(matches!(message, Some(PartitionMessage::Unlisten { node: NodeId { number: 3, .. }, .. })));
}
