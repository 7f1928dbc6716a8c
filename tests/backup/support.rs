//! The command, a server, and somebody who chats.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{CallError, Link};
use crate::server::{self, Server, Setup};

/// How long a server may need to start or to end.
pub(crate) const START: Duration = Duration::from_secs(60);

/// Runs the command to its end; gives its exit code and all that it printed.
pub(crate) fn kervan(arguments: &[&str], paths: &[&Path], data: Option<&Path>) -> (i32, String) {
    let mut command = Command::new(server::binary());
    command.env_clear().stdin(Stdio::null()).args(arguments).args(paths);
    // Not in the working directory of the tests: there is a cluster.toml there.
    command.current_dir("/");
    if let Some(data) = data {
        command.arg("--data-dir").arg(data);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// A server with its data in `folder/data` that is ready.
pub(crate) fn start(folder: &Path, more: &str) -> Server {
    let mut server = Server::start(folder, Setup { more: more.to_owned(), ..Setup::default() });
    server.wait_ready(START);
    server
}

/// The numbers of the journal's segments.
pub(crate) fn segments(data: &Path) -> Vec<u64> {
    let names = std::fs::read_dir(data.join("journal")).unwrap().map(|entry| entry.unwrap().file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("segment-")?.strip_suffix(".log")?.parse().ok();
    let mut numbers: Vec<u64> = names.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Posts JSON, with more header lines; gives the whole answer.
pub(crate) fn post(address: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What was sent as which number, and the seq that it got.
pub(crate) type Told = (usize, u64);

/// Ann in a room with Ben.
pub(crate) struct Chat {
    link: Link,
    room: String,
    acked: tokio::sync::watch::Sender<Vec<Told>>,
}

impl Chat {
    pub(crate) async fn open(server: &Server) -> Self {
        let link = Link::plain(&server.url(), &server::token("ann")).await.unwrap();
        let made = json!({ "kind": "group", "title": "Two", "members": ["ben"], "client_id": "room" });
        let room = link.rpc("room.create", made).await.unwrap()["room"].as_str().unwrap().to_owned();
        Self { link, room, acked: Default::default() }
    }

    /// The same room at a server that knows it already.
    pub(crate) async fn again(&self, server: &Server) -> Self {
        let link = Link::plain(&server.url(), &server::token("ann")).await.unwrap();
        Self { link, room: self.room.clone(), acked: Default::default() }
    }

    pub(crate) async fn send(&self, n: usize, text: &str) -> Result<u64, CallError> {
        let client_id = format!("c{n}");
        let message = json!({ "room": self.room, "client_id": client_id, "body": text });
        let seq = self.link.rpc("message.send", message).await?["seq"].as_u64().unwrap();
        self.acked.send_modify(|acked| acked.push((n, seq)));
        Ok(seq)
    }

    /// The room's id.
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// Calls a method.
    pub(crate) async fn rpc(&self, method: &str, data: Value) -> Value {
        self.link.rpc(method, data).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a command of the protocol.
    pub(crate) async fn call(&self, method: &str, request: Value) -> Value {
        self.link.call(method, request).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Waits for so many acknowledgements.
    pub(crate) async fn reach(&self, count: usize) {
        let mut acked = self.acked.subscribe();
        // Pauses: the bound of a wait for an event.
        tokio::time::timeout(START, acked.wait_for(|acked| acked.len() >= count)).await.unwrap().unwrap();
    }

    pub(crate) fn acked(&self) -> Vec<Told> {
        self.acked.borrow().clone()
    }

    /// All messages of the room, upwards, by the client ids that they were sent under.
    pub(crate) async fn history(&self) -> Vec<Told> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = json!({ "room": self.room, "after": after, "limit": 100 });
            let page = self.link.rpc("message.history", page).await.unwrap();
            for message in page["messages"].as_array().unwrap() {
                after = message["seq"].as_u64().unwrap();
                let n = message["client_id"].as_str().unwrap().strip_prefix('c').unwrap().parse().unwrap();
                all.push((n, after));
            }
            if page["more"] != Value::Bool(true) {
                return all;
            }
        }
    }

    /// Subscribes over a connection of its own, from a position if one is given. Gives what the reply says.
    pub(crate) async fn subscribe(&self, server: &Server, from: Option<&Value>) -> Value {
        let link = Link::plain(&server.url(), &server::token("ann")).await.unwrap();
        let mut request = json!({ "channel": format!("room:{}", self.room), "recover": from.is_some() });
        for (name, value) in from.and_then(Value::as_object).into_iter().flatten() {
            request[name] = value.clone();
        }
        link.call("subscribe", request).await.unwrap()
    }

    /// The code with which the history since a position is refused; 0 if it is not.
    pub(crate) async fn history_refused(&self, server: &Server, since: &Value) -> u32 {
        let link = Link::plain(&server.url(), &server::token("ann")).await.unwrap();
        let channel = format!("room:{}", self.room);
        link.call("subscribe", json!({ "channel": channel })).await.unwrap();
        let page = link.call("history", json!({ "channel": channel, "limit": 1, "since": since })).await;
        page.map_or_else(|error| error.code(), |_| 0)
    }

    /// Connects with a position in the personal channel; gives what the reply says of it.
    pub(crate) async fn personal(server: &Server, from: Option<&Value>) -> Value {
        let mut request = json!({ "token": server::token("ann"), "subs": {} });
        if let Some(from) = from {
            request["subs"]["#ann"] = json!({ "recover": true, "epoch": from["epoch"], "offset": from["offset"] });
        }
        let (told, connected) = tokio::sync::oneshot::channel();
        let on_connected = Box::new(move |answer| drop(told.send(answer)));
        let _link = Link::open(&server.url(), &request, on_connected, Box::new(|_| ())).await.unwrap();
        connected.await.unwrap().unwrap()["subs"]["#ann"].clone()
    }

    /// Whether the room is in the list: that waits for the store.
    pub(crate) async fn lists_its_room(&self) -> bool {
        let list = self.link.rpc("room.list", json!({})).await.unwrap();
        list["rooms"].as_array().unwrap().iter().any(|line| line["room"].as_str() == Some(&self.room))
    }

    /// Something of every kind, so that most tables have rows.
    pub(crate) async fn live_a_little(&self) {
        for n in 0..30 {
            self.send(n, "hello").await.unwrap();
        }
        let seqs: Vec<u64> = self.acked().iter().map(|(_, seq)| *seq).collect();
        let room = &self.room;
        for (method, data) in [
            ("message.edit", json!({ "room": room, "target": seqs[3], "body": "better" })),
            ("message.delete", json!({ "room": room, "target": seqs[4] })),
            ("read.mark", json!({ "room": room, "seq": seqs[9] })),
            ("room.invite", json!({ "room": room, "user": "cid" })),
            ("room.kick", json!({ "room": room, "user": "ben" })),
            ("room.update", json!({ "room": room, "title": "One" })),
            ("room.create", json!({ "kind": "direct", "user": "dan" })),
            ("user.block", json!({ "user": "dan" })),
            ("user.device", json!({ "device": "d1", "platform": "web", "push_token": "p" })),
            ("user.preferences", json!({ "preferences": { "sound": false } })),
        ] {
            self.link.rpc(method, data).await.unwrap_or_else(|error| panic!("{method}: {error}"));
        }
    }
}
