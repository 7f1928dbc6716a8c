//! `connect`: who the client is, and the subscriptions that the server makes for it. Commands after it wait until its
//! reply is out: SDKs take nothing before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::channels::Channel;
use super::push::{seconds, wire};
use super::subscribe::{By, Requested, position};
use super::{Connection, Session};
use crate::actors::gateway::hub::Wishes;
use crate::actors::gateway::outbox::Outbox;
use crate::actors::wire::Denial;
use crate::api::auth::{TokenError, TokenOutcome, TokenSub, VerifiedToken};
use crate::api::failures::Credential;
use crate::api::operations::Caller;
use crate::api::operations::admission::Payer;
use crate::api::protocol::codes::Disconnect;
use crate::api::protocol::shape::read_object;
use crate::api::protocol::{ConnectRequest, ConnectResult, Error, Reply, ReplyBody, SubscribeRequest, SubscribeResult};
use crate::ids::{DeviceId, Timestamp, UserId};

/// The server's version, as clients see it.
pub(super) const VERSION: &str = concat!("kervan ", env!("CARGO_PKG_VERSION"));

/// A `connect` whose server-side subscriptions are not all answered.
pub(super) struct Connecting {
    id: u32,
    waiting: usize,
    subs: BTreeMap<String, SubscribeResult>,
    /// What came of those that are, for after the reply.
    held: Vec<Bytes>,
    expires_at: Option<Timestamp>,
}

impl Connecting {
    /// A subscription has ended before the reply could tell of it.
    pub(crate) fn forget(&mut self, channel: &str) {
        self.subs.remove(channel);
    }

    pub(crate) fn hold(&mut self, message: Bytes) {
        self.held.push(message);
    }
}

/// What a client may say of itself.
#[derive(Deserialize, Default)]
struct About {
    device: Option<DeviceId>,
}

impl Session {
    pub(super) fn connect(&mut self, id: u32, request: ConnectRequest) {
        let verifier = self.server.verifier.clone();
        let token = request.token.clone();
        self.gate(async move { verifier.connection(&token).await }, move |session, verified| match verified {
            Ok(verified) => session.admit(id, &request, verified),
            Err(error) => session.refuse_token(id, error, error.on_connect()),
        });
    }

    /// A token was refused. Why is for the log, where the verifier has written it; in development for the client, too.
    pub(super) fn refuse_token(&mut self, id: u32, error: TokenError, outcome: TokenOutcome) {
        if error.is_failure() {
            self.server.failures().note(Credential::Token, self.network, &error.to_string());
        }
        let explains = self.server.verifier.explains();
        match outcome {
            TokenOutcome::Error(code) if explains => self.refuse(id, code.because(&error.to_string())),
            TokenOutcome::Error(code) => self.refuse(id, code),
            TokenOutcome::Disconnect(disconnect) => {
                let reason = explains.then(|| format!("{}: {error}", disconnect.reason).into());
                self.core.close(disconnect.code, reason);
            }
        }
    }

    fn admit(&mut self, id: u32, request: &ConnectRequest, verified: VerifiedToken) {
        let VerifiedToken { user, expires_at, info, subs, sign_in, issued_at } = verified;
        if self.server.shutdown.is_draining() {
            return self.close(Disconnect::SHUTDOWN);
        }
        let client = self.server.env.ids.next();
        let user = user.unwrap_or_else(|| UserId::anonymous(client));
        let mut begun = Vec::with_capacity(subs.len() + 1);
        if !user.is_anonymous() {
            begun.push((user.channel(), TokenSub::default()));
        }
        begun.extend(subs.into_iter().filter(|(name, _)| *name != user.channel()));
        let channels = &self.server.options.channels;
        let found = begun.into_iter().map(|(name, says)| {
            let channel = channels
                .find(&name, &user)
                .map_err(|error| Error { message: format!("{}: the token names {name:?}", error.message), ..error })?;
            Ok((name, channel, says))
        });
        let begun: Vec<_> = match found.collect::<Result<_, Error>>() {
            Ok(begun) => begun,
            Err(error) => return self.refuse(id, error),
        };
        let device = read_object::<About>(&request.data).unwrap_or_default().device;
        let payer = Payer::of(&user, self.network);
        self.caller = Some(Arc::new(Caller { user: user.clone(), device, payer }));
        let outbox = Outbox::new(self.server.options.outbox_bytes);
        let connection = Arc::new(Connection {
            client,
            user: user.clone(),
            wire: wire(self.format),
            info,
            outbox,
            since: self.server.env.now(),
            sign_in,
            commands: AtomicU32::new(0),
        });
        self.server.hub.sessions().add(&connection);
        // Revoked while it was looked at: the revocation did not find this connection yet.
        if self.server.verifier.is_revoked(&user, sign_in, issued_at) {
            self.server.hub.sessions().remove(&connection);
            return self.close(Disconnect::INVALID_TOKEN);
        }
        self.server.metrics.clients.inc();
        self.connection = Some(connection.clone());
        self.connecting =
            Some(Box::new(Connecting { id, waiting: 0, subs: BTreeMap::new(), held: Vec::new(), expires_at }));
        for (name, channel, says) in begun {
            let from = request.subs.get(&name);
            self.server_side(name, channel, says, from, &connection);
        }
        self.connected_if_complete(Instant::now(), None);
    }

    fn server_side(
        &mut self,
        name: String,
        channel: Channel,
        says: TokenSub,
        from: Option<&SubscribeRequest>,
        connection: &Arc<Connection>,
    ) {
        let from = from.filter(|from| from.recover && channel.rules.recover);
        let wishes = Wishes {
            announced: channel.rules.join_leave,
            join_leave: channel.rules.join_leave,
            recover: from.map(|from| position(self.server.history(), from)),
            info: says.info.map(Box::new),
        };
        let asked = Requested::server_side(By::Connect, says.data, from.is_some(), channel.rules.recover);
        let sub = self.begin(&name, channel.key, asked, wishes, connection);
        self.core.subs.add(sub.server_side(true));
        if let Some(connecting) = &mut self.connecting {
            connecting.waiting += 1;
        }
    }

    /// A server-side subscription began.
    pub(super) fn server_side_begun(
        &mut self,
        channel: &str,
        result: SubscribeResult,
        now: Instant,
        out: &mut Vec<Bytes>,
    ) {
        if let Some(connecting) = &mut self.connecting {
            connecting.subs.insert(channel.to_owned(), result);
            connecting.waiting -= 1;
        }
        self.connected_if_complete(now, Some(out));
    }

    /// It did not. Without a token's channel the client can live, without an answer about it it can't.
    pub(super) fn server_side_refused(&mut self, reason: Denial, now: Instant, out: Option<&mut Vec<Bytes>>) {
        if reason == Denial::Unavailable {
            return self.close(Disconnect::SERVER_ERROR);
        }
        if let Some(connecting) = &mut self.connecting {
            connecting.waiting -= 1;
        }
        self.connected_if_complete(now, out);
    }

    /// Replies to `connect` once every server-side subscription is answered.
    fn connected_if_complete(&mut self, now: Instant, out: Option<&mut Vec<Bytes>>) {
        let Some(Connecting { id, subs, held, expires_at, .. }) =
            self.connecting.take_if(|connecting| connecting.waiting == 0).map(|connecting| *connecting)
        else {
            return;
        };
        let Some(connection) = self.connection.clone() else { return };
        let left = self.expires_in(expires_at);
        self.clocks.expires = left.map(|left| now + left + self.server.options.refresh_grace);
        let interval = self.server.options.ping_interval;
        if !interval.is_zero() {
            self.clocks.ping = Some(now + first_ping(interval, connection.client));
        }
        let result = ConnectResult {
            client: connection.client.to_string(),
            version: VERSION.to_owned(),
            expires: left.is_some(),
            ttl: left.map_or(0, seconds),
            subs,
            ping: if interval.is_zero() { 0 } else { seconds(interval) },
            pong: !interval.is_zero(),
            session: self.stream.as_deref().unwrap_or_default().to_owned(),
            node: self.stream.as_ref().map_or_else(String::new, |_| self.server.node().to_string()),
            ..ConnectResult::default()
        };
        let reply = self.encode(&Reply::new(id, ReplyBody::Connect(result)));
        match out {
            Some(out) => {
                out.push(reply);
                out.extend(held);
            }
            None => {
                self.direct.push_back(reply);
                self.direct.extend(held);
            }
        }
    }

    /// What is left until a time that a token named.
    pub(super) fn expires_in(&self, at: Option<Timestamp>) -> Option<Duration> {
        at.map(|at| Duration::from_millis(at.since(self.server.env.now())))
    }
}

/// Spread over the second half of the interval by the client's id, so that not all are pinged at once.
fn first_ping(interval: Duration, client: Uuid) -> Duration {
    let spread = f64::from(client.as_u128() as u16) / f64::from(u16::MAX);
    interval.mul_f64(0.5 + spread / 2.0)
}
