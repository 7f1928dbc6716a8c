//! Configuration: built-in defaults < `cluster.toml` < `.env` < environment < flags, each setting with its origin.
//!
//! Nothing here reads the environment or the working directory by itself: [`load`] is given its [`Sources`]. An
//! unknown key or a bad value is a [`Problem`] that names the key and its place; nothing is guessed or skipped.
//! Every setting stands in `sections.rs`, once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

mod check;
mod choice;
mod dotenv;
mod environment;
mod familiar;
mod file;
mod hint;
mod layer;
mod network;
mod origin;
mod problem;
mod redis_url;
mod reference;
mod schema;
mod sections;
mod service_account;
mod show;
mod signing_key;
mod value;
mod vapid_key;

#[cfg(test)]
mod tests;

pub(crate) use choice::Publish;
pub use choice::{Database, LogFormat, Role};
pub use layer::{Flag, Origin, Sources};
pub(crate) use network::Network;
pub(crate) use origin::AllowedOrigin;
pub(crate) use problem::Problem;
pub use problem::Problems;
pub use redis_url::RedisUrl;
#[cfg(test)]
pub(crate) use redis_url::redis_url;
pub use reference::reference;
pub(crate) use schema::Section;
pub use sections::{Admin, Auth, Data, Journal, Log, Redis, Rooms, Server, Store};
pub(crate) use sections::{Api, Limits, Namespace, Notifications, Uploads};
pub(crate) use service_account::ServiceAccount;
pub(crate) use show::ShownSetting;
pub use show::template;
pub(crate) use signing_key::SigningKey;
#[cfg(test)]
pub(crate) use signing_key::signing_key;
#[cfg(test)]
pub(crate) use value::ByteSize;
pub use value::Secret;
pub(crate) use value::{Pem, parse_duration};
pub use vapid_key::VapidKey;

/// The secret that signs tokens in development mode when no key is set. Published: it protects nothing.
pub const DEVELOPMENT_SECRET: &str = "kervan-development-secret-not-for-production";

/// Reads a duration as the configuration does: `500ms`, `300s`, `24h`, `0`.
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    value::Value::read(&value::Raw::Text(text.to_owned()))
}

/// The whole configuration, complete and checked. `Config::default()` is what a start without any configuration has:
/// development mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Listeners, start and stop.
    pub server: Server,
    /// Data folder.
    pub data: Data,
    /// Which journal.
    pub journal: Journal,
    /// The operator's API.
    pub admin: Admin,
    /// Tokens.
    pub auth: Auth,
    /// The API of back ends.
    pub api: Api,
    /// Open channel namespaces.
    pub channels: Vec<Namespace>,
    /// Bounds.
    pub limits: Limits,
    /// Rooms.
    pub rooms: Rooms,
    /// Files in chats.
    pub uploads: Uploads,
    /// Telling people of messages.
    pub notifications: Notifications,
    /// Database.
    pub store: Store,
    /// Hints.
    pub redis: Redis,
    /// Logs.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self::bare();
        config.settle(&mut BTreeMap::new());
        config
    }
}

impl Config {
    /// Defaults before anything that depends on the mode is filled in.
    fn bare() -> Self {
        Self {
            server: Server::default(),
            data: Data::default(),
            journal: Journal::default(),
            admin: Admin::default(),
            auth: Auth::default(),
            api: Api::default(),
            channels: Vec::new(),
            limits: Limits::default(),
            rooms: Rooms::default(),
            uploads: Uploads::default(),
            notifications: Notifications::default(),
            store: Store::default(),
            redis: Redis::default(),
            log: Log::default(),
        }
    }

    /// Fills in what depends on the mode and was not set: the development channel and the development secret.
    fn settle(&mut self, origins: &mut BTreeMap<String, Origin>) {
        if self.server.production {
            return;
        }
        if self.channels.is_empty() && !origins.contains_key(Namespace::SCHEMA.name) {
            self.channels.push(Namespace::default());
        }
        if !self.auth.has_key() {
            self.auth.hmac_secret = Some(Secret::new(DEVELOPMENT_SECRET));
            origins.insert("auth.hmac_secret".to_owned(), Origin::Development);
        }
    }

    /// The sections that are there once, in the order of the template. Channels are apart.
    fn sections(&self) -> [&dyn Section; 13] {
        [
            &self.server,
            &self.data,
            &self.journal,
            &self.admin,
            &self.auth,
            &self.api,
            &self.limits,
            &self.rooms,
            &self.uploads,
            &self.notifications,
            &self.store,
            &self.redis,
            &self.log,
        ]
    }

    fn sections_mut(&mut self) -> [&mut dyn Section; 13] {
        [
            &mut self.server,
            &mut self.data,
            &mut self.journal,
            &mut self.admin,
            &mut self.auth,
            &mut self.api,
            &mut self.limits,
            &mut self.rooms,
            &mut self.uploads,
            &mut self.notifications,
            &mut self.store,
            &mut self.redis,
            &mut self.log,
        ]
    }

    /// Whether people may make accounts by themselves: as configured, else in development only.
    #[must_use]
    pub(crate) fn registration(&self) -> bool {
        self.auth.registration.unwrap_or(!self.server.production)
    }

    /// Where files are kept unless it is S3: as configured, else `uploads` in the data folder.
    #[must_use]
    pub fn upload_folder(&self) -> PathBuf {
        self.uploads.path.clone().unwrap_or_else(|| self.data.dir.join("uploads"))
    }

    /// Where rows are kept: as configured, else `kervan.db` in the data folder.
    #[must_use]
    pub fn database(&self) -> Database {
        self.store.database_url.clone().unwrap_or_else(|| Database::Sqlite(self.data.dir.join("kervan.db")))
    }
}

impl Loaded {
    /// For errors about the database: where its address was said, and how to do without it. Empty if nobody said one.
    #[must_use]
    pub fn about_database(&self) -> String {
        self.about("store.database_url", "to keep rows in the data folder")
    }

    /// The same about Kafka's brokers.
    #[must_use]
    pub fn about_brokers(&self) -> String {
        self.about("journal.kafka_brokers", "to keep the journal in the data folder")
    }

    /// The same about Redis.
    #[must_use]
    pub fn about_redis(&self) -> String {
        self.about("redis.url", "to do without")
    }

    fn about(&self, key: &str, without: &str) -> String {
        let Some(origin) = self.origins.get(key) else { return String::new() };
        let way = |way: String| format!("; {without}: {way}");
        format!("{key} is what {origin} says{}", origin.without().map_or(String::new(), way))
    }
}

impl Auth {
    /// Whether there is anything to check tokens with.
    #[must_use]
    pub(crate) fn has_key(&self) -> bool {
        self.hmac_secret.is_some()
            || self.keys_file.is_some()
            || self.rsa_public_key.is_some()
            || self.ecdsa_public_key.is_some()
            || self.ed25519_public_key.is_some()
            || self.jwks_url.is_some()
    }

    /// Whether tokens are signed with the published development secret.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.hmac_secret.as_ref().is_some_and(|secret| secret.expose() == DEVELOPMENT_SECRET)
    }
}

impl Server {
    /// Where the public listener binds.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        let default = if self.production { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        SocketAddr::new(self.host.unwrap_or(IpAddr::V4(default)), self.port)
    }

    /// Where the admin listener binds. Port 0 if the public port is 0; otherwise the public port + 1 by default.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        let next = if self.port == 0 { 0 } else { self.port.saturating_add(1) };
        SocketAddr::new(self.admin_host, self.admin_port.unwrap_or(next))
    }
}

/// A configuration with the origin of each setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where each setting that is not a built-in default came from, by its path (`server.port`).
    pub origins: BTreeMap<String, Origin>,
    /// What works but should be known, for the log at start.
    pub warnings: Vec<String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// A `.env` file with variables of Kervan's, and their names.
    pub from_dotenv: Option<(PathBuf, Vec<String>)>,
}

/// Puts the layers together and checks the result.
///
/// # Errors
/// All problems found, each with its key and place.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let Gathered { loaded, mut misread, contradictions } = gather(sources);
    misread.extend(contradictions);
    Problems::or(misread, loaded)
}

/// As [`load`], for commands that look for a running server or its data folder: what can be read need not be complete. A
/// server's secrets are often in its own environment alone, and these commands need none of them.
///
/// # Errors
/// What can't be read.
pub fn load_to_find(sources: &Sources) -> Result<Loaded, Problems> {
    let Gathered { loaded, misread, .. } = gather(sources);
    Problems::or(misread, loaded)
}

/// What the sources come to.
struct Gathered {
    loaded: Loaded,
    /// What could not be read.
    misread: Vec<Problem>,
    /// What was read and does not go together.
    contradictions: Vec<Problem>,
}

/// All that the sources come to, and all that is wrong with it, in one round.
fn gather(sources: &Sources) -> Gathered {
    let (environment, notes) = environment::read(sources);
    let mut layers = Vec::new();
    layers.extend(sources.file.as_ref().map(|(path, text)| file::read(path, text)));
    layers.push(environment);
    layers.push(layer::from_flags(&sources.flags));

    let mut config = Config::bare();
    let mut origins = BTreeMap::new();
    let mut problems = Vec::new();
    for layer in layers {
        layer.apply(&mut config, &mut origins, &mut problems);
    }
    config.settle(&mut origins);
    let mut contradictions = Vec::new();
    check::check(&config, &origins, &mut contradictions);
    contradictions.retain(|found| !rests_on_a_misread_value(found, &problems));
    let mut warnings = check::warnings(&config);
    warnings.extend(notes.warnings);
    let file = sources.file.as_ref().map(|(path, _)| path.clone());
    let dotenv = sources.dotenv.as_ref().map(|(path, _)| path.clone()).filter(|_| !notes.from_dotenv.is_empty());
    let from_dotenv = dotenv.map(|path| (path, notes.from_dotenv));
    let loaded = Loaded { config, origins, warnings, file, from_dotenv };
    Gathered { loaded, misread: problems, contradictions }
}

/// What was misread may make the rest of its section look wrong, and a key that can't be read makes production look
/// keyless: only the first cause is told.
fn rests_on_a_misread_value(found: &Problem, misread: &[Problem]) -> bool {
    let section = |problem: &Problem| problem.path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let of = section(found);
    misread.iter().map(section).any(|bad| bad == of || (bad == "auth" && found.path == "server.production"))
}
