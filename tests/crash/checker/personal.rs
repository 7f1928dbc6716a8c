//! What a user is told in the personal stream, and what counts as unread: both follow from the rooms' streams.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{End, Index};
use super::{Findings, Kind};
use crate::history::{Body, What};

/// What happened to one user's membership: room, seq there, kind of change.
type Change<'a> = (&'a str, u64, &'a str);

pub(crate) fn check(index: &Index<'_>, findings: &mut Findings) {
    let happened = changes(index);
    for (channel, stream) in &index.finals {
        let Some(user) = channel.strip_prefix('#') else { continue };
        let nothing = BTreeSet::new();
        let happened = happened.get(user).unwrap_or(&nothing);
        let mut told = BTreeSet::new();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for event in stream.by_seq.values() {
            let Body::Told { kind, room, room_seq } = &event.body else { continue };
            let change = (room.as_str(), *room_seq, kind.as_str());
            let before = last.insert(room, *room_seq).unwrap_or(0);
            if !happened.contains(&change) || !told.insert(change) || *room_seq < before {
                let said = format!("{user} is told {change:?} at {}, after {before}", event.seq);
                findings.add(Kind::WronglyTold, channel, said);
            }
        }
        for change in happened.difference(&told) {
            findings.add(Kind::NotTold, channel, format!("{user} is never told {change:?}"));
        }
    }
    unread(index, findings);
}

/// Each user's changes. `ended` and the like are left out: no run ends a room.
fn changes<'a>(index: &Index<'a>) -> BTreeMap<&'a str, BTreeSet<Change<'a>>> {
    let mut changes: BTreeMap<&str, BTreeSet<Change<'_>>> = BTreeMap::new();
    for (room, stream) in &index.finals {
        for event in stream.by_seq.values() {
            let mut change = |user: &'a str, kind: &'static str| {
                changes.entry(user).or_default().insert((room, event.seq, kind));
            };
            match (&event.body, event.actor.as_deref()) {
                (Body::Created { members }, actor) => {
                    members.iter().map(String::as_str).chain(actor).for_each(|user| change(user, "joined"));
                }
                (Body::Joined, Some(actor)) => change(actor, "joined"),
                (Body::Left, Some(actor)) => change(actor, "left"),
                (Body::Invited { user }, _) => change(user, "invited"),
                (Body::Kicked { user }, _) => change(user, "kicked"),
                _ => {}
            }
        }
    }
    changes
}

/// A user has read what was marked and what lies before an own message. Marks whose answer was lost may count or not, and
/// so may a (re)entry.
fn unread(index: &Index<'_>, findings: &mut Findings) {
    let mut marks: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for attempt in index.attempts.values() {
        let What::Read { seq } = attempt.what else { continue };
        let (surely, perhaps) = marks.entry((attempt.room, attempt.user)).or_default();
        if matches!(attempt.end, End::Ok { .. }) {
            *surely = (*surely).max(*seq);
        }
        *perhaps = (*perhaps).max(*seq);
    }
    for ((room, user), unread) in &index.unread {
        let Some(stream) = index.finals.get(room) else { continue };
        let (mut surely, mut perhaps) = marks.get(&(*room, *user)).copied().unwrap_or_default();
        for event in stream.by_seq.values().filter(|event| event.actor.as_deref() == Some(user)) {
            match event.body {
                Body::Message { .. } => (surely, perhaps) = (surely.max(event.seq), perhaps.max(event.seq)),
                Body::Joined => perhaps = perhaps.max(event.seq),
                _ => {}
            }
        }
        let above = |mark: u64| {
            let events = stream.by_seq.range(mark + 1..);
            events.filter(|(_, event)| matches!(event.body, Body::Message { .. })).count() as u64
        };
        if !(above(perhaps)..=above(surely)).contains(unread) {
            let said = format!("{user} has {unread}, between {} and {} are", above(perhaps), above(surely));
            findings.add(Kind::Unread, room, said);
        }
    }
}
