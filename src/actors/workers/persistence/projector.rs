//! The pure core of the projector: verified records in, one commit out. No tokio, no store, no clock.
//!
//! A round: [`Projector::push`] the records of some partitions, hydrate what [`Projector::missing`] names, [`Projector::fold`]
//! them into a commit, write that, and say [`Projector::committed`]. If the commit was refused or its outcome is unknown,
//! [`Projector::reset`] to the watermarks as they are read anew: the cached states may be ahead of the rows, so they go.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cache::{Cache, Cached, CachedRoom, CachedUser};
use super::commit_builder::{CommitBuilder, trim_floor};
use super::outbox::Source;
use super::pieces::PieceUnderWay;
use super::rows::{self, RoomExtras, RowsError};
use crate::actors::digest::{Chain, Misfit, RunningHash};
use crate::actors::fold::{self, FoldClock};
use crate::actors::kinds;
use crate::actors::moment::{FoldVersion, Moment};
use crate::actors::room::{Outcome, RoomState};
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::wire::{Entity, Reject};
use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, Prefix, RecordError};
use crate::storage::store::Commit;
use crate::storage::store::commit::WatermarkMove;
use crate::storage::store::rows::{DeadLetterRow, RoomRows, UserRows, WatermarkRow};

/// Why a partition is not projected any further. The others go on; nothing is skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Halt {
    /// A record that this program can't read: damaged, or written by a newer one.
    #[error("offset {offset}: {error}")]
    Record {
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        error: RecordError,
    },
    /// A record's writer had read another log than this one.
    #[error("offset {offset}: {misfit}")]
    Misfit {
        /// Its offset.
        offset: Offset,
        /// What differs.
        misfit: Misfit,
    },
    /// The records do not follow the watermark: somebody handed in the wrong ones.
    #[error("got offset {got} where {expected} comes next")]
    Gap {
        /// What came.
        got: Offset,
        /// What should have.
        expected: Offset,
    },
    /// The rows of a room or a user make no state.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The store does not take this partition's rows, or does not give them, and will not.
    #[error("store: {0}")]
    Store(String),
    /// The fold panicked on one of the records.
    #[error("the fold panicked")]
    Panic,
    /// The journal does not give the records (trimmed beyond the store's watermark, damaged).
    #[error("journal: {0}")]
    Journal(String),
}

/// Chains of entities by partition, each after the record at this offset.
pub(crate) type Chains = BTreeMap<Partition, Vec<(Offset, Chain)>>;

/// The chains that a commit writes, for comparison with those of the owners (I10).
#[must_use]
pub(crate) fn chains_of(commit: &Commit) -> Chains {
    let rooms = commit.chats.iter().map(|row| (row.room.partition(), row.applied, row.chain));
    let users = commit.users.iter().map(|row| (row.user.partition(), row.applied, row.chain));
    let mut chains = Chains::new();
    for (partition, applied, chain) in rooms.chain(users) {
        chains.entry(partition).or_default().extend(rows::chain_at(applied, chain));
    }
    chains
}

/// A snapshot does not belong to the watermark that was committed last: somebody else projects, or the store fell back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} stands at {found} in the store and at {expected} here")]
pub struct Moved {
    /// The partition.
    pub partition: Partition,
    /// Where the store has it.
    pub found: Offset,
    /// Where this projector left it.
    pub expected: Offset,
}

/// A partition as it was committed last, and as it is with what was pushed or folded since.
#[derive(Clone, Debug)]
struct Cursor {
    committed: WatermarkRow,
    /// Behind what was pushed, as is `log`.
    clock: FoldClock,
    log: RunningHash,
    /// One past the last record pushed.
    next: Offset,
    /// The watermark behind what is folded.
    folded: WatermarkRow,
    halted: Option<Halt>,
}

impl Cursor {
    fn new(row: WatermarkRow, knows: FoldVersion) -> Self {
        let clock = FoldClock::after(&row, knows);
        let halted = clock.check().err().map(|error| Halt::Record { offset: row.next_offset, error });
        let log = RunningHash::new(Prefix { end: row.next_offset, hash: row.log_hash });
        Self { committed: row, clock, log, next: row.next_offset, folded: row, halted }
    }
}

/// A record that waits to be folded.
struct Pending {
    partition: Partition,
    record: StoredRecord,
    envelope: Envelope,
    entity: Option<Entity>,
    now: Moment,
    /// The watermark behind it.
    after: WatermarkRow,
}

/// See the module.
pub struct Projector {
    knows: FoldVersion,
    cursors: BTreeMap<Partition, Cursor>,
    cache: Cache,
    pending: Vec<Pending>,
    pending_bytes: usize,
    /// Watermarks after the commit that is on its way.
    moving: Vec<WatermarkRow>,
}

impl Projector {
    /// A projector that goes on from these watermarks, with at most `cache_bytes` (about) of states kept between batches.
    #[must_use]
    pub fn new(watermarks: Vec<WatermarkRow>, cache_bytes: u64) -> Self {
        Self::knowing(FoldVersion::KNOWN, watermarks, cache_bytes)
    }

    /// The same of a program that knows so much of the fold.
    #[must_use]
    pub(crate) fn knowing(knows: FoldVersion, watermarks: Vec<WatermarkRow>, cache_bytes: u64) -> Self {
        let mut projector = Self {
            knows,
            cursors: BTreeMap::new(),
            cache: Cache::new(cache_bytes),
            pending: Vec::new(),
            pending_bytes: 0,
            moving: Vec::new(),
        };
        projector.reset(watermarks);
        projector
    }

    /// Forgets what was not committed, and all states, and goes on from these watermarks.
    pub(crate) fn reset(&mut self, watermarks: Vec<WatermarkRow>) {
        self.cache.clear();
        self.pending.clear();
        self.pending_bytes = 0;
        self.moving.clear();
        let cursors = watermarks.into_iter().map(|row| (row.partition, Cursor::new(row, self.knows)));
        self.cursors = cursors.collect();
    }

    /// Where the partition's next record is expected; `None` if it is halted.
    #[must_use]
    pub fn next_offset(&self, partition: Partition) -> Option<Offset> {
        self.cursors.get(&partition).filter(|cursor| cursor.halted.is_none()).map(|cursor| cursor.next)
    }

    /// The watermark that was committed last.
    #[must_use]
    pub(crate) fn committed_watermark(&self, partition: Partition) -> WatermarkRow {
        self.cursors.get(&partition).map_or(WatermarkRow::start(partition), |cursor| cursor.committed)
    }

    /// Partitions that are not projected any further, and why.
    pub(crate) fn halted(&self) -> impl Iterator<Item = (Partition, &Halt)> {
        self.cursors.iter().filter_map(|(partition, cursor)| Some((*partition, cursor.halted.as_ref()?)))
    }

    /// Halts a partition. What was pushed of it before is still folded.
    pub(crate) fn halt(&mut self, partition: Partition, why: Halt) {
        if let Some(cursor) = self.cursors.get_mut(&partition) {
            cursor.halted.get_or_insert(why);
        }
    }

    /// Records and their bytes that wait to be folded.
    #[must_use]
    pub fn pending(&self) -> (usize, usize) {
        (self.pending.len(), self.pending_bytes)
    }

    /// Whether somebody may wait for the rows of what is pending.
    #[must_use]
    pub(crate) fn is_awaited(&self) -> bool {
        self.pending.iter().any(|pending| kinds::is_awaited(pending.envelope.kind))
    }

    /// Partitions of the records that wait to be folded, in order.
    #[must_use]
    pub(crate) fn pending_partitions(&self) -> Vec<Partition> {
        self.pending.iter().map(|pending| pending.partition).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Takes the next records of a partition, in offset order. A record that can't be read halts the partition before it.
    pub fn push(&mut self, partition: Partition, records: Vec<StoredRecord>) {
        let Some(cursor) = self.cursors.get_mut(&partition) else { return };
        for record in records {
            if cursor.halted.is_some() {
                return;
            }
            if record.offset != cursor.next {
                cursor.halted = Some(Halt::Gap { got: record.offset, expected: cursor.next });
                return;
            }
            let read = Envelope::decode_record(&record.bytes).and_then(|envelope| {
                let now = cursor.clock.advance(record.offset, record.time, &envelope)?;
                Ok((envelope, now))
            });
            let (envelope, now) = match read {
                Ok(read) => read,
                Err(error) => {
                    cursor.halted = Some(Halt::Record { offset: record.offset, error });
                    return;
                }
            };
            if let Err(misfit) = cursor.log.check(envelope.prefix()) {
                cursor.halted = Some(Halt::Misfit { offset: record.offset, misfit });
                return;
            }
            let prefix = cursor.log.push(&record);
            cursor.log.settle(prefix.end);
            let after = WatermarkRow {
                partition,
                next_offset: prefix.end,
                log_hash: prefix.hash,
                fold_time: cursor.clock.last(),
                fold_version: cursor.clock.version().0,
                last_record: Some(record.digest()),
            };
            cursor.next = record.offset.next();
            self.pending_bytes += record.bytes.len();
            let entity = fold::entity_in(partition, &envelope);
            self.pending.push(Pending { partition, record, envelope, entity, now, after });
        }
    }

    /// Rooms and users of the pushed records whose state is not here, or sleeps where it is needed. What belongs to a
    /// partition that nothing was ever committed of has no rows, so it is made here at once.
    pub fn missing(&mut self) -> Vec<Entity> {
        let mut records: HashMap<&Entity, Vec<(Timestamp, &Envelope)>> = HashMap::new();
        let mut named = Vec::new();
        for Pending { record, envelope, entity, .. } in &self.pending {
            let Some(entity) = entity else { continue };
            let of_it = records.entry(entity).or_default();
            if of_it.is_empty() {
                named.push(entity);
            }
            of_it.push((record.time, envelope));
        }
        let mut missing = Vec::new();
        for entity in named {
            let is_here = match self.cache.get(entity) {
                Some(Cached::Room(room)) => room.state.is_awake_for(records[entity].iter().copied()),
                Some(Cached::User(_)) => true,
                None => false,
            };
            let committed = self.cursors.get(&entity.partition()).map(|cursor| cursor.committed.next_offset);
            if !is_here && committed == Some(Offset::ZERO) {
                self.cache.insert(entity.clone(), absent(entity));
            } else if !is_here {
                missing.push(entity.clone());
            }
        }
        missing
    }

    /// Takes a room's rows.
    ///
    /// # Errors
    /// [`Moved`]: then [`Self::reset`]. Rows that make no state halt the partition instead.
    pub fn hydrate_room(&mut self, room: RoomId, snapshot: RoomRows) -> Result<(), Moved> {
        self.check(snapshot.watermark)?;
        let extras = RoomExtras::of(snapshot.chat.as_ref());
        let blocks = snapshot.blocks.clone();
        let sources = snapshot.sources.iter().map(|source| (source.partition, source.offset)).collect();
        let piece = PieceUnderWay::of(&snapshot.window);
        match rows::room_state(room, snapshot) {
            Ok(state) => self.cache.insert(Entity::Room(room), cached_room(state, extras, blocks, sources, piece)),
            Err(why) => self.drop_partition(room.partition(), why.into()),
        }
        Ok(())
    }

    /// Takes a user's rows.
    ///
    /// # Errors
    /// As [`Self::hydrate_room`].
    pub fn hydrate_user(&mut self, user: &UserId, snapshot: UserRows) -> Result<(), Moved> {
        self.check(snapshot.watermark)?;
        match rows::user_state(user, snapshot) {
            Ok(state) => self.cache.insert(Entity::User(user.clone()), cached_user(state)),
            Err(why) => self.drop_partition(user.partition(), why.into()),
        }
        Ok(())
    }

    fn check(&self, found: WatermarkRow) -> Result<(), Moved> {
        let expected = self.committed_watermark(found.partition);
        if found == expected {
            return Ok(());
        }
        Err(Moved { partition: found.partition, found: found.next_offset, expected: expected.next_offset })
    }

    /// Halts a partition at what was committed of it.
    pub(crate) fn drop_partition(&mut self, partition: Partition, why: Halt) {
        self.pending.retain(|pending| pending.partition != partition);
        self.halt(partition, why);
    }

    /// Folds what was pushed. `None` if there is nothing to commit. Every entity named by [`Self::missing`] must be
    /// hydrated by now; one that is not halts its partition.
    pub fn fold(&mut self) -> Option<Commit> {
        let mut draft = CommitBuilder::default();
        let mut moved: BTreeSet<Partition> = BTreeSet::new();
        let mut failed: BTreeMap<Partition, Halt> = BTreeMap::new();
        // Sorted: the cache evicts by last use, so the order of use must not depend on a hash map's chance.
        let mut used: BTreeSet<Entity> = BTreeSet::new();
        self.pending_bytes = 0;
        for pending in std::mem::take(&mut self.pending) {
            if failed.contains_key(&pending.partition) {
                continue;
            }
            if let Err(why) = self.fold_one(&pending, &mut draft) {
                failed.insert(pending.partition, why);
                continue;
            }
            moved.insert(pending.partition);
            used.extend(pending.entity);
        }
        for (partition, why) in failed {
            self.halt(partition, why);
        }
        for entity in &used {
            self.cache.touch(entity);
        }
        if moved.is_empty() { None } else { Some(self.finish(draft, &moved)) }
    }

    /// Folds one record. After an error nothing has changed.
    fn fold_one(&mut self, pending: &Pending, draft: &mut CommitBuilder) -> Result<(), Halt> {
        let Pending { partition, record, envelope, entity, now, after } = pending;
        let Some(cursor) = self.cursors.get_mut(partition) else { return Ok(()) };
        let (offset, now) = (record.offset, *now);
        let source = Source { partition: *partition, offset, id: envelope.id(), now: now.fold };
        let invalid = match entity {
            None => !fold::is_valid_control(envelope),
            Some(entity) => match self.cache.get(entity) {
                None => return Err(RowsError { of: format!("{entity:?}"), why: "not hydrated".to_owned() }.into()),
                Some(Cached::Room(room)) => {
                    let outcome = fold::fold_room(&mut room.state, now, envelope);
                    let invalid = outcome == Outcome::Rejected(Reject::Invalid);
                    draft.room(source, room, outcome);
                    invalid
                }
                Some(Cached::User(user)) => {
                    let outcome = fold::fold_user(&mut user.state, now, envelope);
                    draft.user(source, user, &outcome);
                    outcome == UserOutcome::Rejected(Reject::Invalid)
                }
            },
        };
        if invalid {
            draft.commit.dead_letters.push(DeadLetterRow {
                partition: *partition,
                offset,
                at: record.time,
                reason: format!("record of kind {} is invalid", envelope.kind),
                record: record.bytes.clone(),
            });
        }
        cursor.folded = *after;
        Ok(())
    }

    fn finish(&mut self, mut draft: CommitBuilder, moved: &BTreeSet<Partition>) -> Commit {
        for room in draft.rooms() {
            if let Some(Cached::Room(cached)) = self.cache.get(&Entity::Room(room)) {
                draft.finish_room(cached);
            }
        }
        for user in draft.users() {
            if let Some(Cached::User(cached)) = self.cache.get(&Entity::User(user)) {
                draft.finish_user(cached);
            }
        }
        let mut commit = draft.commit;
        self.moving.clear();
        for partition in moved {
            let Some(cursor) = self.cursors.get(partition) else { continue };
            commit.watermarks.push(WatermarkMove { from: cursor.committed.next_offset, to: cursor.folded });
            self.moving.push(cursor.folded);
        }
        keep_last(&mut commit.dead_letters);
        commit
    }

    /// The commit is written. Returns the watermarks that moved.
    pub fn committed(&mut self) -> Vec<WatermarkRow> {
        let moved = std::mem::take(&mut self.moving);
        for row in &moved {
            if let Some(cursor) = self.cursors.get_mut(&row.partition) {
                cursor.committed = *row;
            }
        }
        self.cache.shrink();
        moved
    }

    /// States kept.
    #[cfg(test)]
    pub(super) fn cached(&self) -> usize {
        self.cache.len()
    }
}

/// The state of an entity without rows.
fn absent(entity: &Entity) -> Cached {
    match entity {
        Entity::Room(room) => {
            let (extras, piece) = (RoomExtras::default(), PieceUnderWay::default());
            cached_room(RoomState::absent(*room), extras, Vec::new(), Vec::new(), piece)
        }
        Entity::User(user) => cached_user(UserState::new(user.clone())),
    }
}

fn cached_room(
    state: RoomState,
    extras: RoomExtras,
    blocks: Vec<UserId>,
    sources: Vec<(Partition, Offset)>,
    piece: PieceUnderWay,
) -> Cached {
    let listed = rows::listed(&state, &extras);
    let decided = state.last_decided();
    let mut room = CachedRoom { state, extras, blocks, sources, decided, listed, trimmed: Seq::ZERO, piece };
    room.trimmed = trim_floor(&room);
    Cached::Room(Box::new(room))
}

fn cached_user(state: UserState) -> Cached {
    let devices = state.devices().map(|(device, _)| device.clone()).collect();
    let sources = state.sources().collect();
    Cached::User(Box::new(CachedUser { state, devices, sources }))
}

/// Of a flood of dead letters only those that the store would keep are written.
fn keep_last(letters: &mut Vec<DeadLetterRow>) {
    let mut left: BTreeMap<Partition, usize> = BTreeMap::new();
    let mut kept: Vec<DeadLetterRow> = std::mem::take(letters).into_iter().rev().collect();
    kept.retain(|letter| {
        let count = left.entry(letter.partition).or_default();
        *count += 1;
        *count <= limits::DEAD_LETTERS
    });
    kept.reverse();
    *letters = kept;
}
