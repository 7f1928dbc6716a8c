//! The claims in a token, and the checks of them that need no key.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::AuthOptions;
use super::error::TokenError;
use crate::api::protocol::payload::depth_within;
use crate::ids::{Timestamp, UserId};
use crate::limits;

/// What is read of a token's payload. Other claims (`jti`, `meta`, …) are skipped.
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: Option<String>,
    #[serde(default, deserialize_with = "numeric_date")]
    exp: Option<Timestamp>,
    #[serde(default, deserialize_with = "numeric_date")]
    nbf: Option<Timestamp>,
    aud: Option<Audience>,
    iss: Option<String>,
    /// When the connection or subscription expires, if not with the token; 0 for never.
    #[serde(default, deserialize_with = "numeric_date")]
    expire_at: Option<Timestamp>,
    info: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "numeric_date")]
    pub(super) iat: Option<Timestamp>,
    /// The sign-in that the token belongs to; of Kervan's own tokens only.
    pub(super) sid: Option<uuid::Uuid>,
    pub(super) channel: Option<String>,
    #[serde(default)]
    pub(super) channels: Vec<String>,
}

/// One audience or many.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Checks audience and issuer, then the times, so that a token for somebody else is never called merely expired.
    pub(super) fn check(&self, options: &AuthOptions, now: Timestamp) -> Result<(), TokenError> {
        if let Some(wanted) = &options.audience {
            let here = match &self.aud {
                Some(Audience::One(audience)) => audience == wanted,
                Some(Audience::Many(all)) => all.contains(wanted),
                None => false,
            };
            if !here {
                return Err(TokenError::Audience);
            }
        }
        if options.issuer.is_some() && self.iss != options.issuer {
            return Err(TokenError::Issuer);
        }
        let leeway = u64::try_from(options.leeway.as_millis()).unwrap_or(u64::MAX);
        if self.nbf.is_some_and(|nbf| nbf.0 > now.0.saturating_add(leeway)) {
            return Err(TokenError::NotYetValid);
        }
        if self.exp.is_some_and(|exp| now.0 >= exp.0.saturating_add(leeway)) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    /// The user; none if `sub` is absent or empty.
    pub(super) fn user(&self) -> Result<Option<UserId>, TokenError> {
        let Some(sub) = self.sub.as_deref().filter(|sub| !sub.is_empty()) else { return Ok(None) };
        let user = UserId::new(sub).map_err(|_| TokenError::Subject)?;
        // Those ids are given to anonymous connections: a token must not take one over.
        if user.is_anonymous() { Err(TokenError::Subject) } else { Ok(Some(user)) }
    }

    /// When what the token grants is over.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match self.expire_at {
            Some(Timestamp::ZERO) => None,
            Some(at) => Some(at),
            None => self.exp,
        }
    }

    /// The `info` for presence and publications: JSON of bounded depth. `null` is none.
    pub(super) fn info(&self) -> Result<Option<Bytes>, TokenError> {
        let Some(info) = &self.info else { return Ok(None) };
        let text = info.get();
        if !depth_within(text.as_bytes(), limits::JSON_DEPTH) {
            return Err(TokenError::Malformed);
        }
        Ok(Some(Bytes::copy_from_slice(text.as_bytes())))
    }
}

/// Seconds since the Unix epoch, perhaps with a fraction (RFC 7519, NumericDate). Anything else is an error: a date that
/// can't be read must not count as absent.
fn numeric_date<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(d)? else { return Ok(None) };
    if let Some(seconds) = number.as_u64() {
        return Ok(Some(Timestamp(seconds.saturating_mul(1000))));
    }
    let seconds = number.as_f64().filter(|s| s.is_finite()).ok_or_else(|| D::Error::custom("not a date"))?;
    // Before the epoch is long ago; the cast saturates at both ends.
    Ok(Some(Timestamp((seconds * 1000.0) as u64)))
}
