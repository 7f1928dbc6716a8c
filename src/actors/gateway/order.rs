//! What others want of a connection: that it ends, that it is subscribed or unsubscribed, until when it is good.
//!
//! An order has no place among the messages. It is obeyed before the next command of the client is looked at, and although
//! its socket takes nothing: a banned user must not act while a last message still waits to leave.

use bytes::Bytes;

use super::feed::Position;
use crate::ids::Timestamp;

/// See the module.
#[derive(Debug)]
pub(crate) enum Order {
    /// The connection shall be closed.
    Close {
        /// With this code.
        code: u16,
        /// With this reason instead of the code's own.
        reason: Option<Box<str>>,
    },
    /// The connection shall be subscribed, as a back end wishes.
    Subscribe {
        /// To what.
        channel: Box<str>,
        /// What others see of it there, JSON text.
        info: Option<Bytes>,
        /// For the client's program.
        data: Bytes,
        /// Where it stood.
        recover: Option<Position>,
    },
    /// The connection shall be unsubscribed, as a back end wishes.
    Unsubscribe {
        /// From what.
        channel: Box<str>,
    },
    /// The connection is good until then; for ever without a time.
    Expire(Option<Timestamp>),
}

impl Order {
    /// The connection shall be closed with this code.
    #[must_use]
    pub(crate) fn close(code: u16) -> Self {
        Self::Close { code, reason: None }
    }
}
