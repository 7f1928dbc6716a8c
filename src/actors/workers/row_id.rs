//! Ids of notifications: whoever makes a row again, after a kill or a rebuild, makes it with the id that it had.

use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

use crate::ids::Timestamp;

/// A UUIDv7 that follows from what the row is about: its time, and its place for the rest.
pub(super) fn row_id(place: &str, at: Timestamp) -> Uuid {
    let place = xxh3_128(place.as_bytes()).to_be_bytes();
    let mut rest = [0; 10];
    rest.copy_from_slice(&place[..10]);
    Builder::from_unix_timestamp_millis(at.0, &rest).into_uuid()
}
