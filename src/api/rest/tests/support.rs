//! A whole engine behind a real listener, and a client of another implementation.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::api::auth::{TokenRequest, issue_token};
use crate::api::http::{self, Listener, Options};
use crate::config::{Config, Secret};
use crate::env::{Env, SystemClock};
use crate::health::Health;
use crate::ids::UserId;
use crate::metrics::Metrics;
use crate::server::{Deps, Engine};
use crate::shutdown::Shutdown;

/// The secret of the tests' tokens.
pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";

/// The key of the tests' back end.
pub(crate) const KEY: &str = "a key of a back end, long enough too";

/// See the module.
pub(crate) struct Rig {
    pub address: SocketAddr,
    pub engine: Option<Engine>,
    pub dir: Arc<TempDir>,
    pub metrics: Arc<Metrics>,
    shutdown: Shutdown,
    stop: Shutdown,
    served: JoinHandle<()>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    /// The same as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The status, and the word of its error (or nothing).
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// With whatever `change` changes.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    async fn at(dir: Arc<TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.data.dir = dir.path().to_owned();
        config.auth.hmac_secret = Some(Secret::new(SECRET));
        config.api.key = Some(Secret::new(KEY));
        (config.limits.changes_per_minute, config.limits.questions_per_minute) = (0, 0);
        change(&mut config);
        let (config, shutdown, metrics) = (Arc::new(config), Shutdown::new(), Arc::new(Metrics::new()));
        let health = Health::new(shutdown.clone());
        let deps = Deps {
            config: Arc::clone(&config),
            env: Env::system(),
            health: health.clone(),
            metrics: Arc::clone(&metrics),
            shutdown: shutdown.clone(),
        };
        let engine = Engine::start(deps).await.unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.address(), Shutdown::new());
        let router = http::public(health, Arc::clone(&metrics)).merge(engine.routes());
        let served =
            tokio::spawn(listener.serve(router, Options::public(&config.limits), Arc::clone(&metrics), stop.clone()));
        Self { address, engine: Some(engine), dir, metrics, shutdown, stop, served }
    }

    /// Drains it and starts it again over the same folder.
    pub(crate) async fn restart(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.shutdown.begin();
        self.shutdown.all_gone().await;
        self.stop.begin();
        self.engine.take().unwrap().drain().await.unwrap();
        self.served.await.unwrap();
        Self::at(self.dir, change).await
    }

    /// A token of this user.
    pub(crate) fn token(&self, user: &str) -> String {
        let user = UserId::new(user).unwrap();
        let request = TokenRequest { user: Some(&user), ..TokenRequest::default() };
        issue_token(&Secret::new(SECRET), &request, &SystemClock::default()).unwrap()
    }

    /// A request with this user's token.
    pub(crate) async fn call(&self, user: &str, method: &str, path: &str, body: Value) -> Answer {
        let token = format!("Bearer {}", self.token(user));
        self.send(method, path, &[("authorization", &token)], body).await
    }

    /// A call of a back end; its result, or its error.
    pub(crate) async fn back_end(&self, method: &str, body: Value) -> Result<Value, u64> {
        let answer = self.send("POST", &format!("/api/{method}"), &[("x-api-key", KEY)], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        match answer.body.get("error") {
            None => Ok(answer.body["result"].clone()),
            Some(error) => Err(error["code"].as_u64().unwrap()),
        }
    }

    /// A request with these headers; `null` is no body.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.raw(method, path, &all, text.into_bytes()).await
    }

    /// A request as it is.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let client = crate::http_client::client(|client| client.no_proxy()).unwrap();
        let mut request = client.request(method.parse().unwrap(), format!("http://{}{path}", self.address)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap().to_vec();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Answer { status, headers, body, bytes }
    }
}
