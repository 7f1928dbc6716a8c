//! A room's state as plain data, for store and simulation: all that the fold needs and nothing else.
//!
//! `RoomState::from_snapshot(state.snapshot())` behaves as `state` does, for ever. The window's entries are those of the events
//! from [`RoomMeta::window_from`] to [`RoomMeta::head`], so rows of events down to there must not be thrown away, even if
//! the room's history is bounded and its floor lies higher.

use serde::Serialize;
use uuid::Uuid;

use super::members::Invitation;
use super::window::WindowEntry;
use crate::actors::decisions::Decision;
use crate::actors::wire::{HistoryBound, MaySend, Member, RoomKind, RoomStatus};
use crate::ids::{Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// Where, when and by which command something happened in the room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Mark {
    /// The event's seq.
    pub seq: Seq,
    /// Its fold time.
    pub at: Timestamp,
    /// The command's id.
    pub id: Uuid,
}

/// The scalars of a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct RoomMeta {
    /// The room.
    pub room: RoomId,
    /// Its kind; `None` if there is no such room (yet).
    pub kind: Option<RoomKind>,
    /// Whether it lives.
    pub status: RoomStatus,
    /// Title, may be empty.
    pub title: String,
    /// An open channel's name, else empty.
    pub channel: String,
    /// Whose room it is now: its maker, or else the member who has been in for longest. Nobody in an open channel, or while
    /// nobody is in.
    pub creator: Option<UserId>,
    /// The room's making, or the last time that a direct chat was opened again. Zero if it never was.
    pub opened: Mark,
    /// The event that ended it; zero while it lives or once it expired.
    pub closed: Mark,
    /// The last seq given.
    pub head: Seq,
    /// The last message number given.
    pub last_no: MessageNo,
    /// Fold time of the last message.
    pub last_message_at: Option<Timestamp>,
    /// The protocol's epoch.
    pub generation: Generation,
    /// The lowest seq that could still be had at the last event; never falls. 1 if nothing is gone.
    pub floor: Seq,
    /// How much history is kept.
    pub history: HistoryBound,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Who may send.
    pub may_send: MaySend,
    /// Whether users may join by themselves.
    pub public: bool,
    /// Most members.
    pub max_members: u32,
    /// The first seq of the window; one above the head if it is empty.
    pub window_from: Seq,
    /// Client ids with a time up to here may have been seen and forgotten.
    pub evicted_until: Timestamp,
    /// The chain over what was decided since it was made: see `actors::digest`. No decision rests on it.
    pub chain: u64,
}

impl RoomMeta {
    /// Of a room that was never made.
    #[must_use]
    pub(crate) fn absent(room: RoomId) -> Self {
        Self {
            room,
            kind: None,
            status: RoomStatus::Active,
            title: String::new(),
            channel: String::new(),
            creator: None,
            opened: Mark::default(),
            closed: Mark::default(),
            head: Seq::ZERO,
            last_no: MessageNo::ZERO,
            last_message_at: None,
            generation: Generation::FIRST,
            floor: Seq(1),
            history: HistoryBound::default(),
            expires_at: None,
            may_send: MaySend::Members,
            public: false,
            max_members: 0,
            window_from: Seq(1),
            evicted_until: Timestamp::ZERO,
            chain: 0,
        }
    }
}

/// A room's whole state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RoomSnapshot {
    /// The scalars.
    pub meta: RoomMeta,
    /// Members, by id.
    pub members: Vec<(UserId, Member)>,
    /// Who is asked in, with the invitation, by id.
    pub invited: Vec<(UserId, Invitation)>,
    /// Users who need an invitation because they were kicked, with the seq of that, by id.
    pub kicked: Vec<(UserId, Seq)>,
    /// Direct chats: who blocks the other one. May stand before the room is made.
    pub blocks: Vec<UserId>,
    /// The highest offset of each source of relayed facts.
    pub sources: Vec<(Partition, Offset)>,
    /// The events from `window_from` to `head`, oldest first.
    pub window: Vec<WindowEntry>,
    /// What was decided on commands that left no event, oldest first.
    pub decisions: Vec<Decision>,
}

impl RoomSnapshot {
    /// Of a room that was never made.
    #[must_use]
    pub(crate) fn absent(room: RoomId) -> Self {
        Self {
            meta: RoomMeta::absent(room),
            members: Vec::new(),
            invited: Vec::new(),
            kicked: Vec::new(),
            blocks: Vec::new(),
            sources: Vec::new(),
            window: Vec::new(),
            decisions: Vec::new(),
        }
    }
}

/// Why a snapshot is no room: what was kept is damaged or incomplete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The window's events are not exactly those from `window_from` to `head`.
    #[error("the room's recent events are not those from {from} to {head}")]
    Window {
        /// The first that is needed.
        from: Seq,
        /// The last that is needed.
        head: Seq,
    },
    /// The window has more messages than numbers were given.
    #[error("the message numbers of the room's recent events do not fit")]
    Numbers,
    /// A number that no program could have given.
    #[error("a number of the room is out of range")]
    Range,
}
