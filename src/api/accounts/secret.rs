//! The secret in a refresh token: random at first, and each next one made from the one that was shown, so that two who show the
//! same one get the same next one. It carries a mark that only the server can make, so that a secret that once counted can be
//! told from one that somebody has made up: the first is a theft, the second is nothing.
//!
//! Only hashes of it are kept; what is here must never reach a log.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::storage::accounts::SecretHash;

/// Characters of the mark: 128 bits.
const MARK: usize = 32;

/// The first one of a sign-in: 244 bits of the operating system's chance.
pub(super) fn first(salt: &[u8; 16]) -> String {
    marked(salt, format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
}

/// What a secret is exchanged for: the same each time it is shown, and not to be guessed from it.
pub(super) fn next(salt: &[u8; 16], shown: &str) -> String {
    marked(salt, digest("kervan refresh", salt, shown))
}

/// Whether this was made here, for the sign-in with this salt.
pub(super) fn is_ours(salt: &[u8; 16], shown: &str) -> bool {
    let Some((body, _)) = shown.len().checked_sub(MARK).and_then(|at| shown.split_at_checked(at)) else { return false };
    crate::config::Secret::new(marked(salt, body.to_owned())).is(shown)
}

/// What is kept of it.
pub(super) fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

fn marked(salt: &[u8; 16], mut body: String) -> String {
    let mark = digest("kervan refresh mark", salt, &body);
    body.extend(mark.chars().take(MARK));
    body
}

fn digest(purpose: &str, salt: &[u8; 16], text: &str) -> String {
    let digest = Sha256::new().chain_update(purpose).chain_update(salt).chain_update(text).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_here_is_known_again_and_nothing_else_is() {
        let salt = [7; 16];
        let mut secret = first(&salt);
        for _ in 0..5 {
            assert!(is_ours(&salt, &secret));
            assert!(!is_ours(&[8; 16], &secret), "of another sign-in");
            let mut other = secret.clone();
            other.replace_range(..1, if other.starts_with('0') { "1" } else { "0" });
            assert!(!is_ours(&salt, &other), "changed");
            assert_eq!(next(&salt, &secret), next(&salt, &secret));
            secret = next(&salt, &secret);
        }
        for made_up in ["", "00", "é", &"0".repeat(96), &"ä".repeat(48)] {
            assert!(!is_ours(&salt, made_up), "{made_up}");
        }
    }
}
