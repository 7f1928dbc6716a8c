//! `presence` and `presence_stats`: connections that are subscribed to a channel, for those who are subscribed, too.

use std::collections::HashSet;

use super::Session;
use super::push::client_info;
use super::subscribe::Sub;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::{Error, PresenceResult, PresenceStatsResult, Reply, ReplyBody};

/// Connections that a presence reply names at most; a channel with more has `presence_stats`.
const NAMED: usize = 1_000;

impl Session {
    pub(super) fn presence(&mut self, id: u32, channel: &str) {
        let clients = match self.present(channel) {
            Ok(sub) => sub.place.presence(),
            Err(error) => return self.refuse(id, error),
        };
        if clients.len() > NAMED {
            return self.refuse(id, ErrorCode::LIMIT_EXCEEDED);
        }
        let presence = clients.iter().map(|who| (who.client.to_string(), client_info(who))).collect();
        self.reply(Reply::new(id, ReplyBody::Presence(PresenceResult { presence })));
    }

    pub(super) fn presence_stats(&mut self, id: u32, channel: &str) {
        let clients = match self.present(channel) {
            Ok(sub) => sub.place.presence(),
            Err(error) => return self.refuse(id, error),
        };
        let users: HashSet<_> = clients.iter().map(|who| &who.user).collect();
        let result = PresenceStatsResult { num_clients: clients.len() as u32, num_users: users.len() as u32 };
        self.reply(Reply::new(id, ReplyBody::PresenceStats(result)));
    }

    fn present(&self, channel: &str) -> Result<&Sub, Error> {
        let Some(connection) = &self.connection else { return Err(ErrorCode::UNAUTHORIZED.into()) };
        let rules = self.server.options.channels.find(channel, &connection.user)?.rules;
        if !rules.presence {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        self.sub(channel).ok_or_else(|| ErrorCode::PERMISSION_DENIED.into())
    }
}
