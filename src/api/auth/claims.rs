//! The claims in a token, and the checks of them that need no key.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::AuthOptions;
use super::error::TokenError;
use super::verify::TokenSub;
use crate::api::protocol::payload::check_json;
use crate::api::protocol::shape::{Object, nullable};
use crate::ids::{Timestamp, UserId, millis};
use crate::limits;

/// What is read of a token's payload: an object. Other claims (`jti`, `meta`, …) are skipped, and `null` is no claim.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default, deserialize_with = "subject")]
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
    #[serde(default, deserialize_with = "nullable")]
    b64info: String,
    data: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "nullable")]
    b64data: String,
    #[serde(default, deserialize_with = "numeric_date")]
    pub(super) iat: Option<Timestamp>,
    /// The sign-in that the token belongs to; of Kervan's own tokens only.
    pub(super) sid: Option<uuid::Uuid>,
    channel: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    channels: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    subs: BTreeMap<String, Option<Object<Says>>>,
}

/// What `subs` says of a subscription. `override` and whatever else the reference server knows is skipped.
#[derive(Deserialize)]
struct Says {
    info: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "nullable")]
    b64info: String,
    data: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "nullable")]
    b64data: String,
}

/// JSON of bounded depth. The coded form stands above the plain one, as in the reference server.
fn json(plain: Option<&RawValue>, coded: &str) -> Result<Option<Bytes>, TokenError> {
    let text = match (plain, coded) {
        (None, "") => return Ok(None),
        (Some(plain), "") => Bytes::copy_from_slice(plain.get().as_bytes()),
        (_, coded) => STANDARD.decode(coded).map_err(|_| TokenError::Malformed)?.into(),
    };
    check_json(&text, limits::JSON_DEPTH).map_err(|_| TokenError::Malformed)?;
    Ok(Some(text))
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
        let leeway = millis(options.leeway);
        if self.nbf.is_some_and(|nbf| nbf.0 > now.0.saturating_add(leeway)) {
            return Err(TokenError::NotYetValid);
        }
        let over = |at: Timestamp| now.0 >= at.0.saturating_add(leeway);
        if self.exp.is_some_and(over) || self.expires_at().is_some_and(over) {
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

    /// What the token says of its connection or, of a subscription token, of its subscription.
    pub(super) fn said(&self) -> Result<TokenSub, TokenError> {
        let info = json(self.info.as_deref(), &self.b64info)?;
        Ok(TokenSub { info, data: json(self.data.as_deref(), &self.b64data)?.unwrap_or_default() })
    }

    /// The channel of a subscription token; none for another one.
    pub(super) fn channel(&self) -> Option<&str> {
        self.channel.as_deref().filter(|channel| !channel.is_empty())
    }

    /// The subscriptions that a connection begins with: `channels`, and `subs` with more to say.
    pub(super) fn subs(&self) -> Result<BTreeMap<String, TokenSub>, TokenError> {
        if self.channels.len() + self.subs.len() > limits::SESSION_SUBSCRIPTIONS {
            return Err(TokenError::Malformed);
        }
        let plain = self.channels.iter().map(|channel| Ok((channel.clone(), TokenSub::default())));
        let more = self.subs.iter().map(|(channel, says)| {
            let Some(Object(says)) = says else { return Ok((channel.clone(), TokenSub::default())) };
            let info = json(says.info.as_deref(), &says.b64info)?;
            let data = json(says.data.as_deref(), &says.b64data)?.unwrap_or_default();
            Ok((channel.clone(), TokenSub { info, data }))
        });
        plain.chain(more).collect()
    }
}

/// A text, or a whole number: what programs with numbers for ids write.
fn subject<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    use serde_json::Value;
    match Option::<Value>::deserialize(d)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(id)) if id.is_u64() || id.is_i64() => Ok(Some(id.to_string())),
        Some(_) => Err(D::Error::custom("neither a text nor a whole number")),
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
