//! What a server answers: a reply with a result or an error, or a push in the same envelope.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::push::{ClientInfo, Publication, Push};
use crate::safe_debug::safe_debug;

/// One message to the client. With id 0 it is a push; with id 0 and nothing in it, the server's ping.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Reply {
    /// The command's id; 0 for a push or a ping.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// The result, the error or the push.
    #[prost(oneof = "ReplyBody", tags = "2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15")]
    pub body: Option<ReplyBody>,
}

impl Reply {
    /// The answer to the command with this id.
    #[must_use]
    pub(crate) fn new(id: u32, body: ReplyBody) -> Self {
        Self { id, body: Some(body) }
    }

    /// The refusal of the command with this id.
    #[must_use]
    pub(crate) fn error(id: u32, error: impl Into<Error>) -> Self {
        Self::new(id, ReplyBody::Error(error.into()))
    }
}

/// The result, the error or the push.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ReplyBody {
    /// The command was refused.
    #[prost(message, tag = "2")]
    Error(Error),
    /// Not a reply but a push.
    #[prost(message, tag = "4")]
    Push(Push),
    /// To `connect`.
    #[prost(message, tag = "5")]
    Connect(ConnectResult),
    /// To `subscribe`.
    #[prost(message, tag = "6")]
    Subscribe(SubscribeResult),
    /// To `unsubscribe`.
    #[prost(message, tag = "7")]
    Unsubscribe(UnsubscribeResult),
    /// To `publish`.
    #[prost(message, tag = "8")]
    Publish(PublishResult),
    /// To `presence`.
    #[prost(message, tag = "9")]
    Presence(PresenceResult),
    /// To `presence_stats`.
    #[prost(message, tag = "10")]
    PresenceStats(PresenceStatsResult),
    /// To `history`.
    #[prost(message, tag = "11")]
    History(HistoryResult),
    /// To `ping`.
    #[prost(message, tag = "12")]
    Ping(PingResult),
    /// To `rpc`.
    #[prost(message, tag = "13")]
    Rpc(RpcResult),
    /// To `refresh`.
    #[prost(message, tag = "14")]
    Refresh(RefreshResult),
    /// To `sub_refresh`.
    #[prost(message, tag = "15")]
    SubRefresh(SubRefreshResult),
}

/// Why a command was refused; see [`super::codes::ErrorCode`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Error {
    /// The code.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// For humans, never empty: an SDK reads it without asking whether it is there.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Whether the same command may succeed later; SDKs retry connects, subscribes and refreshes then.
    #[prost(bool, tag = "3")]
    pub temporary: bool,
}

/// The connection is made.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ConnectResult {
    /// The connection's id, a uuid.
    #[prost(string, tag = "1")]
    pub client: String,
    /// The server's version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Whether the connection expires.
    #[prost(bool, tag = "3")]
    pub expires: bool,
    /// Seconds until then; above 0 if it expires.
    #[prost(uint32, tag = "4")]
    pub ttl: u32,
    /// Payload for the application.
    #[prost(bytes = "bytes", tag = "5")]
    pub data: Bytes,
    /// Server-side subscriptions by channel.
    #[prost(btree_map = "string, message", tag = "6")]
    pub subs: BTreeMap<String, SubscribeResult>,
    /// Seconds between the server's pings.
    #[prost(uint32, tag = "7")]
    pub ping: u32,
    /// Whether the server wants pongs.
    #[prost(bool, tag = "8")]
    pub pong: bool,
    /// A name of the session (other transports).
    #[prost(string, tag = "9")]
    pub session: String,
    /// A name of the node (other transports).
    #[prost(string, tag = "10")]
    pub node: String,
    /// The server's time in milliseconds since the Unix epoch; 0 for not told.
    #[prost(int64, tag = "11")]
    pub time: i64,
}

/// The subscription is made.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct SubscribeResult {
    /// Whether the subscription expires.
    #[prost(bool, tag = "1")]
    pub expires: bool,
    /// Seconds until then; above 0 if it expires.
    #[prost(uint32, tag = "2")]
    pub ttl: u32,
    /// Whether it can recover after a cut.
    #[prost(bool, tag = "3")]
    pub recoverable: bool,
    /// The stream's epoch.
    #[prost(string, tag = "6")]
    pub epoch: String,
    /// What the client missed, oldest first.
    #[prost(message, repeated, tag = "7")]
    pub publications: Vec<Publication>,
    /// Whether nothing is missing after these.
    #[prost(bool, tag = "8")]
    pub recovered: bool,
    /// The offset of the last one sent, or the stream's head.
    #[prost(uint64, tag = "9")]
    pub offset: u64,
    /// Whether the server watches the position.
    #[prost(bool, tag = "10")]
    pub positioned: bool,
    /// Payload for the application.
    #[prost(bytes = "bytes", tag = "11")]
    pub data: Bytes,
    /// Whether the client asked to recover.
    #[prost(bool, tag = "12")]
    pub was_recovering: bool,
}

/// The subscription is over.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct UnsubscribeResult {}

/// The publication is committed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct PublishResult {}

/// Who is subscribed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PresenceResult {
    /// By connection id.
    #[prost(btree_map = "string, message", tag = "1")]
    pub presence: BTreeMap<String, ClientInfo>,
}

/// How many are subscribed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct PresenceStatsResult {
    /// Connections.
    #[prost(uint32, tag = "1")]
    pub num_clients: u32,
    /// Users.
    #[prost(uint32, tag = "2")]
    pub num_users: u32,
}

/// Publications of a channel.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HistoryResult {
    /// In the order asked for.
    #[prost(message, repeated, tag = "1")]
    pub publications: Vec<Publication>,
    /// The stream's epoch.
    #[prost(string, tag = "2")]
    pub epoch: String,
    /// The stream's head.
    #[prost(uint64, tag = "3")]
    pub offset: u64,
}

/// The server is there.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct PingResult {}

/// What a procedure returned.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct RpcResult {
    /// The result.
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

/// The connection's new expiry.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RefreshResult {
    /// The connection's id.
    #[prost(string, tag = "1")]
    pub client: String,
    /// The server's version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Whether it expires.
    #[prost(bool, tag = "3")]
    pub expires: bool,
    /// Seconds until then; above 0 if it expires.
    #[prost(uint32, tag = "4")]
    pub ttl: u32,
}

/// The subscription's new expiry.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct SubRefreshResult {
    /// Whether it expires.
    #[prost(bool, tag = "1")]
    pub expires: bool,
    /// Seconds until then; above 0 if it expires.
    #[prost(uint32, tag = "2")]
    pub ttl: u32,
}

safe_debug! {
    ConnectResult { client, expires, ttl, ping, pong }
    SubscribeResult { epoch, offset, recovered, was_recovering, recoverable, positioned, expires, ttl }
    RpcResult {}
}
