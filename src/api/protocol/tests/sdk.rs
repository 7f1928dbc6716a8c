//! The official SDKs as witnesses. Their frames were captured while they talked to this codec through a plain
//! WebSocket server: connect with a server-side subscription and recovered publications, subscribe with recovery,
//! publish, history, presence, rpc, batches, pushes of every kind, pings, token refreshes. The SDKs showed every field.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::codes::{ErrorCode, Unsubscribe};
use super::super::*;
use super::{commands, sdk_frames as frames, unhex};

fn session(frames: &[&str], format: Format) -> Vec<Command> {
    let decode = |frame: &&str| match format {
        Format::Json => commands(frame.as_bytes(), format).unwrap(),
        Format::Protobuf => commands(&unhex(frame), format).unwrap(),
    };
    frames.iter().flat_map(decode).collect()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn command(id: u32, request: Request) -> Command {
    Command { id, request: Some(request) }
}

fn rpc(id: u32, method: &str, data: &'static str) -> Command {
    command(id, Request::Rpc(RpcRequest { method: method.into(), data: bytes(data) }))
}

#[test]
fn the_javascript_sdk_says_the_same_in_both_formats() {
    let news = || "news".to_owned();
    let pong = Command { id: 0, request: None };
    let all = [
        command(
            1,
            Request::Connect(ConnectRequest {
                token: "tok-é".into(),
                data: bytes(r#"{"app":1}"#),
                name: "js".into(),
                version: "1.2".into(),
                ..Default::default()
            }),
        ),
        command(2, Request::Subscribe(SubscribeRequest { channel: "no".into(), flag: 1, ..Default::default() })),
        command(
            3,
            Request::Subscribe(SubscribeRequest {
                channel: news(),
                token: "subtok".into(),
                recover: true,
                epoch: "1".into(),
                offset: 7,
                data: bytes(r#"{"q":[1,2]}"#),
                positioned: true,
                recoverable: true,
                join_leave: true,
                delta: "fossil".into(),
                flag: 1,
                ..Default::default()
            }),
        ),
        command(4, Request::Publish(PublishRequest { channel: "room:1".into(), data: bytes("\"hello 😀\""), kind: 0 })),
        command(
            5,
            Request::History(HistoryRequest {
                channel: news(),
                limit: 5,
                since: Some(StreamPosition { offset: 2, epoch: "1".into() }),
                reverse: true,
            }),
        ),
        command(6, Request::History(HistoryRequest { channel: news(), limit: -1, ..Default::default() })),
        command(7, Request::Presence(PresenceRequest { channel: news() })),
        command(8, Request::PresenceStats(PresenceStatsRequest { channel: news() })),
        rpc(9, "message.send", r#"{"body":"hi","n":null}"#),
        rpc(10, "limit", "{}"),
        pong.clone(),
        command(0, Request::Send(SendRequest { data: bytes(r#"{"s":1}"#) })),
        rpc(11, "a", "1"),
        rpc(12, "b", "null"),
        pong.clone(),
        pong,
        command(13, Request::Refresh(RefreshRequest { token: "tok-é".into() })),
        command(
            14,
            Request::SubRefresh(SubRefreshRequest { channel: news(), token: "subtok".into(), ..Default::default() }),
        ),
        command(15, Request::Unsubscribe(UnsubscribeRequest { channel: news() })),
    ];
    assert_eq!(session(frames::JS_JSON, Format::Json), all);
    assert_eq!(session(frames::JS_PROTOBUF, Format::Protobuf), all);
}

#[test]
fn the_python_sdk_says_the_same_in_both_formats() {
    let json = session(frames::PYTHON_JSON, Format::Json);
    // A pong came at another moment in the other run.
    let without_pongs = |mut all: Vec<Command>| {
        all.retain(|c| !c.is_pong());
        all
    };
    assert!(json.iter().any(Command::is_pong));
    let json = without_pongs(json);
    assert_eq!(json, without_pongs(session(frames::PYTHON_PROTOBUF, Format::Protobuf)));
    assert_eq!(json.iter().map(|c| c.id).collect::<Vec<_>>(), (1..=11).collect::<Vec<_>>());
    let names: Vec<_> = json.iter().map(|c| Request::NAMES[c.request.as_ref().unwrap().place()]).collect();
    assert_eq!(
        names.join(" "),
        "connect subscribe publish history presence presence_stats rpc rpc refresh sub_refresh unsubscribe"
    );
    assert_eq!(json[6], rpc(7, "message.send", r#"{"body": "hi"}"#));
}

fn info() -> ClientInfo {
    ClientInfo {
        user: "alice".into(),
        client: "c-1".into(),
        conn_info: bytes(r#"{"name":"Alice"}"#),
        chan_info: bytes(r#"{"role":"x"}"#),
    }
}

fn publication(offset: u64) -> Publication {
    Publication {
        data: Bytes::from(format!(r#"{{"n":{offset},"text":"süß \"q\""}}"#)),
        info: Some(info()),
        offset,
        tags: BTreeMap::from([("k".into(), "v\n".into())]),
        time: 1_700_000_000_123,
    }
}

/// The connect reply, with a server-side subscription in it.
fn connect() -> ReplyBody {
    let own = SubscribeResult {
        recoverable: true,
        positioned: true,
        epoch: "1".into(),
        offset: 3,
        recovered: true,
        was_recovering: true,
        publications: vec![publication(2), publication(3)],
        ..Default::default()
    };
    ReplyBody::Connect(ConnectResult {
        client: "c-1".into(),
        version: "kervan 0.1".into(),
        expires: true,
        ttl: 1,
        data: bytes(r#"{"hi":1}"#),
        subs: BTreeMap::from([("#alice".into(), own)]),
        ping: 1,
        pong: true,
        session: "s".into(),
        node: "n".into(),
        time: 1_700_000_000_000,
    })
}

fn subscribe() -> ReplyBody {
    ReplyBody::Subscribe(SubscribeResult {
        expires: true,
        ttl: 1,
        recoverable: true,
        positioned: true,
        epoch: "1".into(),
        offset: 9,
        recovered: true,
        was_recovering: true,
        publications: vec![publication(8), publication(9)],
        data: bytes(r#"{"s":1}"#),
    })
}

fn pushes() -> [Push; 6] {
    let subscribe =
        SubscribePush { recoverable: true, epoch: "1".into(), offset: 5, positioned: true, data: bytes(r#"{"d":1}"#) };
    [
        Push::new("news", PushBody::Pub(publication(10))),
        Push::new("news", PushBody::Join(Join { info: Some(info()) })),
        Push::new("news", PushBody::Leave(Leave { info: Some(info()) })),
        Push::new("", PushBody::Message(MessagePush { data: bytes(r#"{"m":1}"#) })),
        Push::new("srv", PushBody::Subscribe(subscribe)),
        Push::new("srv", PushBody::Unsubscribe(Unsubscribe::SERVER.into())),
    ]
}

/// The server's frames of the captured session.
fn server(format: Format) -> Vec<Vec<u8>> {
    let frame = |replies: Vec<Reply>| {
        let mut frame = Vec::new();
        for reply in &replies {
            encode_reply(reply, format, &mut frame);
        }
        frame
    };
    let denied = Reply::error(2, ErrorCode::PERMISSION_DENIED);
    let history = HistoryResult { publications: vec![publication(1)], epoch: "1".into(), offset: 1_099_511_627_776 };
    let presence = PresenceResult { presence: BTreeMap::from([("c-1".into(), info())]) };
    let stats = PresenceStatsResult { num_clients: 2, num_users: 1 };
    let mut called = frame(vec![Reply::new(9, ReplyBody::Rpc(RpcResult { data: bytes(r#"{"body":"hi","n":null}"#) }))]);
    for push in pushes() {
        append(&mut called, &encode_push(&push, format), format);
    }
    append(&mut called, &encode_ping(format), format);
    let refresh = RefreshResult { client: "c-1".into(), version: "kervan 0.1".into(), expires: true, ttl: 3600 };
    vec![
        frame(vec![Reply::new(1, connect()), denied, Reply::new(3, subscribe())]),
        frame(vec![Reply::new(4, ReplyBody::Publish(PublishResult {}))]),
        frame(vec![Reply::new(5, ReplyBody::History(history))]),
        frame(vec![Reply::new(7, ReplyBody::Presence(presence))]),
        frame(vec![Reply::new(8, ReplyBody::PresenceStats(stats))]),
        called,
        frame(vec![Reply::error(10, ErrorCode::too_many_requests(850))]),
        frame(vec![Reply::new(13, ReplyBody::Refresh(refresh))]),
        frame(vec![Reply::new(14, ReplyBody::SubRefresh(SubRefreshResult { expires: true, ttl: 3600 }))]),
        frame(vec![Reply::new(15, ReplyBody::Unsubscribe(UnsubscribeResult {}))]),
    ]
}

#[test]
fn what_the_sdks_understood_is_what_is_encoded() {
    let json: Vec<_> = server(Format::Json).into_iter().map(|frame| String::from_utf8(frame).unwrap()).collect();
    assert_eq!(json, frames::SERVER_JSON);
    let captured: Vec<_> = frames::SERVER_PROTOBUF.iter().map(|digits| unhex(digits)).collect();
    assert_eq!(server(Format::Protobuf), captured);
}
