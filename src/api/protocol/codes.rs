//! The published codes of the protocol, and Kervan's own.
//!
//! Sources: the reference server (GitHub centrifugal/centrifuge: `errors.go`, `disconnect.go`, `unsubscribe.go`) and what
//! the SDKs do with them. Kervan's own error codes lie in 400–1999, which the reference leaves to applications; they
//! never change their meaning.
//!
//! What an SDK does: after an **error** of connect, subscribe or refresh it tries again if the code is below 100, is 109
//! (with a new token) or if the error is `temporary`; else it gives up. After a **disconnect** it comes back unless the
//! code is in 3500–3999 or 4500–4999. After an **unsubscribe** it subscribes again from 2500 on.

use super::push::UnsubscribePush;
use super::reply::Error;

/// An error code with its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ErrorCode {
    /// The number on the wire.
    pub code: u32,
    /// Its stable name, for humans.
    pub message: &'static str,
    /// Whether the same command may succeed later.
    pub temporary: bool,
}

impl ErrorCode {
    /// This error with a message that says more. Clients go by the code.
    #[must_use]
    pub(crate) fn because(self, why: &str) -> Error {
        Error { code: self.code, message: format!("{}: {why}", self.message), temporary: self.temporary }
    }

    /// This error with the time after which the same command has a chance. The protocol's error has no field for it, so
    /// the message ends in `retry after <N> ms`; [`retry_after_ms`] reads it back.
    #[must_use]
    pub(crate) fn retry_after(self, ms: u64) -> Error {
        self.because(&format!("retry after {ms} ms"))
    }

    /// 111: above the rate limit until then.
    #[must_use]
    pub(crate) fn too_many_requests(retry_after_ms: u64) -> Error {
        Self::TOO_MANY_REQUESTS.retry_after(retry_after_ms)
    }
}

/// The milliseconds in an error's message, if it tells them.
#[cfg(test)]
#[must_use]
pub(crate) fn retry_after_ms(error: &Error) -> Option<u64> {
    let (_, rest) = error.message.rsplit_once("retry after ")?;
    rest.strip_suffix(" ms")?.parse().ok()
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self { code: code.code, message: code.message.to_owned(), temporary: code.temporary }
    }
}

/// How a connection ends: the code and reason of the WebSocket close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnect {
    /// The close code.
    pub code: u16,
    /// The reason, below 124 bytes (a bound of WebSocket).
    pub reason: &'static str,
}

impl Disconnect {
    /// The end with this code; one that a back end's own clients know, if no other has it.
    #[must_use]
    pub(crate) fn of(code: u16) -> Self {
        let known = Self::ALL.iter().copied().find(|known| known.code == code);
        known.unwrap_or(Self { code, reason: "disconnected by the server" })
    }

    /// Whether SDKs come back after it.
    #[must_use]
    pub(crate) const fn reconnects(self) -> bool {
        !matches!(self.code, 1009 | 3500..=3999 | 4500..=4999)
    }
}

/// How a subscription ends that the client did not end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsubscribe {
    /// The number on the wire.
    pub code: u32,
    /// The reason.
    pub reason: &'static str,
}

impl Unsubscribe {
    /// Whether SDKs subscribe again after it.
    #[cfg(test)]
    #[must_use]
    pub(crate) const fn resubscribes(self) -> bool {
        self.code >= 2500
    }
}

impl From<Unsubscribe> for UnsubscribePush {
    fn from(unsubscribe: Unsubscribe) -> Self {
        Self { code: unsubscribe.code, reason: unsubscribe.reason.to_owned() }
    }
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal $(, $temporary:ident)?;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub(crate) const $name: Self = Self {
                code: $code,
                message: $message,
                temporary: errors!(@ $($temporary)?),
            };)*
            /// All of them, by code.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
    (@) => { false };
    (@ temporary) => { true };
}

macro_rules! closings {
    ($type:ident: $($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self { code: $code, reason: $reason };)*
            /// All of them, by code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

errors! {
    /// Something is wrong with the server.
    INTERNAL = 100, "internal server error", temporary;
    /// Not authenticated.
    UNAUTHORIZED = 101, "unauthorized";
    /// No such channel.
    UNKNOWN_CHANNEL = 102, "unknown channel";
    /// Not allowed.
    PERMISSION_DENIED = 103, "permission denied";
    /// No such rpc method.
    METHOD_NOT_FOUND = 104, "method not found";
    /// Subscribed to this channel already.
    ALREADY_SUBSCRIBED = 105, "already subscribed";
    /// Above a bound, other than a rate.
    LIMIT_EXCEEDED = 106, "limit exceeded";
    /// Malformed; sending it again makes no sense.
    BAD_REQUEST = 107, "bad request";
    /// Not switched on, here or for this channel.
    NOT_AVAILABLE = 108, "not available";
    /// The token is expired; come with a new one.
    TOKEN_EXPIRED = 109, "token expired";
    /// Above a rate; see [`ErrorCode::too_many_requests`].
    TOO_MANY_REQUESTS = 111, "too many requests", temporary;
    /// The stream does not reach back to the position, or its epoch is another.
    UNRECOVERABLE_POSITION = 112, "unrecoverable position";

    /// The room was ended by a user.
    ROOM_ENDED = 410, "room ended";
    /// The room's time is over.
    ROOM_EXPIRED = 411, "room expired";
    /// The caller is no member of the room, or there is no such room: a stranger can't tell.
    NOT_A_MEMBER = 412, "not a member";
    /// One of the two has blocked the other.
    BLOCKED = 413, "blocked";
    /// The room has as many members as a room may have.
    ROOM_FULL = 414, "room full";
    /// There is a room under this id, and it is another.
    ROOM_EXISTS = 415, "room exists";
    /// `prev` names a message that is not in the room: send that one first (or again).
    NEED_PREV = 420, "need prev";
    /// The client id is older than the dedupe window: whether it was accepted before can no longer be told.
    TOO_OLD = 421, "too old";
    /// The command's time to live passed before it reached the log. Nothing happened; send it again.
    STALE_COMMAND = 422, "stale command", temporary;
    /// Body, metadata, title or the like is above its bound.
    TOO_LARGE = 430, "too large";
    /// The message is too old to be edited.
    EDIT_TOO_LATE = 431, "edit too late";
    /// The target is no message of the room, a deleted one, or no possible user.
    INVALID_TARGET = 432, "invalid target";
    /// The room is not public and the caller is not invited.
    NOT_INVITED = 441, "not invited";
    /// Not possible in this kind of room (joining a direct chat, kicking oneself).
    WRONG_KIND = 442, "not possible in this kind of room";
    /// The command was certainly not written: nothing happened. Send it again; the message may say when.
    UNAVAILABLE = 450, "unavailable", temporary;
    /// The command may have been written. Send it again with the same client id to learn what became of it.
    OUTCOME_UNKNOWN = 451, "outcome unknown", temporary;
}

closings! { Disconnect:
    /// WebSocket's own: a message above the bound. SDKs do not come back.
    MESSAGE_TOO_BIG = 1009, "message too big";
    /// The connection closed without advice. Never sent.
    CONNECTION_CLOSED = 3000, "connection closed";
    /// The node goes down; come back (elsewhere).
    SHUTDOWN = 3001, "shutdown";
    /// Something is wrong with the server.
    SERVER_ERROR = 3004, "internal server error";
    /// The connection expired without a refresh.
    EXPIRED = 3005, "connection expired";
    /// A subscription expired without a refresh.
    SUB_EXPIRED = 3006, "subscription expired";
    /// The client reads too slowly: its outbox is full. It recovers when it comes back.
    SLOW = 3008, "slow";
    /// A write failed.
    WRITE_ERROR = 3009, "write error";
    /// The server lost the client's position in a server-side subscription. It recovers when it comes back.
    INSUFFICIENT_STATE = 3010, "insufficient state";
    /// An operator closed it; come back.
    FORCE_RECONNECT = 3011, "force reconnect";
    /// No pong came in time.
    NO_PONG = 3012, "no pong";
    /// Too many commands.
    TOO_MANY_REQUESTS = 3013, "too many requests";
    /// State and token are void: come back with a new token and without positions.
    STATE_INVALIDATED = 3014, "state invalidated";
    /// The token is not valid.
    INVALID_TOKEN = 3500, "invalid token";
    /// A malformed frame, or a command where it must not be.
    BAD_REQUEST = 3501, "bad request";
    /// The connection did not authenticate in time.
    STALE = 3502, "stale";
    /// An operator closed it; stay away.
    FORCE_NO_RECONNECT = 3503, "force disconnect";
    /// Too many connections.
    CONNECTION_LIMIT = 3504, "connection limit";
    /// Too many subscriptions.
    CHANNEL_LIMIT = 3505, "channel limit";
    /// The connection's format cannot carry what it would receive.
    INAPPROPRIATE_PROTOCOL = 3506, "inappropriate protocol";
    /// Not allowed to be here.
    PERMISSION_DENIED = 3507, "permission denied";
    /// An asynchronous message, which the server does not take.
    NOT_AVAILABLE = 3508, "not available";
    /// Too many errors.
    TOO_MANY_ERRORS = 3509, "too many errors";
}

closings! { Unsubscribe:
    /// The client asked for it. Never sent.
    CLIENT = 0, "client unsubscribed";
    /// The connection is over. Never sent.
    DISCONNECT = 1, "client disconnected";
    /// The server ended it: kicked, left, or no longer allowed.
    SERVER = 2000, "server unsubscribe";
    /// The server lost the position; subscribe again and recover.
    INSUFFICIENT_STATE = 2500, "insufficient state";
    /// The subscription expired without a refresh; subscribe again with a new token.
    EXPIRED = 2501, "subscription expired";
    /// State and token of the subscription are void: subscribe again without a position.
    STATE_INVALIDATED = 2502, "state invalidated";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_ascending_and_never_without_words() {
        assert!(ErrorCode::ALL.is_sorted_by(|a, b| a.code < b.code));
        assert!(Disconnect::ALL.is_sorted_by(|a, b| a.code < b.code));
        assert!(Unsubscribe::ALL.is_sorted_by(|a, b| a.code < b.code));
        assert!(
            ErrorCode::ALL.iter().all(|e| !e.message.is_empty() && (e.code < 200 || (400..2000).contains(&e.code)))
        );
        assert!(Disconnect::ALL.iter().all(|d| !d.reason.is_empty() && d.reason.len() < 124));
    }

    #[test]
    fn the_document_lists_every_code_as_it_is() {
        let document = include_str!("../../../docs/protocol.md");
        let yes = |flag: bool| if flag { " yes |" } else { " |" };
        for e in ErrorCode::ALL {
            let row = format!("\n| {} | {} |{}", e.code, e.message, yes(e.temporary));
            assert!(document.contains(&row), "{row}");
        }
        let comes = |flag: bool| if flag { "yes" } else { "no" };
        for d in Disconnect::ALL {
            let row = format!("\n| {} | {} | {} |", d.code, d.reason, comes(d.reconnects()));
            assert!(document.contains(&row), "{row}");
        }
        for u in Unsubscribe::ALL {
            let again = if u.code < 2000 { " |".to_owned() } else { format!(" {} |", comes(u.resubscribes())) };
            let row = format!("\n| {} | {} |{again}", u.code, u.reason);
            assert!(document.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_rate_limit_says_when_to_retry() {
        let error = ErrorCode::too_many_requests(850);
        assert_eq!(error.message, "too many requests: retry after 850 ms");
        assert!(error.temporary);
        assert_eq!(retry_after_ms(&error), Some(850));
        assert_eq!(retry_after_ms(&ErrorCode::TOO_MANY_REQUESTS.into()), None);
    }

    #[test]
    fn who_may_come_back_is_as_published() {
        assert!(Disconnect::SLOW.reconnects() && Disconnect::SHUTDOWN.reconnects());
        assert!(!Disconnect::INVALID_TOKEN.reconnects() && !Disconnect::BAD_REQUEST.reconnects());
        assert!(Unsubscribe::INSUFFICIENT_STATE.resubscribes() && !Unsubscribe::SERVER.resubscribes());
    }
}
