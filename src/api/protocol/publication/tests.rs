//! Every form of `docs/protocol.md`, word for word.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::actors::wire::HistoryBound;
use crate::ids::{ClientId, MessageNo, RoomId, Seq};

fn name(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

fn event(seq: u64, actor: Option<&str>, body: EventBody) -> Event {
    Event {
        seq: Seq(seq),
        at: Timestamp(1_700_000_000_000),
        id: Uuid::from_u128(1),
        actor: actor.map(name),
        client_id: None,
        body,
    }
}

fn text(publication: &Publication) -> String {
    String::from_utf8(publication.data.to_vec()).unwrap()
}

fn message(content: Content) -> Event {
    let body = EventBody::Message { no: MessageNo(4), content, redacted: false };
    Event { client_id: Some(ClientId::new("m-1").unwrap()), ..event(5, Some("alice"), body) }
}

fn content() -> Content {
    Content {
        body: "hi \"bob\"".into(),
        message_type: "text".into(),
        metadata: "{\"a\":\n1}".into(),
        reply_to: Some(Seq(3)),
        ..Content::default()
    }
}

#[test]
fn every_room_event_has_the_form_of_the_document() {
    let created = EventBody::Created {
        kind: RoomKind::Group,
        title: "Tea".into(),
        members: vec![name("alice"), name("bob")],
        expires_at: Some(Timestamp(9)),
        may_send: MaySend::Members,
        public: false,
        history: HistoryBound::default(),
    };
    let updated =
        EventBody::Updated { title: String::new(), expires_at: None, may_send: MaySend::Creator, public: true };
    let forms = [
        (
            message(content()),
            r#"{"type":"message","id":"00000000-0000-0000-0000-000000000001","seq":5,"no":4,"sender":"alice","body":"hi \"bob\"","message_type":"text","metadata":{"a": 1},"reply_to":3,"client_id":"m-1","ts":1700000000000}"#,
        ),
        (
            event(6, Some("alice"), EventBody::Edited { target: Seq(5), body: "ho".into(), metadata: None }),
            r#"{"type":"message.edited","seq":6,"target":5,"body":"ho","by":"alice","ts":1700000000000}"#,
        ),
        (
            event(7, Some("alice"), EventBody::Deleted { target: Seq(5) }),
            r#"{"type":"message.deleted","seq":7,"target":5,"by":"alice","ts":1700000000000}"#,
        ),
        (
            event(8, Some("bob"), EventBody::Joined),
            r#"{"type":"member.joined","seq":8,"user":"bob","ts":1700000000000}"#,
        ),
        (event(9, Some("bob"), EventBody::Left), r#"{"type":"member.left","seq":9,"user":"bob","ts":1700000000000}"#),
        (
            event(10, Some("alice"), EventBody::Invited { user: name("carol") }),
            r#"{"type":"member.invited","seq":10,"user":"carol","by":"alice","ts":1700000000000}"#,
        ),
        (
            event(11, Some("alice"), EventBody::Kicked { user: name("carol") }),
            r#"{"type":"member.kicked","seq":11,"user":"carol","by":"alice","ts":1700000000000}"#,
        ),
        (
            event(11, Some("alice"), EventBody::Uninvited { user: name("carol") }),
            r#"{"type":"member.uninvited","seq":11,"user":"carol","by":"alice","ts":1700000000000}"#,
        ),
        (
            event(1, Some("alice"), created),
            r#"{"type":"room.created","seq":1,"kind":"group","title":"Tea","expires_at":9,"may_send":"members","public":false,"members":["alice","bob"],"by":"alice","ts":1700000000000}"#,
        ),
        (
            event(12, Some("alice"), updated),
            r#"{"type":"room.updated","seq":12,"title":"","may_send":"creator","public":true,"by":"alice","ts":1700000000000}"#,
        ),
        (
            event(13, Some("bob"), EventBody::Reopened { expires_at: Some(Timestamp(10)) }),
            r#"{"type":"room.reopened","seq":13,"expires_at":10,"by":"bob","ts":1700000000000}"#,
        ),
        (
            event(14, Some("alice"), EventBody::Ended),
            r#"{"type":"room.ended","seq":14,"by":"alice","ts":1700000000000}"#,
        ),
        (event(15, None, EventBody::Expired), r#"{"type":"room.expired","seq":15,"ts":1700000000000}"#),
    ];
    for (event, form) in forms {
        let publication = room_publication(&event, false);
        assert_eq!(text(&publication), form);
        assert_eq!((publication.offset, publication.time), (event.seq.0, 1_700_000_000_000));
    }
}

#[test]
fn a_redacted_message_keeps_its_place_and_says_nothing() {
    let mut event = message(content());
    event.redact();
    let form = r#"{"type":"message","id":"00000000-0000-0000-0000-000000000001","seq":5,"no":4,"sender":"alice","body":"","message_type":"text","client_id":"m-1","deleted":true,"ts":1700000000000}"#;
    assert_eq!(text(&room_publication(&event, false)), form);
    assert_eq!(text(&room_publication(&event, true)), form);
}

#[test]
fn an_open_channel_carries_the_data_and_its_publisher() {
    let data = Bytes::from_static(b"[1, 2]");
    let event = message(Content { data: data.clone(), message_type: "data".into(), ..Content::default() });
    let publication = stream_publication(&StreamEvent::Room(event.into()), true);
    assert_eq!(publication.data, data);
    assert_eq!(publication.info.unwrap().user, "alice");
}

#[test]
fn every_user_event_has_the_form_of_the_document() {
    let room = RoomId(Uuid::from_u128(2));
    let user_event = |body| UserEvent { seq: Seq(3), at: Timestamp(7), body };
    let changes = [
        (RoomChange::Joined, "room.joined"),
        (RoomChange::Left, "room.left"),
        (RoomChange::Invited, "room.invited"),
        (RoomChange::Kicked, "room.kicked"),
        (RoomChange::Ended, "room.ended"),
        (RoomChange::Reopened, "room.reopened"),
    ];
    for (change, kind) in changes {
        let body =
            UserEventBody::Room { room, kind: RoomKind::Group, change, room_seq: Seq(9), by: Some(name("alice")) };
        let form =
            format!(r#"{{"type":"{kind}","seq":3,"room":"{room}","kind":"group","room_seq":9,"by":"alice","ts":7}}"#);
        let publication = stream_publication(&StreamEvent::User(user_event(body).into()), false);
        assert_eq!((text(&publication), publication.offset), (form, 3));
    }
    let block = user_publication(&user_event(UserEventBody::Block { user: name("bob"), blocked: true }));
    assert_eq!(text(&block), r#"{"type":"user.blocked","seq":3,"user":"bob","ts":7}"#);
    let preferences = user_publication(&user_event(UserEventBody::Preferences));
    assert_eq!(text(&preferences), r#"{"type":"preferences","seq":3,"ts":7}"#);
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let read = |up_to, ids| text(&user_publication(&user_event(UserEventBody::NotificationsRead { up_to, ids })));
    let form = format!(r#"{{"type":"notification.read","seq":3,"up_to":"{one}","ids":["{two}"],"ts":7}}"#);
    assert_eq!(read(Some(one), vec![two]), form);
    assert_eq!(read(None, vec![]), r#"{"type":"notification.read","seq":3,"ts":7}"#);
}

#[test]
fn ephemeral_news_have_no_offset() {
    let room = RoomId(Uuid::from_u128(2));
    let forms = [
        (Ephemeral::Typing { user: name("bob") }, r#"{"type":"typing","user":"bob"}"#.to_owned()),
        (
            Ephemeral::Receipt { user: name("bob"), status: ReceiptStatus::Read, seq: Seq(5) },
            r#"{"type":"receipt","user":"bob","status":"read","seq":5}"#.to_owned(),
        ),
        (
            Ephemeral::Receipt { user: name("bob"), status: ReceiptStatus::Delivered, seq: Seq(5) },
            r#"{"type":"receipt","user":"bob","status":"delivered","seq":5}"#.to_owned(),
        ),
        (
            Ephemeral::ReadMark { room, seq: Seq(0), no: MessageNo(0) },
            format!(r#"{{"type":"read","room":"{room}","seq":0,"no":0}}"#),
        ),
    ];
    for (event, form) in forms {
        let publication = ephemeral_publication(&event);
        assert_eq!((text(&publication), publication.offset, publication.time), (form, 0, 0));
    }
}

proptest! {
    #[test]
    fn an_event_that_is_written_into_its_push_reads_as_its_publication_does(
        (body, kind, key) in (any::<String>(), any::<String>(), "[a-z]{0,9}"),
        (open, redacted, data) in (any::<bool>(), any::<bool>(), "[0-9]{1,9}"),
    ) {
        let metadata = format!("{{\"{key}\":\r\n1}}");
        let content =
            Content { body: body.clone(), message_type: kind, metadata: metadata.clone(), data: data.into(), ..content() };
        let sent = EventBody::Message { no: MessageNo(1), content, redacted };
        let edited = EventBody::Edited { target: Seq(1), body, metadata: Some(metadata) };
        let block = UserEventBody::Block { user: name("bob"), blocked: true };
        let events = [
            StreamEvent::Room(event(1, Some("alice"), sent).into()),
            StreamEvent::Room(event(2, Some("alice"), edited).into()),
            StreamEvent::Room(event(3, Some("bob"), EventBody::Left).into()),
            StreamEvent::User(UserEvent { seq: Seq(4), at: Timestamp(7), body: block }.into()),
        ];
        for format in [Format::Json, Format::Protobuf] {
            let (mut written, mut copied) = (Vec::new(), Vec::new());
            for event in &events {
                append_event(&mut written, "room:\"x\"", open, event, format);
                let publication = PushBody::Pub(stream_publication(event, open));
                append_push(&mut copied, &Push::new("room:\"x\"", publication), format);
            }
            prop_assert_eq!(written, copied);
        }
    }
}
