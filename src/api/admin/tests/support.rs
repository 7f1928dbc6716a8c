//! An engine in a folder of its own, its admin listener, and requests to it as anybody could send them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::actors::gateway::hub::{Connection, Wire};
use crate::actors::gateway::outbox::Outbox;
use crate::api::admin::log::LogRing;
use crate::api::admin::{Admin, Deps, routes};
use crate::api::http::{self, Listener, Options};
use crate::api::operations::{Caller, Handlers, Options as HandlerOptions};
use crate::config::{self, Loaded, Sources};
use crate::env::Env;
use crate::health::Health;
use crate::ids::{Partition, UserId};
use crate::metrics::Metrics;
use crate::server::{self, Engine};
use crate::shutdown::Shutdown;
use crate::testing::within;

pub(crate) const KEY: &str = "the key of the data folder";

pub(crate) struct Rig {
    pub engine: Engine,
    pub address: SocketAddr,
    pub dir: TempDir,
    /// What the list of actors was answered with before there was an engine.
    pub early: Answer,
    pub handlers: Handlers,
    stop: Shutdown,
}

/// An answer: its status and its JSON, null if there is none.
pub(crate) type Answer = (u16, Value);

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these variables in the environment.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        Self::over(Env::system(), variables).await
    }

    /// The same, over these clocks and ids.
    pub(crate) async fn over(env: Env, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let loaded = loaded(&dir, variables);
        let (stop, metrics) = (Shutdown::new(), Arc::new(Metrics::new()));
        let health = Health::new(Shutdown::new());
        let config = Arc::new(loaded.config.clone());
        let deps = Deps {
            loaded,
            key: KEY.to_owned(),
            env: env.clone(),
            health: health.clone(),
            metrics: Arc::clone(&metrics),
            log: Arc::new(LogRing::new(Arc::clone(&env.clock))),
        };
        let admin = Arc::new(Admin::new(deps));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address();
        let options = Options::admin(&config.limits);
        let router = routes(Arc::clone(&admin)).merge(http::public(health.clone(), Arc::clone(&metrics)));
        tokio::spawn(listener.serve(router, options, Arc::clone(&metrics), stop.clone()));
        let early = ask(address, "GET", "/admin/actors", &[("host", "localhost"), bearer()], "").await;
        let deps = server::Deps { config, env, health, metrics, shutdown: Shutdown::new() };
        let engine = Engine::start(deps).await.unwrap();
        admin.open(engine.live());
        let handlers = Handlers::new(Arc::clone(engine.node()), HandlerOptions::default(), Arc::new(|_| false));
        Self { engine, address, dir, handlers, early, stop }
    }

    /// Says the lines of a request's head, and a body.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        ask(self.address, method, path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[("host", "localhost")], "").await
    }

    /// The status and the text of an answer.
    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        said(self.address, "GET", path, &[("host", "localhost")], "").await
    }

    /// The JSON of an answer that must be 200.
    pub(crate) async fn ok(&self, path: &str) -> Value {
        let (status, json) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.raw("POST", path, &[("host", "localhost"), ("x-kervan-admin", "1")], body).await
    }

    /// All lines of a list, by pages of this size.
    pub(crate) async fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.ok(&format!("{path}limit={limit}{after}")).await;
            let lines = page["items"].as_array().unwrap();
            assert!(lines.len() <= limit);
            items.extend(lines.iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }

    /// What a user's method answers.
    pub(crate) async fn call(&self, user: &str, method: &str, data: Value) -> Value {
        let caller = Caller::new(UserId::new(user).unwrap());
        let reply = self.handlers.call(&caller, method, data.to_string().as_bytes()).await.unwrap();
        serde_json::from_slice(&reply).unwrap()
    }

    /// A group; its id.
    pub(crate) async fn group(&self, members: &[&str]) -> String {
        let data = json!({ "kind": "group", "members": members, "title": "team" });
        self.call(members[0], "room.create", data).await["room"].as_str().unwrap().to_owned()
    }

    /// Waits until the store has everything.
    pub(crate) async fn settle(&self) {
        let node = self.engine.node();
        for partition in Partition::all() {
            node.stored().reach(partition, node.journal().bounds(partition).end).await;
        }
    }

    /// A connection as the hub knows it.
    pub(crate) fn connect(&self, user: &str) -> Arc<Connection> {
        let env = Env::system();
        let connection = Arc::new(Connection {
            client: env.ids.next(),
            user: UserId::new(user).unwrap(),
            wire: Wire::Json,
            info: None,
            outbox: Outbox::new(1_000),
            since: env.now(),
            sign_in: None,
            commands: AtomicU32::new(0),
        });
        self.engine.hub().sessions().add(&connection);
        connection
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.begin();
    }
}

fn loaded(dir: &TempDir, variables: &[(&str, &str)]) -> Loaded {
    let data = dir.path().to_str().unwrap();
    let environment = std::iter::once(("KERVAN_DATA__DIR", data)).chain(variables.iter().copied());
    let environment = environment.map(|(name, value)| (name.into(), value.into())).collect();
    config::load(&Sources { environment, ..Sources::default() }).unwrap()
}

/// The path of a room's actor.
pub(crate) fn path_of(room: &str) -> String {
    let id = crate::ids::RoomId(room.parse::<Uuid>().unwrap());
    format!("partitions/{}/room:{room}", id.partition())
}

/// What these fields of lines say.
pub(crate) fn texts(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

/// The key of the data folder, as a header.
pub(crate) fn bearer() -> (&'static str, &'static str) {
    ("authorization", "Bearer the key of the data folder")
}

async fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (status, text) = said(address, method, path, headers, body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn said(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer ends", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
