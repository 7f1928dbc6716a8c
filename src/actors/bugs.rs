//! Planted bugs: mistakes that are easy to make, switched on one at a time, to show that the simulation sees them.
//!
//! Compiled for tests only. The folds and cores take no options for this: the switch stands beside them, one for each
//! thread, so that a simulation on one thread does not disturb another test.

use std::cell::Cell;

use super::moment::Moment;
use crate::ids::Timestamp;
use crate::storage::journal::record::Envelope;

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bug {
    /// Records have effects before they are verified.
    AckBeforeVerified,
    /// A refused append is treated as if it had been delivered.
    EffectsAfterFailedAppend,
    /// An append with an unknown outcome is answered as if nothing had been written.
    UnknownToldAsRefused,
    /// The sender is told a seq that the owner counted itself, before the fold.
    SeqBeforeLog,
    /// "Sent before" is decided by the sender's highest client id.
    DedupeByHighestId,
    /// Membership is checked by the owner when a message comes in, and not by the fold.
    KickOutsideFold,
    /// A command's time to live is measured by the clock of whoever folds.
    TtlByWallClock,
    /// A command's time to live is measured from the clock that admitted it to the highest append time so far.
    TtlByFoldTime,
    /// Fold time follows the journal's clock back.
    FoldTimeGoesBack,
    /// Relayed facts are not numbered by their source.
    RelayWithoutSourceNumbers,
    /// Whoever projects writes without looking whether another has.
    ProjectorWithoutGuard,
    /// A room is made of old rows and goes on at the newest watermark (a lagging replica).
    StaleSnapshot,
    /// A room goes on from whatever moment the store is at.
    AnySnapshotWillDo,
    /// A room that died is not brought up to where it was.
    ReplaySkippedAfterDeath,
    /// What was read before a leader was lost is kept.
    TruncationIgnored,
    /// Heads are not announced: a lost last event is never missed.
    LastMessageNeverAnnounced,
    /// A gateway takes whatever is newer, without looking for gaps.
    GapCheckSkipped,
    /// A subscription begins at once, wherever the stream stands here.
    SubscribeOutsideOrder,
    /// A gateway goes on sending to whom an event removed.
    RemovalIgnored,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::AckBeforeVerified,
        Self::EffectsAfterFailedAppend,
        Self::UnknownToldAsRefused,
        Self::SeqBeforeLog,
        Self::DedupeByHighestId,
        Self::KickOutsideFold,
        Self::TtlByWallClock,
        Self::TtlByFoldTime,
        Self::FoldTimeGoesBack,
        Self::RelayWithoutSourceNumbers,
        Self::ProjectorWithoutGuard,
        Self::StaleSnapshot,
        Self::AnySnapshotWillDo,
        Self::ReplaySkippedAfterDeath,
        Self::TruncationIgnored,
        Self::LastMessageNeverAnnounced,
        Self::GapCheckSkipped,
        Self::SubscribeOutsideOrder,
        Self::RemovalIgnored,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    static WALL: Cell<Timestamp> = const { Cell::new(Timestamp::ZERO) };
}

/// Plants a bug on this thread, or takes it out.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted on this thread.
#[must_use]
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Sets what [`Bug::TtlByWallClock`] takes for the time.
pub fn set_wall_clock(now: Timestamp) {
    WALL.set(now);
}

/// Whether a record counts as stale, if one of the bugs that judge by the wrong clock is planted.
#[must_use]
pub fn stale_instead(now: Moment, envelope: &Envelope) -> Option<bool> {
    let by = |clock: Timestamp| envelope.ttl_ms != 0 && clock.since(envelope.issued_at()) > envelope.ttl_ms;
    match PLANTED.get() {
        Some(Bug::TtlByWallClock) => Some(by(WALL.get())),
        Some(Bug::TtlByFoldTime) => Some(by(now.fold)),
        _ => None,
    }
}
