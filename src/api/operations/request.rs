//! Reading requests: what each is about, and the rest of it, from one JSON object.
//!
//! What a request is about (a room, a message, a user, a device) stands in the path of a REST route, so it is a struct of its
//! own, and what a client says beside it another one: that of the verb (`commands`), or of the handler that reads
//! something. Unknown fields are ignored, wrong types are 107. Nothing here knows a room: whether a wish is allowed is the
//! fold's to say.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::error::Error;
use crate::actors::bounds::BadInput;
use crate::api::protocol::payload::depth_within;
use crate::api::protocol::shape::read_object;
use crate::ids::{DeviceId, RoomId, Seq, UserId};
use crate::limits;

/// The longest explanation of a malformed input, in bytes: it may quote the input.
const WHY_BYTES: usize = 200;

/// In a room.
#[derive(Deserialize, Debug, ToSchema)]
pub(in crate::api) struct InRoom {
    /// The chat's uuid, or its channel `room:<uuid>`.
    pub(in crate::api) room: RoomId,
}

/// About a message.
#[derive(Deserialize, Debug, ToSchema)]
pub(in crate::api) struct OfMessage {
    /// The chat's uuid, or its channel `room:<uuid>`.
    pub(in crate::api) room: RoomId,
    /// The message's seq.
    pub(in crate::api) target: Seq,
}

impl OfMessage {
    /// The place that is meant.
    ///
    /// # Errors
    /// Zero, which is no place.
    pub(super) fn seq(&self) -> Result<Seq, Error> {
        seq(self.target.0)
    }
}

/// About a user.
#[derive(Deserialize, Debug, ToSchema)]
pub(in crate::api) struct OfUser {
    /// The user.
    pub(in crate::api) user: UserId,
}

/// About one of the caller's devices.
#[derive(Deserialize, Debug, ToSchema)]
pub(in crate::api) struct OfDevice {
    /// The device.
    pub(in crate::api) device: DeviceId,
}

/// About the caller alone.
#[derive(Deserialize, Debug, ToSchema)]
pub(in crate::api) struct NoParams {}

/// The bytes of a request, once they are not nested too deeply. No data at all counts as an empty object.
///
/// # Errors
/// 107.
pub(super) fn object(data: &[u8]) -> Result<&[u8], Error> {
    if data.is_empty() || data == b"null" {
        return Ok(b"{}");
    }
    if !depth_within(data, limits::JSON_DEPTH) {
        return Err(Error::bad(format!("JSON is nested deeper than {}", limits::JSON_DEPTH)));
    }
    Ok(data)
}

/// Reads a part of a request from its [`object`].
///
/// # Errors
/// 107 with what is wrong.
pub(super) fn part<T: DeserializeOwned>(object: &[u8]) -> Result<T, Error> {
    read_object(object).map_err(|why| {
        let mut why = why.to_string();
        let end = why.floor_char_boundary(WHY_BYTES);
        why.truncate(end);
        Error::bad(why)
    })
}

/// Reads a request that has no parts.
///
/// # Errors
/// As [`object`] and [`part`].
pub(in crate::api) fn parse<T: DeserializeOwned>(data: &[u8]) -> Result<T, Error> {
    part(object(data)?)
}

/// The seq of an event that is meant.
///
/// # Errors
/// Zero, which is no place.
pub(super) fn seq(seq: u64) -> Result<Seq, Error> {
    if seq == 0 { Err(Error::bad("seqs start at 1")) } else { Ok(Seq(seq)) }
}

/// The page size that was asked for.
///
/// # Errors
/// None at all, or more than `max`.
pub(super) fn page(limit: Option<u64>, default: usize, max: usize) -> Result<usize, Error> {
    match limit {
        None => Ok(default),
        Some(0) => Err(Error::bad("limit must be at least 1")),
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= max)
            .ok_or(BadInput::TooMany { what: "items in a page", max }.into()),
    }
}
