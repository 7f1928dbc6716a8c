//! Rules of one total order: what each subscription got, and the final stream itself.

use std::collections::HashMap;

use super::index::{Index, Stream};
use super::{Findings, Kind};
use crate::history::{Body, Entry, Event, Sub};

/// The final streams are dense, each seq once, message numbers and times in order.
pub(crate) fn finals(index: &Index<'_>, findings: &mut Findings) {
    for (room, stream) in &index.finals {
        let (mut next_seq, mut next_no, mut last_at) = (1, 1, 0);
        let mut events: Vec<&Event> = stream.events.iter().collect();
        events.sort_by_key(|event| event.seq);
        for event in events {
            if event.seq < next_seq {
                findings.add(Kind::DuplicateSeq, room, format!("seq {} twice in the final stream", event.seq));
                continue;
            }
            if event.seq > next_seq {
                findings.add(Kind::Gap, room, format!("seq {next_seq} to {} not in the final stream", event.seq - 1));
            }
            next_seq = event.seq + 1;
            if let Body::Message { no, .. } = &event.body {
                // An open channel's publications do not tell their number.
                if *no != 0 && *no != next_no {
                    findings.add(Kind::MessageNumbers, room, format!("seq {} is no {no}, not {next_no}", event.seq));
                }
                next_no += 1;
            }
            if event.at != 0 {
                if event.at < last_at {
                    findings.add(Kind::TimeRegress, room, format!("seq {} at {} after {last_at}", event.seq, event.at));
                }
                last_at = event.at.max(last_at);
            }
        }
    }
}

/// Where a subscription stands.
struct Cursor {
    next: u64,
    /// It began with `recovered: true` and nothing was delivered since.
    resumed: bool,
    open: bool,
}

/// Each subscription gets every seq after its position once and in order, and in the end all of them.
pub(crate) fn deliveries(history: &[Entry], index: &Index<'_>, findings: &mut Findings) {
    let mut cursors: HashMap<Sub, Cursor> = HashMap::new();
    let mut epochs: HashMap<&str, &str> = index.finals.iter().map(|(room, s)| (*room, s.epoch)).collect();
    let mut acked: HashMap<&str, Vec<(usize, u64)>> = HashMap::new();
    for (at, entry) in history.iter().enumerate() {
        match entry {
            Entry::Ok { op, seq, .. } => {
                if let Some(attempt) = index.attempts.get(op) {
                    let heads = acked.entry(attempt.room).or_default();
                    let head = heads.last().map_or(0, |(_, head)| *head);
                    if *seq > head {
                        heads.push((at, *seq));
                    }
                }
            }
            Entry::Subscribed { sub, epoch, offset, recovered, publications } => {
                let Some(subscription) = index.subs.get(sub) else { continue };
                let (room, user) = (subscription.room, subscription.user);
                let known = *epochs.entry(room).or_insert(epoch);
                if known != epoch {
                    findings.add(Kind::EpochChanged, room, format!("{known} and {epoch}, seen by {user}"));
                }
                let floor = acked.get(room).map_or(0, |heads| head_before(heads, subscription.asked));
                let base = match subscription.from {
                    Some(from) if *recovered => {
                        // The position recovered from: each publication moves it.
                        if *offset != from.offset {
                            let said = format!("{user}: offset {offset} after {publications} from {}", from.offset);
                            findings.add(Kind::WrongPosition, room, said);
                        }
                        from.offset
                    }
                    _ => {
                        if *offset < floor {
                            let said = format!("{user} starts at {offset}, {floor} was acknowledged before");
                            findings.add(Kind::StaleHead, room, said);
                        }
                        offset.saturating_sub(*publications)
                    }
                };
                cursors.insert(*sub, Cursor { next: base + 1, resumed: *recovered, open: true });
            }
            Entry::Delivered { sub, event } => {
                let (Some(cursor), Some(subscription)) = (cursors.get_mut(sub), index.subs.get(sub)) else { continue };
                delivered(subscription.room, subscription.user, cursor, event, index, findings);
            }
            Entry::Unsubscribed { sub, .. } => {
                if let Some(cursor) = cursors.get_mut(sub) {
                    cursor.open = false;
                }
            }
            Entry::Settled { sub } => {
                let (Some(cursor), Some(subscription)) = (cursors.get(sub), index.subs.get(sub)) else { continue };
                let head = index.finals.get(subscription.room).map_or(0, Stream::head);
                if cursor.open && cursor.next <= head {
                    let missing = format!("{} never got {} to {head}", subscription.user, cursor.next);
                    findings.add(Kind::LostTail, subscription.room, missing);
                }
            }
            _ => {}
        }
    }
}

/// The highest seq acknowledged before `time`.
fn head_before(heads: &[(usize, u64)], time: usize) -> u64 {
    let count = heads.partition_point(|(at, _)| *at < time);
    count.checked_sub(1).map_or(0, |last| heads[last].1)
}

fn delivered(room: &str, user: &str, cursor: &mut Cursor, event: &Event, index: &Index<'_>, findings: &mut Findings) {
    let seq = event.seq;
    if seq > cursor.next {
        let kind = if cursor.resumed { Kind::StaleResume } else { Kind::Gap };
        findings.add(kind, room, format!("{user} missed {} to {}", cursor.next, seq - 1));
    } else if seq + 1 == cursor.next {
        findings.add(Kind::DuplicateSeq, room, format!("{user} got {seq} twice"));
    } else if seq < cursor.next {
        findings.add(Kind::Reorder, room, format!("{user} got {seq} after {}", cursor.next - 1));
    }
    cursor.next = cursor.next.max(seq + 1);
    cursor.resumed = false;
    let Some(stream) = index.finals.get(room) else { return };
    match (&event.body, stream.by_seq.get(&seq).map(|last| &last.body)) {
        (_, None) => findings.add(Kind::Phantom, room, format!("{user} got {seq} ({}), gone in the end", event.id)),
        // A deletion empties the text, before or after it is delivered.
        (Body::Message { text, .. }, Some(Body::Message { text: last, .. }))
            if text != last && !text.is_empty() && !last.is_empty() =>
        {
            findings.add(Kind::WrongText, room, format!("{user} got {seq} as {text:?}, in the end it is {last:?}"));
        }
        _ => {}
    }
}
