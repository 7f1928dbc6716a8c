//! Bad input, each with its exact code, and a bystander who must not notice.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{self, Message};

use super::support::{Client, FORMATS, Rig};
use crate::env::Env;

/// Somebody else in the lobby.
struct Bystander(Client);

impl Bystander {
    async fn new(rig: &Rig) -> Self {
        let mut client = rig.client("bystander").await;
        client.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        Self(client)
    }

    async fn is_well(&mut self) {
        let reply = self.0.ask(json!({ "publish": { "channel": "lobby", "data": "well" } })).await;
        assert!(reply["error"].is_null(), "{reply}");
        assert_eq!(self.0.push("lobby", "pub").await["data"], "well");
        assert!(self.0.unread().is_empty(), "{:?}", self.0.unread());
    }
}

fn text_frame(bytes: Vec<u8>) -> Message {
    Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true))
}

fn close_frame(payload: impl Into<bytes::Bytes>) -> Message {
    let header = FrameHeader { opcode: OpCode::Control(Control::Close), is_final: true, ..FrameHeader::default() };
    Message::Frame(Frame::from_payload(header, payload.into()))
}

#[tokio::test]
async fn a_bad_frame_closes_its_connection_with_its_code() {
    let rig = Rig::start().await;
    let mut bystander = Bystander::new(&rig).await;
    let ping = r#"{"id":2,"ping":{}}"#;
    let cases = [
        (Message::text("x".repeat(64 * 1024 + 1)), 1009),
        (Message::binary(vec![b' '; 64 * 1024 + 1]), 1009),
        (text_frame(b"{\"id\":2,\"rpc\":{\"method\":\"\xff\"}}".to_vec()), 1007),
        (close_frame(b"\x03".to_vec()), 1002),
        (close_frame(vec![3, 237]), 1002),
        (close_frame(vec![3, 232, 255]), 1007),
        (close_frame(vec![3, 232]), 1000),
        (Message::text("nonsense"), 3501),
        (Message::text(r#"{"id":2,"ping":{}"#), 3501),
        (Message::text("[".repeat(60_000)), 3501),
        (Message::text(""), 3501),
        (Message::text(r#"{"id":2,"levitate":{}}"#), 3501),
        (Message::text(r#"{"id":2}"#), 3501),
        (Message::text(r#"{"ping":{}}"#), 3501),
        (Message::text(r#"{"id":"2","ping":{}}"#), 3501),
        (Message::text(r#"{"id":2,"subscribe":{"channel":5}}"#), 3501),
        (Message::text(r#"{"id":2,"subscribe":[]}"#), 3501),
        (Message::text(r#"{"id":-1,"ping":{}}"#), 3501),
        (Message::text(vec![ping; 3_000].join("\n")), 3501),
        (Message::text(r#"{"id":2,"connect":{}}"#), 3501),
        (Message::text(r#"{"send":{"data":{}}}"#), 3508),
    ];
    for (message, code) in cases {
        let mut client = rig.client("ann").await;
        let shown: String = format!("{message:?}").chars().take(80).collect();
        client.raw(message).await;
        assert_eq!(client.closed().await, code, "{shown}");
        bystander.is_well().await;
    }
}

#[tokio::test]
async fn ten_thousand_commands_in_a_frame_are_too_many() {
    let rig = Rig::with(Env::system(), |config| config.limits.frame.0 = 1024 * 1024).await;
    let mut client = rig.client("ann").await;
    client.raw(Message::text(vec![r#"{"id":2,"ping":{}}"#; 10_000].join("\n"))).await;
    assert_eq!(client.closed().await, 3501);
    assert!(client.unread().is_empty(), "none of them is carried out");
}

#[tokio::test]
async fn nothing_comes_before_connect() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        for command in [
            json!({ "subscribe": { "channel": "lobby" } }),
            json!({ "publish": { "channel": "lobby", "data": 1 } }),
            json!({ "rpc": { "method": "room.list" } }),
            json!({ "ping": {} }),
            json!({ "refresh": { "token": "x" } }),
        ] {
            let mut client = rig.open().await;
            client.send(command).await;
            assert_eq!(client.closed().await, 3501);
        }
    }
}

#[tokio::test]
async fn rooms_that_are_not_there_or_not_ones_own_are_refused() {
    let rig = Rig::start().await;
    let room = rig.room(&["bob"]).await.channel();
    let mut ann = rig.client("ann").await;
    for (channel, code) in [
        (&room[..], 103),
        // A stranger does not learn which rooms there are.
        ("room:00000000-0000-4000-8000-000000000000", 103),
        ("room:nonsense", 102),
        ("#bob", 103),
        ("unknown:x", 102),
        ("", 107),
    ] {
        let reply = ann.ask(json!({ "subscribe": { "channel": channel } })).await;
        assert_eq!(reply["error"]["code"], code, "{channel}: {reply}");
    }
    let publish = ann.ask(json!({ "publish": { "channel": room, "data": "hi" } })).await;
    assert_eq!(publish["error"]["code"], 412, "{publish}");
    let unknown = ann.ask(json!({ "rpc": { "method": "nonsense" } })).await;
    assert_eq!(unknown["error"]["code"], 104);
    for filter in [json!({ "channel": "lobby", "tf": {} }), json!({ "channel": "lobby", "type": 2 })] {
        assert_eq!(ann.ask(json!({ "subscribe": filter })).await["error"]["code"], 108);
    }
}

#[tokio::test]
async fn an_open_channels_room_is_not_reached_by_its_uuid() {
    let rig = Rig::start().await;
    let token = rig.token_for(Some("ann"), Some("token:x"), None);
    let mut ann = rig.client("ann").await;
    ann.ask(json!({ "subscribe": { "channel": "token:x", "token": token } })).await;
    ann.ask(json!({ "publish": { "channel": "token:x", "data": "secret" } })).await;
    let mut eve = rig.client("eve").await;
    let room = crate::ids::RoomId::open("token:x").channel();
    let reply = eve.ask(json!({ "subscribe": { "channel": room, "recover": true, "epoch": "1" } })).await;
    assert_eq!(reply["error"]["code"], 103, "{reply}");
    let publish = eve.ask(json!({ "publish": { "channel": room, "data": "hi" } })).await;
    assert!(publish["error"]["code"].is_number(), "{publish}");
}

#[tokio::test]
async fn more_subscriptions_than_a_connection_may_have_are_refused() {
    let rig = Rig::start().await;
    let mut ann = rig.client("ann").await;
    let commands = (0..256).map(|n| json!({ "subscribe": { "channel": format!("c{n}") } }));
    let ids = ann.send_all(commands).await;
    for (n, id) in ids.into_iter().enumerate() {
        let reply = ann.reply(id).await;
        // One is the personal channel.
        assert_eq!(reply["error"]["code"].as_u64(), (n == 255).then_some(106), "{n}: {reply}");
    }
}

#[tokio::test]
async fn who_does_not_connect_or_does_not_answer_pings_is_closed() {
    let rig = Rig::with(Env::system(), |config| {
        config.limits.handshake_timeout = Duration::from_millis(300);
        config.server.ping_interval = Duration::from_millis(200);
        config.server.pong_timeout = Duration::from_millis(300);
    })
    .await;
    let mut silent = rig.open().await;
    assert_eq!(silent.closed().await, 3502);
    let mut half_open = rig.client("ann").await;
    half_open.pongs = false;
    assert_eq!(half_open.closed().await, 3012);
    let mut answering = rig.client("ann").await;
    // Pauses: it stays through several pings: time is what is tested.
    let pings = tokio::time::timeout(Duration::from_millis(1_500), answering.closed()).await;
    assert!(pings.is_err(), "who answers stays: {pings:?}");
}

#[tokio::test]
async fn a_flood_of_pings_is_closed() {
    let rig = Rig::start().await;
    let mut bystander = Bystander::new(&rig).await;
    for flood in [Message::Ping(vec![1; 100].into()), Message::text("{}"), Message::Pong(vec![].into())] {
        let mut client = rig.client("ann").await;
        for _ in 0..100 {
            // The server may have closed already.
            if client.socket.send(flood.clone()).await.is_err() {
                break;
            }
        }
        let code = client.closed().await;
        assert_eq!(code, 3013, "{flood:?}");
        bystander.is_well().await;
    }
    let mut client = rig.client("ann").await;
    client.send_all((0..200).map(|_| json!({ "ping": {} }))).await;
    assert_eq!(client.closed().await, 3013);
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let origins = vec!["https://chat.example.com".parse().unwrap()];
    let rig = Rig::with(Env::system(), |config| config.server.allowed_origins = origins).await;
    for (origin, status) in [("https://evil.example.com", 403), ("https://chat.example.com", 101)] {
        let mut request = rig.request();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let got = match connect_async(request).await {
            Ok((_, response)) => response.status().as_u16(),
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(got, status, "{origin}");
    }
}
