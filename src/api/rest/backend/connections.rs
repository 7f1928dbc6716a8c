//! `subscribe`, `unsubscribe`, `disconnect`, `refresh`: orders that each connection obeys before its client's next command.
//! Who has no connection now is told nothing: that is no error.

use std::sync::Arc;

use bytes::Bytes;

use super::Done;
use super::input::{DisconnectCall, RefreshCall, Subscribe, UnsubscribeCall, Whose, payload};
use super::output::Nothing;
use crate::actors::gateway::feed::Position;
use crate::actors::gateway::hub::Connection;
use crate::actors::gateway::order::Order;
use crate::api::protocol::codes::{self, ErrorCode};
use crate::api::rest::Rest;
use crate::ids::{Seq, Timestamp, UserId};
use crate::limits;

/// Bytes of the reason in a WebSocket close frame.
const REASON_BYTES: usize = 123;

impl Rest {
    pub(super) async fn subscribe(&self, asked: Subscribe) -> Done<Nothing> {
        let Subscribe { whose, channel, info, b64info, data, b64data, recover_since } = asked;
        self.sessions.channels().find(&channel, user(&whose)?)?;
        let data = payload(data.as_deref(), &b64data)?;
        let info = Some(payload(info.as_deref(), &b64info)?).filter(|info| !info.is_empty());
        if data.len().max(info.as_ref().map_or(0, Bytes::len)) > limits::METADATA_BYTES {
            return Err(ErrorCode::TOO_LARGE.because(&format!("at most {} bytes", limits::METADATA_BYTES)));
        }
        let recover = recover_since
            .map(|since| Position { epoch: self.sessions.history().read(&since.epoch), offset: Seq(since.offset) });
        for connection in self.connections(&whose)? {
            let (channel, info, data, recover) = (channel.as_str().into(), info.clone(), data.clone(), recover);
            connection.outbox.order(Order::Subscribe { channel, info, data, recover });
        }
        Ok(Nothing {})
    }

    pub(super) async fn unsubscribe(&self, asked: UnsubscribeCall) -> Done<Nothing> {
        let UnsubscribeCall { whose, channel } = asked;
        self.sessions.channels().named(&channel)?;
        for connection in self.connections(&whose)? {
            connection.outbox.order(Order::Unsubscribe { channel: channel.as_str().into() });
        }
        Ok(Nothing {})
    }

    pub(super) async fn disconnect(&self, asked: DisconnectCall) -> Done<Nothing> {
        let DisconnectCall { whose, whitelist, disconnect } = asked;
        let farewell = disconnect.unwrap_or_default();
        let code = match farewell.code {
            0 => codes::Disconnect::FORCE_NO_RECONNECT.code,
            code @ 3000..=4999 => code,
            code => return Err(ErrorCode::BAD_REQUEST.because(&format!("code {code} is not in 3000 to 4999"))),
        };
        if farewell.reason.len() > REASON_BYTES {
            return Err(ErrorCode::TOO_LARGE.because(&format!("the reason has at most {REASON_BYTES} bytes")));
        }
        let spared = |connection: &Connection| whitelist.contains(&connection.client.to_string());
        for connection in self.connections(&whose)?.into_iter().filter(|connection| !spared(connection)) {
            let reason = Some(farewell.reason.as_str()).filter(|reason| !reason.is_empty());
            connection.outbox.order(Order::Close { code, reason: reason.map(Into::into) });
        }
        Ok(Nothing {})
    }

    pub(super) async fn refresh(&self, asked: RefreshCall) -> Done<Nothing> {
        let RefreshCall { whose, expired, expire_at } = asked;
        let at = (expire_at > 0).then(|| Timestamp(expire_at.saturating_mul(1_000)));
        let over = expired || at.is_some_and(|at| at <= self.sessions.clock().now());
        for connection in self.connections(&whose)? {
            connection.outbox.order(match over {
                true => Order::close(codes::Disconnect::EXPIRED.code),
                false => Order::Expire(at),
            });
        }
        Ok(Nothing {})
    }

    /// A `client` that no connection has, whatever it looks like, is one that has gone.
    fn connections(&self, whose: &Whose) -> Done<Vec<Arc<Connection>>> {
        let mut all = self.sessions.hub().sessions().of(user(whose)?);
        all.retain(|connection| whose.client.is_empty() || whose.client == connection.client.to_string());
        Ok(all)
    }
}

fn user(whose: &Whose) -> Done<&UserId> {
    whose.user.as_ref().ok_or_else(|| ErrorCode::BAD_REQUEST.because("name the `user`"))
}
