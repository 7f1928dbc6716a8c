//! The checks of a token from its bytes to what it grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use uuid::Uuid;

use super::AuthOptions;
use super::claims::Claims;
use super::error::TokenError;
use super::jwks::Jwks;
use super::keyring::Keyring;
use super::keys::{Key, KeyError, configured};
use super::refusals::Refusals;
use super::revoked::Revoked;
use crate::api::protocol::shape::Object;
use crate::env::Clock;
use crate::ids::{Timestamp, UserId};
use crate::limits;

/// Checks tokens. One for a server, shared.
pub struct Verifier {
    options: AuthOptions,
    keys: Vec<Key>,
    jwks: Option<Arc<Jwks>>,
    keyring: Arc<Keyring>,
    revoked: Arc<Revoked>,
    refusals: Refusals,
    explains: bool,
    clock: Arc<dyn Clock>,
}

/// What a connection token says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifiedToken {
    /// The user; none for an anonymous one.
    pub user: Option<UserId>,
    /// When the connection expires.
    pub expires_at: Option<Timestamp>,
    /// The user's `info`, JSON text.
    pub info: Option<Bytes>,
    /// Channels to subscribe the connection to (`channels`, `subs`), at most [`limits::SESSION_SUBSCRIPTIONS`].
    pub subs: BTreeMap<String, TokenSub>,
    /// The sign-in that the token belongs to; of Kervan's own tokens only.
    pub sign_in: Option<Uuid>,
    /// When the token was made, if it says so.
    pub issued_at: Option<Timestamp>,
}

/// What a token says of a subscription.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenSub {
    /// The `info` for the channel, JSON text.
    pub info: Option<Bytes>,
    /// For the client's program, JSON text or nothing.
    pub data: Bytes,
}

/// What a subscription token grants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grant {
    /// When the subscription expires.
    pub expires_at: Option<Timestamp>,
    /// What it is to be like.
    pub sub: TokenSub,
}

impl Verifier {
    /// Reads the configured keys. Fetches nothing yet.
    ///
    /// # Errors
    /// A key or an address that can't be used.
    pub fn new(options: AuthOptions, clock: Arc<dyn Clock>) -> Result<Self, KeyError> {
        let keys = configured(&options)?;
        let jwks = match options.jwks_url.as_deref() {
            Some(url) => Some(Jwks::new(url, options.jwks_refresh, clock.clone())?),
            None => None,
        };
        let (keyring, revoked, refusals) = Default::default();
        Ok(Self { options, keys, jwks, keyring, revoked, refusals, explains: false, clock })
    }

    /// Tells senders, too, why their tokens are refused: for development, where the sender is whoever runs the server.
    #[must_use]
    pub(crate) fn explaining(self, explains: bool) -> Self {
        Self { explains, ..self }
    }

    /// Whether senders are told why.
    #[must_use]
    pub fn explains(&self) -> bool {
        self.explains
    }

    /// Takes tokens of the ring's keys, too, and refuses what is taken back.
    #[must_use]
    pub fn with(self, keyring: Arc<Keyring>, revoked: Arc<Revoked>) -> Self {
        Self { keyring, revoked, ..self }
    }

    /// Checks the token of `connect` or `refresh`. The empty token is an anonymous user where that is allowed.
    ///
    /// Waits only if the key set must be fetched, which is bounded in time. Must run on a tokio runtime.
    ///
    /// # Errors
    /// See [`TokenError::on_connect`] and [`TokenError::on_refresh`].
    pub async fn connection(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        let judged = self.judge_connection(token).await;
        match &judged {
            Err(error) => self.refusals.note(*error, &*self.clock),
            Ok(VerifiedToken { user: None, .. }) if !token.is_empty() => self.refusals.note_without_user(&*self.clock),
            Ok(_) => {}
        }
        judged
    }

    async fn judge_connection(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        if token.is_empty() {
            return if self.options.anonymous { Ok(VerifiedToken::default()) } else { Err(TokenError::Missing) };
        }
        let claims = self.claims(token).await?;
        // A subscription token is handed out more freely: it must not open a connection.
        if claims.channel().is_some() {
            return Err(TokenError::WrongKind);
        }
        let (user, expires_at, info) = (claims.user()?, claims.expires_at(), claims.said()?.info);
        let (sign_in, issued_at) = (claims.sid, claims.iat);
        if user.as_ref().is_some_and(|user| self.is_revoked(user, sign_in, issued_at)) {
            return Err(TokenError::Revoked);
        }
        Ok(VerifiedToken { user, expires_at, info, subs: claims.subs()?, sign_in, issued_at })
    }

    /// Whether a token that was good is not any more.
    #[must_use]
    pub(crate) fn is_revoked(&self, user: &UserId, sign_in: Option<Uuid>, issued_at: Option<Timestamp>) -> bool {
        self.revoked.refuses(user, sign_in, issued_at)
    }

    /// Checks the token of `subscribe` or `sub_refresh` for this channel. `user` is the connection's, none for an
    /// anonymous one; the token's must be the same. Waits as [`Verifier::connection`] does.
    ///
    /// # Errors
    /// See [`TokenError::on_subscribe`] and [`TokenError::on_sub_refresh`].
    pub async fn subscription(&self, token: &str, channel: &str, user: Option<&UserId>) -> Result<Grant, TokenError> {
        let judged = self.judge_subscription(token, channel, user).await;
        if let Err(error) = judged {
            self.refusals.note(error, &*self.clock);
        }
        judged
    }

    async fn judge_subscription(&self, token: &str, channel: &str, user: Option<&UserId>) -> Result<Grant, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        let claims = self.claims(token).await?;
        match claims.channel() {
            None => return Err(TokenError::WrongKind),
            Some(named) if named != channel => return Err(TokenError::OtherChannel),
            Some(_) => {}
        }
        if claims.user()?.as_ref() != user {
            return Err(TokenError::OtherUser);
        }
        Ok(Grant { expires_at: claims.expires_at(), sub: claims.said()? })
    }

    /// Checks size, key, signature, audience, issuer and times.
    async fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > limits::TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|error| header_error(error.kind()))?;
        // RFC 7515 section 4.1.11: what is critical and not understood makes the token invalid.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        // The set goes first: its keys have names, and a token that names one means it.
        let from_set = self.jwks_key(header.kid.as_deref(), header.alg).await;
        let of_ring = header.kid.as_deref().and_then(|kid| self.keyring.verifying(kid, header.alg));
        let claims = match (of_ring.map(Ok).or(from_set), self.configured_key(header.alg)) {
            (Some(Ok(key)), _) => signed(token, &key)?,
            (_, Some(key)) => signed(token, key)?,
            (Some(Err(error)), None) => return Err(error),
            (None, None) => return Err(TokenError::Algorithm),
        };
        claims.check(&self.options, self.clock.now())?;
        Ok(claims)
    }

    fn configured_key(&self, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().find(|key| key.algorithm == algorithm)
    }

    /// The key of the set, if there is a set and the token names a key of a kind that a set may hold.
    async fn jwks_key(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Result<Arc<Key>, TokenError>> {
        let jwks = self.jwks.as_ref()?;
        if !matches!(algorithm, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
            return None;
        }
        match kid {
            Some(kid) => Some(jwks.key(kid, algorithm).await),
            None => Some(Err(TokenError::UnknownKey)),
        }
    }
}

/// Checks the signature and reads the claims. The times and names are checked by [`Claims::check`], with our own clock.
fn signed(token: &str, key: &Key) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    match decode::<Object<Claims>>(token, &key.decoding, &validation) {
        Ok(token) => Ok(token.claims.0),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
            _ => TokenError::Malformed,
        }),
    }
}

fn header_error(kind: &ErrorKind) -> TokenError {
    match kind {
        // `none`, or another name that is no algorithm.
        ErrorKind::Json(error) if error.to_string().starts_with("unknown variant") => TokenError::Algorithm,
        ErrorKind::InvalidAlgorithmName | ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}
