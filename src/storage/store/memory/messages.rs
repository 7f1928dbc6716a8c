//! What happens to messages after they were sent: redactions and emoji.

use super::core::Core;
use crate::ids::{RoomId, Seq, UserId};
use crate::storage::store::SeqRange;
use crate::storage::store::commit::ReactionChange;
use crate::storage::store::history::{HistoryQuestion, HistoryRows, stretch};
use crate::storage::store::rows::{MessageBody, ReactionCount, Reactions};

impl Core {
    pub(super) fn redact(&mut self, room: RoomId, seq: Seq) {
        self.edited.remove(&(room, seq));
        self.reactions.retain(|row| (row.room, row.seq) != (room, seq));
        for row in self.events.range_mut((room, seq)..=(room, Seq(u64::MAX))).map(|(_, row)| row) {
            if row.target == Some(seq) {
                row.data = None;
            }
            if row.seq == seq
                && let Some(message) = &mut row.message
            {
                let (no, message_type) = (message.no, std::mem::take(&mut message.message_type));
                *message = MessageBody { no, message_type, deleted: true, ..MessageBody::default() };
            }
        }
    }

    pub(super) fn apply_reactions(&mut self, changes: Vec<ReactionChange>) {
        for change in changes {
            match change {
                ReactionChange::Put(row) => {
                    let message = self.events.get(&(row.room, row.seq)).and_then(|event| event.message.as_ref());
                    if message.is_some_and(|message| !message.deleted) {
                        self.reactions.insert(row);
                    }
                }
                ReactionChange::Remove(row) => _ = self.reactions.remove(&row),
            }
        }
    }

    /// See [`crate::storage::store::Store::history`].
    #[must_use]
    pub(crate) fn history(&self, question: HistoryQuestion<'_>) -> Option<HistoryRows> {
        let HistoryQuestion { room, limit, user, .. } = question;
        let chat = self.chat(room)?;
        let messages = self.messages(room, question.range_in(&chat), limit);
        let reactions = match stretch(&messages) {
            Some(range) => self.reactions(room, range, user),
            None => Reactions { head: chat.head, counts: Vec::new() },
        };
        Some(HistoryRows { chat, messages, reactions })
    }

    /// See [`crate::storage::store::Store::reactions`].
    #[must_use]
    pub(crate) fn reactions(&self, room: RoomId, range: SeqRange, user: &UserId) -> Reactions {
        let mut counts: Vec<ReactionCount> = Vec::new();
        for row in self.reactions.iter().filter(|row| row.room == room && row.seq >= range.from && row.seq <= range.to)
        {
            let own = row.user == *user;
            match counts.last_mut().filter(|last| last.seq == row.seq && last.emoji == row.emoji) {
                Some(last) => (last.count, last.own) = (last.count + 1, last.own || own),
                None => counts.push(ReactionCount { seq: row.seq, emoji: row.emoji.clone(), count: 1, own }),
            }
        }
        Reactions { head: self.chats.get(&room).map_or(Seq::ZERO, |chat| chat.head), counts }
    }

    /// See [`crate::storage::store::Store::emoji_on`].
    #[must_use]
    pub(crate) fn emoji_on(&self, room: RoomId, message: Seq, most: usize) -> Vec<String> {
        let mut emoji: Vec<_> =
            self.reactions.iter().filter(|row| row.room == room && row.seq == message).map(|row| &row.emoji).collect();
        emoji.dedup();
        emoji.into_iter().take(most).cloned().collect()
    }
}
