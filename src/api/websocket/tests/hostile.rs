//! Attempts to break the socket itself: fragments, control frames, half-open and dribbling connections, negotiation.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};

use super::super::reader::tests::frame;
use super::support::{Client, Rig, ask_for, presence};
use crate::api::protocol::codes::Disconnect;
use crate::env::Env;
use crate::testing::{until, within};

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A connection by hand, once its handshake is answered; and that answer.
async fn shake_hands(rig: &Rig, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(answer).unwrap())
}

/// Opcode and payload of the next frame of the server; none at the end.
async fn next(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let read = async {
        let first = stream.read_u8().await.ok()?;
        assert_eq!(first & 0x70, 0, "no extension is agreed upon");
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        Some((first & 0x0F, payload))
    };
    within("a frame, or the end", read).await
}

/// The code of the close frame that comes, and nothing behind it.
async fn closed(stream: &mut TcpStream) -> u16 {
    loop {
        let (opcode, payload) = next(stream).await.expect("a close frame comes before the end");
        if opcode == CLOSE {
            assert_eq!(next(stream).await, None, "nothing comes behind a close frame");
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
    }
}

#[tokio::test]
async fn what_is_against_the_rules_of_framing_is_closed_with_1002() {
    let rig = Rig::start().await;
    let mut unmasked = frame(FIN | TEXT, b"{}");
    unmasked[1] &= 0x7F;
    let text = |first, payload: &[u8]| frame(first | TEXT, payload);
    for (bytes, what) in [
        (unmasked, "not masked"),
        (frame(FIN | 0x40 | TEXT, b"{}"), "reserved bits"),
        (frame(FIN | 3, b"{}"), "an opcode for data that is none"),
        (frame(FIN | 11, b""), "an opcode for control that is none"),
        (frame(FIN, b"{}"), "continues nothing"),
        ([text(0, b"{"), text(FIN, b"}")].concat(), "a message inside a message"),
        (frame(PING, b"x"), "a ping in fragments"),
        ([text(0, b"{"), frame(PING, b"x")].concat(), "a ping in fragments inside a message"),
        (frame(FIN | PING, &[0; 126]), "a ping that is too long"),
        (frame(CLOSE, b""), "a close in fragments"),
    ] {
        // Right behind the head, so that it is read with it; and after a while.
        for pause in [Duration::ZERO, Duration::from_millis(20)] {
            let (mut stream, _) = shake_hands(&rig, "/connection/websocket", "").await;
            // Pauses: the frame is to come in a packet of its own.
            tokio::time::sleep(pause).await;
            stream.write_all(&bytes).await.unwrap();
            assert_eq!(closed(&mut stream).await, 1002, "{what}");
        }
    }
}

#[tokio::test]
async fn a_close_of_the_client_is_answered_whatever_its_code() {
    let rig = Rig::start().await;
    for payload in [&b""[..], &1000u16.to_be_bytes(), &1001u16.to_be_bytes(), b"\x0f\xa0bye"] {
        let (mut stream, _) = shake_hands(&rig, "/connection/websocket", "").await;
        stream.write_all(&frame(FIN | CLOSE, payload)).await.unwrap();
        assert_eq!(closed(&mut stream).await, 1000, "{payload:?}");
    }
    let mut ann = rig.client("ann").await;
    let goodbye = CloseFrame { code: CloseCode::Library(4000), reason: "".into() };
    ann.raw(Message::Close(Some(goodbye))).await;
    assert_eq!(ann.closed().await, 1000);
    nobody_is_left(&rig).await;
}

fn part(opcode: OpCode, bytes: &[u8], is_final: bool) -> Message {
    Message::Frame(Frame::message(bytes.to_vec(), opcode, is_final))
}

#[tokio::test]
async fn a_message_in_fragments_with_pings_between_is_one_message() {
    let rig = Rig::start().await;
    let mut ann = rig.client("ann").await;
    ann.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
    let command = json!({ "id": 77, "publish": { "channel": "lobby", "data": "x".repeat(1_000) } }).to_string();
    let pieces: Vec<&[u8]> = command.as_bytes().chunks(40).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let opcode = if at == 0 { Data::Text } else { Data::Continue };
        ann.raw(part(OpCode::Data(opcode), piece, at + 1 == pieces.len())).await;
        ann.raw(Message::Ping(format!("{at}").into_bytes().into())).await;
    }
    assert_eq!(ann.reply(77).await, json!({ "id": 77, "publish": {} }));
    let history = ann.ask(json!({ "history": { "channel": "lobby", "limit": 1 } })).await;
    assert_eq!(history["history"]["publications"][0]["data"], "x".repeat(1_000));
}

#[tokio::test]
async fn a_ping_gets_its_payload_back() {
    let rig = Rig::start().await;
    let (mut stream, _) = shake_hands(&rig, "/connection/websocket", "").await;
    for payload in [&b""[..], b"are you there", &[0xFF; 125]] {
        stream.write_all(&frame(FIN | PING, payload)).await.unwrap();
        assert_eq!(next(&mut stream).await, Some((PONG, payload.to_vec())));
    }
}

#[tokio::test]
async fn fragments_that_add_up_to_too_much_are_closed_with_1009() {
    let rig = Rig::start().await;
    let mut ann = rig.client("ann").await;
    ann.raw(part(OpCode::Data(Data::Text), &[b' '; 60_000], false)).await;
    ann.raw(part(OpCode::Data(Data::Continue), &[b' '; 6_000], false)).await;
    assert_eq!(ann.closed().await, 1009);
}

#[tokio::test]
async fn two_connects_in_one_frame_close_with_3501() {
    let rig = Rig::start().await;
    let mut ann = rig.open().await;
    let connect = json!({ "connect": { "token": rig.token("ann") } });
    ann.send_all([connect.clone(), connect]).await;
    assert_eq!(ann.closed().await, 3501);
    nobody_is_left(&rig).await;
}

/// Until the server has forgotten all connections.
async fn nobody_is_left(rig: &Rig) {
    until("no connection is kept", async || rig.hub.sessions().count() == 0 && rig.shutdown.guards() == 0).await;
    assert_eq!(rig.metrics.clients.get(), 0);
}

#[tokio::test]
async fn a_half_open_socket_is_let_go() {
    let rig = Rig::with(Env::system(), |config| {
        config.server.ping_interval = Duration::from_millis(300);
        config.server.pong_timeout = Duration::from_millis(200);
    })
    .await;
    // It says that it sends no more, and listens on.
    let (mut stream, _) = shake_hands(&rig, "/connection/websocket", "").await;
    let connect = json!({ "id": 1, "connect": { "token": rig.token("ann") } }).to_string();
    stream.write_all(&frame(FIN | TEXT, connect.as_bytes())).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().0, TEXT);
    stream.shutdown().await.unwrap();
    while next(&mut stream).await.is_some() {}
    nobody_is_left(&rig).await;
    // It is gone without a word: nothing comes from it any more, and nothing tells so.
    let mut gone = rig.client("ann").await;
    gone.pongs = false;
    assert_eq!(gone.closed().await, 3012);
    assert_eq!(rig.ended_with(Disconnect::NO_PONG), 1);
    nobody_is_left(&rig).await;
}

#[tokio::test]
async fn a_command_that_comes_byte_by_byte_has_no_more_time_than_others() {
    let rig = Rig::with(Env::system(), |config| config.limits.handshake_timeout = Duration::from_millis(500)).await;
    let (mut stream, _) = shake_hands(&rig, "/connection/websocket", "").await;
    let start = Instant::now();
    let connect = json!({ "id": 1, "connect": { "token": rig.token("ann") } }).to_string();
    let (mut from, mut to) = stream.split();
    let dribble = async {
        for byte in frame(FIN | BINARY, connect.as_bytes()) {
            if to.write_all(&[byte]).await.is_err() {
                break;
            }
            // Pauses: one byte at a time is the attack.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut answer = [0; 4];
    tokio::select! {
        () = dribble => panic!("it had all the time in the world"),
        read = from.read_exact(&mut answer) => assert_eq!(read.unwrap(), 4),
    }
    assert_eq!((answer[0], u16::from_be_bytes([answer[2], answer[3]])), (FIN | CLOSE, 3502));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(stream);
    nobody_is_left(&rig).await;
}

#[tokio::test]
async fn a_flood_of_empty_fragments_takes_no_memory_and_no_bystander() {
    let rig = Rig::start().await;
    let (mut stream, _) = shake_hands(&rig, "/connection/websocket", "").await;
    let mut flood = frame(TEXT, b"");
    for _ in 0..10_000 {
        flood.extend(frame(0, b""));
    }
    flood.extend(frame(FIN, b"nonsense"));
    stream.write_all(&flood).await.unwrap();
    let mut bystander = rig.client("bystander").await;
    assert_eq!(bystander.ask(ask_for("ann")).await["rpc"]["data"], presence("ann", false));
    assert_eq!(closed(&mut stream).await, 3501);
}

#[tokio::test]
async fn the_format_is_negotiated_and_the_answer_names_it() {
    let rig = Rig::start().await;
    let connect = json!({ "id": 1, "connect": { "token": rig.token("ann") } });
    for (path, asked, named, opcode) in [
        ("/connection/websocket", "", None, TEXT),
        ("/connection/websocket", "sec-websocket-protocol: centrifuge-json\r\n", Some("centrifuge-json"), TEXT),
        ("/connection/websocket", "sec-websocket-protocol: nonsense\r\n", None, TEXT),
        (
            "/connection/websocket",
            "sec-websocket-protocol: nonsense, centrifuge-protobuf\r\n",
            Some("centrifuge-protobuf"),
            BINARY,
        ),
        ("/connection/websocket?cf_protocol=protobuf", "", None, BINARY),
        ("/connection/websocket?cf_protocol=nonsense", "", None, TEXT),
        ("/connection/websocket", "sec-websocket-extensions: permessage-deflate\r\n", None, TEXT),
    ] {
        let (mut stream, answer) = shake_hands(&rig, path, asked).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let header = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        assert_eq!(header("sec-websocket-protocol"), named, "{asked}");
        assert_eq!(header("sec-websocket-extensions"), None, "nothing is compressed");
        let format =
            if opcode == TEXT { crate::api::protocol::Format::Json } else { crate::api::protocol::Format::Protobuf };
        let message = super::support::frame(format, std::slice::from_ref(&connect)).into_data();
        stream.write_all(&frame(FIN | opcode, &message)).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().0, opcode, "{path} {asked}");
    }
}

/// The server's own goodbye is a whole frame with code and reason, and the client's answer ends the connection.
#[tokio::test]
async fn a_disconnect_says_why_and_ends() {
    let rig = Rig::start().await;
    let mut ann: Client = rig.client("ann").await;
    rig.hub.sessions().disconnect(&super::support::user("ann"), 3503);
    let close = loop {
        match ann.socket.next().await {
            Some(Ok(Message::Close(Some(close)))) => break close,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (3503, "force disconnect"));
    assert!(ann.socket.send(Message::text("{}")).await.is_err(), "it is over");
    nobody_is_left(&rig).await;
}
