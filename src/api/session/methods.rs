//! What a session calls to carry out what its client asks for: the seam between the socket and the chat's operations.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use bytes::Bytes;

use crate::actors::wire::{Answer, HistoryBound};
use crate::api::protocol::Error;
use crate::api::protocol::publish::Open;
use crate::ids::{DeviceId, RoomId, UserId};
use crate::limits;
use crate::storage::journal::record::Addressed;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// The user.
    pub user: UserId,
    /// The device that the connection named, if it did.
    pub device: Option<DeviceId>,
    /// Where the connection comes from ([`crate::api::http::network`]), if that is known.
    pub network: Option<IpAddr>,
}

/// What a method returned.
pub type Called = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send>>;

/// The operations. Two steps for sending, so that the session keeps its order (P5): a record first, without waiting,
/// which the session hands to the partition; then the answer becomes the result.
pub trait Methods: Send + Sync + 'static {
    /// `message.send` as a record. Here and in the next two the asker pays for the message.
    ///
    /// # Errors
    /// The arguments are malformed or too large; one message too many now.
    fn prepare_send(&self, asker: &Asker, data: &[u8]) -> Result<Addressed, Error>;

    /// A publish into a room as a record.
    ///
    /// # Errors
    /// The data is malformed or too large.
    fn prepare_publish(&self, asker: &Asker, room: RoomId, data: &[u8]) -> Result<Addressed, Error>;

    /// A publish into an open channel as a record.
    ///
    /// # Errors
    /// The data is no JSON, or too large.
    fn prepare_open_publish(
        &self,
        asker: &Asker,
        channel: &str,
        history: HistoryBound,
        open: Open,
    ) -> Result<Addressed, Error>;

    /// Lets the asker ask for something of so many rows.
    ///
    /// # Errors
    /// Too many questions now: it says when.
    fn ask(&self, asker: &Asker, rows: usize) -> Result<(), Error>;

    /// The caller wanted to listen where the caller may not.
    fn asked_in_vain(&self, asker: &Asker);

    /// The result of a send, and notes that the asker was told.
    ///
    /// # Errors
    /// The fold said no, or nobody knows.
    fn sent(&self, asker: &Asker, record: &Addressed, answer: Answer) -> Result<Bytes, Error>;

    /// Any other method. The name is one of the client's own making.
    fn call(&self, asker: &Asker, method: &str, data: Bytes) -> Called;

    /// Bytes that the result of a method may take, about: room is kept for them while it runs.
    fn reply_bytes(&self, _method: &str) -> usize {
        limits::CALL_BYTES
    }

    /// The name of a method for metrics, if there is such a method.
    fn known(&self, method: &str) -> Option<&'static str>;
}
