//! Frames survive their encoding, and no bytes make the decoder panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::actors::wire::{
    Content, EntityFigures, EventBody, FiguresOf, HistoryBound, MaySend, Member, Query, QueryAnswer, ReadFacts,
    ReadPoint, RoomChange, RoomFacts, RoomKind, RoomStanding, RoomStatus, UserEventBody,
};
use crate::ids::{ClientId, RoomId, UserId};

/// The node of the tests.
const HERE: NodeId = NodeId { number: 3, life: 7 };

fn user() -> impl Strategy<Value = UserId> {
    "[a-zäß:0-9]{1,12}".prop_map(|name| UserId::new(&name).unwrap())
}

fn room() -> impl Strategy<Value = RoomId> {
    any::<u128>().prop_map(|id| RoomId(Uuid::from_u128(id)))
}

fn entity() -> impl Strategy<Value = Entity> {
    prop_oneof![room().prop_map(Entity::Room), user().prop_map(Entity::User)]
}

fn request() -> impl Strategy<Value = RequestId> {
    any::<u64>().prop_map(RequestId)
}

fn seq() -> impl Strategy<Value = Seq> {
    any::<u64>().prop_map(Seq)
}

fn generation() -> impl Strategy<Value = Generation> {
    any::<u32>().prop_map(Generation)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

fn kind() -> impl Strategy<Value = RoomKind> {
    (1..=4u8).prop_map(|number| RoomKind::from_number(number).unwrap())
}

fn may_send() -> impl Strategy<Value = MaySend> {
    (1..=2u8).prop_map(|number| MaySend::from_number(number).unwrap())
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

fn content() -> impl Strategy<Value = Content> {
    // A reply to seq 0 is none: no event has it.
    let reply_to = option::of((1..=u64::MAX).prop_map(Seq));
    (".{0,16}", "[a-z]{0,8}", ".{0,16}", reply_to, bytes()).prop_map(
        |(body, message_type, metadata, reply_to, data)| Content { body, message_type, metadata, reply_to, data },
    )
}

fn event_body() -> impl Strategy<Value = EventBody> {
    let history = any::<(u64, u64)>().prop_map(|(events, age_ms)| HistoryBound { events, age_ms });
    prop_oneof![
        (kind(), ".{0,8}", vec(user(), 0..4), option::of(time()), may_send(), any::<bool>(), history).prop_map(
            |(kind, title, members, expires_at, may_send, public, history)| {
                EventBody::Created { kind, title, members, expires_at, may_send, public, history }
            }
        ),
        (any::<u64>(), content(), any::<bool>())
            .prop_map(|(no, content, redacted)| { EventBody::Message { no: MessageNo(no), content, redacted } }),
        (seq(), ".{0,8}", option::of(".{0,8}")).prop_map(|(target, body, metadata)| EventBody::Edited {
            target,
            body,
            metadata
        }),
        seq().prop_map(|target| EventBody::Deleted { target }),
        Just(EventBody::Joined),
        Just(EventBody::Left),
        user().prop_map(|user| EventBody::Invited { user }),
        user().prop_map(|user| EventBody::Kicked { user }),
        user().prop_map(|user| EventBody::Uninvited { user }),
        (".{0,8}", option::of(time()), may_send(), any::<bool>()).prop_map(|(title, expires_at, may_send, public)| {
            EventBody::Updated { title, expires_at, may_send, public }
        }),
        option::of(time()).prop_map(|expires_at| EventBody::Reopened { expires_at }),
        Just(EventBody::Ended),
        Just(EventBody::Expired),
    ]
}

fn event() -> impl Strategy<Value = StreamEvent> {
    let client_id = option::of("[a-z]{1,8}".prop_map(|id| ClientId::new(&id).unwrap()));
    let of_room = (seq(), time(), any::<u128>(), option::of(user()), client_id, event_body());
    let of_room = of_room.prop_map(|(seq, at, id, actor, client_id, body)| {
        StreamEvent::Room(Arc::new(Event { seq, at, id: Uuid::from_u128(id), actor, client_id, body }))
    });
    let change = (1..=6u8).prop_map(|number| RoomChange::from_number(number).unwrap());
    let body = prop_oneof![
        (room(), kind(), change, seq(), option::of(user())).prop_map(|(room, kind, change, room_seq, by)| {
            UserEventBody::Room { room, kind, change, room_seq, by }
        }),
        (user(), any::<bool>()).prop_map(|(user, blocked)| UserEventBody::Block { user, blocked }),
        Just(UserEventBody::Preferences),
        (option::of(any::<u128>().prop_map(Uuid::from_u128)), vec(any::<u128>().prop_map(Uuid::from_u128), 0..4))
            .prop_map(|(up_to, ids)| UserEventBody::NotificationsRead { up_to, ids }),
    ];
    let of_user =
        (seq(), time(), body).prop_map(|(seq, at, body)| StreamEvent::User(Arc::new(UserEvent { seq, at, body })));
    prop_oneof![of_room, of_user]
}

fn events() -> impl Strategy<Value = Arc<[StreamEvent]>> {
    vec(event(), 0..4).prop_map(Arc::from)
}

fn ephemeral() -> impl Strategy<Value = Ephemeral> {
    let status = prop_oneof![Just(ReceiptStatus::Delivered), Just(ReceiptStatus::Read)];
    prop_oneof![
        user().prop_map(|user| Ephemeral::Typing { user }),
        (user(), status, seq()).prop_map(|(user, status, seq)| Ephemeral::Receipt { user, status, seq }),
        (room(), seq(), any::<u64>()).prop_map(|(room, seq, no)| Ephemeral::ReadMark { room, seq, no: MessageNo(no) }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let accepted = (seq(), any::<u128>(), time(), option::of(any::<u64>()), any::<bool>(), any::<u64>());
    prop_oneof![
        accepted.prop_map(|(seq, id, at, no, duplicate, offset)| {
            let (id, no, offset) = (Uuid::from_u128(id), no.map(MessageNo), Offset(offset));
            Answer::Accepted { seq, id, at, no, duplicate, offset }
        }),
        (1..=19u8).prop_map(|number| Answer::Rejected(Reject::from_number(number).unwrap())),
        any::<u32>().prop_map(|retry_after_ms| Answer::Unavailable { retry_after_ms }),
        Just(Answer::Unknown),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        Just(Query::Position),
        Just(Query::Figures),
        user().prop_map(|user| Query::Room { user }),
        (user(), seq()).prop_map(|(user, from)| Query::Recent { user, from }),
        (user(), option::of(user()), any::<usize>()).prop_map(|(user, after, limit)| Query::Members {
            user,
            after,
            limit
        }),
        user().prop_map(|user| Query::TakesMessage { user }),
        (user(), seq()).prop_map(|(user, seq)| Query::Reading { user, seq }),
        (user(), seq()).prop_map(|(user, seq)| Query::Author { user, seq }),
        room().prop_map(|room| Query::ReadPoint { room }),
        user().prop_map(|other| Query::Blocks { other }),
        Just(Query::Preferences),
        Just(Query::Mutes),
    ]
}

fn number() -> impl Strategy<Value = MessageNo> {
    any::<u64>().prop_map(MessageNo)
}

fn member() -> impl Strategy<Value = Member> {
    (seq(), number()).prop_map(|(joined, sent_no)| Member { joined, sent_no })
}

fn status() -> impl Strategy<Value = RoomStatus> {
    (0..=2u8).prop_map(|number| RoomStatus::from_number(number).unwrap())
}

fn facts() -> impl Strategy<Value = Box<RoomFacts>> {
    let standing = prop_oneof![
        member().prop_map(RoomStanding::Member),
        seq().prop_map(RoomStanding::Invited),
        seq().prop_map(RoomStanding::Kicked),
    ];
    let settings = (option::of(kind()), status(), ".{0,8}", option::of(time()), any::<bool>(), may_send());
    let counts = (any::<usize>(), seq(), seq(), number(), option::of(time()), time());
    let users = (option::of(user()), option::of(standing), option::of(user()));
    (settings, counts, users).prop_map(|(settings, counts, (creator, standing, peer))| {
        let (kind, status, title, expires_at, public, may_send) = settings;
        let (members, head, floor, last_no, last_message_at, opened_at) = counts;
        Box::new(RoomFacts {
            kind,
            status,
            title,
            creator,
            expires_at,
            public,
            may_send,
            members,
            head,
            floor,
            last_no,
            last_message_at,
            opened_at,
            standing,
            peer,
        })
    })
}

fn figures() -> impl Strategy<Value = EntityFigures> {
    let of_room = (option::of(kind()), status(), any::<usize>(), any::<usize>(), seq(), number(), generation())
        .prop_map(|(kind, status, members, invited, floor, messages, generation)| FiguresOf::Room {
            kind,
            status,
            members,
            invited,
            floor,
            messages,
            generation,
        });
    let of_user = any::<(usize, usize, usize)>();
    let of_user = of_user.prop_map(|(rooms, devices, blocks)| FiguresOf::User { rooms, devices, blocks });
    (seq(), any::<usize>(), prop_oneof![of_room, of_user]).prop_map(|(head, ring_bytes, of)| EntityFigures {
        head,
        ring_bytes,
        of,
    })
}

fn query_answer() -> impl Strategy<Value = QueryAnswer> {
    let reading = (seq(), option::of(number()), number(), member(), option::of(number()));
    let read_point = option::of((seq(), number()).prop_map(|(seq, no)| ReadPoint { seq, no }));
    let taken = option::of((1..=19u8).prop_map(|number| Reject::from_number(number).unwrap()));
    prop_oneof![
        (generation(), seq(), seq()).prop_map(|(generation, head, floor)| QueryAnswer::Position {
            generation,
            head,
            floor
        }),
        figures().prop_map(QueryAnswer::Figures),
        facts().prop_map(QueryAnswer::Room),
        (facts(), any::<u64>(), events()).prop_map(|(room, end, events)| QueryAnswer::Recent {
            room,
            end: Offset(end),
            events
        }),
        (vec((user(), seq()), 0..4), any::<usize>(), option::of(user()))
            .prop_map(|(members, total, creator)| QueryAnswer::Members { members, total, creator }),
        taken.prop_map(|refused| QueryAnswer::TakesMessage(refused.map_or(Ok(()), Err))),
        reading.prop_map(|(seq, no, last_no, member, joined_no)| {
            QueryAnswer::Reading(ReadFacts { seq, no, last_no, member, joined_no })
        }),
        (seq(), option::of(user()), any::<bool>()).prop_map(|(head, author, is_remembered)| QueryAnswer::Author {
            head,
            author,
            is_remembered
        }),
        read_point.prop_map(QueryAnswer::ReadPoint),
        any::<bool>().prop_map(QueryAnswer::Blocks),
        ".{0,16}".prop_map(QueryAnswer::Preferences),
        Just(QueryAnswer::NotMember),
        Just(QueryAnswer::Unavailable),
    ]
}

fn to_owner() -> impl Strategy<Value = ToOwner> {
    let partition = (0..256u16).prop_map(|number| Partition::new(number).unwrap());
    prop_oneof![
        (request(), partition, bytes())
            .prop_map(|(request, partition, record)| { ToOwner::Command { request, partition, record } }),
        (request(), entity(), user(), any::<bool>()).prop_map(|(request, stream, user, open)| ToOwner::Listen {
            request,
            stream,
            user,
            open
        }),
        (request(), entity()).prop_map(|(request, stream)| ToOwner::Unlisten { request, stream }),
        (request(), entity(), seq(), seq()).prop_map(|(request, stream, from, to)| ToOwner::Fetch {
            request,
            stream,
            from,
            to
        }),
        (request(), entity(), query()).prop_map(|(request, stream, query)| ToOwner::Query { request, stream, query }),
        (entity(), ephemeral()).prop_map(|(stream, event)| ToOwner::Ephemeral { stream, event }),
    ]
}

fn to_gateway() -> impl Strategy<Value = ToGateway> {
    let reason = (1..=3u8).prop_map(|number| Denial::from_number(number).unwrap());
    let fetched = prop_oneof![
        events().prop_map(Ok),
        seq().prop_map(|floor| Err(FetchError::Gone { floor })),
        Just(Err(FetchError::Unavailable)),
    ];
    prop_oneof![
        (request(), answer()).prop_map(|(request, answer)| ToGateway::Answer { request, answer }),
        (request(), entity(), generation(), seq(), seq()).prop_map(|(request, stream, generation, head, floor)| {
            ToGateway::Granted { request, stream, generation, head, floor }
        }),
        (request(), entity(), reason).prop_map(|(request, stream, reason)| ToGateway::Denied {
            request,
            stream,
            reason
        }),
        (entity(), generation(), events()).prop_map(|(stream, generation, events)| ToGateway::Events {
            stream,
            generation,
            events
        }),
        (entity(), generation(), seq()).prop_map(|(stream, generation, head)| ToGateway::Head {
            stream,
            generation,
            head
        }),
        (request(), entity(), generation(), fetched).prop_map(|(request, stream, generation, events)| {
            ToGateway::Fetched { request, stream, generation, events }
        }),
        (request(), query_answer()).prop_map(|(request, answer)| ToGateway::Queried { request, answer }),
        (entity(), ephemeral()).prop_map(|(stream, event)| ToGateway::Ephemeral { stream, event }),
    ]
}

proptest! {
    #[test]
    fn a_frame_to_an_owner_is_read_as_it_was_written(frame in to_owner()) {
        prop_assert_eq!(ToOwner::decode(&frame.encode(HERE).unwrap()), Ok((HERE, frame)));
    }

    #[test]
    fn a_frame_to_a_gateway_is_read_as_it_was_written(frame in to_gateway()) {
        prop_assert_eq!(ToGateway::decode(&frame.encode(HERE).unwrap(), HERE), Ok(frame));
    }

    /// None of these may panic; whatever is read is a frame that can be written again.
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..256)) {
        read_both(&Bytes::from(bytes))?;
    }

    #[test]
    fn a_frame_with_some_bytes_changed_or_missing_is_read_without_a_panic(
        owner in to_owner(), gateway in to_gateway(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        for whole in [owner.encode(HERE).unwrap(), gateway.encode(HERE).unwrap()] {
            let at = at.index(whole.len());
            read_both(&whole.slice(..at))?;
            let mut changed = whole.to_vec();
            changed[at] = byte;
            read_both(&Bytes::from(changed))?;
        }
    }
}

fn read_both(bytes: &Bytes) -> Result<(), TestCaseError> {
    if let Ok((from, frame)) = ToOwner::decode(bytes) {
        prop_assert_eq!(ToOwner::decode(&frame.encode(from).unwrap()), Ok((from, frame)));
    }
    if let Ok(frame) = ToGateway::decode(bytes, HERE) {
        prop_assert_eq!(ToGateway::decode(&frame.encode(HERE).unwrap(), HERE), Ok(frame));
    }
    Ok(())
}

#[test]
fn a_frame_for_another_life_of_the_node_is_not_read() {
    let frame = ToGateway::Answer { request: RequestId(1), answer: Answer::Unknown };
    let earlier = NodeId { life: HERE.life - 1, ..HERE };
    let other = NodeId { number: HERE.number + 1, ..HERE };
    for to in [earlier, other] {
        assert_eq!(ToGateway::decode(&frame.encode(to).unwrap(), HERE), Err(FrameError::NotHere(to)));
    }
}

#[test]
fn frames_of_another_version_are_named_as_such() {
    for version in [0, VERSION + 1] {
        let body = Some(ToOwnerBody::Unlisten(RangeMessage::default()));
        let bytes = ToOwnerMessage { version, from: None, body }.encode_to_vec().into();
        assert_eq!(ToOwner::decode(&bytes), Err(FrameError::Version(version)));
        let body = Some(ToGatewayBody::Head(StateMessage::default()));
        let bytes = ToGatewayMessage { version, to: None, body }.encode_to_vec().into();
        assert_eq!(ToGateway::decode(&bytes, HERE), Err(FrameError::Version(version)));
    }
}

#[test]
fn a_frame_that_is_too_large_is_neither_written_nor_read() {
    let record = Bytes::from(vec![0; limits::LINK_FRAME_BYTES]);
    let frame = ToOwner::Command { request: RequestId(1), partition: Partition::new(0).unwrap(), record };
    assert!(matches!(frame.encode(HERE), Err(FrameError::TooLarge(_))));
    let bytes = Bytes::from(vec![0; limits::LINK_FRAME_BYTES + 1]);
    assert_eq!(ToGateway::decode(&bytes, HERE), Err(FrameError::TooLarge(limits::LINK_FRAME_BYTES + 1)));
}

#[test]
fn every_number_of_a_refusal_is_known() {
    let known = (0..=u8::MAX).filter_map(Reject::from_number);
    assert_eq!(known.map(Reject::number).collect::<Vec<_>>(), (1..=19).collect::<Vec<_>>());
}
