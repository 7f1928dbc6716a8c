//! The Centrifuge client protocol, version 2: the messages, their two encodings, the frames and the published codes.
//!
//! One set of Rust types is what a session speaks; [`Format`] says how they stand on the wire. Field names, numbers and
//! codes are those of the published protocol (`client.proto` of GitHub centrifugal/protocol, and the SDKs npm
//! `centrifuge` and PyPI `centrifuge-python`), so that the official SDKs are Kervan's SDKs. What Kervan does not have
//! (deltas, tag filters, map and keyed subscriptions, shared dictionaries) is read as far as it must be refused.
//!
//! Payloads (`data`, `info`) are JSON text in both formats: raw in a JSON frame, as bytes in a protobuf one.
//!
//! Nothing here does I/O, knows a room or keeps state, and nothing here panics on any bytes.

pub mod codes;
mod command;
mod encode;
pub(crate) mod error_map;
mod frame;
mod json_in;
mod json_out;
pub(in crate::api) mod json_write;
pub mod payload;
pub mod publication;
pub mod publish;
mod push;
mod reply;
pub(in crate::api) mod shape;

pub use command::{Command, Request};
pub(crate) use command::{
    ConnectRequest, HistoryRequest, PublishRequest, RpcRequest, StreamPosition, SubRefreshRequest, SubscribeRequest,
    subscription_flag,
};
#[cfg(test)]
pub(crate) use command::{
    PingRequest, PresenceRequest, PresenceStatsRequest, RefreshRequest, SendRequest, UnsubscribeRequest,
};
pub(in crate::api) use encode::append_publication;
#[cfg(test)]
pub(crate) use encode::{append, encode_reply};
pub(crate) use encode::{append_push, encode_ping, encode_push, encoded_reply};
pub use frame::Commands;
pub(crate) use frame::{FrameError, FrameLimits, decode_frame};
#[cfg(test)]
pub(crate) use push::MessagePush;
pub(crate) use push::{ClientInfo, DisconnectPush, Publication, Push, PushBody, SubscribePush};
pub use push::{Join, Leave};
pub use reply::Error;
pub(crate) use reply::{
    ConnectResult, HistoryResult, PingResult, PresenceResult, PresenceStatsResult, PublishResult, RefreshResult, Reply,
    ReplyBody, RpcResult, SubRefreshResult, SubscribeResult, UnsubscribeResult,
};

/// What a protobuf client asks for in `Sec-WebSocket-Protocol`.
pub(crate) const PROTOBUF_SUBPROTOCOL: &str = "centrifuge-protobuf";

/// How messages stand on the wire of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Format {
    /// Text frames; one JSON object a line.
    Json,
    /// Binary frames; each message after its length as a varint.
    Protobuf,
}

#[cfg(test)]
mod tests;
