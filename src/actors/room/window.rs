//! The recent events of a room without their content: which command made them and so was answered already, what was sent
//! already (P3), who wrote what, what was deleted.
//!
//! An event leaves the window when it is [`limits::DEDUPE_WINDOW_MS`] old in append time, or when
//! [`limits::DEDUPE_WINDOW_EVENTS`] newer ones came. It holds nothing but what the rows of those events hold, so it is
//! rebuilt from rows. Entries go only when an event is added, so a rejected command never changes the state. Nothing goes
//! because a clock was ahead for one record: that takes two, one after the other, that agree on its age.

mod sleep;

use serde::Serialize;
use std::collections::VecDeque;

use uuid::Uuid;

use self::sleep::Sleeping;
use super::lookup::{LOOKUP_BYTES, Lookup};
use crate::actors::wire::{Event, EventBody};
use crate::ids::{ClientId, PackedClientId, Seq, Timestamp, UserId};
use crate::limits;

/// Bytes of an entry, about: itself, and its places in the index.
pub(in crate::actors) const ENTRY_BYTES: usize = size_of::<WindowEntry>() + 2 * LOOKUP_BYTES;

/// An event inside the window.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct WindowEntry {
    /// Its place.
    pub seq: Seq,
    /// Its fold time.
    pub at: Timestamp,
    /// The id of the command that made it.
    pub id: Uuid,
    /// Who did it.
    pub actor: Option<UserId>,
    /// The client's id of the command.
    pub client_id: Option<PackedClientId>,
    /// What is left of its body.
    pub kind: EntryKind,
}

/// What a window knows of an event's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) enum EntryKind {
    /// It is no message.
    Other,
    /// It is a message.
    Message,
    /// It is a message that was deleted, first by the event at this seq.
    Deleted(Seq),
}

impl WindowEntry {
    /// What is kept of an event.
    #[must_use]
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            seq: event.seq,
            at: event.at,
            id: event.id,
            actor: event.actor.clone(),
            client_id: event.client_id.as_ref().map(PackedClientId::from),
            kind: if matches!(event.body, EventBody::Message { .. }) { EntryKind::Message } else { EntryKind::Other },
        }
    }

    /// Whether it is a message, deleted or not.
    #[must_use]
    pub(crate) fn is_message(&self) -> bool {
        self.kind != EntryKind::Other
    }

    /// The seq of its first deletion, if it is a deleted message.
    #[must_use]
    pub(crate) fn deleted(&self) -> Option<Seq> {
        match self.kind {
            EntryKind::Deleted(by) => Some(by),
            EntryKind::Message | EntryKind::Other => None,
        }
    }

    fn delete(&mut self, by: Seq) {
        if self.kind == EntryKind::Message {
            self.kind = EntryKind::Deleted(by);
        }
    }

    /// By what a message that is sent again is known.
    pub(super) fn sent_as(&self) -> Option<(&UserId, &PackedClientId)> {
        self.actor.as_ref().zip(self.client_id.as_ref())
    }
}

/// The bounds of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WindowBounds {
    pub events: usize,
    pub age_ms: u64,
}

impl Default for WindowBounds {
    fn default() -> Self {
        Self { events: limits::DEDUPE_WINDOW_EVENTS, age_ms: limits::DEDUPE_WINDOW_MS }
    }
}

/// The window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Dense by seq, but for those that sleep.
    entries: VecDeque<WindowEntry>,
    sleeping: Option<Sleeping>,
    /// Where they lie: by the ids of their commands, and by sender and client id.
    lookup: Lookup,
    evicted_until: Timestamp,
    bounds: WindowBounds,
}

/// Everything else follows from the entries, from the room's scalars, or is the same everywhere.
impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(to)
    }
}

impl Window {
    /// A window with other bounds than those for life, which a test can fill.
    #[cfg(test)]
    pub(crate) fn bounded(bounds: WindowBounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// A window of entries that are dense by seq.
    pub(super) fn restore(entries: Vec<WindowEntry>, evicted_until: Timestamp, bounds: WindowBounds) -> Self {
        let lookup = Lookup::of(entries.iter(), &Lookup::default());
        Self { entries: entries.into(), sleeping: None, lookup, evicted_until, bounds }
    }

    fn remember(&mut self, entry: &WindowEntry) {
        self.lookup.insert(entry.id, entry.seq);
        if let Some(sent_as) = entry.sent_as() {
            self.lookup.insert(sent_as, entry.seq);
        }
    }

    pub(super) fn bounds(&self) -> WindowBounds {
        self.bounds
    }

    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &WindowEntry> + DoubleEndedIterator {
        self.entries.iter()
    }

    /// The lowest seq held, if there is one.
    pub(super) fn first(&self) -> Option<Seq> {
        self.entries.front().map(|entry| entry.seq)
    }

    /// The highest time inside a client id that left the window: ids with a time up to here may have been seen and
    /// forgotten.
    pub(super) fn evicted_until(&self) -> Timestamp {
        self.evicted_until
    }

    /// The entry at `seq`, also if it is too old.
    pub(super) fn get(&self, seq: Seq) -> Option<&WindowEntry> {
        let index = seq.0.checked_sub(self.first()?.0)?;
        self.entries.get(self.place(usize::try_from(index).ok()?)?)
    }

    fn is_live(&self, now: Timestamp, entry: &WindowEntry) -> bool {
        now.since(entry.at) <= self.bounds.age_ms
    }

    /// The entry at `seq`, unless it is too old at `now`.
    pub(super) fn live(&self, now: Timestamp, seq: Seq) -> Option<&WindowEntry> {
        self.get(seq).filter(|entry| self.is_live(now, entry))
    }

    /// The event that `sender` made under `client_id`, as long as it is held.
    pub(super) fn find(&self, sender: &UserId, client_id: &ClientId) -> Option<&WindowEntry> {
        let sent_as = (sender, &PackedClientId::from(client_id));
        self.held(sent_as, |entry| entry.sent_as() == Some(sent_as))
    }

    /// The event that the command with this id made, as long as it is held.
    pub(super) fn made_by(&self, command: Uuid) -> Option<&WindowEntry> {
        self.held(command, |entry| entry.id == command)
    }

    /// The first entry with this key. `is_meant` compares the key itself.
    fn held(&self, key: impl std::hash::Hash, is_meant: impl Fn(&WindowEntry) -> bool) -> Option<&WindowEntry> {
        let first = self.first().unwrap_or_default();
        let candidates = self.lookup.candidates(key, first).filter_map(|index| self.entries.get(self.place(index)?));
        candidates.filter(|entry| is_meant(entry)).min_by_key(|entry| entry.seq)
    }

    /// Whether a client id that is not held has a time in it by which it may have left the window. Judged by times inside
    /// client ids only: no clock of ours, right or wrong, makes an id too old.
    pub(super) fn is_too_old(&self, client_id: &ClientId) -> bool {
        client_id.time().is_some_and(|time| time <= self.evicted_until)
    }

    /// Adds an event, appended at `now`; entries that are too old or too many go.
    pub(super) fn push(&mut self, now: Timestamp, entry: WindowEntry) {
        let before = self.entries.back().map_or(now, |last| last.at);
        while let Some(oldest) = self.entries.front() {
            let old = !self.is_live(now, oldest) && !self.is_live(before, oldest);
            if self.len() < self.bounds.events && !old {
                break;
            }
            self.evict(now);
        }
        self.remember(&entry);
        self.entries.push_back(entry);
    }

    fn evict(&mut self, now: Timestamp) {
        let Some(entry) = self.entries.pop_front() else { return };
        if let Some(sleeping) = &mut self.sleeping {
            assert!(sleeping.before > 0, "a sleeping event left the window: nobody asked whether the room is awake");
            sleeping.before -= 1;
        }
        self.lookup.remove(entry.id, entry.seq);
        let Some(sent_as) = entry.sent_as() else { return };
        self.lookup.remove(sent_as, entry.seq);
        // From an id that is ahead others must not be judged: it counts as one without a time. Either clock may be wrong,
        // that of the event or that of the record which pushes it out, so neither alone may say that it is not ahead; but
        // an hour by which the journal was behind must not make a message that is sent again a second one.
        let is_ahead =
            |time: Timestamp| time.since(now) > limits::CLOCK_SKEW_MS || time.since(entry.at) > limits::ID_AHEAD_MS;
        if let Some(time) = sent_as.1.time().filter(|time| !is_ahead(*time)) {
            self.evicted_until = self.evicted_until.max(time);
        }
    }

    pub(super) fn delete(&mut self, target: Seq, by: Seq) {
        let Some(index) = self.first().and_then(|first| target.0.checked_sub(first.0)) else { return };
        if let Some(entry) = self.place(index as usize).and_then(|place| self.entries.get_mut(place)) {
            entry.delete(by);
        }
    }

    /// The first seq inside the window whose event is not older than `age_ms` at `now`; `None` if there is none.
    pub(super) fn first_within(&self, now: Timestamp, age_ms: u64) -> Option<Seq> {
        let index = self.entries.partition_point(|entry| now.since(entry.at) > age_ms);
        self.entries.get(index).map(|entry| entry.seq)
    }
}

/// The window's entries from those of single events, oldest first and dense: each with what it deletes, if it deletes one.
#[must_use]
pub(crate) fn entries_of(events: impl IntoIterator<Item = (WindowEntry, Option<Seq>)>) -> Vec<WindowEntry> {
    let mut entries: Vec<WindowEntry> = Vec::new();
    for (entry, deletes) in events {
        if let Some(target) = deletes
            && let Ok(index) = entries.binary_search_by_key(&target, |entry| entry.seq)
        {
            entries[index].delete(entry.seq);
        }
        entries.push(entry);
    }
    entries
}
