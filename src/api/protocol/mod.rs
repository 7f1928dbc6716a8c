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
pub mod error_map;
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

pub use command::{
    Command, ConnectRequest, HistoryRequest, PingRequest, PresenceRequest, PresenceStatsRequest, PublishRequest,
    RefreshRequest, Request, RpcRequest, SendRequest, StreamPosition, SubRefreshRequest, SubscribeRequest,
    UnsubscribeRequest, subscription_flag,
};
pub use encode::{append, encode_ping, encode_push, encode_reply, encoded_reply};
pub use frame::{Commands, FrameError, FrameLimits, decode_frame};
pub use push::{
    ClientInfo, ConnectPush, DisconnectPush, Join, Leave, MessagePush, Publication, Push, PushBody, RefreshPush,
    SubscribePush, UnsubscribePush,
};
pub use reply::{
    ConnectResult, Error, HistoryResult, PingResult, PresenceResult, PresenceStatsResult, PublishResult, RefreshResult,
    Reply, ReplyBody, RpcResult, SubRefreshResult, SubscribeResult, UnsubscribeResult,
};

/// What a protobuf client asks for in `Sec-WebSocket-Protocol`.
pub const PROTOBUF_SUBPROTOCOL: &str = "centrifuge-protobuf";

/// How messages stand on the wire of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Text frames; one JSON object a line.
    Json,
    /// Binary frames; each message after its length as a varint.
    Protobuf,
}

impl Format {
    /// The format's name, as in `cf_protocol=protobuf` and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }
}

/// `Debug` that shows what is safe to log: the named fields, never a token, never a payload.
macro_rules! safe_debug {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    )*};
}
use safe_debug;

#[cfg(test)]
mod tests;
