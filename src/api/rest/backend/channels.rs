//! What a back end may know of channels: who is there, what was said, which there are.

use super::Done;
use super::input::{ChannelRef, HistoryCall, Pattern, Unasked};
use super::output::{
    ChannelHistory, ChannelNames, Node, Nodes, Nothing, Numbers, Past, Present, PresentClient, Subscribers,
};
use crate::actors::gateway::hub::{self, StreamKey};
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::{HistoryRequest, StreamPosition};
use crate::api::rest::Rest;
use crate::api::session::{client_info, history};

impl Rest {
    pub(super) async fn presence(&self, asked: ChannelRef) -> Done<Present> {
        let present = self.sessions.hub().presence(&self.with_presence(&asked.channel)?);
        let presence = present.iter().map(|who| (who.client.to_string(), PresentClient::from(client_info(who))));
        Ok(Present { presence: presence.collect() })
    }

    pub(super) async fn presence_stats(&self, asked: ChannelRef) -> Done<Numbers> {
        let key = self.with_presence(&asked.channel)?;
        let hub::Numbers { clients, users } = self.sessions.hub().numbers(&key);
        Ok(Numbers { num_clients: clients, num_users: users })
    }

    fn with_presence(&self, channel: &str) -> Done<StreamKey> {
        let channel = self.sessions.channels().named(channel)?;
        if !channel.rules.presence {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        Ok(channel.key)
    }

    pub(super) async fn history(&self, asked: HistoryCall) -> Done<ChannelHistory> {
        let HistoryCall { channel, limit, since, reverse } = asked;
        let known = self.sessions.channels().named(&channel)?;
        if !known.rules.history {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        let position = self.handlers.position(&known.key.stream).await;
        let (generation, head) = position.map_err(|error| error.to_protocol())?;
        let since = since.map(|since| StreamPosition { offset: since.offset, epoch: since.epoch });
        let request = HistoryRequest { channel, limit, since, reverse };
        let range = history::range(&request, self.sessions.history(), generation, head)?;
        let past = history::fetch(&self.sessions, &known.key, generation, range).await?;
        let publications = past.into_iter().map(Past::from).collect();
        Ok(ChannelHistory { publications, epoch: self.sessions.history().epoch(generation), offset: head.0 })
    }

    pub(super) async fn history_remove(&self, asked: ChannelRef) -> Done<Nothing> {
        self.sessions.channels().named(&asked.channel)?;
        let why = "what was acknowledged is kept as long as the namespace says; a message can be deleted";
        Err(ErrorCode::NOT_AVAILABLE.because(why))
    }

    pub(super) async fn info(&self, _: Unasked) -> Done<Nodes> {
        let hub = self.sessions.hub();
        let channels = hub.channels();
        let node = Node {
            uid: self.sessions.node().to_string(),
            name: "kervan".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            num_clients: hub.sessions().count(),
            num_users: hub.sessions().users(),
            num_channels: channels.len(),
            num_subs: channels.iter().map(|(_, subscribers)| subscribers).sum(),
            uptime: self.sessions.uptime().as_secs(),
        };
        Ok(Nodes { nodes: vec![node] })
    }

    pub(super) async fn channels(&self, asked: Pattern) -> Done<ChannelNames> {
        let all = self.sessions.hub().channels();
        let named = all.into_iter().filter(|(name, _)| matches(&asked.pattern, name));
        let channels = named.map(|(name, num_clients)| (name.into(), Subscribers { num_clients })).collect();
        Ok(ChannelNames { channels })
    }
}

/// Whether a name is of this pattern: `*` stands for anything, and an empty pattern for every name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern.is_empty() || pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_anything() {
        for (pattern, name) in
            [("", "a"), ("a", "a"), ("*", "a"), ("room:*", "room:1"), ("*:x", "a:x"), ("a*b*c", "a1b2c"), ("a*", "a")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("room:*", "news"), ("*:x", "a:y"), ("a*b*c", "acb"), ("ab*b", "ab")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
