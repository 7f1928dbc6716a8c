//! `subscribe` and `unsubscribe`, and what the gateway says of subscriptions. The reply to a subscribe goes out at the
//! very place of the subscription in the channel's order: before everything that comes after it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::channels::Channel;
use super::dispatch::Centrifuge;
use super::push::seconds;
use super::{Connection, Session};
use crate::actors::gateway::feed::{Position, Subscribed};
use crate::actors::gateway::hub::{StreamKey, Wishes};
use crate::actors::gateway::outbox::Signal;
use crate::actors::gateway::session::subscriptions::{self, Told};
use crate::actors::wire::Denial;
use crate::api::auth::{Grant, TokenSub};
use crate::api::operations::admission::Cost;
use crate::api::protocol::codes::{Disconnect, ErrorCode, Unsubscribe};
use crate::api::protocol::error_map::denial_error;
use crate::api::protocol::publication::stream_publication;
use crate::api::protocol::{
    Error, Push, PushBody, Reply, ReplyBody, SubscribeRequest, SubscribeResult, UnsubscribeResult, encode_push,
    subscription_flag,
};
use crate::epoch::History;
use crate::ids::{Seq, Timestamp};

/// A subscription of this connection.
pub(super) type Sub = subscriptions::Sub<Centrifuge>;

/// What a subscribe asked for.
pub(super) struct Requested {
    by: By,
    /// For the client's program, from a token or a back end.
    data: Bytes,
    recovering: bool,
    recoverable: bool,
    expires_at: Option<Timestamp>,
}

/// Who asked for a subscription.
pub(super) enum By {
    /// The client, with this command.
    Command(u32),
    /// Its token, or its being who it is.
    Connect,
    /// A back end.
    BackEnd,
}

impl Requested {
    pub(crate) fn server_side(by: By, data: Bytes, recovering: bool, recoverable: bool) -> Self {
        Self { by, data, recovering, recoverable, expires_at: None }
    }

    pub(crate) fn command(&self) -> Option<u32> {
        match self.by {
            By::Command(id) => Some(id),
            By::Connect | By::BackEnd => None,
        }
    }

    /// Whether the reply to `connect` waits for it.
    pub(crate) fn is_of_connect(&self) -> bool {
        matches!(self.by, By::Connect)
    }
}

/// Where a client says that it stands.
pub(super) fn position(history: History, request: &SubscribeRequest) -> Position {
    Position { epoch: history.read(&request.epoch), offset: Seq(request.offset) }
}

impl Session {
    pub(super) fn sub(&self, channel: &str) -> Option<&Sub> {
        self.core.subs.find(channel)
    }

    /// Whether the client is subscribed to a channel by now, as the gateway knows it, so that it may do what subscribers may.
    /// That the subscription is over may wait in the outbox, behind what the client does not read.
    pub(super) fn may_act(&self, channel: &str) -> bool {
        self.sub(channel).is_some_and(|sub| sub.place.place().is_some())
    }

    pub(super) fn subscribe(&mut self, id: u32, request: SubscribeRequest, connection: &Arc<Connection>) {
        if request.kind != 0 || request.tags_filter.is_some() {
            return self.refuse(id, ErrorCode::NOT_AVAILABLE);
        }
        let channel = match self.server.options.channels.find(&request.channel, &connection.user) {
            Ok(channel) => channel,
            Err(error) => return self.refuse(id, error),
        };
        if self.sub(&request.channel).is_some() {
            return self.refuse(id, ErrorCode::ALREADY_SUBSCRIBED);
        }
        if self.core.subs.is_full() {
            return self.refuse(id, ErrorCode::LIMIT_EXCEEDED);
        }
        if let Err(error) = self.ask(0) {
            return self.refuse(id, error);
        }
        if request.token.is_empty() && !channel.rules.token_required {
            return self.subscribe_granted(id, request, channel, Grant::default());
        }
        let verifier = self.server.verifier.clone();
        let (token, name) = (request.token.clone(), request.channel.clone());
        let user = (!connection.user.is_anonymous()).then(|| connection.user.clone());
        self.gate(async move { verifier.subscription(&token, &name, user.as_ref()).await }, move |session, grant| {
            match grant {
                Ok(grant) => session.subscribe_granted(id, request, channel, grant),
                Err(error) => session.refuse_token(id, error, error.on_subscribe()),
            }
        });
    }

    fn subscribe_granted(&mut self, id: u32, request: SubscribeRequest, channel: Channel, grant: Grant) {
        let Some(connection) = self.connection.clone() else { return };
        let Grant { expires_at, sub: TokenSub { info, data } } = grant;
        let rules = &channel.rules;
        let wishes = Wishes {
            announced: rules.join_leave,
            join_leave: rules.join_leave && request.join_leave,
            info: info.map(Box::new),
            recover: (request.recover && rules.recover).then(|| position(self.server.history(), &request)),
        };
        let asked = Requested {
            by: By::Command(id),
            data,
            recovering: request.recover,
            recoverable: rules.recover,
            expires_at,
        };
        let must_recover = request.recover && request.flag & subscription_flag::REJECT_UNRECOVERED != 0;
        let sub = self.begin(&request.channel, channel.key, asked, wishes, &connection);
        self.core.subs.add(sub.must_recover(must_recover));
        self.set_sub_expiry(&request.channel, expires_at);
    }

    /// Lets the client ask for something of so many rows.
    pub(super) fn ask(&self, rows: usize) -> Result<(), Error> {
        let caller = self.caller.as_ref().ok_or(ErrorCode::UNAUTHORIZED)?;
        self.server.handlers.admit(caller, Cost::Question { rows }).map_err(|error| error.to_protocol())
    }

    /// Asks the gateway for a subscription.
    pub(super) fn begin(
        &mut self,
        name: &str,
        stream: StreamKey,
        asked: Requested,
        wishes: Wishes,
        connection: &Arc<Connection>,
    ) -> Sub {
        let key = self.core.subs.next_key();
        let place = self.server.hub.subscribe(stream, name, connection, key, wishes);
        Sub::asked(key, name.into(), place, asked)
    }

    pub(super) fn unsubscribe(&mut self, id: u32, channel: &str) {
        // As the reference server: who is not subscribed is unsubscribed.
        if let Some(sub) = self.core.subs.remove(channel) {
            sub.place.end(&self.server.hub);
        }
        self.reply(Reply::new(id, ReplyBody::Unsubscribe(UnsubscribeResult {})));
    }

    /// What the gateway says, at its place between the messages.
    pub(super) fn signal(&mut self, signal: Signal, now: Instant, out: &mut Vec<Bytes>) {
        let (Signal::Subscribed { key, .. } | Signal::Refused { key, .. } | Signal::Ended { key, .. }) = signal;
        match self.core.subs.signal(signal) {
            Some(Told::Begun(asked, reply)) => self.begun(key, *asked, &reply, now, out),
            Some(Told::Unrecovered(sub)) => {
                sub.place.end(&self.server.hub);
                if let Some(id) = sub.wish.and_then(|asked| asked.command()) {
                    out.push(self.encode(&Reply::error(id, ErrorCode::UNRECOVERABLE_POSITION)));
                }
            }
            Some(Told::Refused(sub, reason)) => self.refused(sub, reason, now, out),
            Some(Told::Removed(sub)) => out.push(self.unsubscribe_push(&sub, Unsubscribe::SERVER)),
            Some(Told::Insufficient(sub)) => out.push(self.unsubscribe_push(&sub, Unsubscribe::INSUFFICIENT_STATE)),
            Some(Told::Lost(_)) => self.close(Disconnect::INSUFFICIENT_STATE),
            None => {}
        }
    }

    fn begun(&mut self, key: u32, asked: Requested, reply: &Subscribed, now: Instant, out: &mut Vec<Bytes>) {
        let Some(sub) = self.core.subs.get(key) else { return };
        let left = self.expires_in(asked.expires_at);
        let open = sub.place.key().open;
        let result = SubscribeResult {
            expires: left.is_some(),
            ttl: left.map_or(0, seconds),
            recoverable: asked.recoverable,
            epoch: self.server.history().epoch(reply.generation),
            publications: reply.events.iter().map(|event| stream_publication(event, open)).collect(),
            recovered: reply.recovered,
            offset: reply.offset.0,
            positioned: asked.recoverable,
            was_recovering: asked.recovering,
            data: asked.data.clone(),
        };
        let channel = sub.channel.clone();
        match asked.by {
            By::Command(id) => out.push(self.encode(&Reply::new(id, ReplyBody::Subscribe(result)))),
            By::Connect => self.server_side_begun(&channel, result, now, out),
            By::BackEnd => self.told_subscription_begun(&channel, result, out),
        }
    }

    fn refused(&mut self, sub: Sub, reason: Denial, now: Instant, out: &mut Vec<Bytes>) {
        match sub.wish.map(|asked| asked.by) {
            Some(By::Command(id)) => {
                if let (Some(caller), Denial::NoRoom | Denial::NotMember) = (&self.caller, reason) {
                    self.server.handlers.asked_in_vain(caller);
                }
                out.push(self.encode(&Reply::error(id, denial_error(reason))));
            }
            Some(By::Connect) => self.server_side_refused(reason, now, Some(out)),
            Some(By::BackEnd) => tracing::debug!(?reason, "a subscription that a back end wished is refused"),
            None => {}
        }
    }

    pub(super) fn unsubscribe_push(&self, sub: &Sub, why: Unsubscribe) -> Bytes {
        encode_push(&Push::new(&*sub.channel, PushBody::Unsubscribe(why.into())), self.format)
    }

    /// Sets or moves the time at which a subscription ends.
    pub(super) fn set_sub_expiry(&mut self, channel: &str, expires_at: Option<Timestamp>) {
        let now = self.since.elapsed() + self.server.options.refresh_grace;
        let left = self.expires_in(expires_at);
        self.core.subs.set_expiry(channel, left.map(|left| now + left));
    }

    /// Ends the subscriptions whose time is over.
    pub(super) fn expire_subs(&mut self, now: Instant) {
        while let Some(sub) = self.core.subs.take_expired(now - self.since) {
            sub.place.end(&self.server.hub);
            let push = self.unsubscribe_push(&sub, Unsubscribe::EXPIRED);
            self.tell(push);
        }
    }

    /// Counts how the connection ends.
    pub(crate) fn count_close(&self, disconnect: Disconnect) {
        self.server.metrics.disconnects.inc(disconnect.code.into());
    }
}
