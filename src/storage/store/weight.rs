//! What rows weigh, for pages that are bounded in bytes ([`super::SeqRange::within`]): the same for every store.

use super::rows::{MessageBody, MessageRow, RoomEventRow};

/// Bytes of a row beside its content, about.
const ROW_BYTES: usize = 128;

impl MessageBody {
    /// Bytes of its content.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.metadata.len() + self.data.len()
    }
}

impl RoomEventRow {
    /// Bytes of it, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ROW_BYTES + self.data.as_ref().map_or(0, String::len) + self.message.as_ref().map_or(0, MessageBody::bytes)
    }
}

impl MessageRow {
    /// Bytes of it, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ROW_BYTES + self.message.bytes()
    }
}
