//! Bad input: each has its exact code, and says what is wrong without repeating all of it.

use serde::de::DeserializeOwned;

use crate::actors::bounds;
use crate::actors::room::commands::{NewBody, NewMessage, NewRoom, NewSettings};
use crate::actors::user::commands::{DeviceFacts, NewPreferences};
use crate::api::operations::history::MessagesQuery;
use crate::api::operations::list::ChatsQuery;
use crate::api::operations::members::MembersQuery;
use crate::api::operations::request::{InRoom, OfDevice, OfMessage, OfUser, page, parse};
use crate::api::operations::users::PresenceQuery;
use crate::api::operations::{Error, Method};
use crate::api::protocol::Error as ProtocolError;
use crate::ids::RoomId;
use crate::ttl::Ttl;

const ROOM: &str = "018f0000-0000-7000-8000-000000000001";

fn refused<T: DeserializeOwned>(data: &str) -> ProtocolError {
    match parse::<T>(data.replace("ROOM", ROOM).as_bytes()) {
        Ok(_) => panic!("taken: {data}"),
        Err(error) => error.to_protocol(),
    }
}

fn all_107<T: DeserializeOwned>(bad: &[&str]) {
    for data in bad {
        let error = refused::<T>(data);
        assert_eq!(error.code, 107, "{data}: {error:?}");
        assert!(!error.temporary);
    }
}

#[test]
fn wrong_types_are_107_in_every_request() {
    all_107::<InRoom>(&["{}", "[]", "5", "{", "{\"room\":7}", "{\"room\":\"\"}", "{\"room\":null}", "\u{1}"]);
    all_107::<OfUser>(&["{}", r#"{"user":["a"]}"#, r#"{"user":"a\nb"}"#, r#"{"user":""}"#, r#"{"user":5}"#]);
    all_107::<OfMessage>(&[r#"{"room":"ROOM"}"#, r#"{"room":"ROOM","target":"1"}"#, r#"{"room":"ROOM","target":-1}"#]);
    all_107::<OfDevice>(&["{}", r#"{"device":"a\u0000"}"#]);
    all_107::<NewMessage>(&[
        r#"{"body":5}"#,
        r#"{"body":"x","type":1}"#,
        r#"{"body":"x","reply_to":1.5}"#,
        r#"{"body":"x","client_id":""}"#,
        r#"{"body":"x","client_id":7}"#,
        r#"{"body":"x","device":"a\u0000"}"#,
        r#"{"body":"\ud800"}"#,
    ]);
    all_107::<NewBody>(&["{}", r#"{"body":7}"#]);
    all_107::<MessagesQuery>(&[r#"{"limit":"9"}"#, r#"{"before":-1}"#]);
    all_107::<NewRoom>(&[
        r#"{"kind":"open"}"#,
        r#"{"kind":"Direct"}"#,
        r#"{"members":"bob"}"#,
        r#"{"members":[""]}"#,
        r#"{"public":"yes"}"#,
        r#"{"may_send":"nobody"}"#,
        r#"{"ttl":"soon"}"#,
        r#"{"ttl":-1}"#,
        r#"{"ttl":true}"#,
    ]);
    all_107::<NewSettings>(&[r#"{"title":5}"#, r#"{"public":1}"#]);
    all_107::<ChatsQuery>(&[r#"{"limit":[]}"#, r#"{"cursor":5}"#]);
    all_107::<MembersQuery>(&[r#"{"after":5}"#, r#"{"marks":1}"#]);
    all_107::<PresenceQuery>(&["{}", r#"{"users":"bob"}"#, r#"{"users":[null]}"#]);
    all_107::<DeviceFacts>(&[r#"{"remove":"yes"}"#, r#"{"platform":1}"#]);
    all_107::<NewPreferences>(&["[", "7"]);
}

#[test]
fn unknown_fields_are_ignored_and_no_data_is_an_empty_object() {
    let data = format!(r#"{{"room":"{ROOM}","body":"x","colour":[1,{{}}]}}"#);
    let message: NewMessage = parse(data.as_bytes()).unwrap();
    let at: InRoom = parse(data.as_bytes()).unwrap();
    assert_eq!((message.body.as_str(), at.room.to_string().as_str()), ("x", ROOM));
    for nothing in ["", "null", "{}"] {
        let list: ChatsQuery = parse(nothing.as_bytes()).unwrap();
        assert!(list.limit.is_none() && list.cursor.is_none());
    }
}

#[test]
fn a_room_is_a_uuid_or_its_channel() {
    let read = |text: &str| serde_json::from_str::<RoomId>(&format!("\"{text}\"")).ok();
    let id = read(ROOM).unwrap();
    assert_eq!(read(&format!("room:{ROOM}")), Some(id));
    for bad in ["room:", "018f000000007000800000000000000", "{018f0000-0000-7000-8000-000000000001}", "rooms:x"] {
        assert_eq!(read(bad), None, "{bad}");
    }
    assert_eq!(read(&ROOM.replace('-', "")), None, "one form only");
}

#[test]
fn a_time_to_live_is_a_number_of_milliseconds_or_a_duration() {
    let read = |json: &str| serde_json::from_str::<Ttl>(json).map(|ttl| ttl.0).ok();
    assert_eq!(read("0"), Some(0));
    assert_eq!(read("1500"), Some(1_500));
    assert_eq!(read("\"24h\""), Some(86_400_000));
    assert_eq!(read("\"0\""), Some(0));
    for bad in ["18446744073709551615", "\"1000000d\"", "\"5\"", "\"-1h\"", "1.5", "null"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn a_depth_bomb_is_refused() {
    let deep = format!(r#"{{"room":"{ROOM}","body":"x","metadata":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    assert_eq!(refused::<NewMessage>(&deep).code, 107);
    let bomb = "[".repeat(1_000_000);
    assert_eq!(refused::<NewMessage>(&bomb).code, 107);
}

#[test]
fn an_error_never_repeats_much_of_the_input() {
    let long = format!(r#"{{"kind":"{}"}}"#, "ü".repeat(5_000));
    assert!(refused::<NewRoom>(&long).message.len() < 300);
}

#[test]
fn pages_and_texts_have_bounds() {
    assert_eq!(page(None, 50, 300), Ok(50));
    assert_eq!(page(Some(300), 50, 300), Ok(300));
    assert_eq!(page(Some(0), 50, 300).unwrap_err().to_protocol().code, 107);
    assert_eq!(page(Some(301), 50, 300).unwrap_err().to_protocol().code, 106);
    assert_eq!(page(Some(u64::MAX), 50, 300).unwrap_err().to_protocol().code, 106);
    let refused = |bad| Error::from(bad).to_protocol().code;
    assert_eq!(refused(bounds::count("users", 101, 100).unwrap_err()), 106);
    assert_eq!(bounds::text("title", "abc", 3), Ok(()));
    assert_eq!(refused(bounds::text("title", "abcd", 3).unwrap_err()), 430);
    assert_eq!(refused(bounds::text("title", "a\0", 3).unwrap_err()), 107, "databases hold no NUL");
}

#[test]
fn the_document_tells_of_every_method() {
    let document = include_str!("../../../../docs/protocol.md");
    for method in Method::ALL {
        assert!(document.contains(&format!("`{}`", method.name())), "{}", method.name());
        assert_eq!(Method::named(method.name()), Some(*method));
    }
}
