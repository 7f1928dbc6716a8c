//! Stretches of a room's recent events, packed as they come to their end: a busy room is then made of a few dozen rows
//! ([`WindowPiece`]). The fold's window has nearly all that a piece holds, so that nothing is read back for it; what the window
//! does not keep is noted here while a piece is under way.

use std::collections::BTreeMap;

use crate::actors::room::RoomState;
use crate::ids::{ClientId, Seq};
use crate::limits;
use crate::storage::store::commit::WindowPiece;
use crate::storage::store::rows::{EVENT_MESSAGE, RoomEventRow, WindowRow};

/// What the fold does not keep of the events of pieces that are not written yet.
#[derive(Default, Debug)]
pub(super) struct PieceUnderWay {
    /// Kind and target of the events that are no messages.
    others: BTreeMap<Seq, (u8, Option<Seq>)>,
    /// The last events of pieces that are to be written.
    ends: Vec<Seq>,
}

fn ends_a_piece(seq: Seq) -> bool {
    seq > Seq::ZERO && seq.0.is_multiple_of(limits::WINDOW_PIECE_EVENTS)
}

impl PieceUnderWay {
    /// As the rows of a room's window leave it.
    pub(super) fn of(window: &[WindowRow]) -> Self {
        let of_it = window.iter().rev().take_while(|row| !ends_a_piece(row.seq));
        let others = of_it.filter(|row| row.kind != EVENT_MESSAGE).map(|row| (row.seq, (row.kind, row.target)));
        Self { others: others.collect(), ends: Vec::new() }
    }

    /// Notes an event that happened.
    pub(super) fn note(&mut self, row: &RoomEventRow) {
        if row.kind != EVENT_MESSAGE {
            self.others.insert(row.seq, (row.kind, row.target));
        }
        if ends_a_piece(row.seq) {
            self.ends.push(row.seq);
        }
    }

    /// The pieces that came to their end and lie inside the window of the room, whose state is behind all that was noted.
    pub(super) fn whole(&mut self, state: &RoomState) -> Vec<WindowPiece> {
        let ends = std::mem::take(&mut self.ends);
        let Some(last) = ends.last().copied() else { return Vec::new() };
        let pieces = ends.into_iter().filter_map(|last| self.piece(state, last)).collect();
        self.others = self.others.split_off(&last.next());
        pieces
    }

    fn piece(&self, state: &RoomState, last: Seq) -> Option<WindowPiece> {
        let seqs = last.0 + 1 - limits::WINDOW_PIECE_EVENTS..=last.0;
        let row = |seq| {
            let entry = state.remembered(Seq(seq))?;
            let (kind, target) = self.others.get(&entry.seq).copied().unwrap_or((EVENT_MESSAGE, None));
            let (actor, client_id) = (entry.actor.clone(), entry.client_id.as_ref().map(ClientId::from));
            Some(WindowRow { seq: entry.seq, kind, actor, id: entry.id, client_id, at: entry.at, target })
        };
        let events = seqs.map(row).collect::<Option<_>>()?;
        Some(WindowPiece { room: state.room(), events, window: state.meta().window_from })
    }
}
