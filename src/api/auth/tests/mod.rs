//! Tests of token checks. All keys are made here, none is anybody's.

mod jwks;
mod keys;
mod token;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::env::ManualClock;
use crate::ids::Timestamp;
use keys::Pair;

/// The time at which all tests start, in seconds.
const NOW: u64 = 1_700_000_000;

const SECRET: &str = "a secret of the tests, long enough for HS256";

/// A verifier with its clock.
struct Bench {
    verifier: Verifier,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new(options: AuthOptions) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(NOW * 1000)));
        Self { verifier: Verifier::new(options, clock.clone()).unwrap(), clock }
    }

    async fn connection(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        self.verifier.connection(token).await
    }
}

/// Options with the secret alone.
fn secret() -> AuthOptions {
    AuthOptions { hmac_secret: Some(Secret::new(SECRET)), ..AuthOptions::default() }
}

/// Options with a key of every kind.
fn all_keys() -> AuthOptions {
    AuthOptions {
        rsa_public_key: Some(Pair::rsa().public_pem.clone()),
        ecdsa_public_key: Some(Pair::ec().public_pem.clone()),
        ed25519_public_key: Some(Pair::ed().public_pem.clone()),
        ..secret()
    }
}

/// A token signed with HS256 and the tests' secret.
fn hs256(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// The usual claims: alice, an hour to go.
fn alice() -> Value {
    json!({"sub": "alice", "exp": NOW + 3600})
}
