//! A commit as SQL: bulk statements inside one transaction, the guard first.

use super::statements::{self, Bulks};
use super::window;
use crate::ids::{Seq, UserId};
use crate::limits;
use crate::storage::notifications;
use crate::storage::sql::{Binder, Session, damaged};
use crate::storage::store::StoreError;
use crate::storage::store::commit::{
    BlockChange, Commit, DeviceChange, MemberChange, ReactionChange, UserRoomChange, WatermarkMove,
};
use crate::storage::store::rows::{
    ChatRow, DeadLetterRow, EVENT_MESSAGE, ExpandedPage, OutboxPlace, OutboxRow, ReadMarkRow, RoomEventRow,
};

/// `members.shelf` of a room whose members' rows do not follow it.
pub(super) const LARGE: u8 = 2;

/// Writes `commit` inside the transaction of `session`. `false` if a watermark stands elsewhere: the caller rolls back.
pub(super) async fn commit(session: &mut Session<'_>, bulks: &Bulks, mut commit: Commit) -> Result<bool, StoreError> {
    if !guard(session, bulks, std::mem::take(&mut commit.watermarks)).await? {
        return Ok(false);
    }
    rooms(session, bulks, &mut commit).await?;
    content(session, bulks, &mut commit).await?;
    users(session, bulks, &mut commit).await?;
    user_parts(session, bulks, commit.user_rooms, commit.blocks, commit.devices).await?;
    marks(session, bulks, commit.past_marks, commit.read_marks).await?;
    session
        .bulk(&bulks.user_sources, commit.user_sources, |b, (user, partition, offset)| {
            b.text(user.as_str()).int(partition.get()).int(offset.as_i64());
        })
        .await?;
    outbox(session, bulks, commit.outbox).await?;
    dead_letters(session, bulks, commit.dead_letters).await?;
    Ok(true)
}

/// Rooms, who is in them, and what they know of blocks, sources and commands.
async fn rooms(session: &mut Session<'_>, bulks: &Bulks, commit: &mut Commit) -> Result<(), StoreError> {
    session.bulk(&bulks.chats, std::mem::take(&mut commit.chats), bind_chat).await?;
    members(session, bulks, std::mem::take(&mut commit.members)).await?;
    session
        .bulk(&bulks.listings, std::mem::take(&mut commit.listings), |b, row| {
            let (shelf, at) = row.at.map_or((LARGE, 0), |(shelf, at)| (shelf.number(), at.as_i64()));
            b.room(row.room).int(shelf).int(at);
        })
        .await?;
    session
        .bulk(&bulks.sent, std::mem::take(&mut commit.sent), |b, (room, user, no)| {
            b.room(room).text(user.as_str()).int(no.as_i64());
        })
        .await?;
    let changes = std::mem::take(&mut commit.room_blocks).into_iter();
    let (come, gone): (Vec<_>, Vec<_>) = changes.partition(|(_, _, blocked)| *blocked);
    for (room, user, _) in gone {
        session.execute(statements::ROOM_BLOCK_REMOVE, |b| _ = b.room(room).text(user.as_str())).await?;
    }
    session.bulk(&bulks.room_blocks, come, |b, (room, user, _)| _ = b.room(room).text(user.as_str())).await?;
    session
        .bulk(&bulks.room_sources, std::mem::take(&mut commit.room_sources), |b, (room, partition, offset)| {
            b.room(room).int(partition.get()).int(offset.as_i64());
        })
        .await?;
    let decisions = std::mem::take(&mut commit.room_decisions);
    session.bulk(&bulks.room_decisions, decisions, |b, (room, packed)| _ = b.room(room).blob(packed)).await?;
    Ok(())
}

/// What was said in rooms, and what is left of it.
async fn content(session: &mut Session<'_>, bulks: &Bulks, commit: &mut Commit) -> Result<(), StoreError> {
    room_events(session, bulks, std::mem::take(&mut commit.room_events)).await?;
    for piece in std::mem::take(&mut commit.window_pieces) {
        window::write_piece(session, piece).await?;
    }
    for edit in std::mem::take(&mut commit.edits) {
        session
            .execute(statements::MESSAGE_EDIT, |b| {
                b.text(edit.body).opt_text(edit.metadata).int(edit.at.as_i64()).room(edit.room).int(edit.seq.as_i64());
            })
            .await?;
    }
    for change in std::mem::take(&mut commit.reactions) {
        let (text, row) = match change {
            ReactionChange::Put(row) => (statements::REACTION_PUT, row),
            ReactionChange::Remove(row) => (statements::REACTION_REMOVE, row),
        };
        session
            .execute(text, |b| _ = b.text(row.emoji).text(row.user.as_str()).room(row.room).int(row.seq.as_i64()))
            .await?;
    }
    for (room, seq) in std::mem::take(&mut commit.redactions) {
        for text in [statements::MESSAGE_REDACT, statements::EDITS_REDACT, statements::REACTIONS_REDACT] {
            session.execute(text, |b| _ = b.room(room).int(seq.as_i64())).await?;
        }
    }
    for (room, floor) in std::mem::take(&mut commit.trims) {
        for text in [statements::EVENTS_TRIM, statements::MESSAGES_TRIM, statements::REACTIONS_TRIM] {
            session.execute(text, |b| _ = b.room(room).int(floor.as_i64())).await?;
        }
        window::forget(session, room, floor).await?;
    }
    Ok(())
}

/// Users and what they are told.
async fn users(session: &mut Session<'_>, bulks: &Bulks, commit: &mut Commit) -> Result<(), StoreError> {
    session
        .bulk(&bulks.users, std::mem::take(&mut commit.users), |b, row| {
            b.text(row.user.as_str())
                .opt_text((!row.push_token.is_empty()).then_some(row.push_token))
                .opt_text((!row.preferences.is_empty()).then_some(row.preferences))
                .int(row.created_at.as_i64())
                .int(row.updated_at.as_i64())
                .int(row.head.as_i64())
                .int(row.applied.as_i64())
                .int(row.chain.cast_signed())
                .opt_blob((!row.decisions.is_empty()).then_some(row.decisions))
                .opt_uuid(Some(row.notifications_read).filter(|id| !id.is_nil()));
        })
        .await?;
    session
        .bulk(&bulks.user_events, std::mem::take(&mut commit.user_events), |b, row| {
            b.text(row.user.as_str())
                .int(row.seq.as_i64())
                .int(row.kind)
                .int(row.at.as_i64())
                .opt_uuid(row.room.map(|room| room.0))
                .opt_int(row.room_kind.map(i64::from))
                .opt_int(row.change.map(i64::from))
                .opt_int(row.room_seq.map(|seq| seq.as_i64()))
                .opt_text(row.actor.as_ref().map(|user| user.as_str()))
                .opt_text(row.subject.as_ref().map(|user| user.as_str()))
                .opt_text(row.data);
        })
        .await?;
    session
        .bulk(&bulks.notifications, std::mem::take(&mut commit.notifications), |b, row| {
            notifications::writes::bind_row(b, row);
        })
        .await?;
    session
        .bulk(
            &bulks.notifications_read,
            std::mem::take(&mut commit.notifications_read),
            notifications::writes::bind_read,
        )
        .await?;
    Ok(())
}

async fn dead_letters(session: &mut Session<'_>, bulks: &Bulks, rows: Vec<DeadLetterRow>) -> Result<(), StoreError> {
    let mut bounded: Vec<_> = rows.iter().map(|row| row.partition).collect();
    session
        .bulk(&bulks.dead_letters, rows, |b, row| {
            b.int(row.partition.get())
                .int(row.offset.as_i64())
                .int(row.at.as_i64())
                .text(row.reason)
                .blob(row.record.as_ref());
        })
        .await?;
    bounded.dedup();
    for partition in bounded {
        session
            .execute(statements::DEAD_LETTERS_TRIM, |b| {
                b.int(partition.get()).int(partition.get()).count(limits::DEAD_LETTERS);
            })
            .await?;
    }
    Ok(())
}

async fn outbox(session: &mut Session<'_>, bulks: &Bulks, rows: Vec<OutboxRow>) -> Result<(), StoreError> {
    session
        .bulk(&bulks.outbox, rows, |b, row| {
            bind_place(b, row.place());
            b.int(row.target.get()).blob(row.record.as_ref());
            let (room, after) = row.fan_out.map_or((None, None), |fan| (Some(fan.room), fan.after));
            b.opt_uuid(room.map(|room| room.0)).opt_text(after.as_ref().map(|user| user.as_str()));
        })
        .await?;
    Ok(())
}

pub(super) fn bind_place(b: &mut Binder, place: OutboxPlace) {
    b.int(place.source.get()).int(place.offset.as_i64()).int(place.ord);
}

/// Removes rows of the outbox.
pub(super) async fn remove_told(
    session: &mut Session<'_>,
    bulks: &Bulks,
    told: Vec<OutboxPlace>,
) -> Result<(), StoreError> {
    session.bulk(&bulks.told, told, bind_place).await?;
    Ok(())
}

/// See [`crate::storage::store::Store::relay_expand`]. In a transaction.
pub(super) async fn expand(session: &mut Session<'_>, bulks: &Bulks, page: ExpandedPage) -> Result<bool, StoreError> {
    let ExpandedPage { fan_out, from, rows, after } = page;
    let from = from.as_ref().map_or("", |user| user.as_str());
    // The fan-out's row first: whoever else gives a page of it waits behind this, and then finds it elsewhere.
    let is_there = match &after {
        Some(user) => {
            let bind = |b: &mut Binder| {
                b.text(user.as_str());
                bind_place(b, fan_out);
                b.text(from);
            };
            session.execute(statements::RELAY_ADVANCE, bind).await?
        }
        None => {
            let bind = |b: &mut Binder| {
                bind_place(b, fan_out);
                b.text(from);
            };
            session.execute(statements::RELAY_FINISH, bind).await?
        }
    };
    if is_there == 0 {
        return Ok(false);
    }
    let OutboxPlace { source, offset, .. } = fan_out;
    let of_record = |b: &mut Binder| _ = b.int(source.get()).int(offset.as_i64());
    let last = session.one(statements::RELAY_LAST, of_record, |c| c.opt_number()).await?.flatten().unwrap_or(0);
    let row = |((target, record), ord)| OutboxRow { source, offset, ord, target, record, fan_out: None };
    outbox(session, bulks, rows.into_iter().zip(last + 1..).map(row).collect()).await?;
    Ok(true)
}

/// Moves the watermarks. `false` if not all of them stood where the writer believed.
async fn guard(session: &mut Session<'_>, bulks: &Bulks, moves: Vec<WatermarkMove>) -> Result<bool, StoreError> {
    let wanted = moves.len() as u64;
    let moved = session
        .bulk(&bulks.watermarks, moves, |b, m| {
            b.int(m.to.partition.get())
                .int(m.from.as_i64())
                .int(m.to.next_offset.as_i64())
                .int(m.to.log_hash.cast_signed())
                .int(m.to.fold_time.as_i64())
                .int(m.to.fold_version)
                .opt_int(m.to.last_record.map(u64::cast_signed));
        })
        .await?;
    Ok(moved == wanted)
}

fn bind_chat(b: &mut Binder, row: ChatRow) {
    b.room(row.room)
        .int(row.kind)
        .int(row.status)
        .text(row.title)
        .text(row.channel)
        .opt_text(row.creator.as_ref().map(|user| user.as_str()))
        .opt_text(row.user1.as_ref().map(|user| user.as_str()))
        .opt_text(row.user2.as_ref().map(|user| user.as_str()))
        .flag(row.ended_by_user1)
        .flag(row.ended_by_user2)
        .int(row.created_at.as_i64())
        .opt_int(row.expires_at.map(|at| at.as_i64()))
        .opt_int(row.last_message_at.map(|at| at.as_i64()))
        .flag(row.public)
        .int(row.may_send)
        .int(row.max_members)
        .count(row.history_events)
        .count(row.history_age_ms)
        .int(row.generation.0)
        .int(row.head.as_i64())
        .int(row.floor.as_i64())
        .int(row.last_no.as_i64());
    for mark in [row.opened, row.closed] {
        b.int(mark.seq.as_i64()).int(mark.at.as_i64()).uuid(mark.id);
    }
    b.int(row.window.as_i64()).int(row.evicted_until.as_i64()).int(row.applied.as_i64()).int(row.chain.cast_signed());
}

async fn members(session: &mut Session<'_>, bulks: &Bulks, changes: Vec<MemberChange>) -> Result<(), StoreError> {
    let mut puts = Vec::new();
    for change in changes {
        match change {
            MemberChange::Put(row) => puts.push(row),
            MemberChange::Remove(room, user) => {
                session
                    .execute(statements::MEMBER_REMOVE, |b| {
                        b.room(room).text(user.as_str());
                    })
                    .await?;
            }
        }
    }
    session
        .bulk(&bulks.members, puts, |b, row| {
            b.room(row.room).text(row.user.as_str()).int(row.state).int(row.seq.as_i64());
            b.int(row.sent_no.as_i64()).int(row.joined_no.as_i64());
            b.opt_text(row.invited_by.as_ref().map(UserId::as_str)).opt_int(row.kicked.map(Seq::as_i64));
        })
        .await?;
    Ok(())
}

async fn marks(
    session: &mut Session<'_>,
    bulks: &Bulks,
    past: Vec<ReadMarkRow>,
    known: Vec<ReadMarkRow>,
) -> Result<(), StoreError> {
    let (forgotten, past): (Vec<_>, Vec<_>) = past.into_iter().partition(|row| row.seq == Seq::ZERO);
    for row in forgotten {
        session
            .execute(statements::MARK_FORGET, |b| {
                b.text(row.user.as_str()).room(row.room);
            })
            .await?;
    }
    let mark = |b: &mut Binder, row: &ReadMarkRow| {
        b.text(row.user.as_str()).room(row.room).int(row.seq.as_i64()).int(row.no.as_i64());
    };
    session.bulk(&bulks.past_marks, past, |b, row| mark(b, &row)).await?;
    session
        .bulk(&bulks.read_marks, known, |b, row| {
            mark(b, &row);
            b.int(row.seq.as_i64()).int(row.no.as_i64());
        })
        .await?;
    Ok(())
}

async fn user_parts(
    session: &mut Session<'_>,
    bulks: &Bulks,
    rooms: Vec<UserRoomChange>,
    blocks: Vec<BlockChange>,
    devices: Vec<DeviceChange>,
) -> Result<(), StoreError> {
    let (mut room_rows, mut block_rows, mut device_rows) = (Vec::new(), Vec::new(), Vec::new());
    for change in rooms {
        match change {
            UserRoomChange::Put(row) => room_rows.push(row),
            UserRoomChange::Remove(user, room) => {
                session
                    .execute(statements::USER_ROOM_REMOVE, |b| {
                        b.text(user.as_str()).room(room);
                    })
                    .await?;
            }
        }
    }
    for change in blocks {
        match change {
            BlockChange::Put(row) => block_rows.push(row),
            BlockChange::Remove(user, blocked) => {
                session
                    .execute(statements::BLOCK_REMOVE, |b| {
                        b.text(user.as_str()).text(blocked.as_str());
                    })
                    .await?;
            }
        }
    }
    for change in devices {
        match change {
            DeviceChange::Put(row) => device_rows.push(row),
            DeviceChange::Remove(user, device) => {
                session
                    .execute(statements::DEVICE_REMOVE, |b| {
                        b.text(user.as_str()).text(device.as_str());
                    })
                    .await?;
            }
        }
    }
    session
        .bulk(&bulks.user_rooms, room_rows, |b, row| {
            b.text(row.user.as_str()).room(row.room).int(row.kind).int(row.state).int(row.seq.as_i64());
            b.int(row.muted_until.as_i64());
        })
        .await?;
    session
        .bulk(&bulks.blocks, block_rows, |b, row| {
            b.text(row.user.as_str()).text(row.blocked.as_str()).int(row.at.as_i64());
        })
        .await?;
    session
        .bulk(&bulks.devices, device_rows, |b, row| {
            b.text(row.user.as_str())
                .text(row.device.as_str())
                .text(row.platform)
                .text(row.push_token)
                .int(row.seen_at.as_i64());
        })
        .await?;
    Ok(())
}

/// Events and messages. Sorted by room and seq: neighbours land on one page.
async fn room_events(session: &mut Session<'_>, bulks: &Bulks, mut rows: Vec<RoomEventRow>) -> Result<(), StoreError> {
    rows.sort_unstable_by_key(|row| (row.room, row.seq));
    let (mut events, mut with_content) = (Vec::new(), Vec::with_capacity(rows.len()));
    for mut row in rows {
        if (row.kind == EVENT_MESSAGE) != row.message.is_some() {
            return Err(damaged("room_events", "content goes with messages, and only with them"));
        }
        match row.message.take() {
            None => events.push(row),
            Some(message) => with_content.push((row, message)),
        }
    }
    session
        .bulk(&bulks.room_events, events, |b, row| {
            b.room(row.room)
                .int(row.seq.as_i64())
                .int(row.kind)
                .opt_text(row.actor.as_ref().map(|user| user.as_str()))
                .opt_int(row.target.map(|seq| seq.as_i64()))
                .uuid(row.id)
                .opt_text(row.client_id.as_ref().map(|id| id.as_str()))
                .int(row.at.as_i64())
                .opt_text(row.data);
        })
        .await?;
    let thin = with_content.iter().map(|(row, _)| (row.room, row.seq)).collect();
    session
        .bulk(&bulks.message_events, thin, |b, (room, seq)| _ = b.room(room).int(seq.as_i64()).int(EVENT_MESSAGE))
        .await?;
    session
        .bulk(&bulks.messages, with_content, |b, (row, message)| {
            b.room(row.room)
                .int(row.seq.as_i64())
                .uuid(row.id)
                .int(message.no.as_i64())
                .opt_text(row.actor.as_ref().map(|user| user.as_str()))
                .opt_text(row.client_id.as_ref().map(|id| id.as_str()))
                .text(message.body)
                .text(message.message_type)
                .int(0)
                .text(message.metadata)
                .opt_int(message.reply_to.map(|seq| seq.as_i64()))
                .opt_blob((!message.data.is_empty()).then(|| message.data.to_vec()))
                .int(row.at.as_i64())
                .flag(false)
                .flag(message.deleted);
        })
        .await?;
    Ok(())
}
