//! What a back end may ask for. Fields that Kervan does not know are skipped, as by the reference server.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;
use crate::ids::{ClientId, UserId};

/// Data as it came: as JSON, or as the base64 of JSON. Nothing if there is none.
///
/// # Errors
/// 107 for what is no base64.
pub fn payload(data: Option<&RawValue>, coded: Option<&str>) -> Result<Bytes, Error> {
    match (data, coded.filter(|coded| !coded.is_empty())) {
        (_, Some(coded)) => match STANDARD.decode(coded) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(ErrorCode::BAD_REQUEST.because(&format!("b64data: {error}"))),
        },
        (Some(json), None) => Ok(Bytes::copy_from_slice(json.get().as_bytes())),
        (None, None) => Ok(Bytes::new()),
    }
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Publish {
    /// Where.
    pub channel: String,
    /// What, as JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// The same, in base64.
    pub b64data: Option<String>,
    /// Names this publication: asked for again within the dedupe window, it is the same one.
    pub idempotency_key: Option<ClientId>,
    /// Who says it: needed in a room, of which it must be a member. Kervan's own.
    pub user: Option<UserId>,
    /// Not kept by Kervan: refused unless empty.
    pub tags: Option<BTreeMap<String, String>>,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Broadcast {
    /// Where, at most 1,000.
    pub channels: Vec<String>,
    /// As in [`Publish`].
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// Likewise.
    pub b64data: Option<String>,
    /// Likewise; in each channel it is the name of another publication.
    pub idempotency_key: Option<ClientId>,
    /// Likewise.
    pub user: Option<UserId>,
    /// Likewise.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Which connections.
#[derive(Deserialize, ToSchema)]
pub struct Whose {
    /// Of this user.
    pub user: UserId,
    /// Only this one.
    #[serde(default, deserialize_with = "optional_uuid")]
    #[schema(value_type = Option<String>)]
    pub client: Option<Uuid>,
}

/// An empty string is no id.
fn optional_uuid<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(d)?.filter(|text| !text.is_empty());
    text.map(|text| Uuid::try_parse(&text).map_err(serde::de::Error::custom)).transpose()
}

/// A place in a stream.
#[derive(Deserialize, ToSchema)]
pub struct Since {
    /// The last publication that is known.
    #[serde(default)]
    pub offset: u64,
    /// In this epoch.
    #[serde(default)]
    pub epoch: String,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Subscribe {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// To what.
    pub channel: String,
    /// What others see of the user in this channel.
    #[schema(value_type = Option<serde_json::Value>)]
    pub info: Option<Box<RawValue>>,
    /// For the client's program.
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// The same, in base64.
    pub b64data: Option<String>,
    /// Where it stood.
    #[serde(default)]
    pub recover_since: Option<Since>,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Unsubscribe {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// From what.
    pub channel: String,
}

/// How to close.
#[derive(Deserialize, ToSchema, Default)]
pub struct Farewell {
    /// 3000 to 4999: up to 3499 and from 4000 to 4499 SDKs come back. 0: 3503.
    #[serde(default)]
    pub code: u16,
    /// At most 123 bytes.
    #[serde(default)]
    pub reason: String,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Disconnect {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// Connections that are spared.
    #[serde(default)]
    pub whitelist: Vec<String>,
    /// How.
    #[serde(default)]
    pub disconnect: Option<Farewell>,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Refresh {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// They are over now.
    #[serde(default)]
    pub expired: bool,
    /// Seconds since the Unix epoch. None or 0: they do not expire.
    #[serde(default)]
    pub expire_at: Option<u64>,
}

/// A channel.
#[derive(Deserialize, ToSchema)]
pub struct Channel {
    /// Its name.
    pub channel: String,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct History {
    /// Of what.
    pub channel: String,
    /// How many at most; 0 for the position alone, below 0 for a full page.
    #[serde(default)]
    pub limit: i32,
    /// After (or, in reverse, before) this one.
    #[serde(default)]
    pub since: Option<Since>,
    /// The latest first.
    #[serde(default)]
    pub reverse: bool,
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Pattern {
    /// A name with `*` for anything. Empty: all.
    #[serde(default)]
    pub pattern: String,
}

/// Nothing is asked.
#[derive(Deserialize, ToSchema, Default)]
pub struct Unasked {}

/// A call of a batch: one of them.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the routes say what they are")]
pub enum Command {
    Publish(Publish),
    Broadcast(Broadcast),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Disconnect(Disconnect),
    Refresh(Refresh),
    Presence(Channel),
    PresenceStats(Channel),
    History(History),
    HistoryRemove(Channel),
    Info(Unasked),
    Channels(Pattern),
}

/// See the route.
#[derive(Deserialize, ToSchema)]
pub struct Batch {
    /// At most 1,000.
    pub commands: Vec<Command>,
    /// All at once; else one after the other.
    #[serde(default)]
    pub parallel: bool,
}
