//! The naive window: what of all events is still held, found by going through those that came later.

use super::Model;
use crate::actors::room::Outcome;
use crate::actors::room::commands::{Command, RoomCommand, Send};
use crate::actors::wire::Event;
use crate::ids::{ClientId, Timestamp, UserId};
use crate::limits;

impl Model {
    pub(crate) fn fold(&mut self, now: Timestamp, command: &Command) -> Outcome {
        if let Some(decided) = self.decided_before(command.id) {
            return decided;
        }
        let outcome = self.decide(now, command);
        let bears_repetition = matches!(command.body, RoomCommand::Expire(_) | RoomCommand::Block(_));
        let changed = matches!(outcome, Outcome::Accepted(_) | Outcome::Noted | Outcome::Ignored);
        if self.kind().is_some() && !changed && !bears_repetition {
            self.decided.push((command.id, now, outcome.clone()));
        }
        outcome
    }

    pub(super) fn learn(&mut self, body: &RoomCommand) {
        let mut history = self.histories.last().copied().unwrap_or_default();
        match body {
            RoomCommand::Create(create) if self.create.is_none() => {
                history = create.history;
                self.create = Some(create.clone());
            }
            RoomCommand::Send(Send { open: Some(open), .. }) => {
                history = open.history;
                self.channel.get_or_insert_with(|| open.channel.clone());
            }
            _ => {}
        }
        self.histories.push(history);
    }

    pub(super) fn is_known(&self, body: &RoomCommand) -> bool {
        matches!(body, RoomCommand::Create(_) | RoomCommand::End(_) | RoomCommand::Send(_))
    }

    pub(super) fn is_young(&self, now: Timestamp, event: &Event) -> bool {
        event.at.0 + self.bounds.age_ms >= now.0
    }

    /// When the event was pushed out: it was none of the latest any more, or it and the one before that which came were
    /// both too late for it.
    pub(super) fn pushed_out_at(&self, event: &Event) -> Option<Timestamp> {
        let place = event.seq.0 as usize;
        let mut later = (place..).zip(&self.events[place..]);
        let out = later.find(|(n, now)| {
            let aged = !self.is_young(self.events[n - 1].at, event) && !self.is_young(now.at, event);
            n + 1 - place >= self.bounds.events || aged
        });
        out.map(|(_, now)| now.at)
    }

    pub(super) fn is_held(&self, event: &Event) -> bool {
        self.pushed_out_at(event).is_none()
    }

    /// Whether the event is held, and young enough at `now`.
    pub(super) fn in_window(&self, now: Timestamp, event: &Event) -> bool {
        self.is_held(event) && self.is_young(now, event)
    }

    /// What was decided on a command, as long as that is held: its event, or, if it left none, until two decisions one after
    /// the other are both too late for it.
    pub(super) fn decided_before(&self, id: uuid::Uuid) -> Option<Outcome> {
        if let Some(event) = self.events.iter().rev().find(|event| event.id == id && self.is_held(event)) {
            return Some(Outcome::Duplicate { seq: event.seq, id, at: event.at });
        }
        let place = self.decided.iter().rposition(|(command, ..)| *command == id)?;
        let (_, at, outcome) = &self.decided[place];
        let late = |(_, time, _): &(uuid::Uuid, Timestamp, Outcome)| at.0 + limits::DEDUPE_WINDOW_MS < time.0;
        let gone = self.decided[place..].windows(2).any(|pair| pair.iter().all(late));
        (!gone).then(|| outcome.clone())
    }

    pub(super) fn sent(&self, sender: &UserId, id: &ClientId) -> Option<&Event> {
        self.events.iter().rev().find(|event| {
            self.is_held(event) && event.actor.as_ref() == Some(sender) && event.client_id.as_ref() == Some(id)
        })
    }

    /// An id is too old if it may be that of a message which has left the window.
    pub(super) fn too_old(&self, id: &ClientId) -> bool {
        let Some(time) = id.time() else { return false };
        self.events.iter().any(|event| {
            let own = event.client_id.as_ref().and_then(ClientId::time);
            own.zip(self.pushed_out_at(event)).is_some_and(|(own, out)| {
                let counts = own.0 <= out.0 + limits::CLOCK_SKEW_MS && own.0 <= event.at.0 + limits::ID_AHEAD_MS;
                counts && time <= own
            })
        })
    }
}
