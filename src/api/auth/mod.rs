//! Who somebody is: checks of connection and subscription tokens.
//!
//! A token is a JWT signed with HS256, RS256, ES256 or EdDSA. The algorithm is bound to the key: an RSA key verifies
//! RS256 only, the secret verifies HS256 only, and a token's header never chooses more than which of the configured keys
//! is tried. Keys come from the configuration, or from a JSON Web Key Set that is fetched, cached and rotated.
//!
//! Rules: a token that is given is always checked, needed or not. A token without `sub` is an anonymous user. `exp`,
//! `expire_at` and `nbf` are checked if they are there, with the leeway for other clocks; `aud` and `iss` are checked, and required, if configured.
//!
//! Nothing here knows a room or a socket. Neither tokens nor secrets ever reach a log, an error or a `Debug`.

mod claims;
mod error;
mod issue;
mod jwks;
mod keyring;
mod keys;
mod refusals;
mod revoked;
mod verify;

use std::time::Duration;

pub use error::TokenError;
pub(crate) use error::TokenOutcome;
pub use issue::{TokenRequest, issue_token};
pub use keyring::Keyring;
pub use revoked::Revoked;
pub use verify::Verifier;
pub(crate) use verify::{Grant, TokenSub, VerifiedToken};

use crate::config::{self, Secret};

/// What the checks need to know; from the `[auth]` section of the configuration.
#[derive(Clone, Debug, Default)]
pub struct AuthOptions {
    /// Whether a connection without a token is let in.
    pub anonymous: bool,
    /// The secret of HS256 tokens.
    pub hmac_secret: Option<Secret>,
    /// The public key of RS256 tokens, PEM, at least 2048 bits.
    pub(crate) rsa_public_key: Option<String>,
    /// The public key of ES256 tokens, PEM, on the curve P-256.
    pub(crate) ecdsa_public_key: Option<String>,
    /// The public key of EdDSA tokens, PEM, Ed25519.
    pub(crate) ed25519_public_key: Option<String>,
    /// Address of a JSON Web Key Set, `http` or `https`.
    pub(crate) jwks_url: Option<String>,
    /// The age at which the set is fetched again; while that fails, the old keys stay.
    pub(crate) jwks_refresh: Duration,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// How far other clocks may be off when `exp`, `expire_at` and `nbf` are checked.
    pub(crate) leeway: Duration,
}

impl From<&config::Auth> for AuthOptions {
    fn from(auth: &config::Auth) -> Self {
        let pem = |key: &Option<config::Pem>| key.as_ref().map(|pem| pem.text.clone());
        Self {
            anonymous: auth.anonymous,
            hmac_secret: auth.hmac_secret.clone(),
            rsa_public_key: pem(&auth.rsa_public_key),
            ecdsa_public_key: pem(&auth.ecdsa_public_key),
            ed25519_public_key: pem(&auth.ed25519_public_key),
            jwks_url: auth.jwks_url.clone(),
            jwks_refresh: auth.jwks_refresh,
            audience: auth.audience.clone(),
            issuer: auth.issuer.clone(),
            leeway: auth.leeway,
        }
    }
}

#[cfg(test)]
mod tests;
