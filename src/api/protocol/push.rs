//! What a server sends without being asked: pushes, and the publications in them.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::safe_debug::safe_debug;

/// Something that happened in a channel or to the connection.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Push {
    /// The channel; empty if it is about the connection.
    #[prost(string, tag = "2")]
    pub channel: String,
    /// What happened.
    #[prost(oneof = "PushBody", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub body: Option<PushBody>,
}

impl Push {
    /// A push into a channel.
    #[must_use]
    pub(crate) fn new(channel: impl Into<String>, body: PushBody) -> Self {
        Self { channel: channel.into(), body: Some(body) }
    }
}

/// What happened.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum PushBody {
    /// A publication.
    #[prost(message, tag = "4")]
    Pub(Publication),
    /// A client subscribed to the channel.
    #[prost(message, tag = "5")]
    Join(Join),
    /// A client left the channel.
    #[prost(message, tag = "6")]
    Leave(Leave),
    /// The server ended the client's subscription.
    #[prost(message, tag = "7")]
    Unsubscribe(UnsubscribePush),
    /// An asynchronous message, in no channel.
    #[prost(message, tag = "8")]
    Message(MessagePush),
    /// The server made a server-side subscription.
    #[prost(message, tag = "9")]
    Subscribe(SubscribePush),
    /// The connection is made (unidirectional transports only).
    #[prost(message, tag = "10")]
    Connect(ConnectPush),
    /// The connection is over. Over WebSocket the close frame says it.
    #[prost(message, tag = "11")]
    Disconnect(DisconnectPush),
    /// The connection's expiry changed (unidirectional transports only).
    #[prost(message, tag = "12")]
    Refresh(RefreshPush),
}

/// A publication in a channel.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Publication {
    /// The payload.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Who published it, if a client did.
    #[prost(message, optional, tag = "5")]
    pub info: Option<ClientInfo>,
    /// The place in the channel's stream; 0 for an ephemeral publication, which has none.
    #[prost(uint64, tag = "6")]
    pub offset: u64,
    /// Tags.
    #[prost(btree_map = "string, string", tag = "7")]
    pub tags: BTreeMap<String, String>,
    /// Milliseconds since the Unix epoch; 0 for not told.
    #[prost(int64, tag = "9")]
    pub time: i64,
}

/// A client in a channel.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ClientInfo {
    /// The user's id.
    #[prost(string, tag = "1")]
    pub user: String,
    /// The connection's id.
    #[prost(string, tag = "2")]
    pub client: String,
    /// The `info` of the connection's token.
    #[prost(bytes = "bytes", tag = "3")]
    pub conn_info: Bytes,
    /// The `info` of the subscription's token.
    #[prost(bytes = "bytes", tag = "4")]
    pub chan_info: Bytes,
}

/// A client subscribed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Join {
    /// The client. SDKs need it: never leave it out.
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<ClientInfo>,
}

/// A client left.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Leave {
    /// The client. SDKs need it: never leave it out.
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<ClientInfo>,
}

/// The server ended a subscription; see [`super::codes::Unsubscribe`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UnsubscribePush {
    /// 2000 to 2499: stay away; 2500 to 2999: subscribe again.
    #[prost(uint32, tag = "2")]
    pub code: u32,
    /// Why, never empty: an SDK reads it without asking whether it is there.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// An asynchronous message.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct MessagePush {
    /// The payload.
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

/// The server made a server-side subscription.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct SubscribePush {
    /// Whether it can recover after a cut.
    #[prost(bool, tag = "1")]
    pub recoverable: bool,
    /// The stream's epoch.
    #[prost(string, tag = "4")]
    pub epoch: String,
    /// The stream's head at the start.
    #[prost(uint64, tag = "5")]
    pub offset: u64,
    /// Whether the server watches the position.
    #[prost(bool, tag = "6")]
    pub positioned: bool,
    /// Payload for the application.
    #[prost(bytes = "bytes", tag = "7")]
    pub data: Bytes,
}

/// The connection is made.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ConnectPush {
    /// The connection's id.
    #[prost(string, tag = "1")]
    pub client: String,
    /// The server's version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Payload for the application.
    #[prost(bytes = "bytes", tag = "3")]
    pub data: Bytes,
    /// Whether the connection expires.
    #[prost(bool, tag = "5")]
    pub expires: bool,
    /// Seconds until then.
    #[prost(uint32, tag = "6")]
    pub ttl: u32,
    /// Seconds between the server's pings.
    #[prost(uint32, tag = "7")]
    pub ping: u32,
    /// Whether the server wants pongs.
    #[prost(bool, tag = "8")]
    pub pong: bool,
}

/// The connection is over; see [`super::codes::Disconnect`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DisconnectPush {
    /// The code.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// Why, never empty.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Whether to come back.
    #[prost(bool, tag = "3")]
    pub reconnect: bool,
}

/// The connection's expiry changed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct RefreshPush {
    /// Whether it expires.
    #[prost(bool, tag = "1")]
    pub expires: bool,
    /// Seconds until then.
    #[prost(uint32, tag = "2")]
    pub ttl: u32,
}

safe_debug! {
    Publication { offset, time }
    ClientInfo { user, client }
    MessagePush {}
    SubscribePush { recoverable, epoch, offset, positioned }
    ConnectPush { client, version, expires, ttl, ping, pong }
}
