//! P6: nobody receives a message whose seq is above the seq of their own removal, or of a room they were never in.
//! A user who comes back may read what happened meanwhile, but not before they came back.

use std::collections::{BTreeMap, HashMap};

use super::index::{End, Index};
use super::{Findings, Kind};
use crate::history::{Body, Entry, What};

/// When each user came (true) and went (false), by seq. Rooms without a `created` event have no membership.
type Changes<'a> = HashMap<(&'a str, &'a str), BTreeMap<u64, bool>>;

pub(crate) fn check(history: &[Entry], index: &Index<'_>, findings: &mut Findings) {
    let (changes, closed) = changes(index);
    // A user can only have come back if the join was asked for before.
    let joins = joins(index);
    let back = |room: &str, user: &str, after: u64, time: usize| {
        let changes = changes.get(&(room, user));
        let came = changes.into_iter().flat_map(|changes| changes.range(after..));
        came.filter(|(_, here)| **here)
            .any(|(seq, _)| joins.get(&(room, user, *seq)).is_some_and(|invoked| *invoked < time))
    };
    let here = |room: &str, user: &str, seq: u64| {
        let last = changes.get(&(room, user)).and_then(|changes| changes.range(..=seq).next_back());
        // One's own removal is the last event one may see.
        last.is_some_and(|(at, here)| *here || *at == seq)
    };
    for (at, entry) in history.iter().enumerate() {
        let Entry::Delivered { sub, event } = entry else { continue };
        let Some(sub) = index.subs.get(sub) else { continue };
        let (room, user) = (sub.room, sub.user);
        if closed.contains_key(room) && !here(room, user, event.seq) && !back(room, user, event.seq, at) {
            findings.add(Kind::Leak, room, format!("{user} received {} and was not a member then", event.seq));
        }
    }
    for page in index.pages.iter().filter(|page| closed.contains_key(page.room) && !page.items.is_empty()) {
        let gone = changes.get(&(page.room, page.user)).and_then(|changes| {
            let known = |seq: u64| index.seen.get(&(page.room, seq)).is_some_and(|seen| *seen < page.asked);
            changes.iter().rev().find(|(seq, here)| !**here && known(**seq)).map(|(seq, _)| *seq)
        });
        let never = !changes.contains_key(&(page.room, page.user));
        if never || gone.is_some_and(|seq| !back(page.room, page.user, seq, page.got)) {
            findings.add(Kind::Leak, page.room, format!("{} read a page, removed at {gone:?}", page.user));
        }
    }
}

fn changes<'a>(index: &Index<'a>) -> (Changes<'a>, BTreeMap<&'a str, ()>) {
    let mut changes: Changes<'a> = HashMap::new();
    let mut closed = BTreeMap::new();
    for (room, stream) in &index.finals {
        for event in stream.by_seq.values() {
            let mut change = |user: &'a str, here: bool| {
                changes.entry((*room, user)).or_default().insert(event.seq, here);
            };
            match (&event.body, event.actor.as_deref()) {
                (Body::Created { members }, actor) => {
                    closed.insert(*room, ());
                    members.iter().map(String::as_str).chain(actor).for_each(|user| change(user, true));
                }
                (Body::Joined, Some(actor)) => change(actor, true),
                (Body::Left, Some(actor)) => change(actor, false),
                (Body::Kicked { user }, _) => change(user, false),
                _ => {}
            }
        }
    }
    (changes, closed)
}

/// When each join that made an event was first asked for. A join whose answer was lost counts for every later join event
/// of the user: nobody knows which attempt made which.
fn joins<'a>(index: &Index<'a>) -> HashMap<(&'a str, &'a str, u64), usize> {
    let mut asked: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    let mut joins = HashMap::new();
    for attempt in index.attempts.values().filter(|attempt| *attempt.what == What::Join) {
        match &attempt.end {
            End::Ok { seq, .. } => {
                let first = joins.entry((attempt.room, attempt.user, *seq)).or_insert(attempt.invoked);
                *first = (*first).min(attempt.invoked);
            }
            End::Unknown => asked.entry((attempt.room, attempt.user)).or_default().push(attempt.invoked),
            End::Fail => {}
        }
    }
    for (room, stream) in &index.finals {
        for event in stream.by_seq.values().filter(|event| event.body == Body::Joined) {
            let Some(actor) = event.actor.as_deref() else { continue };
            if let Some(first) = asked.get(&(*room, actor)).and_then(|times| times.iter().min()) {
                let known = joins.entry((*room, actor, event.seq)).or_insert(*first);
                *known = (*known).min(*first);
            }
        }
    }
    joins
}
