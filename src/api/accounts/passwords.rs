//! Hashes of passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes), each some ten milliseconds
//! of a core. So at most one for each core runs at a time, and only so many wait. Sites take turns: each has one that runs or is
//! next, so that an address that sends a thousand waits for itself, and others wait for one of those.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::api::http::site;
use crate::config::Secret;
use crate::limits::{HASHES_OF_SITE, HASHING_SITES};

/// See the module.
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    lines: Mutex<HashMap<IpAddr, Line>>,
}

/// Those of one site.
struct Line {
    turn: Arc<Semaphore>,
    waiting: usize,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Too many wait.
    #[error("too many wait")]
    Busy,
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

/// One fewer waits, however the waiting ends.
struct Waits<'a>(&'a Passwords, IpAddr);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut lines = self.0.lines();
        if let Some(line) = lines.get_mut(&self.1) {
            line.waiting -= 1;
            if line.waiting == 0 {
                lines.remove(&self.1);
            }
        }
    }
}

impl Passwords {
    /// As many at a time as there are cores.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { running: Arc::new(Semaphore::new(cores)), lines: Mutex::default() }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<IpAddr, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the line of this network's site.
    fn enter(&self, network: IpAddr) -> Result<(Arc<Semaphore>, Waits<'_>), HashError> {
        let network = site(network);
        let mut lines = self.lines();
        let others = lines.len();
        if others >= HASHING_SITES && !lines.contains_key(&network) {
            return Err(HashError::Busy);
        }
        let line = lines.entry(network).or_insert_with(|| Line { turn: Arc::new(Semaphore::new(1)), waiting: 0 });
        if line.waiting >= HASHES_OF_SITE {
            return Err(HashError::Busy);
        }
        line.waiting += 1;
        Ok((Arc::clone(&line.turn), Waits(self, network)))
    }

    /// The hash of a password that came from this network, in the PHC format.
    pub(super) async fn hash(&self, network: IpAddr, password: Secret) -> Result<String, HashError> {
        self.run(network, move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
        })
        .await
    }

    /// Whether a password is that of the hash. Without a hash the answer is no, and takes as long.
    pub(super) async fn verify(
        &self,
        network: IpAddr,
        password: Secret,
        hash: Option<String>,
    ) -> Result<bool, HashError> {
        self.run(network, move || {
            let Some(hash) = hash else {
                let spent = Argon2::default().hash_password(password.expose().as_bytes());
                return spent.map(|_| false).map_err(|error| error.to_string());
            };
            match Argon2::default().verify_password(password.expose().as_bytes(), hash.as_str()) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        network: IpAddr,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, HashError> {
        let (turn, _waits) = self.enter(network)?;
        let turn = turn.acquire_owned().await.map_err(|_| HashError::Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| HashError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((permit, turn));
            done
        });
        done.await.map_err(|panic| HashError::Failed(panic.to_string()))?.map_err(HashError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: usize) -> IpAddr {
        std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into()
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let (passwords, here) = (Passwords::new(), network(1));
        let hash = passwords.hash(here, Secret::new("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(here, Secret::new("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(here, Secret::new("battery staple"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(here, Secret::new("correct horse"), None).await.unwrap());
        assert!(passwords.lines().is_empty(), "nobody waits, nothing is kept");
    }

    #[tokio::test]
    async fn a_site_that_fills_its_line_keeps_nobody_else_out() {
        let passwords = Passwords::new();
        let mut waits: Vec<_> = (0..HASHES_OF_SITE).map(|_| passwords.enter(network(1)).unwrap()).collect();
        assert!(matches!(passwords.enter(network(1)), Err(HashError::Busy)));
        assert!(passwords.hash(network(2), Secret::new("x")).await.is_ok(), "another one has its turn");
        let customer = |n: u128| IpAddr::from(std::net::Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + (n << 64)));
        let _networks: Vec<_> = (0..HASHES_OF_SITE).map(|n| passwords.enter(customer(n as u128)).unwrap()).collect();
        assert!(passwords.enter(customer(999)).is_err(), "the networks of one site are one");
        waits.pop();
        assert!(passwords.enter(network(1)).is_ok());
        let _many: Vec<_> = (3..=HASHING_SITES).map(|n| passwords.enter(network(n)).unwrap()).collect();
        assert!(matches!(passwords.enter(network(0)), Err(HashError::Busy)), "there is a bound for all");
    }
}
