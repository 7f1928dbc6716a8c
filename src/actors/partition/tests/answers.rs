//! What rooms and users say of their folded state.

use super::*;
use crate::actors::fold::EntityState;
use crate::actors::partition::entity::{Emit, EntityCore};
use crate::actors::partition::item::Item;
use crate::actors::partition::question::{Question, QuestionBody};
use crate::actors::room::commands::{Create, Invite, Kick};
use crate::actors::room::tests::support::{Room, delete, edit};
use crate::actors::room::{Outcome, RoomState};
use crate::actors::user::commands::{Block, Preferences, Read};
use crate::actors::user::{self, UserCommand, UserCommandBody, UserState};
use crate::actors::wire::{
    EntityFigures, FiguresOf, HistoryBound, MaySend, Member, NodeId, Query, QueryAnswer, ReadFacts, ReadPoint, Reject,
    RequestId, RoomFacts, RoomKind, RoomStanding, StreamEvent, ToGateway,
};
use crate::ids::{Generation, MessageNo, Seq};

/// Fold time of the first record; each later one is folded a millisecond later.
const START: u64 = 1_000;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// An entity that has folded these records.
fn folded(entity: Entity, state: EntityState, envelopes: Vec<Envelope>) -> EntityCore {
    let mut core = EntityCore::new(entity, state, std::sync::Arc::default(), Offset(0));
    for (envelope, offset) in envelopes.into_iter().zip(0..) {
        let now = Timestamp(START + offset).into();
        core.replay(&Item { offset: Offset(offset), now, envelope, origin: None }, Offset(0));
    }
    core
}

fn room_of(commands: Vec<RoomCommand>) -> EntityCore {
    let envelope = |(body, n): (RoomCommand, u128)| {
        payload::envelope(Command { room: room(), id: Uuid::from_u128(n), issued_at: NOW, ttl_ms: 0, body })
    };
    let state = EntityState::room(RoomState::absent(room()));
    folded(entity(), state, commands.into_iter().zip(1..).map(envelope).collect())
}

fn create() -> RoomCommand {
    RoomCommand::Create(Create {
        kind: RoomKind::Group,
        creator: user("ann"),
        members: vec![user("bob")],
        title: "Oasis".to_owned(),
        channel: String::new(),
        ttl_ms: 60_000,
        public: false,
        may_send: MaySend::Members,
        max_members: 10,
        history: HistoryBound::default(),
    })
}

fn say(sender: &str) -> RoomCommand {
    let content = Content { body: "hello".to_owned(), ..Content::default() };
    RoomCommand::Send(Send { sender: user(sender), client_id: None, device: None, prev: None, content, open: None })
}

/// Ann's group with Bob: made at 1, messages at 2 and 4, Cat asked in at 3; Dan was asked in at 5 and sent away at 6.
fn group() -> EntityCore {
    let invite = |name| RoomCommand::Invite(Invite { by: user("ann"), user: user(name) });
    let kick = RoomCommand::Kick(Kick { by: user("ann"), user: user("dan") });
    room_of(vec![create(), say("ann"), invite("cat"), say("bob"), invite("dan"), kick])
}

fn facts(core: &EntityCore, name: &str) -> RoomFacts {
    match core.answer(&Query::Room { user: user(name) }, NOW) {
        QueryAnswer::Room(facts) => *facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_room_says_what_it_is_and_where_anybody_stands_in_it() {
    let core = group();
    let ann = facts(&core, "ann");
    let member = Member { joined: Seq(1), sent_no: MessageNo(1) };
    let expected = RoomFacts {
        kind: Some(RoomKind::Group),
        status: Default::default(),
        title: "Oasis".to_owned(),
        creator: Some(user("ann")),
        expires_at: Some(Timestamp(START + 60_000)),
        public: false,
        may_send: MaySend::Members,
        members: 2,
        head: Seq(6),
        floor: Seq(1),
        last_no: MessageNo(2),
        last_message_at: Some(Timestamp(START + 3)),
        opened_at: Timestamp(START),
        standing: Some(RoomStanding::Member(member)),
        peer: None,
    };
    assert_eq!((&ann, ann.member()), (&expected, Some(member)));
    assert_eq!(facts(&core, "cat").standing, Some(RoomStanding::Invited(Seq(3))));
    assert_eq!(facts(&core, "dan").standing, Some(RoomStanding::Kicked(Seq(6))));
    assert_eq!((facts(&core, "eve").standing, facts(&core, "eve").member()), (None, None));
    assert_eq!(facts(&room_of(vec![]), "ann").kind, None, "nobody has made it");
}

#[test]
fn recent_events_are_for_those_who_are_in_or_asked_in() {
    let core = group();
    let recent = |name, from| match core.answer(&Query::Recent { user: user(name), from: Seq(from) }, NOW) {
        QueryAnswer::Recent { room, end, events } => {
            assert_eq!((room.head, end), (Seq(6), core.ring_end()));
            events.iter().map(StreamEvent::seq).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(recent("bob", 4), [Seq(4), Seq(5), Seq(6)]);
    assert_eq!(recent("cat", 6), [Seq(6)]);
    assert_eq!((recent("bob", 7).len(), recent("dan", 1).len(), recent("eve", 1).len()), (0, 0, 0));
}

#[test]
fn members_are_named_to_members_page_by_page() {
    let core = group();
    let ask = |name, after: Option<&str>, limit| {
        core.answer(&Query::Members { user: user(name), after: after.map(user), limit }, NOW)
    };
    let page = |members| QueryAnswer::Members { members, total: 2, creator: Some(user("ann")) };
    assert_eq!(ask("bob", None, 1), page(vec![(user("ann"), Seq(1))]));
    assert_eq!(ask("bob", Some("ann"), 5), page(vec![(user("bob"), Seq(1))]));
    assert_eq!(ask("cat", None, 5), QueryAnswer::NotMember);
}

#[test]
fn a_room_says_whose_message_it_would_take_and_why_not() {
    let core = group();
    let takes = |name, now| core.answer(&Query::TakesMessage { user: user(name) }, now);
    assert_eq!(takes("bob", NOW), QueryAnswer::TakesMessage(Ok(())));
    assert_eq!(takes("cat", NOW), QueryAnswer::TakesMessage(Err(Reject::NotMember)));
    assert_eq!(takes("bob", Timestamp(START + 60_000)), QueryAnswer::TakesMessage(Err(Reject::Expired)));
}

#[test]
fn a_room_says_what_a_read_mark_means_and_who_wrote_what() {
    let core = group();
    let reading = |seq, no| {
        let member = Member { joined: Seq(1), sent_no: MessageNo(2) };
        let (no, last_no, joined_no) = (Some(MessageNo(no)), MessageNo(2), Some(MessageNo(0)));
        QueryAnswer::Reading(ReadFacts { seq: Seq(seq), no, last_no, member, joined_no })
    };
    let ask = |name, seq| core.answer(&Query::Reading { user: user(name), seq: Seq(seq) }, NOW);
    assert_eq!((ask("bob", 3), ask("bob", 99)), (reading(3, 1), reading(6, 2)), "never beyond the head");
    assert_eq!(ask("cat", 3), QueryAnswer::NotMember);
    let wrote = |name, seq| core.answer(&Query::Author { user: user(name), seq: Seq(seq) }, NOW);
    let author = |name: Option<&str>| QueryAnswer::Author { head: Seq(6), author: name.map(user), is_remembered: true };
    assert_eq!((wrote("ann", 4), wrote("ann", 3)), (author(Some("bob")), author(None)));
    assert_eq!(wrote("dan", 4), QueryAnswer::NotMember);
}

#[test]
fn a_user_says_what_was_read_whom_he_blocks_and_what_he_prefers() {
    let bodies = [
        UserCommandBody::Read(Read { room: room(), to: ReadPoint { seq: Seq(4), no: MessageNo(2) } }),
        UserCommandBody::Block(Block { user: user("eve") }),
        UserCommandBody::Preferences(Preferences { json: "{\"a\":1}".to_owned() }),
    ];
    let envelope = |(body, n): (UserCommandBody, u128)| {
        let id = Uuid::from_u128(n);
        user::payload::envelope(UserCommand { user: user("ann"), id, issued_at: NOW, ttl_ms: 0, body })
    };
    let state = EntityState::user(UserState::new(user("ann")));
    let core = folded(Entity::User(user("ann")), state, bodies.into_iter().zip(1..).map(envelope).collect());
    let read = |room| core.answer(&Query::ReadPoint { room }, NOW);
    assert_eq!(read(room()), QueryAnswer::ReadPoint(Some(ReadPoint { seq: Seq(4), no: MessageNo(2) })));
    assert_eq!(read(RoomId(Uuid::from_u128(8))), QueryAnswer::ReadPoint(None));
    let blocks = |name| core.answer(&Query::Blocks { other: user(name) }, NOW);
    assert_eq!((blocks("eve"), blocks("bob")), (QueryAnswer::Blocks(true), QueryAnswer::Blocks(false)));
    assert_eq!(core.answer(&Query::Preferences, NOW), QueryAnswer::Preferences("{\"a\":1}".to_owned()));
    let QueryAnswer::Figures(EntityFigures { of, .. }) = core.answer(&Query::Figures, NOW) else {
        panic!("no figures")
    };
    assert_eq!(of, FiguresOf::User { rooms: 0, devices: 0, blocks: 1 });
    assert_eq!(core.answer(&Query::Room { user: user("ann") }, NOW), QueryAnswer::Unavailable, "a user is no room");
    assert_eq!(group().answer(&Query::Preferences, NOW), QueryAnswer::Unavailable, "nor a room a user");
}

#[test]
fn a_stream_says_where_it_stands_and_how_much_it_holds() {
    let core = group();
    let position = QueryAnswer::Position { generation: Generation::FIRST, head: Seq(6), floor: Seq(1) };
    assert_eq!(core.answer(&Query::Position, NOW), position);
    let of = FiguresOf::Room {
        kind: Some(RoomKind::Group),
        status: Default::default(),
        members: 2,
        invited: 1,
        floor: Seq(1),
        messages: MessageNo(2),
        generation: Generation::FIRST,
    };
    let figures = EntityFigures { head: Seq(6), ring_bytes: core.ring_bytes(), of };
    assert_eq!(core.answer(&Query::Figures, NOW), QueryAnswer::Figures(figures));
}

/// What an entity gives of these events of its stream, at once or with the help of the store.
fn fetched(core: &mut EntityCore, from: u64, to: u64) -> Emit {
    let mut out = Vec::new();
    let asked = QuestionBody::Fetch { from: Seq(from), to: Seq(to) };
    core.hand(Question { from: NodeId::default(), request: RequestId(1), asked }, NOW, &mut out);
    out.pop().expect("an answer")
}

#[test]
fn rows_that_know_of_no_deletion_yet_give_no_text_that_the_ring_knows_to_be_deleted() {
    let mut rows = Room::group("ann", &["bob"]);
    let events = [rows.say("ann", "m1"), rows.fold(edit("ann", 2, "better")), rows.say("bob", "m2")];
    let event = |outcome| match outcome {
        Outcome::Accepted(event) => StreamEvent::Room(event),
        other => panic!("{other:?}"),
    };
    let stored: Vec<_> = events.into_iter().map(event).collect();
    let delete = payload::envelope(rows.command(delete("ann", 2)));
    let mut core = folded(Entity::Room(rows.state.room()), EntityState::room(rows.state.clone()), vec![delete]);
    let Emit::Fetch(fetch) = fetched(&mut core, 2, 5) else { panic!("the ring begins at the deletion") };
    let ToGateway::Fetched { events: Ok(events), .. } = fetch.answer(Ok(stored)) else { panic!("events") };
    let shown: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(events.iter().map(StreamEvent::seq).collect::<Vec<_>>(), [2, 3, 4, 5].map(Seq));
    assert!(shown[0].contains("redacted: true") && !shown[1].contains("better"), "{shown:?}");
    assert!(shown[2].contains("redacted: false"), "{shown:?}");
}
