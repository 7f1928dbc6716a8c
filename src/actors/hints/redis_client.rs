//! The client of Redis, one server or a cluster: the only file that knows the crate. It asks and waits for a bounded time; what
//! is not answered by then is missing, and nothing is tried again for it. While nothing answers, it says so once, and tries to
//! connect anew, now and then, when somebody asks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo};
use tokio::time::{Instant, timeout, timeout_at};

use super::nodes::{RedisNode, RedisState, addresses, field, is_in_a_cluster};
use crate::config::RedisUrl;
use crate::health::Check;
use crate::limits;

const WAIT: Duration = Duration::from_millis(limits::REDIS_WAIT_MS);
const CONNECT: Duration = Duration::from_millis(limits::REDIS_CONNECT_MS);
/// Pause between two attempts to connect anew.
const RETRY: Duration = Duration::from_secs(2);

/// A command with its arguments, and the key among them first.
pub(super) type Command = Vec<String>;

/// Why Redis can't be used. Never with a password.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// An address that can't be one.
    #[error("an address in redis.url: {0}")]
    Address(String),
    /// It does not answer, or not as Redis does.
    #[error("Redis at {place}: {why}")]
    Away {
        /// The address.
        place: String,
        /// Why, as far as it can be told.
        why: String,
    },
}

/// A connection; clones share it.
#[derive(Clone)]
enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Redis, as hints are kept in it.
pub struct Redis {
    state: Mutex<State>,
    /// Held by the one who connects anew; the others do without meanwhile.
    connecting: tokio::sync::Mutex<()>,
    check: Check,
}

struct State {
    link: Option<Link>,
    /// Where to connect to, the next one first: what the configuration says, and the nodes of the cluster.
    seeds: Vec<ConnectionInfo>,
    is_away: bool,
    retry_at: Instant,
}

impl Redis {
    /// Connects. `check` is told how it is from then on.
    ///
    /// # Errors
    /// An address that can't be used, or no node answers.
    pub async fn connect(url: &RedisUrl, check: Check) -> Result<Self, RedisError> {
        let opened = open(&seeds(url)?).await?;
        check.up();
        let state = State { link: Some(opened.link), seeds: opened.seeds, is_away: false, retry_at: Instant::now() };
        Ok(Self { state: Mutex::new(state), connecting: tokio::sync::Mutex::default(), check })
    }

    /// What each command gives, in their order; `None` for what is not answered in time.
    pub(super) async fn ask<T: FromRedisValue + Send>(&self, commands: Vec<Command>) -> Vec<Option<T>> {
        let asked = commands.len();
        let none = || std::iter::repeat_with(|| None).take(asked).collect();
        if commands.is_empty() {
            return none();
        }
        let Some(link) = self.link().await else { return none() };
        let deadline = Instant::now() + WAIT;
        let ask_one = |command: Command| {
            let link = link.clone();
            async move {
                let answer = timeout_at(deadline, link.query(&command)).await;
                answer.unwrap_or_else(|_| Err("no answer in time".to_owned()))
            }
        };
        let answers = stream::iter(commands).map(ask_one).buffered(limits::REDIS_UNDER_WAY);
        let answers: Vec<Result<T, String>> = answers.collect().await;
        // One node of a cluster that is away takes its own slots along, and no others.
        let failed = answers.iter().find_map(|answer| answer.as_ref().err());
        match failed.filter(|_| answers.iter().all(Result::is_err)) {
            Some(why) => self.fails(why),
            None => self.works(),
        }
        answers.into_iter().map(Result::ok).collect()
    }

    /// The connection, or a new one if it is time for that.
    async fn link(&self) -> Option<Link> {
        let seeds = {
            let state = self.state();
            if let Some(link) = &state.link {
                return Some(link.clone());
            }
            (Instant::now() >= state.retry_at).then(|| state.seeds.clone())?
        };
        let _connecting = self.connecting.try_lock().ok()?;
        match timeout(CONNECT, open(&seeds)).await {
            Ok(Ok(opened)) => {
                let mut state = self.state();
                (state.link, state.seeds) = (Some(opened.link.clone()), opened.seeds);
                Some(opened.link)
            }
            Ok(Err(error)) => self.is_away(&error.to_string()),
            Err(_) => self.is_away("no connection in time"),
        }
    }

    /// Nobody could connect: the next one begins with another address.
    fn is_away(&self, why: &str) -> Option<Link> {
        self.state().seeds.rotate_left(1);
        self.fails(why);
        None
    }

    fn works(&self) {
        if std::mem::take(&mut self.state().is_away) {
            tracing::info!("Redis answers again");
            self.check.up();
        }
    }

    fn fails(&self, why: &str) {
        let was_away = {
            let mut state = self.state();
            (state.link, state.retry_at) = (None, Instant::now() + RETRY);
            std::mem::replace(&mut state.is_away, true)
        };
        if !was_away {
            tracing::warn!(why, "Redis does not answer: hints are lost until it does");
        }
        // Nothing but hints depends on it: the node stays ready.
        self.check.warn(why);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    async fn query<T: FromRedisValue>(mut self, command: &[String]) -> Result<T, String> {
        let command = made(command);
        let answer = match &mut self {
            Self::Server(server) => command.query_async(server).await,
            Self::Cluster(cluster) => command.query_async(cluster).await,
        };
        answer.map_err(|error| error.to_string())
    }
}

fn made(words: &[String]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

fn seeds(url: &RedisUrl) -> Result<Vec<ConnectionInfo>, RedisError> {
    let read = |address: &str| address.into_connection_info().map_err(|error| RedisError::Address(error.to_string()));
    url.addresses().map(read).collect()
}

/// A link, and all addresses that are known by then.
struct Opened {
    link: Link,
    /// The one that answered, the others that were given, and those that the cluster has beside them.
    seeds: Vec<ConnectionInfo>,
    /// The nodes, as the cluster calls them; of a server that stands alone its address.
    nodes: Vec<ConnectionInfo>,
}

/// A link by the first of the addresses that answers.
async fn open(seeds: &[ConnectionInfo]) -> Result<Opened, RedisError> {
    let mut last = RedisError::Address("none is named".to_owned());
    for (at, seed) in seeds.iter().enumerate() {
        match open_at(seed, seeds).await {
            Ok((link, nodes)) => {
                let mut known = seeds.to_vec();
                known.rotate_left(at);
                let new = nodes.iter().filter(|node| seeds.iter().all(|seed| seed.addr() != node.addr()));
                known.extend(new.take(limits::REDIS_NODES.saturating_sub(seeds.len())).cloned());
                return Ok(Opened { link, seeds: known, nodes });
            }
            Err(why) => last = RedisError::Away { place: seed.addr().to_string(), why },
        }
    }
    Err(last)
}

async fn open_at(seed: &ConnectionInfo, seeds: &[ConnectionInfo]) -> Result<(Link, Vec<ConnectionInfo>), String> {
    let server = Link::Server(server(seed).await?);
    let Some(nodes) = cluster(&server, seed).await? else { return Ok((server, vec![seed.clone()])) };
    let others = seeds.iter().filter(|other| other.addr() != seed.addr());
    let client = ClusterClient::builder([seed].into_iter().chain(others).cloned())
        .connection_timeout(WAIT)
        .response_timeout(WAIT)
        .retries(2)
        .build()
        .map_err(|error| error.to_string())?;
    let connected = timeout(CONNECT, client.get_async_connection()).await;
    let connected = connected.map_err(|_| "no cluster in time".to_owned())?;
    Ok((Link::Cluster(connected.map_err(|error| error.to_string())?), nodes))
}

/// A connection to one server.
async fn server(seed: &ConnectionInfo) -> Result<MultiplexedConnection, String> {
    let client = Client::open(seed.clone()).map_err(|error| error.to_string())?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(WAIT)).set_response_timeout(Some(WAIT));
    let connected = timeout(CONNECT, client.get_multiplexed_async_connection_with_config(&config)).await;
    connected.map_err(|_| "no connection in time".to_owned())?.map_err(|error| error.to_string())
}

/// The nodes of the cluster that a server belongs to; `None` if it stands alone.
async fn cluster(server: &Link, seed: &ConnectionInfo) -> Result<Option<Vec<ConnectionInfo>>, String> {
    let ask = |words: [&str; 2]| {
        let (server, words) = (server.clone(), words.map(str::to_owned));
        async move { server.query::<String>(&words).await }
    };
    if !is_in_a_cluster(&ask(["INFO", "cluster"]).await?) {
        return Ok(None);
    }
    let nodes = addresses(&ask(["CLUSTER", "NODES"]).await?).into_iter();
    Ok(Some(nodes.map(|(host, port)| seed.clone().set_addr(ConnectionAddr::Tcp(host, port))).collect()))
}

/// The nodes, each asked by itself.
///
/// # Errors
/// An address that can't be used, or no node answers.
pub async fn look(url: &RedisUrl) -> Result<Vec<RedisNode>, RedisError> {
    let mut nodes = open(&seeds(url)?).await?.nodes;
    nodes.truncate(limits::REDIS_NODES);
    nodes.sort_by_key(|node| node.addr().to_string());
    let ask = |node: ConnectionInfo| async move {
        RedisNode { address: node.addr().to_string(), state: state_of(&node).await }
    };
    Ok(stream::iter(nodes).map(ask).buffered(limits::REDIS_NODES).collect().await)
}

async fn state_of(node: &ConnectionInfo) -> Result<RedisState, String> {
    let link = Link::Server(server(node).await?);
    let begun = Instant::now();
    let info: String = link.query(&["INFO".to_owned()]).await?;
    let of = |name| field(&info, name).unwrap_or("unknown").to_owned();
    Ok(RedisState { version: of("redis_version"), role: of("role"), round_trip: begun.elapsed() })
}
