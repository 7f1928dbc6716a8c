//! Small things that the payload codecs of rooms and users share. Total on any bytes: what is not understood is
//! [`Reject::Invalid`], the same for everyone who reads it.

use bytes::Bytes;
use uuid::Uuid;

use crate::actors::wire::Reject;
use crate::ids::{ClientId, DeviceId, RoomId, Seq, UserId};

/// A text in a field that is declared as bytes, so that an id is copied once and not twice.
fn text(bytes: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(bytes).map_err(|_| Reject::Invalid)
}

/// A user id.
pub(crate) fn user(bytes: &[u8]) -> Result<UserId, Reject> {
    UserId::new(text(bytes)?).map_err(|_| Reject::Invalid)
}

/// A user id, or nobody if the field is empty.
pub(crate) fn user_or_none(bytes: &[u8]) -> Result<Option<UserId>, Reject> {
    if bytes.is_empty() { Ok(None) } else { user(bytes).map(Some) }
}

/// A client id, or none if the field is empty.
pub(crate) fn client_id(bytes: &[u8]) -> Result<Option<ClientId>, Reject> {
    if bytes.is_empty() {
        return Ok(None);
    }
    ClientId::new(text(bytes)?).map(Some).map_err(|_| Reject::Invalid)
}

/// A device id.
pub(crate) fn device(bytes: &[u8]) -> Result<DeviceId, Reject> {
    DeviceId::new(text(bytes)?).map_err(|_| Reject::Invalid)
}

/// A device id, or none if the field is empty.
pub(crate) fn device_or_none(bytes: &[u8]) -> Result<Option<DeviceId>, Reject> {
    if bytes.is_empty() { Ok(None) } else { device(bytes).map(Some) }
}

/// Sixteen bytes of a uuid.
pub(crate) fn uuid(bytes: &[u8]) -> Result<Uuid, Reject> {
    Uuid::from_slice(bytes).map_err(|_| Reject::Invalid)
}

/// Sixteen bytes of a room's uuid.
pub(crate) fn room(bytes: &[u8]) -> Result<RoomId, Reject> {
    uuid(bytes).map(RoomId)
}

/// A seq; 0 means none.
pub(crate) fn seq_or_none(seq: u64) -> Option<Seq> {
    (seq != 0).then_some(Seq(seq))
}

/// The bytes of a text, for a field that is declared as bytes.
pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The bytes of a uuid.
pub(crate) fn uuid_bytes(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}
