//! `publish` and `broadcast`: what is published goes the way of a client's publish, and is answered when it is durable.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::input::{Broadcast, Publish, payload};
use super::output::{Broadcasted, Placed};
use super::{Done, MOST};
use crate::actors::router::PendingAnswer;
use crate::actors::wire::Entity;
use crate::api::operations::Caller;
use crate::api::protocol::codes::ErrorCode;
use crate::api::rest::Rest;
use crate::ids::{ClientId, RoomId, UserId};

/// What is to be published, wherever.
#[derive(Clone)]
struct What {
    data: Bytes,
    key: Option<ClientId>,
    user: Option<UserId>,
}

impl What {
    fn new(
        data: Option<&RawValue>,
        coded: &str,
        key: Option<ClientId>,
        user: Option<UserId>,
        tags: &BTreeMap<String, String>,
    ) -> Done<Self> {
        if !tags.is_empty() {
            return Err(ErrorCode::NOT_AVAILABLE.because("tags are not kept: put them into the data"));
        }
        Ok(Self { data: payload(data, coded)?, key, user })
    }
}

/// A publication that is on its way.
struct Sent {
    caller: Caller,
    stream: Entity,
    room: Option<RoomId>,
    answer: PendingAnswer,
}

impl Rest {
    pub(super) async fn publish(&self, asked: Publish) -> Done<Placed> {
        let Publish { channel, data, b64data, idempotency_key, user, tags } = asked;
        let what = What::new(data.as_deref(), &b64data, idempotency_key, user, &tags)?;
        self.published(self.hand_over(&channel, &what)?).await
    }

    pub(super) async fn broadcast(&self, asked: Broadcast) -> Done<Broadcasted> {
        let Broadcast { channels, data, b64data, idempotency_key, user, tags } = asked;
        if channels.len() > MOST {
            return Err(ErrorCode::LIMIT_EXCEEDED.because(&format!("at most {MOST} channels")));
        }
        let what = What::new(data.as_deref(), &b64data, idempotency_key, user, &tags)?;
        // All are handed over, in their order, before the first answer is waited for.
        let sent: Vec<_> = channels.iter().map(|channel| self.hand_over(channel, &what)).collect();
        let responses = join_all(sent.into_iter().map(|sent| async { self.published(sent?).await }));
        Ok(Broadcasted { responses: responses.await.into_iter().map(Into::into).collect() })
    }

    fn hand_over(&self, name: &str, what: &What) -> Done<Sent> {
        let channel = self.sessions.channels().named(name)?;
        let What { data, key, user } = what.clone();
        let (caller, prepared) = match (channel.room(), user) {
            (Some(room), Some(user)) => {
                let caller = Caller::in_the_name_of(user);
                let prepared = self.handlers.prepare_publish(&caller, room, &data, key);
                (caller, prepared)
            }
            (Some(_), None) => {
                return Err(ErrorCode::BAD_REQUEST.because("in a room somebody speaks: name the `user`, a member"));
            }
            (None, _) if channel.is_personal() => {
                return Err(ErrorCode::NOT_AVAILABLE.because("a personal channel tells of rooms; write into one"));
            }
            (None, user) => {
                let caller = Caller::in_the_name_of(user.unwrap_or_else(UserId::server));
                let prepared = self.handlers.prepare_open_publish(&caller, name, channel.rules.bound, data, key);
                (caller, prepared)
            }
        };
        let record = prepared.map_err(|error| error.to_protocol())?;
        let room = record.room;
        let answer = self.sessions.router().command(record.partition, record.record);
        Ok(Sent { caller, stream: channel.key.stream, room, answer })
    }

    async fn published(&self, sent: Sent) -> Done<Placed> {
        let Sent { caller, stream, room, answer } = sent;
        let answer = answer.get().await;
        let sent = self.handlers.sent(&caller, room, answer).map_err(|error| error.to_protocol())?;
        // It is in, whatever becomes of the epoch's name.
        let position = self.handlers.position(&stream).await;
        let epoch = position.map(|(generation, _)| self.sessions.history().epoch(generation));
        Ok(Placed { offset: sent.seq.0, epoch: epoch.unwrap_or_default() })
    }
}
