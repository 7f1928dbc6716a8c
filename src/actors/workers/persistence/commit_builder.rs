//! The rows of one batch while it is folded: events as they come, everything else once, in its last state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::cache::{CachedRoom, CachedUser};
use super::outbox::{self, Source};
use super::{decision_rows, notify, rows};
use crate::actors::room::Outcome;
use crate::actors::user::UserOutcome;
use crate::actors::user::commands;
use crate::actors::user::outcome::Quiet;
use crate::actors::wire::{Event, EventBody, ReadPoint, RoomKind, UserEventBody};
use crate::ids::{DeviceId, MessageNo, Offset, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::Commit;
use crate::storage::store::commit::{BlockChange, DeviceChange, Listing, MemberChange, ReactionChange, UserRoomChange};
use crate::storage::store::rows::{BlockRow, DeviceRow, MessageEdit, ReactionRow, ReadMarkRow, UserRow};

/// Rows of bounded history are removed in steps of this many seqs: the same ones whatever the batches were.
const TRIM_STEP: u64 = 64;

/// What a batch changed of a room.
#[derive(Default)]
struct DirtyRoom {
    /// If the room's own row changed: one past the last record that did it.
    applied: Option<Offset>,
    /// Users whose place changed, with the last message number before they joined.
    places: BTreeMap<UserId, MessageNo>,
    /// Users who sent.
    senders: BTreeSet<UserId>,
}

/// What a batch changed of a user.
#[derive(Default)]
struct DirtyUser {
    /// If the user's own row changed: fold times of the first and the last record that did it, and one past the latter.
    row: Option<(Timestamp, Timestamp, Offset)>,
    rooms: BTreeSet<RoomId>,
    /// Of those the ones that were left or came to their end.
    gone: BTreeSet<RoomId>,
    /// The furthest that was read.
    reads: BTreeMap<RoomId, ReadPoint>,
    blocks: BTreeSet<UserId>,
    devices: BTreeSet<DeviceId>,
    sources: bool,
    /// Those that were read one by one.
    notifications: BTreeSet<Uuid>,
}

/// See the module.
#[derive(Default)]
pub(super) struct CommitBuilder {
    pub(super) commit: Commit,
    rooms: BTreeMap<RoomId, DirtyRoom>,
    users: BTreeMap<UserId, DirtyUser>,
}

impl CommitBuilder {
    /// The rooms that are to be written.
    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.keys().copied().collect()
    }

    /// The users that are to be written.
    pub(super) fn users(&self) -> Vec<UserId> {
        self.users.keys().cloned().collect()
    }

    /// Notes the outcome of a record of a room, whose state is `room` now.
    pub(super) fn room(&mut self, source: Source, room: &mut CachedRoom, outcome: Outcome) {
        let id = room.state.room();
        let event = match outcome {
            Outcome::Accepted(event) => event,
            Outcome::Noted => {
                self.rooms.entry(id).or_default().applied = Some(source.offset.next());
                return;
            }
            // What is remembered of the decision may be new.
            Outcome::Duplicate { .. } | Outcome::Rejected(_) => {
                self.rooms.entry(id).or_default();
                return;
            }
            Outcome::Ignored => return,
        };
        let dirty = self.rooms.entry(id).or_default();
        dirty.applied = Some(source.offset.next());
        room.extras.note(&event);
        note_places(dirty, &event, room.state.last_no());
        let kind = room.state.kind().unwrap_or(RoomKind::Group);
        self.commit.outbox.extend(outbox::of_room(source, &room.state, kind, &event));
        match &event.body {
            EventBody::Message { .. } => dirty.senders.extend(event.actor.clone()),
            EventBody::Edited { target, body, metadata } => self.commit.edits.push(MessageEdit {
                room: id,
                seq: *target,
                body: body.clone(),
                metadata: metadata.clone(),
                at: event.at,
            }),
            EventBody::Deleted { target } => self.commit.redactions.push((id, *target)),
            EventBody::Reacted { target, emoji, removed } => {
                self.commit.reactions.extend(event.actor.clone().map(|user| {
                    let row = ReactionRow { room: id, seq: *target, emoji: emoji.clone(), user };
                    if *removed { ReactionChange::Remove(row) } else { ReactionChange::Put(row) }
                }))
            }
            _ => {}
        }
        // Nobody else has it: the fold has just made it.
        let event = Arc::try_unwrap(event).unwrap_or_else(|shared| Event::clone(&shared));
        let row = rows::event_row(id, event);
        room.piece.note(&row);
        self.commit.room_events.push(row);
    }

    /// Notes the outcome of a record of a user.
    pub(super) fn user(&mut self, source: Source, user: &CachedUser, outcome: &UserOutcome) {
        let id = user.state.user();
        let changes = matches!(outcome, UserOutcome::Event(_) | UserOutcome::Quiet(_));
        let remembered = user.state.has_just_decided(source.id);
        if !changes && !remembered {
            return;
        }
        let dirty = self.users.entry(id.clone()).or_default();
        if outcome.is_change() || remembered {
            let first = dirty.row.map_or(source.now, |(first, ..)| first);
            dirty.row = Some((first, source.now, source.offset.next()));
        }
        match outcome {
            UserOutcome::Event(event) => {
                match &event.body {
                    UserEventBody::Room { room, change, .. } => {
                        dirty.sources = true;
                        dirty.rooms.insert(*room);
                        if !change.is_listed() {
                            dirty.gone.insert(*room);
                        }
                    }
                    UserEventBody::Block { user: other, .. } => _ = dirty.blocks.insert(other.clone()),
                    UserEventBody::Preferences => {}
                    UserEventBody::NotificationsRead { ids, .. } => dirty.notifications.extend(ids),
                }
                self.commit.outbox.extend(outbox::of_user(source, id, event));
                self.commit.user_events.push(rows::user_event_row(id, event));
                self.commit.notifications.extend(notify::notification(id, event));
            }
            UserOutcome::Quiet(Quiet::Read { room, to }) => {
                let furthest = dirty.reads.entry(*room).or_default();
                *furthest = ReadPoint { seq: furthest.seq.max(to.seq), no: furthest.no.max(to.no) };
            }
            UserOutcome::Quiet(Quiet::Device(commands::Device { device, .. }) | Quiet::DeviceRemoved(device)) => {
                dirty.devices.insert(device.clone());
            }
            UserOutcome::Quiet(Quiet::Muted { room, .. }) => _ = dirty.rooms.insert(*room),
            UserOutcome::Quiet(Quiet::DevicesForgotten(devices)) => dirty.devices.extend(devices.iter().cloned()),
            UserOutcome::Unchanged | UserOutcome::Duplicate { .. } | UserOutcome::Rejected(_) => {}
        }
    }

    /// Writes the last state of a room.
    pub(super) fn finish_room(&mut self, room: &mut CachedRoom) {
        let id = room.state.room();
        let Some(dirty) = self.rooms.remove(&id) else { return };
        let commit = &mut self.commit;
        let applied = dirty.applied.into_iter();
        commit.chats.extend(applied.filter_map(|applied| rows::chat_row(&room.state, &room.extras, applied)));
        let decided = room.state.last_decided();
        if decided != room.decided {
            commit.room_decisions.push((id, decision_rows::pack(room.state.decisions())));
            room.decided = decided;
        }
        let listed = rows::listed(&room.state, &room.extras);
        // Who came with this commit has a row that follows nothing yet.
        if listed != room.listed || (listed.is_some() && !dirty.places.is_empty()) {
            commit.listings.push(Listing { room: id, at: listed });
            room.listed = listed;
        }
        for user in dirty.senders.iter().filter(|user| !dirty.places.contains_key(*user)) {
            if let Some(member) = room.state.member(user) {
                commit.sent.push((id, user.clone(), member.sent_no));
            }
        }
        for (user, joined_no) in dirty.places {
            commit.members.push(match rows::member_row(&room.state, &user, joined_no) {
                Some(row) => MemberChange::Put(row),
                None => MemberChange::Remove(id, user),
            });
        }
        let blocks: Vec<UserId> = room.state.blocks().cloned().collect();
        if blocks != room.blocks {
            let gone = room.blocks.iter().filter(|user| !blocks.contains(user)).map(|user| (id, user.clone(), false));
            let come = blocks.iter().filter(|user| !room.blocks.contains(user)).map(|user| (id, user.clone(), true));
            commit.room_blocks.extend(gone.chain(come));
            room.blocks = blocks;
        }
        let sources: Vec<_> = room.state.sources().collect();
        if sources != room.sources {
            let news = sources.iter().filter(|source| !room.sources.contains(source));
            commit.room_sources.extend(news.map(|(partition, offset)| (id, *partition, *offset)));
            room.sources = sources;
        }
        commit.window_pieces.append(&mut room.piece.whole(&room.state));
        let floor = trim_floor(room);
        if floor > room.trimmed {
            commit.trims.push((id, floor));
            room.trimmed = floor;
        }
    }

    /// Writes the last state of a user.
    pub(super) fn finish_user(&mut self, user: &mut CachedUser) {
        let id = user.state.user().clone();
        let Some(dirty) = self.users.remove(&id) else { return };
        let (state, commit) = (&user.state, &mut self.commit);
        if let Some((created_at, updated_at, applied)) = dirty.row {
            let last = state.devices().max_by_key(|(device, known)| (known.seen, *device));
            commit.users.push(UserRow {
                user: id.clone(),
                push_token: last.map_or(String::new(), |(_, device)| device.push_token.clone()),
                preferences: state.preferences().to_owned(),
                created_at,
                updated_at,
                head: state.head(),
                applied,
                chain: state.meta().chain,
                notifications_read: state.meta().notifications_read,
                decisions: decision_rows::pack(state.decisions()),
            });
        }
        // Of a room that is over or was left the fold forgets how far it was read, and the rows show it still.
        let forgotten = dirty.gone.iter().filter(|room| !dirty.reads.contains_key(room) && !state.has_read(**room));
        commit.past_marks.extend(forgotten.map(|room| mark_row(&id, *room, ReadPoint::default())));
        for room in dirty.rooms {
            commit.user_rooms.push(match state.room(room) {
                Some(listed) => UserRoomChange::Put(rows::user_room_row(&id, room, listed)),
                None => UserRoomChange::Remove(id.clone(), room),
            });
        }
        for (room, furthest) in dirty.reads {
            let known = state.has_read(room).then(|| state.read(room));
            if known != Some(furthest) {
                commit.past_marks.push(mark_row(&id, room, furthest));
            }
            commit.read_marks.extend(known.map(|mark| mark_row(&id, room, mark)));
        }
        for other in dirty.blocks {
            let since = state.blocks().find(|(user, _)| **user == other).map(|(_, since)| since);
            commit.blocks.push(match since {
                Some(at) => BlockChange::Put(BlockRow { user: id.clone(), blocked: other, at }),
                None => BlockChange::Remove(id.clone(), other),
            });
        }
        if !dirty.devices.is_empty() {
            let known: BTreeMap<_, _> = state.devices().collect();
            for (device, what) in known.iter().filter(|(device, _)| dirty.devices.contains(**device)) {
                commit.devices.push(DeviceChange::Put(DeviceRow {
                    user: id.clone(),
                    device: (*device).clone(),
                    platform: what.platform.clone(),
                    push_token: what.push_token.clone(),
                    seen_at: what.seen,
                }));
            }
            // Forgotten, or it made room for another.
            let gone =
                user.devices.iter().filter(|device| !known.contains_key(device)).cloned().collect::<BTreeSet<_>>();
            commit.devices.extend(gone.into_iter().map(|device| DeviceChange::Remove(id.clone(), device)));
            user.devices = known.into_keys().cloned().collect();
        }
        commit.notifications_read.extend(dirty.notifications.into_iter().map(|one| (id.clone(), one)));
        if dirty.sources {
            for (partition, offset) in state.sources() {
                if user.sources.insert(partition, offset) != Some(offset) {
                    commit.user_sources.push((id.clone(), partition, offset));
                }
            }
        }
    }
}

fn mark_row(user: &UserId, room: RoomId, mark: ReadPoint) -> ReadMarkRow {
    ReadMarkRow { user: user.clone(), room, seq: mark.seq, no: mark.no }
}

/// The seq below which a room's rows are not needed: neither as history nor by the fold.
pub(super) fn trim_floor(room: &CachedRoom) -> Seq {
    let floor = room.state.floor().min(room.state.meta().window_from).0;
    Seq(floor - floor % TRIM_STEP)
}

/// Whose place an event changes. `last_no` is the room's after the event; an event that changes places is no message, so
/// it is the one before it, too.
fn note_places(dirty: &mut DirtyRoom, event: &Event, last_no: MessageNo) {
    match &event.body {
        EventBody::Created { members, .. } => {
            dirty.places.extend(members.iter().map(|user| (user.clone(), MessageNo::ZERO)));
        }
        EventBody::Joined | EventBody::Left => {
            dirty.places.extend(event.actor.iter().map(|user| (user.clone(), last_no)));
        }
        EventBody::Invited { user } | EventBody::Kicked { user } | EventBody::Uninvited { user } => {
            dirty.places.insert(user.clone(), last_no);
        }
        _ => {}
    }
}
