//! Streams over a real listener and a whole engine, as they stand on the wire. What the official SDK makes of them is tested
//! with it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::rest::tests::support::Rig;
use crate::testing::{until, within};

/// A request whose answer does not end.
struct Open {
    stream: TcpStream,
    text: String,
}

impl Open {
    async fn begin(rig: &Rig, request: &str) -> Self {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    async fn lines(rig: &Rig, command: &Value) -> Self {
        let body = command.to_string();
        let head = "POST /connection/http_stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        Self::begin(rig, &format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    async fn events(rig: &Rig, command: &Value) -> Self {
        let coded: String = command.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        Self::begin(rig, &format!("GET /connection/sse?cf_connect={coded} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }

    /// Reads until this has come; everything up to there.
    async fn until(&mut self, wanted: &str) -> &str {
        let reading = async {
            let mut space = [0; 4096];
            while !self.text.contains(wanted) {
                let read = self.stream.read(&mut space).await.unwrap();
                assert!(read > 0, "it ended before {wanted}: {}", self.text);
                self.text.push_str(std::str::from_utf8(&space[..read]).unwrap());
            }
        };
        within(wanted, reading).await;
        &self.text
    }

    /// The first JSON that has come.
    async fn reply(&mut self) -> Value {
        let text = self.until("}\n").await;
        let start = text.find("{").unwrap();
        let end = start + text[start..].find('\n').unwrap();
        serde_json::from_str(&text[start..end]).unwrap()
    }
}

fn connect(rig: &Rig, user: &str) -> Value {
    json!({"id": 1, "connect": {"token": rig.token(user)}})
}

async fn emulate(rig: &Rig, session: &Value, commands: &Value) -> u16 {
    let body = json!({"session": session, "node": "", "data": commands.to_string()});
    rig.send("POST", "/emulation", &[], body).await.status
}

async fn until_online(rig: &Rig, count: usize) {
    let sessions = rig.engine.as_ref().unwrap().hub().sessions();
    until("so many are online", async || sessions.count() == count).await;
}

#[tokio::test]
async fn messages_come_in_the_stream_and_commands_go_beside_it() {
    let rig = Rig::start().await;
    let mut alice = Open::lines(&rig, &connect(&rig, "alice")).await;
    let reply = alice.reply().await["connect"].clone();
    let (session, node) = (&reply["session"], reply["node"].as_str().unwrap());
    assert!(!node.is_empty() && session.as_str().unwrap().len() == 36);
    assert!(alice.text.contains("content-type: application/json") && alice.text.contains("no-transform"));
    let subscribe = json!({"id": 2, "subscribe": {"channel": "news"}});
    assert_eq!(emulate(&rig, session, &subscribe).await, 204);
    alice.until("\"id\":2").await;
    let mut bob = Open::events(&rig, &connect(&rig, "bob")).await;
    bob.until("}\n\n").await;
    let start = bob.text.find("data: ").unwrap() + 6;
    let line = bob.text[start..].lines().next().unwrap();
    let session: Value = serde_json::from_str::<Value>(line).unwrap()["connect"]["session"].clone();
    assert!(bob.text.contains("content-type: text/event-stream"));
    // Two commands in one request, a line each.
    let both = format!(
        "{}\n{}",
        json!({"id": 2, "subscribe": {"channel": "news"}}),
        json!({"id": 3, "publish": {"channel": "news", "data": "hi"}})
    );
    let body = json!({"session": session, "data": both});
    assert_eq!(rig.send("POST", "/emulation", &[], body).await.status, 204);
    bob.until("\"data\":\"hi\"").await;
    alice.until("\"data\":\"hi\"").await;
}

/// White space between the tokens of JSON may be a carriage return, and ends a line of an event stream.
#[tokio::test]
async fn a_carriage_return_in_what_somebody_says_breaks_no_event() {
    let rig = Rig::start().await;
    let made = rig.call("ann", "POST", "/api/chats", json!({"members": ["bob"]})).await;
    let room = made.body["room"].as_str().unwrap();
    let path = format!("/api/chats/{room}/messages");
    let message = b"{\"body\":\"hi\",\"metadata\":{\"a\":\r\"in metadata\"}}".to_vec();
    let headers =
        [("content-type", "application/json"), ("authorization", &format!("Bearer {}", rig.token("ann"))[..])];
    assert_eq!(rig.raw("POST", &path, &headers, message).await.status, 201);
    let mut bob = Open::events(&rig, &connect(&rig, "bob")).await;
    bob.until("}\n\n").await;
    let start = bob.text.find("data: ").unwrap() + 6;
    let reply: Value = serde_json::from_str(bob.text[start..].lines().next().unwrap()).unwrap();
    let session = &reply["connect"]["session"];
    let channel = format!("room:{room}");
    for (id, command) in [
        (2, json!({"id": 2, "subscribe": {"channel": "news"}}).to_string()),
        (3, json!({"id": 3, "subscribe": {"channel": channel}}).to_string()),
        (4, json!({"id": 4, "history": {"channel": channel, "limit": -1}}).to_string()),
        (5, "{\"id\":5,\"publish\":{\"channel\":\"news\",\"data\":{\"a\":\r\"live\"}}}".to_owned()),
    ] {
        let body = json!({"session": session, "data": command});
        assert_eq!(rig.send("POST", "/emulation", &[], body).await.status, 204);
        bob.until(&format!("\"id\":{id},")).await;
    }
    for whole in ["\"a\": \"live\"", "\"a\": \"in metadata\""] {
        bob.until(whole).await;
    }
}

#[tokio::test]
async fn a_goodbye_is_said_in_the_stream_and_then_it_ends() {
    let rig = Rig::with(|config| config.limits.handshake_timeout = Duration::from_millis(300)).await;
    for (begun, code) in [
        (json!({"id": 1, "connect": {"token": "forged"}}), 3500),
        (json!({"id": 1, "subscribe": {"channel": "news"}}), 3501),
        (json!({}), 3502),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = rig.raw("POST", "/connection/http_stream", &headers, begun.to_string().into_bytes()).await;
        assert_eq!(answer.status, 200);
        let text = answer.body.to_string();
        assert!(text.contains(&code.to_string()) && text.contains("disconnect"), "{begun}: {text}");
    }
    let mut ann = Open::lines(&rig, &connect(&rig, "ann")).await;
    ann.reply().await;
    rig.back_end("disconnect", json!({"user": "ann", "disconnect": {"code": 4501, "reason": "moved"}})).await.unwrap();
    ann.until("{\"push\":{\"disconnect\":{\"code\":4501,\"reason\":\"moved\"").await;
    ann.until("\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn who_is_sent_away_says_nothing_more_though_he_does_not_read_his_stream() {
    // Pings that nobody answers would end the connection first, on a slow machine.
    let rig = Rig::with(|config| config.server.ping_interval = Duration::from_secs(600)).await;
    let mut ann = Open::lines(&rig, &connect(&rig, "ann")).await;
    let session = ann.reply().await["connect"]["session"].clone();
    assert_eq!(emulate(&rig, &session, &json!({"id": 2, "subscribe": {"channel": "news"}})).await, 204);
    ann.until("\"id\":2").await;
    let user = crate::ids::UserId::new("ann").unwrap();
    let sessions = rig.engine.as_ref().unwrap().hub().sessions();
    let connection = sessions.of(&user).remove(0);
    while connection.outbox.bytes() < 20_000 {
        rig.back_end("publish", json!({"channel": "news", "data": "x".repeat(8_000)})).await.unwrap();
    }
    rig.back_end("disconnect", json!({"user": "ann"})).await.unwrap();
    let said = emulate(&rig, &session, &json!({"id": 3, "publish": {"channel": "news", "data": "still here"}})).await;
    assert!([204, 404].contains(&said), "{said}");
    until_online(&rig, 0).await;
    assert_eq!(emulate(&rig, &session, &json!({"id": 4, "ping": {}})).await, 404);
    let last = rig.back_end("history", json!({"channel": "news", "limit": 1, "reverse": true})).await.unwrap();
    assert_ne!(last["publications"][0]["data"], "still here");
}

#[tokio::test]
async fn who_goes_is_gone_and_so_is_the_name_of_his_stream() {
    let rig = Rig::start().await;
    let mut ann = Open::lines(&rig, &connect(&rig, "ann")).await;
    let session = ann.reply().await["connect"]["session"].clone();
    until_online(&rig, 1).await;
    drop(ann);
    until_online(&rig, 0).await;
    let ping = json!({"id": 2, "ping": {}});
    until("the name is forgotten", async || emulate(&rig, &session, &ping).await == 404).await;
}

#[tokio::test]
async fn what_is_no_stream_is_refused_with_a_status() {
    let rig =
        Rig::with(|config| config.server.allowed_origins = vec!["https://chat.example.com".parse().unwrap()]).await;
    let huge = format!("\"{}\"", "x".repeat(70_000));
    for (method, path, body, refusal) in [
        ("POST", "/connection/http_stream", String::new(), (400, "bad_request")),
        ("POST", "/connection/http_stream", huge.clone(), (413, "too_large")),
        ("GET", "/connection/http_stream", String::new(), (405, "method_not_allowed")),
        ("GET", "/connection/sse", String::new(), (400, "bad_request")),
        ("GET", "/connection/sse?cf_connect=", String::new(), (400, "bad_request")),
        ("POST", "/emulation", String::new(), (400, "bad_request")),
        ("POST", "/emulation", "[1]".to_owned(), (400, "bad_request")),
        ("POST", "/emulation", r#"{"session":"x","data":"{}"}"#.to_owned(), (404, "not_found")),
        ("POST", "/emulation", format!(r#"{{"session":"x","data":{huge}}}"#), (413, "too_large")),
        ("POST", "/emulation", "x".repeat(300_000), (413, "too_large")),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = rig.raw(method, path, &headers, body.into_bytes()).await;
        assert_eq!(answer.refusal(), refusal, "{method} {path}");
    }
    let protobuf = [("content-type", "application/octet-stream")];
    assert_eq!(rig.raw("POST", "/emulation", &protobuf, vec![0xff; 9]).await.refusal(), (400, "bad_request"));
    for path in ["/connection/http_stream", "/emulation"] {
        let foreign = [("content-type", "application/json"), ("origin", "https://evil.example.com")];
        assert_eq!(rig.raw("POST", path, &foreign, b"{}".to_vec()).await.refusal(), (403, "origin_not_allowed"));
        let asked = [
            ("origin", "https://chat.example.com"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let allowed = rig.raw("OPTIONS", path, &asked, Vec::new()).await;
        assert_eq!(allowed.headers["access-control-allow-origin"], "https://chat.example.com");
    }
}

/// Who takes a little now and then is not slow by the bytes, and never comes to the ping.
#[tokio::test]
async fn who_trickles_is_closed_by_the_ping_that_is_still_on_its_way_at_the_next_one() {
    for is_lines in [true, false] {
        let rig = Rig::with(|config| {
            config.limits.outbox.0 = 8 << 20;
            config.limits.slow_grace = Duration::from_secs(600);
            config.server.ping_interval = Duration::from_secs(1);
            // Longer than a test waits: no pong is missed in it.
            config.server.pong_timeout = Duration::from_secs(600);
        })
        .await;
        let command = connect(&rig, "ann");
        let mut ann = if is_lines { Open::lines(&rig, &command).await } else { Open::events(&rig, &command).await };
        ann.until("\"session\":\"").await;
        ann.until("}}").await;
        let start = ann.text.find("\"session\":\"").unwrap() + 11;
        let session = json!(ann.text[start..start + 36]);
        assert_eq!(emulate(&rig, &session, &json!({"id": 2, "subscribe": {"channel": "news"}})).await, 204);
        ann.until("\"id\":2").await;
        let sessions = rig.engine.as_ref().unwrap().hub().sessions();
        let connection = sessions.of(&crate::ids::UserId::new("ann").unwrap()).remove(0);
        while connection.outbox.bytes() < 512 * 1024 && sessions.count() > 0 {
            rig.back_end("publish", json!({"channel": "news", "data": "x".repeat(30_000)})).await.unwrap();
        }
        let mut stream = ann.stream;
        let trickle = tokio::spawn(async move {
            let mut some = [0; 64];
            while stream.read(&mut some).await.is_ok_and(|read| read > 0) {
                // Pauses: a slow reader is slow.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        until_online(&rig, 0).await;
        assert_eq!(rig.metrics.disconnects.of(3012).get(), 1, "by lines: {is_lines}");
        trickle.abort();
    }
}
