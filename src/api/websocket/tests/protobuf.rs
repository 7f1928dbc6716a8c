//! Bad input over protobuf, each with its exact code; good input that JSON can't hold.

use prost::Message as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::support::{Rig, ask_for, presence};
use crate::api::protocol::{Command, Format, PublishRequest, Request};

/// Messages of a frame, each after its length.
fn delimited(messages: &[&[u8]]) -> Vec<u8> {
    messages.iter().flat_map(|message| [&[u8::try_from(message.len()).unwrap()], *message].concat()).collect()
}

/// `ping` with id 2.
const PING: &[u8] = b"\x08\x02\x5a\x00";

#[tokio::test]
async fn a_bad_protobuf_frame_closes_its_connection_with_its_code() {
    let rig = Rig::start_as(Format::Protobuf).await;
    let mut bystander = rig.client("bystander").await;
    let text = "x".repeat(64 * 1024 + 1);
    let cases: [(&str, Vec<u8>, u16); 18] = [
        ("above the bound", text.clone().into_bytes(), 1009),
        ("empty", Vec::new(), 3501),
        ("JSON", br#"{"id":2,"ping":{}}"#.to_vec(), 3501),
        ("a length beyond the end", b"\x05\x08\x02".to_vec(), 3501),
        ("a length without an end", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(), 3501),
        ("a length and nothing else", b"\x02".to_vec(), 3501),
        ("the second message cut", [delimited(&[PING]), b"\x04\x08".to_vec()].concat(), 3501),
        ("id as text", delimited(&[b"\x0a\x01\x32\x5a\x00"]), 3501),
        ("subscribe as a number", delimited(&[b"\x08\x02\x28\x05"]), 3501),
        ("a channel that is not UTF-8", delimited(&[b"\x08\x02\x2a\x03\x0a\x01\xff"]), 3501),
        ("a field cut", delimited(&[b"\x08\x02\x2a\x7f\x0a"]), 3501),
        ("no request", delimited(&[b"\x08\x02"]), 3501),
        // Field 99, and none that is known.
        ("an unknown request", delimited(&[b"\x08\x02\x9a\x06\x00"]), 3501),
        ("no id", delimited(&[b"\x5a\x00"]), 3501),
        ("tag 0", delimited(&[b"\x00\x00"]), 3501),
        ("3,000 commands", delimited(&[PING; 3_000]), 3501),
        ("a second connect", delimited(&[b"\x08\x02\x22\x00"]), 3501),
        ("send", delimited(&[b"\x62\x04\x0a\x02{}"]), 3508),
    ];
    for (what, bytes, code) in cases {
        let mut client = rig.client("ann").await;
        client.raw(Message::binary(bytes)).await;
        assert_eq!(client.closed().await, code, "{what}");
        let reply = bystander.ask(ask_for("nobody")).await;
        assert_eq!(reply["rpc"]["data"], presence("nobody", false));
        assert!(bystander.unread().is_empty(), "{:?}", bystander.unread());
    }
}

#[tokio::test]
async fn a_pong_is_a_length_of_zero_and_may_stand_between_commands() {
    let rig = Rig::start_as(Format::Protobuf).await;
    let mut ann = rig.client("ann").await;
    let ping = |id: u8| vec![4, 8, id, 0x5a, 0];
    ann.raw(Message::binary([ping(50), vec![0], ping(51)].concat())).await;
    for id in [50, 51] {
        assert_eq!(ann.reply(id).await, json!({ "id": id, "ping": {} }));
    }
}

/// In protobuf a payload is any bytes; here it must hold JSON text.
#[tokio::test]
async fn a_payload_that_is_no_json_is_refused_with_107() {
    let rig = Rig::start_as(Format::Protobuf).await;
    let channel = rig.room(&["ann"]).await.channel();
    let mut ann = rig.client("ann").await;
    ann.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
    let mut id = 100;
    for channel in ["lobby", &channel] {
        for data in [&b"\xff\xfe"[..], b"{", b"", b"{} {}", b"nonsense"] {
            id += 1;
            let request = PublishRequest { channel: channel.to_owned(), data: data.to_vec().into(), kind: 0 };
            let command = Command { id, request: Some(Request::Publish(request)) };
            ann.raw(Message::binary(command.encode_length_delimited_to_vec())).await;
            assert_eq!(ann.reply(id).await["error"]["code"], 107, "{channel} {data:?}");
        }
    }
}
