//! A node with its socket, and clients that speak JSON over a WebSocket of another implementation.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{Request, Response};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::actors::gateway::frames::{Answer, ToGateway};
use crate::actors::gateway::hub::{Hub, Overload};
use crate::actors::node::{Node, Parts};
use crate::actors::partition::core::Options as Rules;
use crate::actors::partition::verified::Rule;
use crate::actors::room::command::{Create, HistoryBound, MaySend, OpenChannel, RoomKind, Send};
use crate::actors::room::{Command, RoomCommand, payload};
use crate::api::answer::answer_error;
use crate::api::auth::{AuthOptions, TokenRequest, Verifier, issue_token};
use crate::api::http::{Listener, Options as HttpOptions};
use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;
use crate::api::publish_data::{open_data, room_data};
use crate::api::session::methods::{Asker, Called, Methods};
use crate::api::session::{Options, ProtocolEncoder, Server};
use crate::api::websocket::{Origins, routes};
use crate::config::{self, Config, Secret};
use crate::env::{Env, SystemClock};
use crate::health::Health;
use crate::ids::{ClientId, Partition, RoomId, Timestamp, UserId};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::memory::MemoryJournal;
use crate::storage::journal::record::Addressed;
use crate::storage::store::memory::MemoryStore;

pub const SECRET: &str = "a secret of the tests, long enough for HS256";
const PATIENCE: Duration = Duration::from_secs(20);

/// The few methods that these tests need.
struct TestMethods {
    env: Env,
}

impl TestMethods {
    fn record(&self, room: RoomId, body: RoomCommand) -> Addressed {
        let command = Command { room, id: self.env.ids.next(), issued_at: self.env.now(), ttl_ms: 60_000, body };
        payload::address(&command)
    }
}

impl Methods for TestMethods {
    fn prepare_send(&self, asker: &Asker, data: &[u8]) -> Result<Addressed, Error> {
        let data: Value = serde_json::from_slice(data).map_err(|_| ErrorCode::BAD_REQUEST)?;
        let room = data["room"].as_str().and_then(|room| room.parse().ok()).ok_or(ErrorCode::BAD_REQUEST)?;
        self.prepare_publish(asker, RoomId(room), data.to_string().as_bytes())
    }

    fn prepare_publish(&self, asker: &Asker, room: RoomId, data: &[u8]) -> Result<Addressed, Error> {
        let published = room_data(data)?;
        let (sender, client_id, content) = (asker.user.clone(), published.client_id, published.content);
        let send = Send { sender, client_id, device: None, prev: None, content, open: None };
        Ok(self.record(room, RoomCommand::Send(send)))
    }

    fn prepare_open_publish(
        &self,
        asker: &Asker,
        channel: &str,
        history: HistoryBound,
        data: Bytes,
    ) -> Result<Addressed, Error> {
        let open = Some(OpenChannel { channel: channel.to_owned(), history });
        let (sender, content) = (asker.user.clone(), open_data(data)?);
        let send = Send { sender, client_id: None, device: None, prev: None, content, open };
        Ok(self.record(RoomId::open(channel), RoomCommand::Send(send)))
    }

    fn sent(&self, _: &Asker, _: Partition, answer: Answer) -> Result<Bytes, Error> {
        match answer {
            Answer::Accepted { seq, .. } => Ok(json!({ "seq": seq }).to_string().into()),
            other => Err(answer_error(&other).unwrap()),
        }
    }

    fn call(&self, asker: &Asker, method: &str, data: Bytes) -> Called {
        let (user, method) = (asker.user.clone(), method.to_owned());
        Box::pin(async move {
            match &method[..] {
                "who" => Ok(json!(user).to_string().into()),
                "echo" => Ok(data),
                _ => Err(ErrorCode::METHOD_NOT_FOUND.into()),
            }
        })
    }

    fn known(&self, _: &str) -> Option<&'static str> {
        None
    }
}

pub struct Rig {
    pub node: Arc<Node>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    pub env: Env,
    pub address: SocketAddr,
    stop: Shutdown,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(Env::system(), |_| ()).await
    }

    /// With open channels "" (and namespaces `token`, `quiet`), and whatever `change` changes.
    pub async fn with(env: Env, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        let namespace = |name: &str| config::Namespace { namespace: name.to_owned(), ..config::Namespace::default() };
        config.channels = vec![
            namespace(""),
            config::Namespace { token_required: true, ..namespace("token") },
            config::Namespace {
                presence: false,
                history_size: 0,
                publish: config::Publish::Nobody,
                ..namespace("quiet")
            },
        ];
        config.limits.messages_per_minute = 0;
        config.limits.connections_per_address = 0;
        config.auth = config::Auth { hmac_secret: Some(Secret::new(SECRET)), ..config::Auth::default() };
        change(&mut config);
        let (shutdown, metrics) = (Shutdown::new(), Arc::new(Metrics::new()));
        let hub: Arc<OnceLock<Arc<Hub>>> = Arc::default();
        let to_hub = hub.clone();
        let parts = Parts {
            env: env.clone(),
            journal: Arc::new(MemoryJournal::new(env.clock.clone())),
            store: Arc::new(MemoryStore::new()),
            metrics: metrics.clone(),
            health: Health::new(shutdown.clone()),
            options: Rules {
                rule: Rule::OwnReports,
                unknown_after_ms: 5_000,
                retry_after_ms: 50,
                idle_ms: 60_000,
                resident: 1_000,
            },
            gateway: Arc::new(move |frame: ToGateway| to_hub.get().unwrap().receive(frame)),
        };
        let node = Arc::new(Node::start(parts).await.unwrap());
        let owner = node.clone();
        let owners = move |frame| owner.to_owner(frame).map_err(|_| Overload);
        hub.set(Arc::new(Hub::new(Arc::new(owners), Arc::new(ProtocolEncoder), env.clock.clone(), metrics.clone())))
            .unwrap_or_else(|_| panic!("set once"));
        let hub = hub.get().unwrap().clone();
        tokio::spawn(hub.clone().run());
        let verifier = Arc::new(Verifier::new(AuthOptions::from(&config.auth), env.clock.clone()).unwrap());
        let methods = Arc::new(TestMethods { env: env.clone() });
        let options = Options::new(&config);
        let (e, m, s) = (env.clone(), metrics.clone(), shutdown.clone());
        let server = Arc::new(Server::new(hub.clone(), verifier, methods, e, m, options, s));
        let origins = Origins::new(&config.server.allowed_origins, config.server.production);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address();
        let stop = Shutdown::new();
        let http = HttpOptions::public(&config.limits);
        tokio::spawn(listener.serve(routes(server, origins), http, metrics.clone(), stop.clone()));
        Self { node, hub, metrics, shutdown, env, address, stop }
    }

    /// A group room with these members; the first one made it.
    pub async fn room(&self, members: &[&str]) -> RoomId {
        let creator = user(members[0]);
        let room = RoomId::group(&creator, &ClientId::new(&self.env.ids.next().to_string()).unwrap());
        let create = Create {
            kind: RoomKind::Group,
            creator,
            members: members[1..].iter().map(|name| user(name)).collect(),
            title: String::new(),
            channel: String::new(),
            ttl_ms: 0,
            public: false,
            may_send: MaySend::Members,
            max_members: 1_000,
            history: HistoryBound::default(),
        };
        self.command(room, RoomCommand::Create(create)).await;
        room
    }

    pub async fn command(&self, room: RoomId, body: RoomCommand) {
        let command = Command { room, id: self.env.ids.next(), issued_at: self.env.now(), ttl_ms: 60_000, body };
        let Addressed { partition, record } = payload::address(&command);
        let answer = self.node.command(partition, record).await;
        assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    }

    pub fn token(&self, name: &str) -> String {
        self.token_for(Some(name), None, None)
    }

    pub fn token_for(&self, name: Option<&str>, channel: Option<&str>, ttl: Option<Duration>) -> String {
        let user = name.map(user);
        let request = TokenRequest { user: user.as_ref(), channel, ttl, audience: None, issuer: None };
        issue_token(&Secret::new(SECRET), &request, &*self.env.clock).unwrap()
    }

    pub fn request(&self) -> Request<()> {
        format!("ws://{}/connection/websocket", self.address).into_client_request().unwrap()
    }

    /// A socket that has said nothing yet.
    pub async fn open(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        self.over(stream, self.request()).await
    }

    /// A socket over this stream.
    pub async fn over(&self, stream: impl Stream + 'static, request: Request<()>) -> Client {
        let stream: Pin<Box<dyn Stream>> = Box::pin(stream);
        let (socket, response) = client_async(request, stream).await.unwrap();
        Client { socket, response, replies: VecDeque::new(), next_id: 0, pongs: true }
    }

    /// A connected client.
    pub async fn client(&self, name: &str) -> Client {
        self.open().await.connected(self, name).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.begin();
    }
}

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A clock that the test moves, from now on.
pub fn manual_clock() -> (Env, Arc<crate::env::ManualClock>) {
    use crate::env::{Clock, ManualClock, SystemIds};
    let Timestamp(now) = SystemClock::default().now();
    let clock = Arc::new(ManualClock::new(Timestamp(now)));
    (Env { clock: clock.clone(), ids: Arc::new(SystemIds) }, clock)
}

/// Anything that a WebSocket can go over.
pub trait Stream: AsyncRead + AsyncWrite + std::marker::Send {}

impl<S: AsyncRead + AsyncWrite + std::marker::Send> Stream for S {}

pub struct Client {
    pub socket: WebSocketStream<Pin<Box<dyn Stream>>>,
    pub response: Response<Option<Vec<u8>>>,
    replies: VecDeque<Value>,
    next_id: u32,
    /// Whether it answers the server's pings.
    pub pongs: bool,
}

impl Client {
    /// This client, connected.
    pub async fn connected(mut self, rig: &Rig, name: &str) -> Self {
        let reply = self.ask(json!({ "connect": { "token": rig.token(name) } })).await;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        self
    }

    /// Sends a command and waits for its reply; what comes before it is kept.
    pub async fn ask(&mut self, command: Value) -> Value {
        let id = self.send(command).await;
        self.reply(id).await
    }

    /// Sends a command with the next id.
    pub async fn send(&mut self, mut command: Value) -> u32 {
        self.next_id += 1;
        command["id"] = self.next_id.into();
        self.raw(Message::text(command.to_string())).await;
        self.next_id
    }

    /// Sends these commands in one frame.
    pub async fn send_all(&mut self, commands: impl IntoIterator<Item = Value>) -> Vec<u32> {
        let mut lines = Vec::new();
        let mut ids = Vec::new();
        for mut command in commands {
            self.next_id += 1;
            ids.push(self.next_id);
            command["id"] = self.next_id.into();
            lines.push(command.to_string());
        }
        self.raw(Message::text(lines.join("\n"))).await;
        ids
    }

    pub async fn raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn reply(&mut self, id: u32) -> Value {
        self.find(|message| message["id"] == id).await
    }

    /// The next push in a channel, of this kind (`pub`, `join`, …); what comes before it is kept.
    pub async fn push(&mut self, channel: &str, kind: &str) -> Value {
        let mut push = self.find(|m| m["push"]["channel"] == channel && !m["push"][kind].is_null()).await;
        push["push"][kind].take()
    }

    /// The offsets of the next publications of a channel up to this one.
    pub async fn offsets(&mut self, channel: &str, last: u64) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.last().is_none_or(|offset| *offset < last) {
            offsets.push(self.push(channel, "pub").await["offset"].as_u64().unwrap());
        }
        offsets
    }

    async fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = 0;
        loop {
            while seen < self.replies.len() {
                if wanted(&self.replies[seen]) {
                    return self.replies.remove(seen).unwrap();
                }
                seen += 1;
            }
            if let Err((code, reason)) = self.read().await {
                panic!("closed with {code} {reason}, instead: {:?}", self.replies);
            }
        }
    }

    /// Reads one frame.
    async fn read(&mut self) -> Result<(), (u16, String)> {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let message = message.unwrap_or_else(|_| panic!("nothing comes; so far: {:?}", self.replies));
        match message {
            Some(Ok(Message::Text(text))) => {
                for line in text.lines() {
                    if line == "{}" {
                        if self.pongs {
                            self.raw(Message::text("{}")).await;
                        }
                    } else {
                        self.replies.push_back(serde_json::from_str(line).unwrap());
                    }
                }
                Ok(())
            }
            Some(Ok(Message::Close(Some(frame)))) => Err((frame.code.into(), frame.reason.to_string())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Err(tungstenite::Error::ConnectionClosed)) | None => Err((1006, String::new())),
            other => Err((1006, format!("{other:?}"))),
        }
    }

    /// The reply to a command, or the code with which the connection is closed.
    pub async fn reply_or_close(&mut self, id: u32) -> Result<Value, u16> {
        loop {
            if let Some(at) = self.replies.iter().position(|reply| reply["id"] == id) {
                return Ok(self.replies.remove(at).unwrap());
            }
            self.read().await.map_err(|(code, _)| code)?;
        }
    }

    /// The last publication of a channel that came.
    pub fn last_offset(&self, channel: &str) -> Option<u64> {
        let of_channel = self.replies.iter().filter(|message| message["push"]["channel"] == channel);
        of_channel.filter_map(|message| message["push"]["pub"]["offset"].as_u64()).max()
    }

    /// The code with which the connection is closed.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err((code, _)) = self.read().await {
                return code;
            }
        }
    }

    /// What came and nobody asked for.
    pub fn unread(&self) -> &VecDeque<Value> {
        &self.replies
    }
}
