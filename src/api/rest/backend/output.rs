//! What a back end is answered.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::protocol::{self, Error};

/// A result or an error: one of the two is there.
#[derive(Serialize, ToSchema)]
pub(crate) struct Answer<T> {
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
    /// Why nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallError>,
}

impl<T> From<Result<T, Error>> for Answer<T> {
    fn from(done: Result<T, Error>) -> Self {
        match done {
            Ok(result) => Self { result: Some(result), error: None },
            Err(error) => Self { result: None, error: Some(error.into()) },
        }
    }
}

/// An error, with the numbers of the client protocol.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallError {
    /// The number.
    code: u32,
    /// For people.
    message: String,
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self { code: error.code, message: error.message }
    }
}

/// Done, and nothing to say of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Nothing {}

/// A publication's place.
#[derive(Serialize, ToSchema)]
pub(crate) struct Placed {
    /// In the channel's stream.
    pub offset: u64,
    /// Of this epoch.
    pub epoch: String,
}

/// One answer for each channel, in their order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Broadcasted {
    /// The answers.
    pub responses: Vec<Answer<Placed>>,
}

/// A connection, as those see it who may ask for presence.
#[derive(Serialize, ToSchema)]
pub(crate) struct PresentClient {
    /// Its id.
    pub client: String,
    /// Its user.
    pub user: String,
    /// The `info` of its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub conn_info: Option<Box<RawValue>>,
    /// The `info` of its subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub chan_info: Option<Box<RawValue>>,
}

impl From<protocol::ClientInfo> for PresentClient {
    fn from(info: protocol::ClientInfo) -> Self {
        let protocol::ClientInfo { user, client, conn_info, chan_info } = info;
        Self { client, user, conn_info: raw(&conn_info), chan_info: raw(&chan_info) }
    }
}

/// JSON as it is; nothing if there is none.
fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(json).ok().filter(|text| !text.is_empty())?;
    RawValue::from_string(text.to_owned()).ok()
}

/// By connection.
#[derive(Serialize, ToSchema)]
pub(crate) struct Present {
    /// Who is subscribed.
    pub presence: BTreeMap<String, PresentClient>,
}

/// How many.
#[derive(Serialize, ToSchema)]
pub(crate) struct Numbers {
    /// Connections.
    pub num_clients: usize,
    /// Users.
    pub num_users: usize,
}

/// Something that was published.
#[derive(Serialize, ToSchema)]
pub(crate) struct Past {
    /// Its place.
    offset: u64,
    /// What.
    #[schema(value_type = serde_json::Value)]
    data: Option<Box<RawValue>>,
    /// Who, if a client published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<PresentClient>,
}

impl From<protocol::Publication> for Past {
    fn from(publication: protocol::Publication) -> Self {
        let protocol::Publication { data, info, offset, .. } = publication;
        Self { offset, data: raw(&data), info: info.map(PresentClient::from) }
    }
}

/// A page of history.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelHistory {
    /// In the order asked for.
    pub publications: Vec<Past>,
    /// Of the stream.
    pub epoch: String,
    /// Where the stream stands.
    pub offset: u64,
}

/// The nodes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Nodes {
    /// Each of them.
    pub nodes: Vec<Node>,
}

/// A node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Node {
    /// Its id, another one after each start.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Connections.
    pub num_clients: usize,
    /// Users.
    pub num_users: usize,
    /// Channels with subscribers.
    pub num_channels: usize,
    /// Subscriptions.
    pub num_subs: usize,
    /// Seconds since the start.
    pub uptime: u64,
}

/// By name.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelNames {
    /// Channels with subscribers.
    pub channels: BTreeMap<String, Subscribers>,
}

/// Of one channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct Subscribers {
    /// Connections.
    pub num_clients: usize,
}

/// One call's result, under the call's name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the routes say what they are")]
pub(crate) enum Outcome {
    Publish(Placed),
    Broadcast(Broadcasted),
    Subscribe(Nothing),
    Unsubscribe(Nothing),
    Disconnect(Nothing),
    Refresh(Nothing),
    Presence(Present),
    PresenceStats(Numbers),
    History(ChannelHistory),
    HistoryRemove(Nothing),
    Info(Nodes),
    Channels(ChannelNames),
}

/// What came of a call of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Batched {
    /// Its result.
    Result(Outcome),
    /// Why there is none.
    ApiError {
        /// The error.
        error: CallError,
    },
}

impl From<Error> for Batched {
    fn from(error: Error) -> Self {
        Self::ApiError { error: error.into() }
    }
}

/// What came of a line.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineAnswer {
    /// Of the line; none if it had none.
    #[serde(skip_serializing_if = "is_zero")]
    pub id: u32,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Plain>,
    /// Why nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(id: &u32) -> bool {
    *id == 0
}

/// One call's result by itself: without the call's name.
pub(crate) struct Plain(pub Outcome);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Outcome::Publish(done) => done.serialize(s),
            Outcome::Broadcast(done) => done.serialize(s),
            Outcome::Presence(done) => done.serialize(s),
            Outcome::PresenceStats(done) => done.serialize(s),
            Outcome::History(done) => done.serialize(s),
            Outcome::Info(done) => done.serialize(s),
            Outcome::Channels(done) => done.serialize(s),
            Outcome::Subscribe(done)
            | Outcome::Unsubscribe(done)
            | Outcome::Disconnect(done)
            | Outcome::Refresh(done)
            | Outcome::HistoryRemove(done) => done.serialize(s),
        }
    }
}

/// What came of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replies {
    /// In the order of the calls.
    pub replies: Vec<Batched>,
}
