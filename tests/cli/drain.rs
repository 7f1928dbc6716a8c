//! SIGTERM with open sockets: each is told to come back, what was acknowledged is kept, and nobody holds the process up.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::running::{Running, get, kervan, run, stdout};

/// What a drain is given, and what the machine may need beyond it.
const GRACE: Duration = Duration::from_secs(4);
const MARGIN: Duration = Duration::from_secs(6);
/// SHUTDOWN: SDKs come back.
const GOODBYE: u16 = 3001;
/// Commands of the sender that wait for their answers.
const WINDOW: u64 = 32;

fn serve(dir: &Path, grace: &str) -> Running {
    let mut command = kervan(dir);
    command.args(["--port", "0"]).env("KERVAN_SERVER__SHUTDOWN_GRACE", grace);
    // Nobody is held to a rate, and nobody is closed for being slow before the drain begins.
    command
        .env("KERVAN_LIMITS__MESSAGES_PER_MINUTE", "0")
        .env("KERVAN_LIMITS__QUESTIONS_PER_MINUTE", "0")
        .env("KERVAN_LIMITS__SLOW_GRACE", "60s");
    Running::start_with(command, Stdio::null())
}

/// A client with a window of its own, whose kernel keeps little unread.
struct Client {
    socket: WebSocketStream<TcpStream>,
    asked: u64,
    /// What came while a reply was waited for.
    before: Vec<Value>,
}

impl Client {
    /// One that has said nothing yet.
    async fn open(server: &Running) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let stream = socket.connect(server.public.parse().unwrap()).await.unwrap();
        let request = format!("ws://{}/connection/websocket", server.public);
        Self { socket: client_async(request, stream).await.unwrap().0, asked: 0, before: Vec::new() }
    }

    async fn connect(server: &Running, dir: &Path, user: &str) -> Self {
        let mut client = Self::open(server).await;
        let token = stdout(&run(dir, &["token", "--user", user]));
        let reply = client.ask(json!({ "connect": { "token": token.trim() } })).await;
        assert!(reply["connect"].is_object(), "{reply}");
        client
    }

    /// Sends a command with the next id. That the connection is over shows when reading.
    async fn send(&mut self, mut command: Value) -> u64 {
        self.asked += 1;
        command["id"] = self.asked.into();
        let _ = self.socket.send(Message::text(command.to_string())).await;
        self.asked
    }

    /// Waits for the reply to a command; what else comes is kept.
    async fn ask(&mut self, command: Value) -> Value {
        let id = self.send(command).await;
        loop {
            let mut messages = self.next().await.unwrap_or_else(|code| panic!("closed with {code}"));
            let reply = messages.iter().position(|message| message["id"] == id).map(|at| messages.remove(at));
            self.before.append(&mut messages);
            if let Some(reply) = reply {
                return reply;
            }
        }
    }

    /// The result of a method.
    async fn call(&mut self, method: &str, data: Value) -> Value {
        let mut reply = self.ask(json!({ "rpc": { "method": method, "data": data } })).await;
        assert!(reply["error"].is_null(), "{method}: {reply}");
        reply["rpc"]["data"].take()
    }

    /// The messages of the next frame, or the code at the end: 0 if the connection just broke.
    async fn next(&mut self) -> Result<Vec<Value>, u16> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()),
            Some(Ok(Message::Close(Some(close)))) => Err(close.code.into()),
            Some(Ok(_)) => Ok(Vec::new()),
            Some(Err(_)) | None => Err(0),
        }
    }

    /// Reads to the end: all that came, and the code.
    async fn rest(mut self) -> (Vec<Value>, u16) {
        let mut all = std::mem::take(&mut self.before);
        loop {
            match self.next().await {
                Ok(messages) => all.extend(messages),
                Err(code) => return (all, code),
            }
        }
    }
}

/// Bytes that no socket keeps.
fn text(n: u64) -> String {
    format!("{n} {}", "x".repeat(2_000))
}

fn message(room: &str, n: u64) -> Value {
    json!({ "room": room, "client_id": format!("m-{n}"), "body": text(n) })
}

/// Sends until the connection is over. Gives the seq of each message that was acknowledged, how many were sent, and the
/// code at the end.
async fn send_to_the_end(
    mut client: Client,
    room: String,
    acknowledged: Arc<AtomicU64>,
) -> (BTreeMap<u64, u64>, u64, u16) {
    let (mut seqs, mut by_id) = (BTreeMap::new(), BTreeMap::new());
    let mut sent = 0;
    loop {
        while (by_id.len() as u64) < WINDOW {
            let command = json!({ "rpc": { "method": "message.send", "data": message(&room, sent) } });
            by_id.insert(client.send(command).await, sent);
            sent += 1;
        }
        let messages = match client.next().await {
            Ok(messages) => messages,
            Err(code) => return (seqs, sent, code),
        };
        for reply in messages {
            let Some(n) = reply["id"].as_u64().and_then(|id| by_id.remove(&id)) else { continue };
            if let Some(seq) = reply["rpc"]["data"]["seq"].as_u64() {
                seqs.insert(n, seq);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn exit_code(server: Running) -> Option<i32> {
    tokio::task::spawn_blocking(move || server.exit_code()).await.unwrap()
}

/// The offsets of a channel's publications.
fn offsets(messages: &[Value], channel: &str) -> Vec<u64> {
    let of_channel = messages.iter().filter(|message| message["push"]["channel"] == channel);
    of_channel.filter_map(|message| message["push"]["pub"]["offset"].as_u64()).collect()
}

#[tokio::test]
async fn sigterm_tells_every_open_socket_to_come_back_and_loses_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), "4s");
    let silent = Client::open(&server).await;
    let idle = Client::connect(&server, dir.path(), "idle").await;
    let mut bob = Client::connect(&server, dir.path(), "bob").await;
    let made = bob.call("room.create", json!({ "kind": "group", "members": ["slow"] })).await;
    let (room, channel) = (made["room"].as_str().unwrap().to_owned(), made["channel"].as_str().unwrap().to_owned());
    let mut slow = Client::connect(&server, dir.path(), "slow").await;
    let subscribed = slow.ask(json!({ "subscribe": { "channel": channel } })).await;
    assert_eq!(subscribed["subscribe"]["offset"], 1, "{subscribed}");
    let epoch = &subscribed["subscribe"]["epoch"];

    // More than the kernel and its outbox keep for the slow one, which reads none of it yet.
    let acknowledged = Arc::new(AtomicU64::new(0));
    let sending = tokio::spawn(send_to_the_end(bob, room.clone(), acknowledged.clone()));
    while acknowledged.load(Ordering::Relaxed) < 400 {
        assert!(!sending.is_finished(), "the sender is gone before the drain");
        // Pauses: between looks, within a bound.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    server.signal(Signal::TERM);
    let ends = tokio::join!(silent.rest(), idle.rest(), slow.rest());
    let ((_, silent), (_, idle), (seen, slow)) = ends;
    let (seqs, sent, sender) = sending.await.unwrap();
    assert_eq!([silent, idle, slow, sender], [GOODBYE; 4], "the silent, the idle, the slow one, and one in mid-send");
    assert_eq!(exit_code(server).await, Some(0));
    assert!(start.elapsed() < GRACE + MARGIN, "{:?}", start.elapsed());

    // They come back. Each message that was sent is there once: what was acknowledged, at its place.
    let server = serve(dir.path(), "4s");
    let mut bob = Client::connect(&server, dir.path(), "bob").await;
    for n in 0..sent {
        let again = bob.call("message.send", message(&room, n)).await;
        if let Some(seq) = seqs.get(&n) {
            assert_eq!(
                (again["seq"].as_u64(), &again["duplicate"]),
                (Some(*seq), &json!(true)),
                "message {n}: {again}"
            );
        }
    }
    let head = bob.call("room.get", json!({ "room": room })).await["head"].as_u64().unwrap();
    assert_eq!(head, 1 + sent, "no message is there twice");
    let seen = offsets(&seen, &channel);
    let last = seen.last().copied().unwrap_or(1);
    assert_eq!(seen, (2..=last).collect::<Vec<_>>(), "what came while it drained came in order");
    let mut slow = Client::connect(&server, dir.path(), "slow").await;
    let from = json!({ "channel": channel, "recover": true, "epoch": epoch, "offset": last });
    let reply = slow.ask(json!({ "subscribe": from })).await;
    assert_eq!(reply["subscribe"]["recovered"], true, "{reply}");
    let first = reply["subscribe"]["publications"].as_array().cloned().unwrap_or_default();
    let mut rest: Vec<u64> = first.iter().filter_map(|publication| publication["offset"].as_u64()).collect();
    rest.extend(offsets(&slow.before, &channel));
    while rest.last().copied().unwrap_or(last) < head {
        rest.extend(offsets(&slow.next().await.unwrap(), &channel));
    }
    assert_eq!(rest, (last + 1..=head).collect::<Vec<_>>(), "the rest, without a gap");
}

/// A client that takes nothing, with more waiting for it than the kernel keeps.
async fn stuck(server: &Running, dir: &Path) -> Client {
    let mut stuck = Client::connect(server, dir, "stuck").await;
    let mut ann = Client::connect(server, dir, "ann").await;
    for client in [&mut stuck, &mut ann] {
        client.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
    }
    for n in 0..400 {
        ann.ask(json!({ "publish": { "channel": "lobby", "data": text(n) } })).await;
    }
    stuck
}

#[tokio::test]
async fn a_socket_that_takes_nothing_holds_a_drain_up_for_the_grace_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), "2s");
    let stuck = stuck(&server, dir.path()).await;
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(exit_code(server).await, Some(0));
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(2) + MARGIN, "{took:?}");
    let (_, code) = stuck.rest().await;
    assert_eq!(code, 0, "it was cut off");
}

#[tokio::test]
async fn a_second_signal_leaves_at_once() {
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(dir.path(), "120s");
        let _stuck = stuck(&server, dir.path()).await;
        server.signal(Signal::TERM);
        // Two signals that come together are one.
        // Pauses: the bound of the wait below.
        let end = Instant::now() + MARGIN;
        while !get(&server.admin, "/readyz").starts_with("HTTP/1.1 503 ") {
            assert!(Instant::now() < end, "it does not drain");
            // Pauses: between looks, within a bound.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = Instant::now();
        server.signal(second);
        assert_eq!(exit_code(server).await, Some(code));
        assert!(start.elapsed() < MARGIN, "{:?}", start.elapsed());
    }
}
