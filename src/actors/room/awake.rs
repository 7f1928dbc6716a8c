//! Rooms whose windows sleep but for their ends ([`super::window`]): which may, and what they can decide in their sleep.

use super::commands::{Command, Delete, Edit, React, RoomCommand, Send};
use super::{RoomState, payload};
use crate::ids::Timestamp;
use crate::storage::journal::record::Envelope;

impl RoomState {
    /// Whether it helps to put all but so many of the first and of the last events of the window to sleep.
    pub(in crate::actors) fn may_doze(&self, awake: usize) -> bool {
        // What falls below a floor by its age is looked for in the whole window.
        self.meta.history.age_ms == 0 && !self.window.is_dozing() && self.window.entries().len() > 2 * awake
    }

    /// Puts them to sleep, if it helps. From then on the room must be [awake](Self::is_awake_for) for what it decides.
    pub(in crate::actors) fn doze(&mut self, awake: usize) {
        if self.may_doze(awake) {
            self.window.doze(awake);
        }
    }

    /// Whether nothing that sleeps is needed for deciding on these records, one after the other, each with its append time.
    pub(in crate::actors) fn is_awake_for<'a>(&self, records: impl Iterator<Item = (Timestamp, &'a Envelope)>) -> bool {
        let window = &self.window;
        !window.is_dozing()
            || records.enumerate().all(|(before, (now, envelope))| {
                let Ok(Command { id, body, .. }) = payload::decode(envelope) else { return true };
                let (target, by, client_id) = match &body {
                    RoomCommand::Send(Send { open: Some(open), .. }) if open.history.age_ms > 0 => return false,
                    RoomCommand::Send(Send { sender, client_id, prev, .. }) => {
                        (None, sender, [client_id.as_ref(), prev.as_ref()])
                    }
                    RoomCommand::React(React { target, by, reaction, .. }) => {
                        (Some(*target), by, [reaction.client_id.as_ref(), None])
                    }
                    RoomCommand::Edit(Edit { target, by, .. }) => (Some(*target), by, [None, None]),
                    RoomCommand::Delete(Delete { target, by, .. }) => (Some(*target), by, [None, None]),
                    // They may be answered with any earlier event.
                    _ => return false,
                };
                before < window.room_to_append(now)
                    && window.no_sleeper_is_made_by(id)
                    && target.is_none_or(|target| window.is_awake_from(target))
                    && client_id.iter().all(|client_id| window.no_sleeper_is(by, *client_id))
            })
    }
}
