//! Why a token was refused, and what its sender is told.

use crate::api::protocol::codes::{Disconnect, ErrorCode};

/// Why a token was refused. Says nothing of its content, so it may be logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// None was given where one is needed.
    #[error("no token")]
    Missing,
    /// Longer than [`crate::limits::TOKEN_BYTES`]; not looked at.
    #[error("token is too long")]
    TooLong,
    /// Not a JWT, or one with a header or a claim of a wrong type.
    #[error("token is malformed")]
    Malformed,
    /// Signed with an algorithm that no key here has (`none` among them).
    #[error("token has no accepted algorithm")]
    Algorithm,
    /// Signed with a key that is in no freshly fetched key set.
    #[error("token is signed with an unknown key")]
    UnknownKey,
    /// The key set could not be fetched (lately enough): whether the token is good cannot be told now.
    #[error("keys are not available")]
    KeysUnavailable,
    /// The signature is not that of the key.
    #[error("token has a bad signature")]
    Signature,
    /// `aud` lacks what is configured.
    #[error("token is for another audience")]
    Audience,
    /// `iss` is not what is configured.
    #[error("token is from another issuer")]
    Issuer,
    /// `sub` can't be a user's id here.
    #[error("token has a bad subject")]
    Subject,
    /// `nbf` lies ahead: it, or another one, is good in a moment, so its sender is told what one with an expired token is.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `exp` is over.
    #[error("token is expired")]
    Expired,
    /// It was taken back, or its user was: signed out, banned, another password.
    #[error("token was taken back")]
    Revoked,
    /// A subscription token where a connection token must be, or the other way round.
    #[error("token is of the other kind")]
    WrongKind,
    /// A subscription token for another channel.
    #[error("token is for another channel")]
    OtherChannel,
    /// A token of another user than the connection's.
    #[error("token is for another user")]
    OtherUser,
}

/// What the sender of a refused token is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenOutcome {
    /// The command gets this error.
    Error(ErrorCode),
    /// The connection is closed.
    Disconnect(Disconnect),
}

impl TokenError {
    /// Whether somebody may be trying: not if there is no token, if it was good lately, or if we can't tell.
    #[must_use]
    pub(crate) fn is_failure(self) -> bool {
        !matches!(self, Self::Missing | Self::Expired | Self::NotYetValid | Self::KeysUnavailable)
    }

    /// What the maker of the token should look at. Says nothing of a token's content, so it may be logged.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Missing => "send one: `Authorization: Bearer TOKEN`, or the `token` of connect",
            Self::TooLong => "a token has at most 8 KiB; `info` is the place to save",
            Self::Malformed => {
                "a JWT is three parts of base64url with dots between, without quotes or \"Bearer\"; `exp`, `nbf` and `iat` \
                 are seconds as numbers, `sub` is a text or a whole number, `channels` a list of texts"
            }
            Self::Algorithm => {
                "`alg` of its header must be HS256, RS256, ES256 or EdDSA, and its kind of key be configured in [auth]"
            }
            Self::UnknownKey => "its `kid` is in no key set at auth.jwks_url, or it has none",
            Self::KeysUnavailable => "auth.jwks_url does not answer: tokens can't be checked until it does",
            Self::Signature => {
                "it is signed with another key: JWT_SECRET here and in the back end must be the same bytes, and not base64 \
                 of them on one side"
            }
            Self::Audience => "`aud` must be, or contain, what auth.audience says",
            Self::Issuer => "`iss` must be what auth.issuer says",
            Self::Subject => "`sub` must be 1 to 128 bytes without control characters, and not begin with \"anon:\"",
            Self::NotYetValid => "`nbf` lies ahead: do both clocks agree? auth.leeway bears a little",
            Self::Expired => "`exp` is over: the client fetches a new one; do both clocks agree?",
            Self::Revoked => "its user is banned, has signed out, or has another password by now",
            Self::WrongKind => "one with `channel` is for a subscription, one without for a connection",
            Self::OtherChannel => "its `channel` must be the one that is subscribed to",
            Self::OtherUser => "its `sub` must be the connection's user",
        }
    }

    /// After `connect`: an SDK answers 109 with a new token, retries after 100, and gives up after 101 and 3500.
    #[must_use]
    pub(crate) fn on_connect(self) -> TokenOutcome {
        match self {
            Self::Missing => TokenOutcome::Error(ErrorCode::UNAUTHORIZED),
            Self::Expired | Self::NotYetValid => TokenOutcome::Error(ErrorCode::TOKEN_EXPIRED),
            Self::KeysUnavailable => TokenOutcome::Error(ErrorCode::INTERNAL),
            _ => TokenOutcome::Disconnect(Disconnect::INVALID_TOKEN),
        }
    }

    /// After `subscribe`: as after `connect`, but a bad token costs the subscription only. One that was made for another
    /// channel or user is a mix-up in the client and closes the connection, as the reference server does.
    #[must_use]
    pub(crate) fn on_subscribe(self) -> TokenOutcome {
        match self {
            Self::Expired | Self::NotYetValid => TokenOutcome::Error(ErrorCode::TOKEN_EXPIRED),
            Self::KeysUnavailable => TokenOutcome::Error(ErrorCode::INTERNAL),
            Self::WrongKind | Self::OtherChannel | Self::OtherUser => {
                TokenOutcome::Disconnect(Disconnect::INVALID_TOKEN)
            }
            _ => TokenOutcome::Error(ErrorCode::PERMISSION_DENIED),
        }
    }

    /// After `refresh`: with an expired token the connection is over, and the SDK comes back with a new one.
    #[must_use]
    pub(crate) fn on_refresh(self) -> TokenOutcome {
        match self {
            Self::Missing => TokenOutcome::Error(ErrorCode::BAD_REQUEST),
            Self::Expired | Self::NotYetValid => TokenOutcome::Disconnect(Disconnect::EXPIRED),
            Self::KeysUnavailable => TokenOutcome::Error(ErrorCode::INTERNAL),
            _ => TokenOutcome::Disconnect(Disconnect::INVALID_TOKEN),
        }
    }

    /// After `sub_refresh`: likewise. An error would make the SDK give the subscription up for good, so an expired token
    /// closes the connection with the code that brings it back.
    #[must_use]
    pub(crate) fn on_sub_refresh(self) -> TokenOutcome {
        match self {
            Self::Expired | Self::NotYetValid => TokenOutcome::Disconnect(Disconnect::SUB_EXPIRED),
            _ => self.on_refresh(),
        }
    }
}
