//! The record envelope: what every journal record looks like, whatever it means.
//!
//! `[magic 0x4B][version][protobuf Envelope]`. The version stands outside the protobuf so that an unknown one is seen before
//! anything is decoded: it halts the partition and is never skipped. Fields are only ever added. Golden files of each version
//! are decoded by a test for ever. There is no checksum: the journal has one over each record
//! (`docs/decisions/0014-one-checksum.md`).

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::message;
use uuid::Uuid;

use crate::ids::{Offset, Partition, RoomId, Timestamp};

/// First byte of every record.
pub(crate) const MAGIC: u8 = 0x4B;
/// The version that this program writes, and the highest that it reads.
pub const VERSION: u8 = 1;

const HEADER: usize = 2;
/// Field number of the payload.
const PAYLOAD_TAG: u32 = 6;

/// Bytes of a stamp at most ([`Envelope::stamp`]): two fields of a number each, and two of eight bytes.
pub(crate) const STAMP_BYTES: usize = 22 + 18;

/// A decoded envelope.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    /// What the payload is; the numbers are given in `actors::kinds`.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// The slot key: a room's uuid (16 bytes) or a user's id. Empty for control records.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// The command's own id (16 bytes, UUIDv7), given at admission. A message's id is that of the record that made it.
    #[prost(bytes = "bytes", tag = "3")]
    pub command_id: Bytes,
    /// When the command was admitted, in milliseconds since the Unix epoch, by the clock of whoever admitted it. Told to
    /// operators; nothing is judged by it.
    #[prost(uint64, tag = "4")]
    pub issued_at_ms: u64,
    /// Milliseconds that the command is good for; 0 means for ever.
    #[prost(uint64, tag = "5")]
    pub ttl_ms: u64,
    /// The command, as `kind` tells.
    #[prost(bytes = "bytes", tag = "6")]
    pub payload: Bytes,
    /// When the owner handed the record to the journal, by the journal's clock. 0: by no owner.
    #[prost(uint64, tag = "7")]
    pub placed_at_ms: u64,
    /// How old the command was then, in milliseconds, measured by clocks that never jump.
    #[prost(uint64, tag = "8")]
    pub age_ms: u64,
    /// How far whoever placed the record had verified the partition then; 0: nothing is said. See [`Prefix`].
    #[prost(fixed64, tag = "9")]
    pub verified_end: u64,
    /// The running hash of the log before [`Self::verified_end`].
    #[prost(fixed64, tag = "10")]
    pub verified_hash: u64,
}

/// A partition's log from its first record up to `end`: what a writer, a reader or the store has verified of it. Two whose
/// hashes before one end differ have not read the same log. What the hash is over is said in `actors::digest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prefix {
    /// One past its last record.
    pub end: Offset,
    /// The running hash of its records; 0 of none.
    pub hash: u64,
}

impl Envelope {
    /// The same, as an owner hands it to the journal at `at` of the journal's clock, `age_ms` after it was admitted.
    #[must_use]
    pub fn placed(self, at: Timestamp, age_ms: u64) -> Self {
        Self { placed_at_ms: at.0, age_ms, ..self }
    }

    /// The same, by an owner that has verified `prefix`.
    #[must_use]
    pub fn following(self, prefix: Prefix) -> Self {
        Self { verified_end: prefix.end.0, verified_hash: prefix.hash, ..self }
    }

    /// What its writer had verified of the partition when it placed the record.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        Prefix { end: Offset(self.verified_end), hash: self.verified_hash }
    }

    /// The envelope as it goes into the journal.
    #[must_use]
    pub fn encode_record(&self) -> Bytes {
        self.begin(0).freeze()
    }

    /// The record of this envelope, which has neither payload nor stamp, with `payload` in it: encoded straight into the
    /// record, and with room for a stamp.
    #[must_use]
    pub(crate) fn encode_around(&self, payload: &impl Message) -> Bytes {
        let mut out = self.begin(message::encoded_len(PAYLOAD_TAG, payload) + STAMP_BYTES);
        if payload.encoded_len() != 0 {
            message::encode(PAYLOAD_TAG, payload, &mut out);
        }
        out.freeze()
    }

    /// A record of what this envelope holds, with room for `more` bytes.
    fn begin(&self, more: usize) -> BytesMut {
        let mut out = BytesMut::with_capacity(HEADER + self.encoded_len() + more);
        out.put_u8(MAGIC);
        out.put_u8(VERSION);
        self.encode_raw(&mut out);
        out
    }

    /// `record` with this envelope's fields behind its own: protobuf takes messages that follow each other for one. Nothing
    /// is copied if nobody else holds the record and it has room.
    #[must_use]
    pub(crate) fn stamp(&self, record: Bytes) -> Bytes {
        let mut stamped = record.try_into_mut().unwrap_or_else(|shared| {
            let mut copy = BytesMut::with_capacity(shared.len() + STAMP_BYTES);
            copy.extend_from_slice(&shared);
            copy
        });
        self.encode_raw(&mut stamped);
        stamped.freeze()
    }

    /// Whether an owner has placed it: when, or behind what, is said.
    #[must_use]
    pub(crate) fn is_stamped(&self) -> bool {
        (self.placed_at_ms, self.age_ms, self.verified_end, self.verified_hash) != (0, 0, 0, 0)
    }

    /// Reads a record. The envelope shares the record's memory.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn decode_record(record: &Bytes) -> Result<Self, RecordError> {
        if record.len() < HEADER || record[0] != MAGIC || record[1] == 0 {
            return Err(RecordError::NoRecord);
        }
        if record[1] > VERSION {
            return Err(RecordError::NewerVersion(record[1]));
        }
        Self::decode(record.slice(HEADER..)).map_err(|_| RecordError::NoRecord)
    }

    /// The command's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        Uuid::from_slice(&self.command_id).unwrap_or(Uuid::nil())
    }

    /// When the command was admitted.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        Timestamp(self.issued_at_ms)
    }

    /// Whether the command is too old to count when its record is appended at `append`. Only the way from the owner into
    /// the journal is measured by wall clocks, both times by the journal's: that such a clock is wrong, or was, costs at
    /// most what is on that way when it jumps.
    #[must_use]
    pub(crate) fn is_stale(&self, append: Timestamp) -> bool {
        let placed = if self.placed_at_ms == 0 { append } else { Timestamp(self.placed_at_ms) };
        self.ttl_ms != 0 && append.since(placed).saturating_add(self.age_ms) > self.ttl_ms
    }
}

/// Why bytes are no record. Each of them halts the partition: none is ever skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// No magic, or no envelope behind it.
    #[error("not a record")]
    NoRecord,
    /// Written by a newer program.
    #[error("record of version {0}, this program knows up to {VERSION}")]
    NewerVersion(u8),
    /// Only a newer program may fold from here on: a version barrier says so.
    #[error("version {version} of the fold begins here, this program knows up to {known}: start the newer program")]
    NewerFold {
        /// The version that begins.
        version: u32,
        /// The highest that this program knows.
        known: u32,
    },
}

/// An encoded record, and where it belongs.
#[derive(Clone, Debug)]
pub struct Addressed {
    /// Where it goes.
    pub partition: Partition,
    /// The room that it is about; `None` if it is about a user.
    pub room: Option<RoomId>,
    /// The encoded envelope.
    pub record: Bytes,
}

#[cfg(test)]
mod tests;
