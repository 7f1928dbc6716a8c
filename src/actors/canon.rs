//! The canonical encoding under every hash of the folds: numbers little-endian, texts and lists behind their length,
//! options behind a byte 0 or 1, enums by their numbers. Fixed for life; independent of protobuf.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::{Seq, Timestamp, UserId};

/// An encoding in the making.
#[derive(Debug, Default)]
pub(crate) struct Canon(Vec<u8>);

impl Canon {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(256))
    }

    pub(crate) fn u8(&mut self, n: u8) -> &mut Self {
        self.0.push(n);
        self
    }

    pub(crate) fn bool(&mut self, yes: bool) -> &mut Self {
        self.u8(u8::from(yes))
    }

    pub(crate) fn u64(&mut self, n: u64) -> &mut Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    pub(crate) fn len(&mut self, n: usize) -> &mut Self {
        self.u64(n as u64)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.len(text.len());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.0.extend_from_slice(id.as_bytes());
        self
    }

    pub(crate) fn seq(&mut self, seq: Seq) -> &mut Self {
        self.u64(seq.0)
    }

    pub(crate) fn time(&mut self, at: Timestamp) -> &mut Self {
        self.u64(at.0)
    }

    pub(crate) fn user(&mut self, user: &UserId) -> &mut Self {
        self.text(user.as_str())
    }

    /// What people wrote enters by its digest only, so that a hash says nothing about it that outlives it.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(xxh3_64(bytes))
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, with: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.bool(value.is_some());
        if let Some(value) = value {
            with(self, value);
        }
        self
    }

    pub(crate) fn finish(&self) -> u64 {
        xxh3_64(&self.0)
    }
}
