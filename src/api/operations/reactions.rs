//! The emoji on the messages of a page: what the store counts, made present by the room's newer events in memory. Pure.
//!
//! A count may be one too high for a moment: when a user puts an emoji on a message once more and the store has only the
//! first time yet.

use std::sync::Arc;

use super::view::{MessageView, ReactionView};
use crate::actors::wire::{Event, EventBody};
use crate::ids::UserId;
use crate::storage::store::rows::Reactions;

/// Puts them on `messages`, which are sorted by seq. `recent`: the room's events in memory, upwards; those that the store
/// has counted are passed over.
pub(super) fn put(messages: &mut [MessageView], stored: Reactions, recent: &[Arc<Event>], user: &UserId) {
    for found in stored.counts {
        if let Ok(index) = messages.binary_search_by_key(&found.seq, |message| message.seq) {
            let view = ReactionView { emoji: found.emoji, count: found.count, own: found.own };
            messages[index].reactions.push(view);
        }
    }
    for event in recent.iter().filter(|event| event.seq > stored.head) {
        let EventBody::Reacted { target, emoji, removed } = &event.body else { continue };
        if let Ok(index) = messages.binary_search_by_key(target, |message| message.seq) {
            change(&mut messages[index].reactions, emoji, *removed, event.actor.as_ref() == Some(user));
        }
    }
    for message in messages.iter_mut().filter(|message| message.deleted) {
        message.reactions.clear();
    }
}

fn change(reactions: &mut Vec<ReactionView>, emoji: &str, removed: bool, own: bool) {
    let index = reactions.iter().position(|view| view.emoji == emoji).unwrap_or_else(|| {
        reactions.push(ReactionView { emoji: emoji.to_owned(), count: 0, own: false });
        reactions.len() - 1
    });
    let view = &mut reactions[index];
    // What the caller did is known, so it is never counted twice.
    if !own || view.own == removed {
        view.count = if removed { view.count.saturating_sub(1) } else { view.count + 1 };
    }
    if own {
        view.own = !removed;
    }
    if view.count == 0 {
        reactions.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::actors::wire::Content;
    use crate::ids::{MessageNo, Seq, Timestamp};
    use crate::storage::store::rows::ReactionCount;

    fn event(seq: u64, actor: &str, body: EventBody) -> Arc<Event> {
        let (actor, id) = (Some(UserId::new(actor).unwrap()), Uuid::from_u128(u128::from(seq)));
        Arc::new(Event { seq: Seq(seq), at: Timestamp(seq), id, actor, client_id: None, body })
    }

    fn reacted(seq: u64, actor: &str, emoji: &str, removed: bool) -> Arc<Event> {
        event(seq, actor, EventBody::Reacted { target: Seq(1), emoji: emoji.to_owned(), removed })
    }

    fn page() -> Vec<MessageView> {
        let content = Content { body: "m".to_owned(), ..Content::default() };
        let body = EventBody::Message { no: MessageNo(1), content, redacted: false };
        MessageView::of_event(&event(1, "ann", body)).into_iter().collect()
    }

    fn shown(stored: Reactions, recent: &[Arc<Event>]) -> Vec<(String, u64, bool)> {
        let mut messages = page();
        put(&mut messages, stored, recent, &UserId::new("me").unwrap());
        messages.remove(0).reactions.into_iter().map(|view| (view.emoji, view.count, view.own)).collect()
    }

    #[test]
    fn what_memory_knows_is_added_to_what_the_store_counts() {
        let counts = vec![ReactionCount { seq: Seq(1), emoji: "a".to_owned(), count: 2, own: false }];
        let recent = [reacted(4, "bob", "a", false), reacted(5, "bob", "a", false), reacted(6, "me", "b", false)];
        let stored = Reactions { head: Seq(4), counts };
        assert_eq!(shown(stored, &recent), [("a".to_owned(), 3, false), ("b".to_owned(), 1, true)]);
    }

    #[test]
    fn one_s_own_reaction_is_never_counted_twice() {
        let counts = vec![ReactionCount { seq: Seq(1), emoji: "a".to_owned(), count: 1, own: true }];
        let stored = Reactions { head: Seq(4), counts };
        assert_eq!(shown(stored.clone(), &[reacted(5, "me", "a", false)]), [("a".to_owned(), 1, true)]);
        assert_eq!(shown(stored, &[reacted(5, "me", "a", true), reacted(6, "me", "a", true)]), []);
    }

    #[test]
    fn a_deleted_message_has_none() {
        let mut messages = page();
        messages[0].redact();
        put(&mut messages, Reactions::default(), &[reacted(5, "bob", "a", false)], &UserId::new("me").unwrap());
        assert_eq!(messages[0].reactions, []);
    }
}
