//! The window of a busy room, packed: pieces of [`limits::WINDOW_PIECE_EVENTS`] events in a row each. A room with a full
//! window is made of a few dozen rows instead of sixteen thousand.
//!
//! A piece comes with the commit that brings its last event ([`WindowPiece`]), if all of it lies inside the room's window
//! then; so quiet rooms have none. Rows stay the truth: what no piece holds is read from them.

use prost::Message as _;
use uuid::Uuid;

use super::{read, statements};
use crate::ids::{ClientId, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::sql::{Binder, Session, damaged};
use crate::storage::store::StoreError;
use crate::storage::store::commit::WindowPiece;
use crate::storage::store::rows::WindowRow;

/// Events that are dense by seq, by columns: most of it are numbers that are alike.
#[derive(Clone, PartialEq, prost::Message)]
struct Piece {
    /// 16 bytes each.
    #[prost(bytes = "vec", tag = "1")]
    ids: Vec<u8>,
    #[prost(uint64, repeated, tag = "2")]
    at: Vec<u64>,
    #[prost(bytes = "vec", tag = "3")]
    kinds: Vec<u8>,
    /// 0 for none.
    #[prost(uint64, repeated, tag = "4")]
    targets: Vec<u64>,
    /// Everybody who did something here.
    #[prost(string, repeated, tag = "5")]
    users: Vec<String>,
    /// One more than the place in `users`; 0 for none.
    #[prost(uint32, repeated, tag = "6")]
    actors: Vec<u32>,
    /// Empty for none.
    #[prost(string, repeated, tag = "7")]
    client_ids: Vec<String>,
}

fn pack(rows: &[WindowRow]) -> Piece {
    let mut piece = Piece::default();
    for row in rows {
        piece.ids.extend_from_slice(row.id.as_bytes());
        piece.at.push(row.at.0);
        piece.kinds.push(row.kind);
        piece.targets.push(row.target.map_or(0, |seq| seq.0));
        let place = row.actor.as_ref().map_or(0, |actor| {
            let known = piece.users.iter().position(|user| user == actor.as_str());
            let place = known.unwrap_or_else(|| {
                piece.users.push(actor.as_str().to_owned());
                piece.users.len() - 1
            });
            u32::try_from(place + 1).unwrap_or(0)
        });
        piece.actors.push(place);
        piece.client_ids.push(row.client_id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned()));
    }
    piece
}

fn unpack(first: Seq, bytes: &[u8]) -> Result<Vec<WindowRow>, StoreError> {
    let wrong = |why: &str| damaged("room_windows", why);
    let piece = Piece::decode(bytes).map_err(|why| damaged("room_windows", why))?;
    let users: Result<Vec<_>, _> = piece.users.iter().map(|user| UserId::new(user)).collect();
    let users = users.map_err(|why| damaged("room_windows", why))?;
    let (ids, len) = (piece.ids.as_chunks::<16>().0, piece.kinds.len());
    let lens = [ids.len(), piece.at.len(), piece.targets.len(), piece.actors.len(), piece.client_ids.len()];
    if lens.iter().any(|other| *other != len) {
        return Err(wrong("columns of different lengths"));
    }
    let row = |at: usize| -> Result<WindowRow, StoreError> {
        let actor = match piece.actors[at].checked_sub(1) {
            None => None,
            Some(place) => Some(users.get(place as usize).cloned().ok_or_else(|| wrong("a user is missing"))?),
        };
        let client_id = match piece.client_ids[at].as_str() {
            "" => None,
            text => Some(ClientId::new(text).map_err(|why| damaged("room_windows", why))?),
        };
        Ok(WindowRow {
            seq: first.plus(at as u64),
            kind: piece.kinds[at],
            actor,
            id: Uuid::from_bytes(ids[at]),
            client_id,
            at: Timestamp(piece.at[at]),
            target: (piece.targets[at] > 0).then_some(Seq(piece.targets[at])),
        })
    };
    (0..len).map(row).collect()
}

/// Writes a piece. Pieces that the window has left go.
pub(super) async fn write_piece(session: &mut Session<'_>, piece: WindowPiece) -> Result<(), StoreError> {
    let WindowPiece { room, events, window } = piece;
    let Some(first) = events.first().map(|row| row.seq) else { return Ok(()) };
    let piece = pack(&events).encode_to_vec();
    session.execute(statements::WINDOW_PIECE, |b| _ = b.room(room).int(first.as_i64()).blob(piece)).await?;
    forget(session, room, window).await
}

/// Pieces that lie below `seq` as a whole go.
pub(super) async fn forget(session: &mut Session<'_>, room: RoomId, seq: Seq) -> Result<(), StoreError> {
    let last_gone = seq.as_i64() - limits::WINDOW_PIECE_EVENTS as i64;
    session.execute(statements::WINDOW_FORGET, |b| _ = b.room(room).int(last_gone)).await?;
    Ok(())
}

/// The window of a room from `from` on, whose last event is `head`. In a snapshot.
pub(super) async fn read(
    session: &mut Session<'_>,
    room: RoomId,
    from: Seq,
    head: Seq,
) -> Result<Vec<WindowRow>, StoreError> {
    let mut pieces = Vec::new();
    if head.0.saturating_sub(from.0) >= limits::WINDOW_PIECE_EVENTS {
        let lowest = from.as_i64() - limits::WINDOW_PIECE_EVENTS as i64;
        let bind = |b: &mut Binder| _ = b.room(room).int(lowest);
        pieces = session.list(statements::WINDOW_PIECES, bind, |c| unpack(c.seq()?, &c.bytes()?)).await?;
    }
    let mut rows: Vec<WindowRow> = Vec::new();
    for piece in pieces {
        let Some(first) = piece.first().map(|row| row.seq) else { continue };
        let next = rows.last().map_or(from, |row| row.seq.next());
        if first > next {
            rows.append(&mut read::window_rows(session, room, next, Seq(first.0 - 1)).await?);
        }
        rows.extend(piece.into_iter().filter(|row| row.seq >= next));
    }
    let next = rows.last().map_or(from, |row| row.seq.next());
    rows.append(&mut read::window_rows(session, room, next, Seq(i64::MAX as u64)).await?);
    Ok(rows)
}
