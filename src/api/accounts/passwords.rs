//! Hashes of passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes), each some ten milliseconds
//! of a core. So at most one for each core runs at a time, and only so many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::config::Secret;

/// Hashes that may wait: above it a few seconds would go by.
const WAITING: usize = 64;

/// See the module.
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait.
    #[error("too many wait")]
    Busy,
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

/// One fewer waits, however the waiting ends.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Passwords {
    /// As many at a time as there are cores.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { running: Arc::new(Semaphore::new(cores)), waiting: AtomicUsize::new(0) }
    }

    /// The hash of a password, in the PHC format.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        self.run(move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
        })
        .await
    }

    /// Whether a password is that of the hash. Without a hash the answer is no, and takes as long.
    pub(super) async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, HashError> {
        self.run(move || {
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
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, HashError> {
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waits = Waits(&self.waiting);
        if before >= WAITING {
            return Err(HashError::Busy);
        }
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| HashError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(|panic| HashError::Failed(panic.to_string()))?.map_err(HashError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let passwords = Passwords::new();
        let hash = passwords.hash(Secret::new("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(Secret::new("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(Secret::new("battery staple"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(Secret::new("correct horse"), None).await.unwrap());
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::new();
        passwords.waiting.store(WAITING, Ordering::Release);
        assert!(matches!(passwords.hash(Secret::new("x")).await, Err(HashError::Busy)));
        assert_eq!(passwords.waiting.load(Ordering::Acquire), WAITING, "who is refused waits no more");
    }
}
