//! What a back end may ask for.
//!
//! As in the reference server's own JSON: a field that is unknown is skipped, and a field with its type's default (`""`,
//! `0`, `false`, an empty list or object) or with `null` counts as one that is not there. Only `data` may be `null`: that
//! is JSON like any other.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::shape::{nullable, object};
use crate::ids::{ClientId, UserId};

/// Data as it came: as JSON, or as the base64 of JSON. Nothing if there is none.
///
/// # Errors
/// 107 for what is no base64.
pub(crate) fn payload(data: Option<&RawValue>, coded: &str) -> Result<Bytes, Error> {
    match (data, coded) {
        (None, "") => Ok(Bytes::new()),
        (Some(json), "") => Ok(Bytes::copy_from_slice(json.get().as_bytes())),
        (_, coded) => match STANDARD.decode(coded) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(ErrorCode::BAD_REQUEST.because(&format!("b64data: {error}"))),
        },
    }
}

/// A value that is there, `null` too.
fn given<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(d).map(Some)
}

/// A text of a type of its own; `""` is none.
fn named<'de, D: Deserializer<'de>, T: DeserializeOwned>(d: D) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(d)?.filter(|text| !text.is_empty());
    text.map(|text| T::deserialize(text.into_deserializer())).transpose()
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Publish {
    /// Where.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true)]
    pub channel: String,
    /// What, as JSON.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// The same, in base64.
    #[serde(default, deserialize_with = "nullable")]
    pub b64data: String,
    /// Names this publication: asked for again within the dedupe window, it is the same one.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>, max_length = 64)]
    pub idempotency_key: Option<ClientId>,
    /// Who says it: needed in a room, of which it must be a member. Kervan's own.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>, max_length = 128)]
    pub user: Option<UserId>,
    /// Not kept by Kervan: refused unless empty.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: BTreeMap<String, String>,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Broadcast {
    /// Where, at most 1,000.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true)]
    pub channels: Vec<String>,
    /// As in [`Publish`].
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// Likewise.
    #[serde(default, deserialize_with = "nullable")]
    pub b64data: String,
    /// Likewise; in each channel it is the name of another publication.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>, max_length = 64)]
    pub idempotency_key: Option<ClientId>,
    /// Likewise.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>, max_length = 128)]
    pub user: Option<UserId>,
    /// Likewise.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: BTreeMap<String, String>,
}

/// Which connections.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Whose {
    /// Of this user.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = String, required = true)]
    pub user: Option<UserId>,
    /// Only this one.
    #[serde(default, deserialize_with = "nullable")]
    pub client: String,
}

/// A place in a stream.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Since {
    /// The last publication that is known.
    #[serde(default, deserialize_with = "nullable")]
    pub offset: u64,
    /// In this epoch.
    #[serde(default, deserialize_with = "nullable")]
    pub epoch: String,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Subscribe {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// To what.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true)]
    pub channel: String,
    /// What others see of the user in this channel.
    #[schema(value_type = Option<serde_json::Value>)]
    pub info: Option<Box<RawValue>>,
    /// The same, in base64.
    #[serde(default, deserialize_with = "nullable")]
    pub b64info: String,
    /// For the client's program.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// The same, in base64.
    #[serde(default, deserialize_with = "nullable")]
    pub b64data: String,
    /// Where it stood.
    #[serde(default, deserialize_with = "object")]
    pub recover_since: Option<Since>,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct UnsubscribeCall {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// From what.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true)]
    pub channel: String,
}

/// How to close.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct DisconnectCode {
    /// 3000 to 4999: up to 3499 and from 4000 to 4499 SDKs come back. 0: 3503. 3000: without a code, as if the network
    /// had gone.
    #[serde(default, deserialize_with = "nullable")]
    pub code: u16,
    /// At most 123 bytes.
    #[serde(default, deserialize_with = "nullable")]
    pub reason: String,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct DisconnectCall {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// Connections that are spared.
    #[serde(default, deserialize_with = "nullable")]
    pub whitelist: Vec<String>,
    /// How.
    #[serde(default, deserialize_with = "object")]
    pub disconnect: Option<DisconnectCode>,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct RefreshCall {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// They are over now.
    #[serde(default, deserialize_with = "nullable")]
    pub expired: bool,
    /// Seconds since the Unix epoch. None or 0: they do not expire.
    #[serde(default, deserialize_with = "nullable")]
    pub expire_at: u64,
}

/// A channel.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct ChannelRef {
    /// Its name.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true)]
    pub channel: String,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct HistoryCall {
    /// Of what.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true)]
    pub channel: String,
    /// How many at most; 0 for the position alone, below 0 for a full page.
    #[serde(default, deserialize_with = "nullable")]
    pub limit: i32,
    /// After (or, in reverse, before) this one.
    #[serde(default, deserialize_with = "object")]
    pub since: Option<Since>,
    /// The latest first.
    #[serde(default, deserialize_with = "nullable")]
    pub reverse: bool,
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Pattern {
    /// A name with `*` for anything. Empty: all.
    #[serde(default, deserialize_with = "nullable")]
    pub pattern: String,
}

/// Nothing is asked.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Unasked {}

/// A call of a batch: one of them.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the routes say what they are")]
pub(crate) enum Call {
    Publish(Publish),
    Broadcast(Broadcast),
    Subscribe(Subscribe),
    Unsubscribe(UnsubscribeCall),
    Disconnect(DisconnectCall),
    Refresh(RefreshCall),
    Presence(ChannelRef),
    PresenceStats(ChannelRef),
    History(HistoryCall),
    HistoryRemove(ChannelRef),
    Info(Unasked),
    Channels(Pattern),
}

/// See the route.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Batch {
    /// At most 1,000. Each is read by itself: one that is none spoils no other.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Vec<Call>, required = true)]
    pub commands: Vec<Box<RawValue>>,
    /// All at once; else one after the other.
    #[serde(default, deserialize_with = "nullable")]
    pub parallel: bool,
}

/// A call by its name, as the lines of `POST /api` have it.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Line {
    /// Repeated in the answer.
    #[serde(default, deserialize_with = "nullable")]
    pub id: u32,
    /// Which, as in the paths of the other routes.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(required = true, example = "info")]
    pub method: String,
    /// What it asks for.
    #[schema(value_type = Option<serde_json::Value>)]
    pub params: Option<Box<RawValue>>,
}
