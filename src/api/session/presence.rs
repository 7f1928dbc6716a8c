//! `presence` and `presence_stats`: connections that are subscribed to a channel, for those who are subscribed, too.

use bytes::Bytes;

use super::Session;
use super::push::client_info;
use super::subscribe::Sub;
use crate::actors::gateway::hub::{Numbers, Presence};
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::{Error, PresenceResult, PresenceStatsResult, Reply, ReplyBody};
use crate::limits;

/// Bytes of a client without its user and info: its id, twice, and the names of fields.
const CLIENT_BYTES: usize = 128;

impl Session {
    pub(super) fn presence(&mut self, id: u32, channel: &str) {
        let named = self.present(channel).and_then(|sub| {
            // One more than are named says that there are too many.
            sub.place.presence(limits::PRESENCE_NAMED + 1).ok_or_else(|| ErrorCode::PERMISSION_DENIED.into())
        });
        let clients = match named {
            Ok(clients) => clients,
            Err(error) => return self.refuse(id, error),
        };
        let bytes: usize = clients.iter().map(weight).sum();
        if clients.len() > limits::PRESENCE_NAMED || bytes > limits::PAGE_BYTES {
            return self.refuse(id, ErrorCode::LIMIT_EXCEEDED);
        }
        let presence = clients.iter().map(|who| (who.client.to_string(), client_info(who))).collect();
        self.reply(Reply::new(id, ReplyBody::Presence(PresenceResult { presence })));
    }

    pub(super) fn presence_stats(&mut self, id: u32, channel: &str) {
        let counted = self
            .present(channel)
            .and_then(|sub| sub.place.numbers(&self.server.hub).ok_or_else(|| ErrorCode::PERMISSION_DENIED.into()));
        let Numbers { clients, users } = match counted {
            Ok(numbers) => numbers,
            Err(error) => return self.refuse(id, error),
        };
        let result = PresenceStatsResult { num_clients: clients as u32, num_users: users as u32 };
        self.reply(Reply::new(id, ReplyBody::PresenceStats(result)));
    }

    fn present(&self, channel: &str) -> Result<&Sub, Error> {
        let Some(connection) = &self.connection else { return Err(ErrorCode::UNAUTHORIZED.into()) };
        let rules = self.server.options.channels.find(channel, &connection.user)?.rules;
        if !rules.presence {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        let sub = self.sub(channel).ok_or(ErrorCode::PERMISSION_DENIED)?;
        self.ask(0)?;
        Ok(sub)
    }
}

/// Bytes of a client in a reply, about.
fn weight(who: &Presence) -> usize {
    let info = [&who.connection_info, &who.channel_info].into_iter().flatten();
    CLIENT_BYTES + who.user.as_str().len() + info.map(Bytes::len).sum::<usize>()
}
