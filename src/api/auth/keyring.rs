//! Kervan's own signing keys, by `kid`, from a file that is read again when it changes: so keys are rotated without a
//! restart. Put a new key at the end: it signs from then on. Take an old one away when its last token is over.
//!
//! ```toml
//! [[keys]]
//! kid = "2026-11"
//! secret = "at least 32 bytes of chance"
//! ```

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::issue::{IssueError, TokenRequest, sign};
use super::keys::Key;
use crate::config::Secret;
use crate::env::Clock;

/// See the module.
#[derive(Default)]
pub struct Keyring {
    file: Option<PathBuf>,
    /// What signs if there is no file.
    fallback: Option<Secret>,
    seen: Mutex<Option<(SystemTime, u64)>>,
    keys: RwLock<Vec<Named>>,
}

struct Named {
    kid: String,
    secret: Secret,
    key: Arc<Key>,
}

/// Why a file of keys is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It can't be read.
    #[error("auth.keys_file {0}: {1}")]
    Unreadable(String, String),
    /// Anybody may write it.
    #[error("auth.keys_file {0}: everybody on this machine may write it, and so be anybody: chmod o-w")]
    Writable(String),
    /// It is not what it must be. The text quotes no secret.
    #[error("auth.keys_file {0}: {1}")]
    Malformed(String, &'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kid: String,
    secret: String,
}

impl Keyring {
    /// The keys of `file`; without one `fallback` signs.
    ///
    /// # Errors
    /// The file is not good.
    pub fn open(file: Option<&Path>, fallback: Option<Secret>) -> Result<Self, KeyringError> {
        let ring = Self { file: file.map(Path::to_owned), fallback, ..Self::default() };
        ring.refresh()?;
        Ok(ring)
    }

    /// Reads the file again if it has changed. Says whether it had.
    ///
    /// # Errors
    /// It is not good: the keys stay as they were.
    pub(crate) fn refresh(&self) -> Result<bool, KeyringError> {
        let Some(file) = &self.file else { return Ok(false) };
        let name = || file.display().to_string();
        let unreadable = |error: std::io::Error| KeyringError::Unreadable(name(), error.to_string());
        let facts = std::fs::metadata(file).map_err(unreadable)?;
        let mode = facts.permissions().mode();
        if mode & 0o002 != 0 {
            return Err(KeyringError::Writable(name()));
        }
        let stamp = Some((facts.modified().map_err(unreadable)?, facts.len()));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamp {
            return Ok(false);
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        if mode & 0o004 != 0 {
            tracing::warn!(file = %name(), "everybody on this machine may read the signing keys: chmod o-r");
        }
        let keys = parse(&text).map_err(|why| KeyringError::Malformed(name(), why))?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        *seen = stamp;
        Ok(true)
    }

    /// Whether there is a key that signs.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.fallback.is_some() || !self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Signs a token with the newest key. `None` if there is none.
    pub(in crate::api) fn sign(
        &self,
        request: &TokenRequest<'_>,
        clock: &dyn Clock,
    ) -> Option<Result<String, IssueError>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match (keys.last(), &self.fallback) {
            (Some(newest), _) => Some(sign(&newest.secret, Some(newest.kid.clone()), request, clock)),
            (None, Some(secret)) => Some(sign(secret, None, request, clock)),
            (None, None) => None,
        }
    }

    /// The key of this name, if tokens of this algorithm are its matter.
    pub(super) fn verifying(&self, kid: &str, algorithm: Algorithm) -> Option<Arc<Key>> {
        if algorithm != Algorithm::HS256 {
            return None;
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|named| named.kid == kid).map(|named| Arc::clone(&named.key))
    }
}

fn parse(text: &str) -> Result<Vec<Named>, &'static str> {
    // The parser's own words would quote the file.
    let file: File = toml::from_str(text).map_err(|_| "expected [[keys]] with kid and secret")?;
    let mut keys: Vec<Named> = Vec::new();
    for Entry { kid, secret } in file.keys {
        if kid.is_empty() || keys.iter().any(|other| other.kid == kid) {
            return Err("each key needs a kid of its own");
        }
        let secret = Secret::new(secret);
        if secret.is_short() {
            return Err("a secret needs at least 32 bytes");
        }
        let decoding = DecodingKey::from_secret(secret.expose().as_bytes());
        let key = Arc::new(Key { algorithm: Algorithm::HS256, decoding });
        keys.push(Named { kid, secret, key });
    }
    if keys.is_empty() { Err("there is no key in it") } else { Ok(keys) }
}
