//! Frames that must be refused, and odd ones that must not.

use bytes::Bytes;
use prost::Message as _;

use super::super::codes::Disconnect;
use super::super::*;
use super::commands;
use crate::limits;

fn json(frame: &str) -> Result<Vec<Command>, FrameError> {
    commands(frame.as_bytes(), Format::Json)
}

fn delimited(commands: &[Command]) -> Vec<u8> {
    commands.iter().flat_map(Command::encode_length_delimited_to_vec).collect()
}

#[test]
fn an_empty_command_is_a_pong() {
    assert!(json("{}").unwrap()[0].is_pong());
    assert!(commands(b"\0", Format::Protobuf).unwrap()[0].is_pong());
    assert!(!json(r#"{"id":1}"#).unwrap()[0].is_pong());
}

#[test]
fn unknown_fields_are_skipped_and_null_counts_as_absent() {
    let all = json(
        r#"{"id":1,"subscribe":{"channel":"c","phase":2,"tf":null,"token":null,"x":{"y":[1]}},"rpc":null,"later":[{}]}"#,
    );
    let Some(Request::Subscribe(s)) = &all.unwrap()[0].request else { panic!("no subscribe") };
    assert_eq!((s.channel.as_str(), s.token.as_str(), s.tags_filter.is_none()), ("c", "", true));

    // Field 200 as a varint and field 201 as bytes, beside id 7 and a ping.
    let bytes = [11, 0xc0, 0x0c, 5, 0x08, 7, 0xca, 0x0c, 1, 0x78, 0x5a, 0];
    let all = commands(&bytes, Format::Protobuf).unwrap();
    assert_eq!(all, [Command { id: 7, request: Some(Request::Ping(PingRequest {})) }]);
}

#[test]
fn what_kervan_refuses_is_seen_in_both_formats() {
    let line = r#"{"id":1,"subscribe":{"channel":"c","tf":{"cmp":"eq"},"type":4,"flag":3}}"#;
    let Some(Request::Subscribe(s)) = json(line).unwrap().remove(0).request else { panic!("no subscribe") };
    assert!(s.tags_filter.is_some());
    assert_eq!((s.kind, s.flag & subscription_flag::REJECT_UNRECOVERED), (4, 2));
    // The same with a filter of one byte string.
    let frame = delimited(&[Command {
        id: 1,
        request: Some(Request::Subscribe(SubscribeRequest {
            tags_filter: Some(Bytes::from_static(b"\x1a\x02eq")),
            kind: 4,
            ..Default::default()
        })),
    }]);
    let Some(Request::Subscribe(s)) = commands(&frame, Format::Protobuf).unwrap().remove(0).request else {
        panic!("no subscribe")
    };
    assert!(s.tags_filter.is_some());
    assert_eq!(s.kind, 4);
}

#[test]
fn a_payload_is_the_json_text_as_it_stands() {
    for text in ["null", "\"x\\u0000\"", "[1,  2]", "1e999", "{\"a\":1,\"a\":2}"] {
        let all = json(&format!(r#"{{"id":1,"publish":{{"channel":"c","data": {text} }}}}"#)).unwrap();
        let Some(Request::Publish(p)) = &all[0].request else { panic!("no publish") };
        assert_eq!(p.data, text.as_bytes(), "{text}");
    }
}

#[test]
fn wrong_types_are_errors() {
    for line in [
        r#"{"id":"1"}"#,
        r#"{"id":-1}"#,
        r#"{"id":1.5}"#,
        r#"{"id":4294967296}"#,
        r#"{"id":1,"connect":[]}"#,
        r#"{"id":1,"connect":{"token":5}}"#,
        r#"{"id":1,"connect":{"subs":[]}}"#,
        r#"{"id":1,"connect":{"subs":{"c":[]}}}"#,
        r#"{"id":1,"history":{"since":[1,"x"]}}"#,
        r#"{"id":1,"history":{"limit":2147483648}}"#,
        r#"{"id":1,"subscribe":{"recover":"yes"}}"#,
        r#"{"id":1,"subscribe":{"offset":18446744073709551616}}"#,
        r#"{"id":1,"id":2}"#,
        "[]",
        "1",
        "null",
        "\"x\"",
        "{",
        "{}}",
        "{} {}",
        "{'id':1}",
        "\u{feff}{}",
    ] {
        assert!(matches!(json(line), Err(FrameError::Json { .. })), "{line}");
    }
    // Field 1 (id) as bytes; field 5 (subscribe) as a varint; bad UTF-8 in a channel; group without an end.
    for message in [&b"\x0a\x01x"[..], b"\x28\x01", b"\x32\x03\x0a\x01\xff", b"\x0b", b"\x00\x01", b"\x07"] {
        let frame = [&[message.len() as u8], message].concat();
        assert_eq!(commands(&frame, Format::Protobuf), Err(FrameError::Protobuf), "{message:?}");
    }
}

#[test]
fn an_error_ends_the_frame_but_not_what_came_before() {
    let frame = b"{\"id\":1,\"ping\":{}}\n{\"id\":\n{\"id\":2,\"ping\":{}}";
    let mut all = decode_frame(frame, Format::Json, &FrameLimits::default()).unwrap();
    assert_eq!(all.next().unwrap().unwrap().id, 1);
    assert!(all.next().unwrap().is_err());
    assert!(all.next().is_none());
}

#[test]
fn ten_thousand_commands_are_refused_before_the_first() {
    let limits = FrameLimits { bytes: usize::MAX, ..FrameLimits::default() };
    let max = limits.commands;
    let error = decode_frame("{}\n".repeat(10_000).as_bytes(), Format::Json, &limits).unwrap_err();
    assert_eq!(error, FrameError::TooManyCommands { max });
    assert_eq!(error.disconnect(), Disconnect::BAD_REQUEST);
    let error = decode_frame(&[0; 10_000], Format::Protobuf, &limits).unwrap_err();
    assert_eq!(error, FrameError::TooManyCommands { max });
    assert_eq!(decode_frame(&vec![0; max], Format::Protobuf, &limits).unwrap().count(), max);
    assert_eq!(decode_frame("{}\n".repeat(max).as_bytes(), Format::Json, &limits).unwrap().count(), max);
}

#[test]
fn an_oversized_frame_is_refused_unread() {
    let frame = vec![b'{'; limits::FRAME_BYTES + 1];
    for format in [Format::Json, Format::Protobuf] {
        let error = commands(&frame, format).unwrap_err();
        assert_eq!(error, FrameError::TooLarge { len: frame.len(), max: limits::FRAME_BYTES });
        assert_eq!(error.disconnect(), Disconnect::MESSAGE_TOO_BIG);
    }
}

#[test]
fn bad_utf8_and_empty_frames_are_refused() {
    assert_eq!(commands(b"{\"id\":1,\"x\":\"\xff\"}", Format::Json), Err(FrameError::NotUtf8));
    for frame in ["", "\n\n", " \r\n\t"] {
        assert_eq!(json(frame), Err(FrameError::Empty), "{frame:?}");
    }
    assert_eq!(commands(b"", Format::Protobuf), Err(FrameError::Empty));
}

#[test]
fn deep_json_in_a_payload_is_for_its_command_to_judge() {
    let nest = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    for (before, after) in [(r#"{"id":1,"rpc":{"data":"#, "}}"), (r#"{"unknown":"#, "}")] {
        assert!(json(&format!("{before}{}{after}", nest(30_000))).is_ok(), "{before}");
    }
    assert!(matches!(json(&"[".repeat(60_000)), Err(FrameError::Json { .. })));
}

#[test]
fn protobuf_lengths_that_lie_are_refused() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let endless = [0x80; 11];
    for frame in [&b"\x05\x08\x01"[..], b"\x80", &huge, &endless, b"\x00\x01"] {
        assert_eq!(commands(frame, Format::Protobuf), Err(FrameError::Length), "{frame:?}");
    }
    // A length inside the message that goes past its end.
    assert_eq!(commands(&[3, 0x22, 0x7f, 0x1a], Format::Protobuf), Err(FrameError::Protobuf));
}

#[test]
fn a_connect_with_too_many_subscriptions_is_refused_in_both_formats() {
    let many = |n: usize| Command {
        id: 1,
        request: Some(Request::Connect(ConnectRequest {
            subs: (0..n).map(|i| (i.to_string(), SubscribeRequest::default())).collect(),
            ..Default::default()
        })),
    };
    let line = |n: usize| {
        let subs: Vec<_> = (0..n).map(|i| format!("\"{i}\":{{}}")).collect();
        format!("{{\"id\":1,\"connect\":{{\"subs\":{{{}}}}}}}", subs.join(","))
    };
    let max = limits::SESSION_SUBSCRIPTIONS;
    assert_eq!(commands(&delimited(&[many(max)]), Format::Protobuf).unwrap(), [many(max)]);
    assert_eq!(json(&line(max)).unwrap(), [many(max)]);
    let error = FrameError::TooManySubscriptions { max };
    assert_eq!(commands(&delimited(&[many(max + 1)]), Format::Protobuf), Err(error));
    assert!(matches!(json(&line(max + 1)), Err(FrameError::Json { .. })));
    // One key again and again is one entry, but costs as much to read.
    let same = format!("{{\"connect\":{{\"subs\":{{{}\"a\":{{}}}}}}}}", "\"a\":{},".repeat(max));
    assert!(json(&same).is_err());
}

#[test]
fn debug_output_shows_no_token_and_no_payload() {
    let line = r#"{"id":1,"connect":{"token":"s3cret","data":"pr1vate","subs":{"c":{"token":"s3cret"}}}}"#;
    let more = r#"{"id":2,"publish":{"channel":"c","data":"pr1vate"}}"#;
    let shown = format!("{:?}{:?}", json(line).unwrap(), json(more).unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains("pr1vate"), "{shown}");
    let error = json(r#"{"id":"pr1vate"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("pr1vate"));
}
