//! What others order of a connection: a back end, an operator, the node that goes down. Obeyed before the client's next
//! command, whether or not the client reads.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Session;
use super::subscribe::{By, Requested};
use crate::actors::gateway::feed::Position;
use crate::actors::gateway::hub::Wishes;
use crate::actors::gateway::order::Order;
use crate::actors::wire::Denial;
use crate::api::protocol::codes::{ErrorCode, Unsubscribe};
use crate::api::protocol::{Push, PushBody, SubscribePush, SubscribeResult, encode_push};
use crate::ids::Timestamp;

impl Session {
    /// Does what was ordered.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Close { code, reason } => self.core.close(code, reason),
            Order::Subscribe { channel, info, data, recover } => {
                self.told_to_subscribe(&channel, info, data, recover);
            }
            Order::Unsubscribe { channel } => self.told_to_unsubscribe(&channel),
            Order::Expire(at) => self.told_when_it_expires(at),
        }
    }

    /// Subscribes as a token's `channels` do. A subscription that exists stays; in a room the fold says whether the user may.
    fn told_to_subscribe(&mut self, name: &str, info: Option<Bytes>, data: Bytes, recover: Option<Position>) {
        let Some(connection) = self.connection.clone() else { return };
        let Ok(channel) = self.server.options.channels.find(name, &connection.user) else { return };
        if self.sub(name).is_some() || self.core.subs.is_full() {
            return;
        }
        let rules = &channel.rules;
        let recover = recover.filter(|_| rules.recover);
        let asked = Requested::server_side(By::BackEnd, data, recover.is_some(), rules.recover);
        let wishes =
            Wishes { announced: rules.join_leave, join_leave: rules.join_leave, info: info.map(Box::new), recover };
        let sub = self.begin(name, channel.key, asked, wishes, &connection);
        self.core.subs.add(sub.server_side(true));
    }

    /// A subscription that a back end wished begins: the client is told, then gets what it missed.
    pub(super) fn told_subscription_begun(&mut self, channel: &str, result: SubscribeResult, out: &mut Vec<Bytes>) {
        let SubscribeResult { recoverable, epoch, offset, positioned, publications, data, .. } = result;
        let begun = SubscribePush { recoverable, epoch, offset, positioned, data };
        let pushes = std::iter::once(PushBody::Subscribe(begun)).chain(publications.into_iter().map(PushBody::Pub));
        for body in pushes {
            let push = encode_push(&Push::new(channel, body), self.format);
            match &mut self.connecting {
                // SDKs take nothing before the reply to `connect`.
                Some(connecting) => connecting.hold(push),
                None => out.push(push),
            }
        }
    }

    /// Ends a subscription, of the client's or the server's making.
    fn told_to_unsubscribe(&mut self, channel: &str) {
        let Some(mut sub) = self.core.subs.remove(channel) else { return };
        sub.place.end(&self.server.hub);
        match sub.wish.take() {
            Some(asked) if asked.is_of_connect() => self.server_side_refused(Denial::NotMember, Instant::now(), None),
            Some(asked) => {
                if let Some(id) = asked.command() {
                    self.refuse(id, ErrorCode::PERMISSION_DENIED);
                }
            }
            None => match &mut self.connecting {
                Some(connecting) => connecting.forget(channel),
                None => {
                    let push = self.unsubscribe_push(&sub, Unsubscribe::SERVER);
                    self.tell(push);
                }
            },
        }
    }

    /// Moves the time at which the connection is over unless its token is refreshed.
    fn told_when_it_expires(&mut self, at: Option<Timestamp>) {
        if self.connecting.is_some() {
            // Its token is newer than what the back end knew.
            return;
        }
        let grace = self.server.options.refresh_grace;
        self.clocks.expires =
            self.expires_in(at).map(|left| Instant::now() + left + if left.is_zero() { Duration::ZERO } else { grace });
    }
}
