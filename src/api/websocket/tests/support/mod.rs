//! A node with its socket, and clients that speak both formats over a WebSocket of another implementation.

mod client;
mod paced;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Request;
use uuid::Uuid;

pub(crate) use self::client::{Client, Stream, frame};
pub(crate) use self::paced::{Pace, Paced, narrow};
use crate::actors::gateway::hub::Hub;
use crate::actors::node::{self, Node};
use crate::actors::partition::core::Options as Rules;
use crate::actors::partition::verified::Rule;
use crate::actors::room::commands::Create;
use crate::actors::room::{Command, RoomCommand, payload};
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::router::{self, Router};
use crate::actors::wire::{Answer, HistoryBound, MaySend, NodeId, RoomKind};
use crate::api::auth::{AuthOptions, TokenRequest, Verifier, issue_token};
use crate::api::http::{Listener, Options as HttpOptions, Origins};
use crate::api::operations::{self, Handlers};
use crate::api::protocol::codes::Disconnect;
use crate::api::protocol::{Format, PROTOBUF_SUBPROTOCOL};
use crate::api::session::{Options, ProtocolEncoder, Server};
use crate::api::websocket::routes;
use crate::config::{self, Config, Secret};
use crate::env::{Env, SystemClock};
use crate::epoch::History;
use crate::health::Health;
use crate::ids::{ClientId, Generation, Partition, RoomId, Timestamp, UserId};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::memory::MemoryJournal;
use crate::storage::journal::record::Addressed;
use crate::storage::store::memory::MemoryStore;

/// Whose positions the rig takes.
const HISTORY: History = History::of(Uuid::from_u128(7));

/// The epoch of a stream of that history.
pub(crate) fn epoch() -> String {
    HISTORY.epoch(Generation::FIRST)
}

pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";

/// Asks whether a user is online.
pub(crate) fn ask_for(name: &str) -> Value {
    json!({ "rpc": { "method": "presence.get", "data": { "users": [name] } } })
}

/// What comes of it.
pub(crate) fn presence(name: &str, online: bool) -> Value {
    json!({ "users": { name: { "online": online } } })
}

pub(crate) struct Rig {
    pub node: Arc<Node>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    pub env: Env,
    pub address: SocketAddr,
    stop: Shutdown,
    /// Of the clients that are made from now on.
    pub format: Format,
}

/// Both of them.
pub(crate) const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Env::system(), |_| ()).await
    }

    /// The same, and its clients speak this format.
    pub(crate) async fn start_as(format: Format) -> Self {
        let mut rig = Self::start().await;
        rig.format = format;
        rig
    }

    /// With open channels "" (and namespaces `token`, `quiet`), and whatever `change` changes.
    pub(crate) async fn with(env: Env, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_grace(env, Options::new(&Config::default(), HISTORY).refresh_grace, change).await
    }

    /// The same, with so much time for a refresh after a token is over.
    pub(crate) async fn with_grace(env: Env, refresh_grace: Duration, change: impl FnOnce(&mut Config)) -> Self {
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
        config.limits.questions_per_minute = 0;
        config.limits.connections_per_address = 0;
        config.auth = config::Auth { hmac_secret: Some(Secret::new(SECRET)), ..config::Auth::default() };
        change(&mut config);
        let (shutdown, metrics) = (Shutdown::new(), Arc::new(Metrics::new()));
        let router = Arc::new(Router::new(router::Deps {
            node: NodeId::default(),
            owned: Owned::new(Partition::all(), OwnerEpoch(1)),
            clock: env.clock.clone(),
            metrics: metrics.clone(),
            memory: 1 << 30,
        }));
        let encoder = Arc::new(ProtocolEncoder);
        let hub = Arc::new(Hub::new(router.clone(), encoder, env.clock.clone(), metrics.clone()));
        let gateway: Arc<dyn node::Gateway> = hub.clone();
        let deps = node::Deps {
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
                cover_after_ms: None,
                knows: crate::actors::moment::FoldVersion::KNOWN,
            },
            router: router.clone(),
            resident: 100_000,
            rows: node::RowsMadeBy::Node,
            gateway,
        };
        let node = Arc::new(Node::start(deps).await.unwrap());
        tokio::spawn(hub.clone().run());
        let verifier = Arc::new(Verifier::new(AuthOptions::from(&config.auth), env.clock.clone()).unwrap());
        let known = hub.clone();
        let is_online = Arc::new(move |user: &UserId| known.sessions().is_online(user));
        let handlers = Arc::new(Handlers::new(node.clone(), operations::Options::new(&config), is_online));
        let options = Options { refresh_grace, ..Options::new(&config, HISTORY) };
        let (e, m, s) = (env.clone(), metrics.clone(), shutdown.clone());
        let server = Arc::new(Server::new(hub.clone(), router, verifier, handlers, e, m, options, s));
        let origins = Origins::new(Arc::new(config.clone()));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address();
        let stop = Shutdown::new();
        let http = HttpOptions::public(&config.limits);
        tokio::spawn(listener.serve(routes(server, origins), http, metrics.clone(), stop.clone()));
        Self { node, hub, metrics, shutdown, env, address, stop, format: Format::Json }
    }

    /// A group room with these members; the first one made it.
    pub(crate) async fn room(&self, members: &[&str]) -> RoomId {
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

    pub(crate) async fn command(&self, room: RoomId, body: RoomCommand) {
        let command = Command { room, id: self.env.ids.next(), issued_at: self.env.now(), ttl_ms: 60_000, body };
        let Addressed { partition, record, .. } = payload::address(command);
        let answer = self.node.router().command(partition, record).get().await;
        assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    }

    pub(crate) fn token(&self, name: &str) -> String {
        self.token_for(Some(name), None, None)
    }

    pub(crate) fn token_for(&self, name: Option<&str>, channel: Option<&str>, ttl: Option<Duration>) -> String {
        let user = name.map(user);
        let request = TokenRequest { user: user.as_ref(), channel, ttl, audience: None, issuer: None, sign_in: None };
        issue_token(&Secret::new(SECRET), &request, &*self.env.clock).unwrap()
    }

    pub(crate) fn request(&self) -> Request<()> {
        format!("ws://{}/connection/websocket", self.address).into_client_request().unwrap()
    }

    /// A socket that has said nothing yet.
    pub(crate) async fn open(&self) -> Client {
        self.over(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// A socket over this stream.
    pub(crate) async fn over(&self, stream: impl Stream + 'static) -> Client {
        let mut request = self.request();
        if self.format == Format::Protobuf {
            request.headers_mut().insert("sec-websocket-protocol", PROTOBUF_SUBPROTOCOL.parse().unwrap());
        }
        let stream: Pin<Box<dyn Stream>> = Box::pin(stream);
        // It checks the answer, and that it names the sub-protocol.
        let (socket, _) = client_async(request, stream).await.unwrap();
        Client::new(socket, self.format)
    }

    /// A connected client.
    pub(crate) async fn client(&self, name: &str) -> Client {
        self.open().await.connected(self, name).await
    }

    /// How many connections the server has ended with this code.
    pub(crate) fn ended_with(&self, code: Disconnect) -> u64 {
        self.metrics.disconnects.of(code.code.into()).get()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.begin();
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A clock that the test moves, from now on.
pub(crate) fn manual_clock() -> (Env, Arc<crate::env::ManualClock>) {
    use crate::env::{Clock, ManualClock, SystemIds};
    let Timestamp(now) = SystemClock::default().now();
    let clock = Arc::new(ManualClock::new(Timestamp(now)));
    (Env { clock: clock.clone(), ids: Arc::new(SystemIds) }, clock)
}
