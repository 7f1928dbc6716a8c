//! Bad input: each has its exact code, and says what is wrong without repeating all of it.

use serde::de::DeserializeOwned;

use crate::api::operations::input::{
    Create, Delete, Device, Edit, History, InRoom, List, Members, Message, Preferences, Presence, RoomRef, Ttl, Update,
    UserInRoom, Whom, page, parse, text,
};
use crate::api::operations::{Error, Method, input};
use crate::api::protocol::Error as ProtocolError;

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
    all_107::<UserInRoom>(&[r#"{"room":"ROOM"}"#, r#"{"room":"ROOM","user":""}"#, r#"{"room":"ROOM","user":5}"#]);
    all_107::<Whom>(&["{}", r#"{"user":["a"]}"#, r#"{"user":"a\nb"}"#]);
    all_107::<Delete>(&[r#"{"room":"ROOM"}"#, r#"{"room":"ROOM","target":"1"}"#, r#"{"room":"ROOM","target":-1}"#]);
    all_107::<Message>(&[
        r#"{"body":"x"}"#,
        r#"{"room":"ROOM","body":5}"#,
        r#"{"room":"ROOM","body":"x","type":1}"#,
        r#"{"room":"ROOM","body":"x","reply_to":1.5}"#,
        r#"{"room":"ROOM","body":"x","client_id":""}"#,
        r#"{"room":"ROOM","body":"x","client_id":7}"#,
        r#"{"room":"ROOM","body":"x","device":"a\u0000"}"#,
        r#"{"room":"ROOM","body":"\ud800"}"#,
    ]);
    all_107::<Edit>(&[r#"{"room":"ROOM","target":1}"#, r#"{"room":"ROOM","body":"x"}"#]);
    all_107::<History>(&[r#"{"room":"ROOM","limit":"9"}"#, r#"{"room":"ROOM","before":-1}"#]);
    all_107::<Create>(&[
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
    all_107::<Update>(&[r#"{"title":"x"}"#, r#"{"room":"ROOM","title":5}"#]);
    all_107::<List>(&[r#"{"limit":[]}"#, r#"{"cursor":5}"#]);
    all_107::<Members>(&[r#"{"room":"ROOM","after":5}"#, r#"{"room":"ROOM","marks":1}"#]);
    all_107::<Presence>(&["{}", r#"{"users":"bob"}"#, r#"{"users":[null]}"#]);
    all_107::<Device>(&["{}", r#"{"device":"d","remove":"yes"}"#]);
    all_107::<Preferences>(&["[", "7"]);
}

#[test]
fn unknown_fields_are_ignored_and_no_data_is_an_empty_object() {
    let message: Message = parse(format!(r#"{{"room":"{ROOM}","body":"x","colour":[1,{{}}]}}"#).as_bytes()).unwrap();
    assert_eq!(message.body, "x");
    for nothing in ["", "null", "{}"] {
        let list: List = parse(nothing.as_bytes()).unwrap();
        assert!(list.limit.is_none() && list.cursor.is_none());
    }
}

#[test]
fn a_room_is_a_uuid_or_its_channel() {
    let read = |text: &str| serde_json::from_str::<RoomRef>(&format!("\"{text}\"")).ok();
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
    assert_eq!(refused::<Message>(&deep).code, 107);
    let bomb = "[".repeat(1_000_000);
    assert_eq!(refused::<Message>(&bomb).code, 107);
}

#[test]
fn an_error_never_repeats_much_of_the_input() {
    let long = format!(r#"{{"kind":"{}"}}"#, "ü".repeat(5_000));
    assert!(refused::<Create>(&long).message.len() < 300);
}

#[test]
fn pages_and_texts_have_bounds() {
    assert_eq!(page(None, 50, 300), Ok(50));
    assert_eq!(page(Some(300), 50, 300), Ok(300));
    assert_eq!(page(Some(0), 50, 300).unwrap_err().to_protocol().code, 107);
    assert_eq!(page(Some(301), 50, 300).unwrap_err().to_protocol().code, 106);
    assert_eq!(page(Some(u64::MAX), 50, 300).unwrap_err().to_protocol().code, 106);
    assert_eq!(input::count("users", 101, 100).unwrap_err().to_protocol().code, 106);
    assert_eq!(text("title", "abc", 3), Ok(()));
    assert_eq!(text("title", "abcd", 3), Err(Error::TooLarge { what: "title", max: 3 }));
    assert_eq!(text("title", "abcd", 3).unwrap_err().to_protocol().code, 430);
    assert_eq!(text("title", "a\0", 3).unwrap_err().to_protocol().code, 107, "databases hold no NUL");
}

#[test]
fn the_document_tells_of_every_method() {
    let document = include_str!("../../../../docs/protocol.md");
    for method in Method::ALL {
        assert!(document.contains(&format!("`{}`", method.name())), "{}", method.name());
        assert_eq!(Method::named(method.name()), Some(*method));
    }
}
