//! Making of tokens, for `kervan token` and for tests. In production the application's backend makes them.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use uuid::Uuid;

use crate::config::Secret;
use crate::env::Clock;
use crate::ids::UserId;

/// What a token shall say. `Default` is a connection token of an anonymous user that never expires.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenRequest<'a> {
    /// `sub`.
    pub user: Option<&'a UserId>,
    /// `channel`: makes it a subscription token.
    pub channel: Option<&'a str>,
    /// Time until `exp`, whole seconds.
    pub ttl: Option<Duration>,
    /// `aud`, if the server checks it.
    pub audience: Option<&'a str>,
    /// `iss`, if the server checks it.
    pub issuer: Option<&'a str>,
    /// `sid`: the sign-in that it belongs to.
    pub sign_in: Option<Uuid>,
}

/// The token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("token not signed: {0}")]
pub struct IssueError(#[from] jsonwebtoken::errors::Error);

#[derive(Serialize)]
struct NewClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
}

/// Makes a token signed with HS256.
///
/// # Errors
/// The signature could not be made.
pub fn issue_token(secret: &Secret, request: &TokenRequest<'_>, clock: &dyn Clock) -> Result<String, IssueError> {
    sign(secret, None, request, clock)
}

/// The same, and the header names the key.
pub(super) fn sign(
    secret: &Secret,
    kid: Option<String>,
    request: &TokenRequest<'_>,
    clock: &dyn Clock,
) -> Result<String, IssueError> {
    let iat = clock.now().0 / 1000;
    let claims = NewClaims {
        sub: request.user.map(UserId::as_str),
        channel: request.channel,
        exp: request.ttl.map(|ttl| iat.saturating_add(ttl.as_secs())),
        iat,
        aud: request.audience,
        iss: request.issuer,
        sid: request.sign_in,
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    let header = Header { kid, ..Header::new(Algorithm::HS256) };
    Ok(encode(&header, &claims, &key)?)
}
