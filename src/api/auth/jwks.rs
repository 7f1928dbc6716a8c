//! A JSON Web Key Set that is fetched, cached and rotated.
//!
//! One fetch runs at a time, bounded in time and size. It is made when a token names an unknown
//! key, and in the background when the set is old; never twice within [`COOLDOWN_MS`], so that tokens from outside can't
//! drive it. A fetched set replaces the old one whole: a key that is withdrawn falls away. If a fetch fails, the old keys
//! stay.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::TokenError;
use super::keys::{Key, KeyError, KeySet};
use crate::env::Clock;
use crate::http_client;
use crate::ids::{Timestamp, millis};

/// Milliseconds between two fetches at least.
pub(super) const COOLDOWN_MS: u64 = 10_000;
/// Time for a fetch, all in all.
const FETCH_TIME: Duration = Duration::from_secs(5);
/// Bytes of a set.
const SET_BYTES: usize = 256 * 1024;

pub(super) struct Jwks {
    url: String,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    refresh_ms: u64,
    state: RwLock<State>,
    /// Held during a fetch.
    fetching: Arc<Mutex<()>>,
}

#[derive(Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    /// Fetches made so far.
    tries: u64,
    /// Whether the last one failed.
    failed: bool,
}

impl Jwks {
    pub(super) fn new(url: &str, refresh: Duration, clock: Arc<dyn Clock>) -> Result<Arc<Self>, KeyError> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            let reason = "not an address that starts with http:// or https://".to_owned();
            return Err(KeyError::Url { reason });
        }
        // A redirect would choose whose tokens are good: the client follows none.
        let client = http_client::client(|client| client.timeout(FETCH_TIME))
            .map_err(|error| KeyError::Url { reason: error.to_string() })?;
        Ok(Arc::new(Self {
            url: url.to_owned(),
            client,
            clock,
            refresh_ms: millis(refresh),
            state: RwLock::default(),
            fetching: Arc::default(),
        }))
    }

    /// The key with this `kid` for this algorithm; fetches the set if it has none.
    pub(super) async fn key(self: &Arc<Self>, kid: &str, algorithm: Algorithm) -> Result<Arc<Key>, TokenError> {
        let seen = self.state();
        if let Some(key) = seen.keys.find(kid, algorithm) {
            self.refresh_if_old(&seen);
            return Ok(key);
        }
        let fresh = self.refresh(seen.tries).await;
        let state = self.state();
        match state.keys.find(kid, algorithm) {
            Some(key) => Ok(key),
            None if fresh && !state.failed => Err(TokenError::UnknownKey),
            // Perhaps a key that is newer than the set: its owner must be able to come back.
            None => Err(TokenError::KeysUnavailable),
        }
    }

    /// Makes a fetch, or waits for one under way. `seen` is the number of fetches that the caller knows of. Returns
    /// whether one was made since; not if the last one was a moment ago.
    async fn refresh(self: &Arc<Self>, seen: u64) -> bool {
        let guard = self.fetching.clone().lock_owned().await;
        let state = self.state();
        if state.tries != seen {
            return true;
        }
        if self.cools_down(&state) {
            return false;
        }
        // A task of its own: it goes on if the connection that asked for it goes away.
        tokio::spawn(self.clone().fetch(guard)).await.is_ok()
    }

    /// Starts a fetch in the background if the set is old and none is under way.
    fn refresh_if_old(self: &Arc<Self>, state: &State) {
        let now = self.clock.now();
        if state.fetched_at.is_some_and(|at| now.since(at) < self.refresh_ms) || self.cools_down(state) {
            return;
        }
        if let Ok(guard) = self.fetching.clone().try_lock_owned() {
            tokio::spawn(self.clone().fetch(guard));
        }
    }

    fn cools_down(&self, state: &State) -> bool {
        let now = self.clock.now();
        // A clock that was set back must not hold fetches up for long.
        state.tried_at.is_some_and(|at| now >= at && now.since(at) < COOLDOWN_MS)
    }

    async fn fetch(self: Arc<Self>, guard: OwnedMutexGuard<()>) {
        let fetched = fetch(&self.client, &self.url).await;
        let now = self.clock.now();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.tries += 1;
        state.tried_at = Some(now);
        state.failed = true;
        match fetched {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "key set fetched");
                state.keys = Arc::new(keys);
                state.fetched_at = Some(now);
                state.failed = false;
            }
            Err(error) => tracing::warn!(%error, "key set not fetched; the keys of before stay"),
        }
        drop(state);
        drop(guard);
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{}", http_client::reason(.0))]
    Http(#[from] reqwest::Error),
    #[error("the server answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the key set is longer than {SET_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Keys(#[from] KeyError),
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<KeySet, FetchError> {
    let mut response = client.get(url).header("accept", "application/json").send().await?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > SET_BYTES {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(KeySet::parse(&body)?)
}
