//! What a client sends: a command with one request in it.
//!
//! Fields that Kervan does not use are left out and skipped on both wires.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::shape::{bounded_subs, nullable, object, present, raw};
use crate::safe_debug::safe_debug;

/// Bits of [`SubscribeRequest::flag`]. A server ignores those that it does not know.
pub(crate) mod subscription_flag {
    /// The client wants error 112 instead of `recovered: false` when its position cannot be recovered.
    pub(crate) const REJECT_UNRECOVERED: i64 = 2;
}

/// One command. Without a request and with id 0 it is the answer to a server's ping.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// Chosen by the client, above 0, and repeated in the reply. 0 for `send` and for a pong.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// What is asked for. If a broken client sends more than one, only one of them is read.
    #[prost(oneof = "Request", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15")]
    pub request: Option<Request>,
}

impl Command {
    /// Whether this is the answer to a server's ping: `{}` in JSON, an empty message in protobuf.
    #[must_use]
    pub(crate) fn is_pong(&self) -> bool {
        self.id == 0 && self.request.is_none()
    }
}

/// The request in a command.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Request {
    /// The first command of a connection.
    #[prost(message, tag = "4")]
    Connect(ConnectRequest),
    /// Subscribe to a channel.
    #[prost(message, tag = "5")]
    Subscribe(SubscribeRequest),
    /// Leave a channel.
    #[prost(message, tag = "6")]
    Unsubscribe(UnsubscribeRequest),
    /// Publish into a channel.
    #[prost(message, tag = "7")]
    Publish(PublishRequest),
    /// Who is subscribed to a channel.
    #[prost(message, tag = "8")]
    Presence(PresenceRequest),
    /// How many are subscribed to a channel.
    #[prost(message, tag = "9")]
    PresenceStats(PresenceStatsRequest),
    /// Publications of a channel.
    #[prost(message, tag = "10")]
    History(HistoryRequest),
    /// A ping with a reply (old clients; the usual one goes from server to client).
    #[prost(message, tag = "11")]
    Ping(PingRequest),
    /// An asynchronous message without a reply.
    #[prost(message, tag = "12")]
    Send(SendRequest),
    /// A remote procedure call.
    #[prost(message, tag = "13")]
    Rpc(RpcRequest),
    /// A new token for the connection.
    #[prost(message, tag = "14")]
    Refresh(RefreshRequest),
    /// A new token for a subscription.
    #[prost(message, tag = "15")]
    SubRefresh(SubRefreshRequest),
}

impl Request {
    /// Their names in JSON and in metrics, by [`Self::place`].
    pub(crate) const NAMES: [&str; 12] = [
        "connect",
        "subscribe",
        "unsubscribe",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "ping",
        "send",
        "rpc",
        "refresh",
        "sub_refresh",
    ];

    /// Its place in [`Self::NAMES`].
    #[must_use]
    pub(crate) fn place(&self) -> usize {
        match self {
            Self::Connect(_) => 0,
            Self::Subscribe(_) => 1,
            Self::Unsubscribe(_) => 2,
            Self::Publish(_) => 3,
            Self::Presence(_) => 4,
            Self::PresenceStats(_) => 5,
            Self::History(_) => 6,
            Self::Ping(_) => 7,
            Self::Send(_) => 8,
            Self::Rpc(_) => 9,
            Self::Refresh(_) => 10,
            Self::SubRefresh(_) => 11,
        }
    }
}

/// Authenticates the connection.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct ConnectRequest {
    /// The connection's token; empty for none.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub token: String,
    /// Payload for the application.
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(deserialize_with = "raw")]
    pub data: Bytes,
    /// Positions of server-side subscriptions to recover, by channel. At most
    /// [`crate::limits::SESSION_SUBSCRIPTIONS`]: a frame with more is refused.
    #[prost(btree_map = "string, message", tag = "3")]
    #[serde(deserialize_with = "bounded_subs")]
    pub subs: BTreeMap<String, SubscribeRequest>,
    /// The SDK's name.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// The client application's version.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub version: String,
}

/// Subscribes to a channel; inside [`ConnectRequest::subs`] only the position counts.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct SubscribeRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
    /// The subscription's token; empty for none.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub token: String,
    /// Whether to recover from `epoch` and `offset`.
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub recover: bool,
    /// The epoch that the client saw; empty if it saw none.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable")]
    pub epoch: String,
    /// The last offset that the client has.
    #[prost(uint64, tag = "7")]
    #[serde(deserialize_with = "nullable")]
    pub offset: u64,
    /// Payload for the application.
    #[prost(bytes = "bytes", tag = "8")]
    #[serde(deserialize_with = "raw")]
    pub data: Bytes,
    /// Whether the client wants the server to watch its position.
    #[prost(bool, tag = "9")]
    #[serde(deserialize_with = "nullable")]
    pub positioned: bool,
    /// Whether the client wants to recover after a cut.
    #[prost(bool, tag = "10")]
    #[serde(deserialize_with = "nullable")]
    pub recoverable: bool,
    /// Whether the client wants join and leave pushes.
    #[prost(bool, tag = "11")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) join_leave: bool,
    /// The delta format wished for; Kervan sends whole publications, which the protocol allows.
    #[prost(string, tag = "12")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) delta: String,
    /// A filter by tags, not decoded: that it is there is a reason to refuse.
    #[prost(bytes = "bytes", optional, tag = "13")]
    #[serde(rename = "tf", deserialize_with = "present")]
    pub(crate) tags_filter: Option<Bytes>,
    /// Features asked for: [`subscription_flag`].
    #[prost(int64, tag = "14")]
    #[serde(deserialize_with = "nullable")]
    pub flag: i64,
    /// Kind of subscription; 0 is a stream, the only one Kervan has.
    #[prost(int32, tag = "15")]
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: i32,
}

/// Leaves a channel.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct UnsubscribeRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
}

/// Publishes into a channel.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct PublishRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
    /// The payload.
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(deserialize_with = "raw")]
    pub data: Bytes,
    /// Kind of publication; 0 is the usual one, the only one Kervan has.
    #[prost(int32, tag = "3")]
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: i32,
}

/// Asks who is subscribed.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PresenceRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
}

/// Asks how many are subscribed.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PresenceStatsRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
}

/// A place in a channel's stream.
#[derive(Clone, PartialEq, Eq, prost::Message, Deserialize)]
#[serde(default)]
pub struct StreamPosition {
    /// The last offset before the place.
    #[prost(uint64, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub offset: u64,
    /// The stream's epoch; empty for whichever it is.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub epoch: String,
}

/// Asks for publications of a channel.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct HistoryRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
    /// At most so many; 0 for the position alone, below 0 for as many as the server gives.
    #[prost(int32, tag = "7")]
    #[serde(deserialize_with = "nullable")]
    pub limit: i32,
    /// Only those after this place (before it if `reverse`).
    #[prost(message, optional, tag = "8")]
    #[serde(deserialize_with = "object")]
    pub since: Option<StreamPosition>,
    /// From the newest on.
    #[prost(bool, tag = "9")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) reverse: bool,
}

/// A ping from the client that wants a reply.
#[derive(Clone, Copy, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PingRequest {}

/// An asynchronous message.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct SendRequest {
    /// The payload.
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(deserialize_with = "raw")]
    pub data: Bytes,
}

/// A remote procedure call.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct RpcRequest {
    /// The arguments.
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(deserialize_with = "raw")]
    pub data: Bytes,
    /// The procedure's name.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub method: String,
}

/// A new token for the connection.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct RefreshRequest {
    /// The token.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub token: String,
}

/// A new token for a subscription.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct SubRefreshRequest {
    /// The channel.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub channel: String,
    /// The token.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub token: String,
    /// Kind of request; 0 is a token refresh, the only one Kervan has.
    #[prost(int32, tag = "3")]
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: i32,
}

safe_debug! {
    ConnectRequest { name, version }
    SubscribeRequest { channel, recover, epoch, offset, positioned, recoverable, join_leave, flag, kind }
    PublishRequest { channel, kind }
    SendRequest {}
    RpcRequest { method }
    RefreshRequest {}
    SubRefreshRequest { channel, kind }
}
