//! From a request to a record, without waiting.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::actors::room::commands::{RoomCommand, Send};
use crate::actors::room::payload;
use crate::actors::wire::HistoryBound;
use crate::api::operations::messages::{prepare_open_publish, prepare_publish, prepare_send};
use crate::api::operations::{Caller, Error, Options};
use crate::env::{CountedIds, Env, ManualClock};
use crate::ids::{ClientId, DeviceId, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::record::{Addressed, Envelope};

fn env() -> Env {
    Env { clock: Arc::new(ManualClock::new(Timestamp(5_000))), ids: Arc::new(CountedIds::new(1)) }
}

fn room() -> RoomId {
    RoomId(Uuid::from_u128(1))
}

fn alice() -> Caller {
    Caller { device: Some(DeviceId::new("phone").unwrap()), ..Caller::new(UserId::new("alice").unwrap()) }
}

fn prepare(data: &str) -> Result<Addressed, Error> {
    prepare_send(&alice(), &env(), &Options::default(), data.replace("ROOM", &room().to_string()).as_bytes())
}

fn sent(record: &Addressed) -> Send {
    let envelope = Envelope::decode_record(&record.record).unwrap();
    assert_eq!((envelope.issued_at_ms, envelope.ttl_ms), (5_000, limits::COMMAND_TTL_MS));
    let command = payload::decode(&envelope).unwrap();
    assert_eq!(record.partition, command.room.partition());
    match command.body {
        RoomCommand::Send(send) => send,
        other => panic!("{other:?}"),
    }
}

fn code(result: Result<Addressed, Error>) -> u32 {
    result.unwrap_err().to_protocol().code
}

#[test]
fn all_that_a_request_says_is_in_the_record() {
    let data = r#"{"room":"ROOM","body":"hi","type":"image","metadata":{"w": 1},"reply_to":7,"client_id":"m-2",
        "prev":"m-1","device":"tablet"}"#;
    let send = sent(&prepare(data).unwrap());
    assert_eq!(send.sender, alice().user);
    assert_eq!(send.content.body, "hi");
    assert_eq!(send.content.message_type, "image");
    assert_eq!(send.content.metadata, "{\"w\": 1}");
    assert_eq!(send.content.reply_to, Some(Seq(7)));
    assert_eq!(send.client_id, Some(ClientId::new("m-2").unwrap()));
    assert_eq!(send.prev, Some(ClientId::new("m-1").unwrap()));
    assert_eq!(send.device, Some(DeviceId::new("tablet").unwrap()));
    assert!(send.open.is_none());
}

#[test]
fn what_is_not_said_has_its_default() {
    let send = sent(&prepare(r#"{"room":"room:ROOM","body":"hi","metadata":null,"reply_to":null}"#).unwrap());
    assert_eq!(send.content.message_type, "text");
    assert_eq!(send.content.metadata, "");
    assert_eq!(send.content.reply_to, None);
    assert_eq!(send.device, alice().device, "that of the connection");
    assert_eq!((send.client_id, send.prev), (None, None));
}

#[test]
fn bad_sends_have_their_codes() {
    let long = |n: usize| "x".repeat(n);
    for (data, expected) in [
        (r#"{"room":"ROOM"}"#.to_owned(), 107),
        (r#"{"room":"ROOM","body":""}"#.to_owned(), 107),
        (r#"{"room":"ROOM","body":"x","reply_to":0}"#.to_owned(), 107),
        (r#"{"room":"ROOM","body":"x","type":""}"#.to_owned(), 107),
        (r#"{"room":"ROOM","body":"a\u0000b"}"#.to_owned(), 107),
        (format!(r#"{{"room":"ROOM","body":"x","client_id":"{}"}}"#, long(65)), 107),
        (format!(r#"{{"room":"ROOM","body":"x","type":"{}"}}"#, long(33)), 430),
        (format!(r#"{{"room":"ROOM","body":"{}"}}"#, long(limits::BODY_BYTES + 1)), 430),
        (format!(r#"{{"room":"ROOM","body":"x","metadata":"{}"}}"#, long(limits::METADATA_BYTES)), 430),
    ] {
        assert_eq!(code(prepare(&data)), expected, "{}", &data[..data.len().min(80)]);
    }
    assert!(prepare(&format!(r#"{{"room":"ROOM","body":"{}"}}"#, long(limits::BODY_BYTES))).is_ok());
    assert!(prepare(r#"{"room":"ROOM","metadata":{"file":"f"}}"#).is_ok(), "metadata alone says something too");
}

#[test]
fn a_smaller_bound_for_bodies_counts_everywhere() {
    let options = Options { body_bytes: 4, ..Options::default() };
    let data = format!(r#"{{"room":"{}","body":"12345"}}"#, room());
    assert_eq!(code(prepare_send(&alice(), &env(), &options, data.as_bytes())), 430);
    assert_eq!(code(prepare_publish(&alice(), &env(), &options, room(), b"\"12345\"", None)), 430);
    let data = Bytes::from_static(b"12345");
    assert_eq!(code(prepare_open_publish(&alice(), &env(), &options, "c", HistoryBound::default(), data, None)), 430);
}

#[test]
fn an_anonymous_user_sends_to_open_channels_only() {
    let anonymous = Caller::new(UserId::anonymous(Uuid::from_u128(9)));
    let options = Options::default();
    let data = format!(r#"{{"room":"{}","body":"x"}}"#, room());
    assert_eq!(code(prepare_send(&anonymous, &env(), &options, data.as_bytes())), 103);
    assert_eq!(code(prepare_publish(&anonymous, &env(), &options, room(), b"\"x\"", None)), 103);
    let data = Bytes::from_static(b"{\"a\": 1}");
    let history = HistoryBound { events: 5, age_ms: 9 };
    let record = prepare_open_publish(&anonymous, &env(), &options, "news", history, data.clone(), None).unwrap();
    let send = sent(&record);
    assert_eq!((send.content.data, send.sender), (data, anonymous.user));
    let open = send.open.unwrap();
    assert_eq!((open.channel.as_str(), open.history), ("news", history));
    assert_eq!(record.partition, RoomId::open("news").partition());
}

#[test]
fn what_is_published_into_a_room_is_a_message() {
    let publish = |data: &[u8]| prepare_publish(&alice(), &env(), &Options::default(), room(), data, None);
    assert_eq!(sent(&publish(b"\"hi\"").unwrap()).content.body, "hi");
    let send = sent(&publish(br#"{"body":"hi","client_id":"m"}"#).unwrap());
    assert_eq!((send.content.body.as_str(), send.client_id), ("hi", Some(ClientId::new("m").unwrap())));
    assert_eq!(send.device, alice().device);
    assert_eq!(sent(&publish(br#"{"x":1}"#).unwrap()).content.message_type, "data");
    assert_eq!(code(publish(b"{")), 107);
    assert_eq!(code(publish(br#"{"body":"a\u0000"}"#)), 107);
    assert_eq!((code(publish(b"\"\"")), code(publish(br#"{"body":""}"#))), (107, 107), "it says nothing");
}
