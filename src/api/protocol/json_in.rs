//! Reading of one JSON command.
//!
//! Fields that are unknown are skipped, `null` counts as absent, and a wrong type is an error. Payloads, and
//! what is skipped, may be nested as deep as they like: they are walked without recursion, and the receiver of a payload bounds
//! its depth ([`super::payload::check_json`]).

use serde::de::Error as _;

use super::command::{
    Command, ConnectRequest, HistoryRequest, PingRequest, PresenceRequest, PresenceStatsRequest, PublishRequest,
    RefreshRequest, Request, RpcRequest, SendRequest, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use super::shape::{nullable, object};

/// A command as JSON has it: each request under its own key.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct JsonCommand {
    #[serde(deserialize_with = "nullable")]
    id: u32,
    #[serde(deserialize_with = "object")]
    connect: Option<ConnectRequest>,
    #[serde(deserialize_with = "object")]
    subscribe: Option<SubscribeRequest>,
    #[serde(deserialize_with = "object")]
    unsubscribe: Option<UnsubscribeRequest>,
    #[serde(deserialize_with = "object")]
    publish: Option<PublishRequest>,
    #[serde(deserialize_with = "object")]
    presence: Option<PresenceRequest>,
    #[serde(deserialize_with = "object")]
    presence_stats: Option<PresenceStatsRequest>,
    #[serde(deserialize_with = "object")]
    history: Option<HistoryRequest>,
    #[serde(deserialize_with = "object")]
    ping: Option<PingRequest>,
    #[serde(deserialize_with = "object")]
    send: Option<SendRequest>,
    #[serde(deserialize_with = "object")]
    rpc: Option<RpcRequest>,
    #[serde(deserialize_with = "object")]
    refresh: Option<RefreshRequest>,
    #[serde(deserialize_with = "object")]
    sub_refresh: Option<SubRefreshRequest>,
}

/// Reads one command from one line.
///
/// # Errors
/// No JSON object, or a field of a wrong type.
pub(super) fn command(line: &str) -> Result<Command, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(line);
    let command = object(&mut json)?.ok_or_else(|| serde_json::Error::custom("null is no command"))?;
    json.end()?;
    let JsonCommand {
        id,
        connect,
        subscribe,
        unsubscribe,
        publish,
        presence,
        presence_stats,
        history,
        ping,
        send,
        rpc,
        refresh,
        sub_refresh,
    } = command;
    let request = connect
        .map(Request::Connect)
        .or(subscribe.map(Request::Subscribe))
        .or(unsubscribe.map(Request::Unsubscribe))
        .or(publish.map(Request::Publish))
        .or(presence.map(Request::Presence))
        .or(presence_stats.map(Request::PresenceStats))
        .or(history.map(Request::History))
        .or(ping.map(Request::Ping))
        .or(send.map(Request::Send))
        .or(rpc.map(Request::Rpc))
        .or(refresh.map(Request::Refresh))
        .or(sub_refresh.map(Request::SubRefresh));
    Ok(Command { id, request })
}
