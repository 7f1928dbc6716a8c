//! The recent events of a room without their content: what was sent already (P3), who wrote what, what was deleted.
//!
//! An event leaves the window when it is [`limits::DEDUPE_WINDOW_MS`] old in append time, or when
//! [`limits::DEDUPE_WINDOW_EVENTS`] newer ones came. It holds nothing but what the rows of those events hold, so it is
//! rebuilt from rows. Entries go only when an event is added, so a rejected command never changes the state. Nothing goes
//! because a clock was ahead for one record: that takes two, one after the other, that agree on its age.

use serde::Serialize;
use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use crate::actors::wire::{Event, EventBody};
use crate::ids::{ClientId, MessageNo, Seq, Timestamp, UserId};
use crate::limits;

/// An event inside the window.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowEntry {
    /// Its place.
    pub seq: Seq,
    /// Its fold time.
    pub at: Timestamp,
    /// The id of the command that made it.
    pub id: Uuid,
    /// Who did it.
    pub actor: Option<UserId>,
    /// The client's id of the command.
    pub client_id: Option<ClientId>,
    /// The number of the last message at or below `seq`.
    pub no: MessageNo,
    /// Whether it is a message itself.
    pub message: bool,
    /// The seq of its first deletion, if it is a deleted message.
    pub deleted: Option<Seq>,
}

/// The bounds of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WindowBounds {
    pub(crate) events: usize,
    pub(crate) age_ms: u64,
}

impl Default for WindowBounds {
    fn default() -> Self {
        Self { events: limits::DEDUPE_WINDOW_EVENTS, age_ms: limits::DEDUPE_WINDOW_MS }
    }
}

/// The window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Dense by seq.
    entries: VecDeque<WindowEntry>,
    /// Messages with a client id. Looked up, never iterated: its order does not matter.
    sent: HashMap<(UserId, ClientId), Seq>,
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
        let mut window = Self { evicted_until, bounds, ..Self::default() };
        for entry in &entries {
            window.remember(entry);
        }
        window.entries = entries.into();
        window
    }

    fn remember(&mut self, entry: &WindowEntry) {
        if let (Some(actor), Some(client_id)) = (&entry.actor, &entry.client_id) {
            self.sent.insert((actor.clone(), client_id.clone()), entry.seq);
        }
    }

    pub(super) fn bounds(&self) -> WindowBounds {
        self.bounds
    }

    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &WindowEntry> {
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
        self.entries.get(usize::try_from(index).ok()?)
    }

    fn get_mut(&mut self, seq: Seq) -> Option<&mut WindowEntry> {
        let index = seq.0.checked_sub(self.first()?.0)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    fn is_live(&self, now: Timestamp, entry: &WindowEntry) -> bool {
        now.since(entry.at) <= self.bounds.age_ms
    }

    /// The entry at `seq`, unless it is too old at `now`.
    pub(super) fn live(&self, now: Timestamp, seq: Seq) -> Option<&WindowEntry> {
        self.get(seq).filter(|entry| self.is_live(now, entry))
    }

    /// The message that `sender` sent under `client_id`, as long as it is held.
    pub(super) fn find(&self, sender: &UserId, client_id: &ClientId) -> Option<&WindowEntry> {
        let seq = self.sent.get(&(sender.clone(), client_id.clone()))?;
        self.get(*seq)
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
            if self.entries.len() < self.bounds.events && !old {
                break;
            }
            self.evict(now);
        }
        self.remember(&entry);
        self.entries.push_back(entry);
    }

    fn evict(&mut self, now: Timestamp) {
        let Some(entry) = self.entries.pop_front() else { return };
        let (Some(actor), Some(client_id)) = (entry.actor, entry.client_id) else { return };
        // From an id that is ahead others must not be judged: it counts as one without a time. Either clock may be wrong,
        // that of the event or that of the record which pushes it out, so neither alone may say that it is not ahead; but
        // an hour by which the journal was behind must not make a message that is sent again a second one.
        let is_ahead =
            |time: Timestamp| time.since(now) > limits::CLOCK_SKEW_MS || time.since(entry.at) > limits::ID_AHEAD_MS;
        if let Some(time) = client_id.time().filter(|time| !is_ahead(*time)) {
            self.evicted_until = self.evicted_until.max(time);
        }
        let key = (actor, client_id);
        if self.sent.get(&key) == Some(&entry.seq) {
            self.sent.remove(&key);
        }
    }

    pub(super) fn delete(&mut self, target: Seq, by: Seq) {
        if let Some(entry) = self.get_mut(target) {
            entry.deleted.get_or_insert(by);
        }
    }

    /// The first seq inside the window whose event is not older than `age_ms` at `now`; `None` if there is none.
    pub(super) fn first_within(&self, now: Timestamp, age_ms: u64) -> Option<Seq> {
        let index = self.entries.partition_point(|entry| now.since(entry.at) > age_ms);
        self.entries.get(index).map(|entry| entry.seq)
    }
}

/// The window's entries from the events themselves, oldest first; `last_no` is the number of the last message at or below
/// the last of them.
#[must_use]
pub fn entries_of<'a>(last_no: MessageNo, events: impl IntoIterator<Item = &'a Event>) -> Vec<WindowEntry> {
    let mut entries: Vec<WindowEntry> = Vec::new();
    for event in events {
        if let EventBody::Deleted { target } = event.body
            && let Ok(index) = entries.binary_search_by_key(&target, |entry| entry.seq)
        {
            entries[index].deleted.get_or_insert(event.seq);
        }
        entries.push(WindowEntry {
            seq: event.seq,
            at: event.at,
            id: event.id,
            actor: event.actor.clone(),
            client_id: event.client_id.clone(),
            no: MessageNo::ZERO,
            message: matches!(event.body, EventBody::Message { .. }),
            deleted: None,
        });
    }
    number(last_no, &mut entries);
    entries
}

/// Sets [`WindowEntry::no`] of entries that are dense and oldest first, from the number of the last message at or below
/// the last of them.
pub fn number(last_no: MessageNo, entries: &mut [WindowEntry]) {
    let mut no = last_no;
    for entry in entries.iter_mut().rev() {
        entry.no = no;
        if entry.message {
            no = MessageNo(no.0.saturating_sub(1));
        }
    }
}
