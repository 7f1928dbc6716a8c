//! Puts an emoji on a message, or takes it back.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomKind, fields};
use crate::ids::{ClientId, Seq, UserId};
use crate::limits;

/// An emoji for a message. Whether it is there already the rows know, not the fold: a second time is an event that changes
/// no count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct React {
    /// Who reacts.
    pub by: UserId,
    /// The message's seq.
    pub target: Seq,
    /// What it says. Only its length is judged here: what counts as an emoji depends on a version of Unicode.
    pub reaction: Reaction,
    /// The author of `target`, as in [`super::Delete`].
    pub author: Option<UserId>,
}

/// An emoji that is put on a message, or taken back.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
pub struct Reaction {
    /// The client's own id of the command: a retry with it is answered with the first event.
    #[schema(required = false, nullable = false)]
    pub client_id: Option<ClientId>,
    /// One emoji, at most 64 bytes.
    pub emoji: String,
    /// Take it back instead.
    #[serde(default)]
    #[schema(required = false)]
    pub remove: bool,
}

impl Reaction {
    /// Whether the text is one emoji: a symbol with what modifies it, several that are joined to one, or a flag. Without
    /// tables of Unicode: a text of letters is none, and neither are two symbols side by side.
    #[must_use]
    pub(crate) fn is_one_emoji(&self) -> bool {
        let is_modifier = |c: char| matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
        let is_regional = |c: char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
        let is_symbol = |c: char| !c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control();
        let parts: Vec<Vec<char>> = self.emoji.split('\u{200d}').map(|part| part.chars().collect()).collect();
        let is_part = |part: &Vec<char>| match part.as_slice() {
            [one, two] if is_regional(*one) => is_regional(*two),
            // A key: a digit, `#` or `*` with the mark that makes it one.
            ['0'..='9' | '#' | '*', rest @ ..] => rest.contains(&'\u{20e3}') && rest.iter().all(|c| is_modifier(*c)),
            [symbol, rest @ ..] => {
                is_symbol(*symbol)
                    && !is_regional(*symbol)
                    && !is_modifier(*symbol)
                    && rest.iter().all(|c| is_modifier(*c))
            }
            [] => false,
        };
        self.emoji.len() <= limits::EMOJI_BYTES && parts.iter().all(is_part)
    }
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    client_id: Bytes,
    #[prost(uint64, tag = "3")]
    target: u64,
    #[prost(string, tag = "4")]
    emoji: String,
    #[prost(bool, tag = "5")]
    remove: bool,
    #[prost(bytes = "bytes", tag = "6")]
    author: Bytes,
}

impl Verb<RoomState, Outcome> for React {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload {
            by: fields::bytes(self.by.as_str()),
            client_id: self.reaction.client_id.map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
            target: self.target.0,
            emoji: self.reaction.emoji,
            remove: self.reaction.remove,
            author: self.author.map_or(Bytes::new(), |user| fields::bytes(user.as_str())),
        }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let Payload { by, client_id, target, emoji, remove, author } = payload;
        Ok(Self {
            by: fields::user(&by)?,
            target: Seq(target),
            reaction: Reaction { client_id: fields::client_id(&client_id)?, emoji, remove },
            author: fields::user_or_none(&author)?,
        })
    }

    fn check(&self) -> Result<(), BadInput> {
        if self.reaction.emoji.is_empty() {
            return Err(BadInput::because("emoji must not be empty"));
        }
        bounds::text("emoji", &self.reaction.emoji, limits::EMOJI_BYTES)
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { by, target, reaction, author } = self;
        let Reaction { client_id, emoji, remove } = reaction;
        if room.existing()? == RoomKind::Open {
            return Err(Reject::WrongKind);
        }
        if let Some(first) = client_id.as_ref().and_then(|client_id| room.window.find(&by, client_id)) {
            return Ok(Outcome::Duplicate { seq: first.seq, id: first.id, at: first.at });
        }
        room.member_only(&by)?;
        room.alive(now)?;
        room.unblocked()?;
        if client_id.as_ref().is_some_and(|id| room.window.is_too_old(id)) {
            return Err(Reject::TooOld);
        }
        if target == Seq::ZERO || target > room.meta.head {
            return Err(Reject::NoMessage);
        }
        match room.window.live(now.append, target) {
            Some(entry) if !entry.is_message() => return Err(Reject::NoMessage),
            Some(entry) if entry.deleted().is_some() => return Err(Reject::Deleted),
            None if author.is_none() => return Err(Reject::NoMessage),
            Some(_) | None => {}
        }
        Ok(room.accept(now, id, Some(by), client_id, EventBody::Reacted { target, emoji, removed: remove }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::room::RoomCommand;
    use crate::actors::room::tests::support::{Room, client_id, delete, leave, send, user};

    fn react(by: &str, target: u64, emoji: &str) -> React {
        let reaction = Reaction { client_id: None, emoji: emoji.to_owned(), remove: false };
        React { by: user(by), target: Seq(target), reaction, author: None }
    }

    /// A room of ann and bob with a message at seq 2.
    fn room() -> Room {
        let mut room = Room::group("ann", &["bob"]);
        room.accepted(RoomCommand::Send(send("ann", None)));
        room
    }

    #[test]
    fn a_member_puts_an_emoji_on_a_message_and_takes_it_back() {
        let mut room = room();
        for removed in [false, true] {
            let mut react = react("bob", 2, "👍");
            react.reaction.remove = removed;
            let event = room.accepted(RoomCommand::React(react));
            assert_eq!(event.body, EventBody::Reacted { target: Seq(2), emoji: "👍".to_owned(), removed });
            assert_eq!((event.removes(), event.weight() > 0), (None, true));
        }
    }

    #[test]
    fn nobody_reacts_who_is_no_member_or_to_what_is_no_message() {
        let mut room = room();
        assert_eq!(room.rejected(RoomCommand::React(react("cat", 2, "👍"))), Reject::NotMember);
        for seq in [0, 1, 9] {
            assert_eq!(room.rejected(RoomCommand::React(react("bob", seq, "👍"))), Reject::NoMessage);
        }
        assert_eq!(room.rejected(RoomCommand::React(react("bob", 2, ""))), Reject::Invalid);
        assert_eq!(room.rejected(RoomCommand::React(react("bob", 2, &"x".repeat(65)))), Reject::TooLarge);
        room.accepted(delete("ann", 2));
        assert_eq!(room.rejected(RoomCommand::React(react("bob", 2, "👍"))), Reject::Deleted);
        room.accepted(leave("bob"));
        assert_eq!(room.rejected(RoomCommand::React(react("bob", 2, "👍"))), Reject::NotMember);
    }

    #[test]
    fn a_retry_is_answered_with_the_first_event() {
        let mut room = room();
        let again = || {
            let mut react = react("bob", 2, "👍");
            react.reaction.client_id = Some(client_id("r-1"));
            RoomCommand::React(react)
        };
        let first = room.accepted(again());
        assert_eq!(room.duplicate(again()), first.seq);
    }

    #[test]
    fn one_emoji_is_told_from_texts() {
        for emoji in ["👍", "👍🏽", "❤️", "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🇹🇷", "1️⃣", "☕"]
        {
            assert!(react("ann", 1, emoji).reaction.is_one_emoji(), "{emoji}");
        }
        for text in ["", "a", "ok", "👍👍", "👍 ", "1", "🇹", "é", "漢", "\u{200d}", "👍\u{200d}", "\u{fe0f}"]
        {
            assert!(!react("ann", 1, text).reaction.is_one_emoji(), "{text:?}");
        }
        assert!(!react("ann", 1, &format!("👍{}", "🏽".repeat(16))).reaction.is_one_emoji());
    }
}
