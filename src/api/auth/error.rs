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
pub enum TokenOutcome {
    /// The command gets this error.
    Error(ErrorCode),
    /// The connection is closed.
    Disconnect(Disconnect),
}

impl TokenError {
    /// Whether somebody may be trying: not if there is no token, if it was good lately, or if we can't tell.
    #[must_use]
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Missing | Self::Expired | Self::NotYetValid | Self::KeysUnavailable)
    }

    /// After `connect`: an SDK answers 109 with a new token, retries after 100, and gives up after 101 and 3500.
    #[must_use]
    pub fn on_connect(self) -> TokenOutcome {
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
    pub fn on_subscribe(self) -> TokenOutcome {
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
    pub fn on_refresh(self) -> TokenOutcome {
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
    pub fn on_sub_refresh(self) -> TokenOutcome {
        match self {
            Self::Expired | Self::NotYetValid => TokenOutcome::Disconnect(Disconnect::SUB_EXPIRED),
            _ => self.on_refresh(),
        }
    }
}
