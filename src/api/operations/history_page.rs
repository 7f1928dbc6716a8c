//! Joins what the store has of a room's messages with the room's newer events in memory: a page that includes what was
//! acknowledged a moment ago. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::page;
use super::view::MessageView;
use crate::actors::wire::{Event, EventBody};
use crate::ids::Seq;

/// Which messages are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// The newest ones below this seq.
    Before(Seq),
    /// The oldest ones above this seq.
    After(Seq),
}

impl Want {
    /// Whether `seq` is not beyond `last` in the wanted direction.
    fn is_within(self, last: Seq, seq: Seq) -> bool {
        match self {
            Self::Before(_) => seq >= last,
            Self::After(_) => seq <= last,
        }
    }

    /// The lowest and the highest seq that it concerns; the lower end is not below `floor`.
    #[must_use]
    pub(crate) fn bounds(self, floor: Seq) -> (Seq, Seq) {
        match self {
            Self::Before(seq) => (floor, Seq(seq.0.saturating_sub(1))),
            Self::After(seq) => (floor.max(Seq(seq.0.saturating_add(1))), Seq(i64::MAX as u64)),
        }
    }
}

/// At most `limit` messages by seq upwards, no more than fit into a page, and whether there are more in the wanted direction.
///
/// `stored`: messages in their present form, the first ones of those that are wanted and stored; `end` is the last of them in
/// the wanted direction if there may be more behind it. `recent`: the room's events behind those that the store has, dense and upwards; that the store
/// has some of them already does no harm, as long as none behind the last of them is in the rows.
#[must_use]
pub(crate) fn merge(
    stored: Vec<MessageView>,
    end: Option<Seq>,
    recent: &[Arc<Event>],
    want: Want,
    floor: Seq,
    limit: usize,
) -> (Vec<MessageView>, bool) {
    let (low, high) = want.bounds(floor);
    let mut messages: BTreeMap<Seq, MessageView> = stored.into_iter().map(|view| (view.seq, view)).collect();
    for event in recent {
        match &event.body {
            EventBody::Message { .. } => {
                if let Some(view) = MessageView::of_event(event) {
                    messages.entry(event.seq).or_insert(view);
                }
            }
            EventBody::Edited { target, body, metadata } => {
                if let Some(view) = messages.get_mut(target) {
                    view.edit(body, metadata.as_deref(), event.at);
                }
            }
            EventBody::Deleted { target } => {
                if let Some(view) = messages.get_mut(target) {
                    view.redact();
                }
            }
            _ => {}
        }
    }
    messages.retain(|seq, _| *seq >= low && *seq <= high && end.is_none_or(|end| want.is_within(end, *seq)));
    let limit = match want {
        Want::Before(_) => page::fitting(messages.values().rev().take(limit)),
        Want::After(_) => page::fitting(messages.values().take(limit)),
    };
    let surplus = messages.len() - limit;
    let skip = if matches!(want, Want::Before(_)) { surplus } else { 0 };
    (messages.into_values().skip(skip).take(limit).collect(), surplus > 0 || end.is_some())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::actors::wire::Content;
    use crate::ids::{MessageNo, Timestamp, UserId};

    /// With all that is stored.
    fn merge(
        stored: Vec<MessageView>,
        recent: &[Arc<Event>],
        want: Want,
        floor: Seq,
        limit: usize,
    ) -> (Vec<MessageView>, bool) {
        super::merge(stored, None, recent, want, floor, limit)
    }

    const ALL: Want = Want::Before(Seq(1_000));

    fn event(seq: u64, body: EventBody) -> Arc<Event> {
        let (actor, id) = (Some(UserId::new("a").unwrap()), Uuid::from_u128(u128::from(seq)));
        Arc::new(Event { seq: Seq(seq), at: Timestamp(1_000 + seq), id, actor, client_id: None, body })
    }

    fn message(seq: u64) -> Arc<Event> {
        let content = Content { body: format!("m{seq}"), message_type: "text".to_owned(), ..Content::default() };
        event(seq, EventBody::Message { no: MessageNo(seq), content, redacted: false })
    }

    fn edit(seq: u64, target: u64, body: &str) -> Arc<Event> {
        event(
            seq,
            EventBody::Edited { target: Seq(target), body: body.to_owned(), metadata: Some("{\"v\":1}".to_owned()) },
        )
    }

    fn delete(seq: u64, target: u64) -> Arc<Event> {
        event(seq, EventBody::Deleted { target: Seq(target) })
    }

    fn row(seq: u64) -> MessageView {
        MessageView::of_event(&message(seq)).unwrap()
    }

    fn seqs(page: &(Vec<MessageView>, bool)) -> (Vec<u64>, bool) {
        (page.0.iter().map(|view| view.seq.0).collect(), page.1)
    }

    #[test]
    fn what_is_only_in_memory_follows_what_is_stored() {
        let page = merge(vec![row(2), row(1)], &[message(3), message(4)], ALL, Seq(1), 10);
        assert_eq!(seqs(&page), (vec![1, 2, 3, 4], false));
    }

    #[test]
    fn an_overlap_is_shown_once_and_as_it_is_now() {
        let page = merge(vec![row(1), row(2)], &[message(2), edit(3, 1, "new"), edit(4, 2, "newer")], ALL, Seq(1), 10);
        assert_eq!(seqs(&page), (vec![1, 2], false));
        assert_eq!(page.0[0].body, "new");
        assert_eq!(page.0[0].metadata.as_ref().unwrap().get(), "{\"v\":1}");
        assert_eq!(page.0[1].edited_at, Some(Timestamp(1_004)));
    }

    #[test]
    fn the_last_edit_counts_and_a_deletion_ends_it() {
        let recent = [edit(3, 1, "x"), edit(4, 1, "y"), edit(5, 2, "z"), delete(6, 2)];
        let page = merge(vec![row(1), row(2)], &recent, ALL, Seq(1), 10);
        assert_eq!(page.0[0].body, "y");
        assert!(page.0[1].deleted && page.0[1].body.is_empty() && page.0[1].edited_at.is_none());
    }

    #[test]
    fn an_edit_in_memory_does_not_bring_a_deleted_message_back() {
        let mut gone = row(1);
        gone.redact();
        let page = merge(vec![gone], &[edit(3, 1, "back?")], ALL, Seq(1), 10);
        assert!(page.0[0].deleted && page.0[0].body.is_empty());
    }

    #[test]
    fn a_page_before_takes_the_newest_and_says_that_there_are_more() {
        let stored = (1..=4).rev().map(row).collect();
        let page = merge(stored, &[message(5), message(6)], Want::Before(Seq(6)), Seq(1), 3);
        assert_eq!(seqs(&page), (vec![3, 4, 5], true));
    }

    #[test]
    fn a_page_after_takes_the_oldest_and_says_that_there_are_more() {
        let stored = (3..=4).map(row).collect();
        let page = merge(stored, &[message(5), message(6)], Want::After(Seq(2)), Seq(1), 3);
        assert_eq!(seqs(&page), (vec![3, 4, 5], true));
        let rest = merge(vec![], &[message(5), message(6)], Want::After(Seq(5)), Seq(1), 3);
        assert_eq!(seqs(&rest), (vec![6], false));
    }

    #[test]
    fn what_lies_behind_the_end_of_what_was_read_is_left_for_the_next_page() {
        let recent = [event(9, EventBody::Deleted { target: Seq(3) }), message(10)];
        let after = super::merge(vec![row(3), row(4)], Some(Seq(4)), &recent, Want::After(Seq(2)), Seq(1), 10);
        assert_eq!(seqs(&after), (vec![3, 4], true), "5 to 8 are stored, too");
        let before = super::merge(vec![row(8), row(7)], Some(Seq(7)), &recent, ALL, Seq(1), 10);
        assert_eq!(seqs(&before), (vec![7, 8, 10], true));
    }

    #[test]
    fn a_page_has_a_bound_in_bytes_and_one_message_at_least() {
        let heavy = |seq| MessageView { body: "\"".repeat(32 * 1024), ..row(seq) };
        let page = merge((1..=9).map(heavy).collect(), &[], Want::After(Seq(0)), Seq(1), 9);
        assert_eq!(seqs(&page), (vec![1, 2, 3], true), "64 KiB each as they are sent");
        let page = merge((1..=9).map(heavy).collect(), &[], ALL, Seq(1), 9);
        assert_eq!(seqs(&page), (vec![7, 8, 9], true));
        let page = merge((1..=9).map(heavy).collect(), &[], ALL, Seq(1), 1);
        assert_eq!(seqs(&page), (vec![9], true));
    }

    #[test]
    fn nothing_below_the_floor_is_shown() {
        let page = merge((1..=4).map(row).collect(), &[message(5)], ALL, Seq(4), 10);
        assert_eq!(seqs(&page), (vec![4, 5], false));
    }

    #[test]
    fn other_events_are_no_messages() {
        let page =
            merge(vec![], &[event(1, EventBody::Joined), message(2), event(3, EventBody::Ended)], ALL, Seq(1), 10);
        assert_eq!(seqs(&page), (vec![2], false));
    }
}
