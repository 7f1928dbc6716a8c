//! `presence` and `presence_stats`: connections that are subscribed to a channel, for those who are subscribed, too.

use std::collections::HashSet;

use bytes::Bytes;

use super::Session;
use super::push::client_info;
use crate::actors::gateway::hub::Presence;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::{Error, PresenceResult, PresenceStatsResult, Reply, ReplyBody};
use crate::limits;

/// Connections that a presence reply names at most; a channel with more has `presence_stats`.
const NAMED: usize = 1_000;
/// Bytes of a client without its user and info: its id, twice, and the names of fields.
const CLIENT_BYTES: usize = 128;

impl Session {
    pub(super) fn presence(&mut self, id: u32, channel: &str) {
        let clients = match self.present(channel) {
            Ok(clients) => clients,
            Err(error) => return self.refuse(id, error),
        };
        let bytes: usize = clients.iter().map(weight).sum();
        if clients.len() > NAMED || bytes > limits::PAGE_BYTES {
            return self.refuse(id, ErrorCode::LIMIT_EXCEEDED);
        }
        let presence = clients.iter().map(|who| (who.client.to_string(), client_info(who))).collect();
        self.reply(Reply::new(id, ReplyBody::Presence(PresenceResult { presence })));
    }

    pub(super) fn presence_stats(&mut self, id: u32, channel: &str) {
        let clients = match self.present(channel) {
            Ok(clients) => clients,
            Err(error) => return self.refuse(id, error),
        };
        let users: HashSet<_> = clients.iter().map(|who| &who.user).collect();
        let result = PresenceStatsResult { num_clients: clients.len() as u32, num_users: users.len() as u32 };
        self.reply(Reply::new(id, ReplyBody::PresenceStats(result)));
    }

    fn present(&self, channel: &str) -> Result<Vec<Presence>, Error> {
        let Some(connection) = &self.connection else { return Err(ErrorCode::UNAUTHORIZED.into()) };
        let rules = self.server.options.channels.find(channel, &connection.user)?.rules;
        if !rules.presence {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        let sub = self.sub(channel).ok_or(ErrorCode::PERMISSION_DENIED)?;
        self.ask(0)?;
        sub.place.presence().ok_or_else(|| ErrorCode::PERMISSION_DENIED.into())
    }
}

/// Bytes of a client in a reply, about.
fn weight(who: &Presence) -> usize {
    let info = [&who.connection_info, &who.channel_info].into_iter().flatten();
    CLIENT_BYTES + who.user.as_str().len() + info.map(Bytes::len).sum::<usize>()
}
