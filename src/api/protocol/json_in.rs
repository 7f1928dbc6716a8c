//! Reading of one JSON command.
//!
//! Fields that are unknown are skipped, `null` counts as absent, and a wrong type is an error. Payloads, and
//! what is skipped, may be nested as deep as they like: they are walked without recursion, and the receiver of a payload bounds
//! its depth ([`super::payload::check_json`]).

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::command::{
    Command, ConnectRequest, HistoryRequest, PingRequest, PresenceRequest, PresenceStatsRequest, PublishRequest,
    RefreshRequest, Request, RpcRequest, SendRequest, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use super::shape::{nullable, object};
use crate::limits;

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

/// A payload: the JSON text as it stands, copied out of the frame. `null` is a payload like any other.
pub(super) fn raw<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
    let text = <&'de RawValue>::deserialize(d)?;
    Ok(Bytes::copy_from_slice(text.get().as_bytes()))
}

/// Whether something other than `null` is there. What it is does not matter.
pub(super) fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Bytes>, D::Error> {
    Ok(Option::<serde::de::IgnoredAny>::deserialize(d)?.map(|_| Bytes::new()))
}

/// As [`object`], where a type is needed.
struct ObjectOr<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectOr<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        object(d).map(Self)
    }
}

/// The subscriptions of a connect request, bounded: an entry costs far more memory than its bytes on the wire.
pub(super) fn bounded_subs<'de, D>(d: D) -> Result<BTreeMap<String, SubscribeRequest>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Subs;

    impl<'de> Visitor<'de> for Subs {
        type Value = BTreeMap<String, SubscribeRequest>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of subscriptions")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut subs = BTreeMap::new();
            let mut count = 0;
            while let Some((channel, ObjectOr(sub))) = map.next_entry::<String, _>()? {
                count += 1;
                if count > limits::SESSION_SUBSCRIPTIONS {
                    return Err(A::Error::custom("too many subscriptions"));
                }
                subs.insert(channel, sub.unwrap_or_default());
            }
            Ok(subs)
        }
    }

    d.deserialize_any(Subs)
}
