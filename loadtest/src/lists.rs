//! `kervan-loadtest lists [ROOMS] [LARGE]`: what a page of a room list takes, for a user with many rooms that live and as many
//! that are over, each with a last message, and some rooms that are too large for the index. SQLite alone, one page at a time.

use std::time::Instant;

use anyhow::{Context, Result};
use kervan::ids::{Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use kervan::storage::store::commit::{Listing, MemberChange, WatermarkMove};
use kervan::storage::store::rows::{
    ChatRow, EVENT_MESSAGE, MEMBER, Mark, MemberRow, MessageBody, PageBound, RoomEventRow, RoomListRow, Shelf,
    WatermarkRow,
};
use kervan::storage::store::sql::SqlStore;
use kervan::storage::store::{Commit, Store};
use uuid::Uuid;

use crate::measure::percentiles;
use crate::sockets::number;

/// Lines of a page.
const PAGE: usize = 50;
/// Rooms of one commit.
const BATCH: usize = 1_000;

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments or I/O.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let (rooms, large) = (number(args, 0, 10_000)?, number(args, 1, 100)?);
    let dir = std::env::temp_dir().join(format!("kervan-loadtest-lists-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let store = SqlStore::open_file(&dir.join("kervan.db")).await?;
        fill(&store, rooms, large).await?;
        println!("{rooms} rooms that live, {rooms} that are over, {large} large ones; pages of {PAGE}");
        println!("list   page      p50      p99");
        for (name, shelf) in [("live", Shelf::Live), ("over", Shelf::Over)] {
            measure(&store, name, shelf).await?;
        }
        store.close().await;
        Ok(())
    });
    std::fs::remove_dir_all(&dir)?;
    done
}

/// Times of first pages, and of all pages one after the other.
async fn measure(store: &SqlStore, name: &str, shelf: Shelf) -> Result<()> {
    let (user, bound) = (user("alice")?, PageBound::rows(PAGE));
    let (mut first, mut later, mut after) = (Vec::new(), Vec::new(), None);
    for _ in 0..200 {
        let start = Instant::now();
        store.room_list(&user, shelf, None, bound).await?;
        first.push(start.elapsed());
    }
    loop {
        let start = Instant::now();
        let page = store.room_list(&user, shelf, after, bound).await?;
        later.push(start.elapsed());
        after = page.rows.last().map(RoomListRow::cursor);
        if !page.more {
            break;
        }
    }
    for (which, times) in [("first", &mut first), ("later", &mut later)] {
        let (p50, p99) = percentiles(times);
        println!("{name}   {which} {p50:>8.1?} {p99:>8.1?}");
    }
    Ok(())
}

async fn fill(store: &SqlStore, rooms: usize, large: usize) -> Result<()> {
    let all: Vec<usize> = (0..2 * rooms + large).collect();
    for (n, batch) in all.chunks(BATCH).enumerate() {
        let to = WatermarkRow { next_offset: Offset(n as u64 + 1), ..WatermarkRow::start(Partition::FIRST) };
        let from = Offset(n as u64);
        let mut commit = Commit { watermarks: vec![WatermarkMove { from, to }], ..Commit::default() };
        for number in batch {
            let at = Timestamp(1_700_000_000_000 + (number * 7_919 % all.len()) as u64);
            let followed = *number < 2 * rooms;
            room(&mut commit, *number, at, u8::from(followed && number % 2 == 1), followed)?;
        }
        store.commit(commit).await?;
    }
    Ok(())
}

fn room(commit: &mut Commit, number: usize, at: Timestamp, status: u8, followed: bool) -> Result<()> {
    let room = RoomId(Uuid::new_v4());
    let mark = Mark { seq: Seq(1), at, id: Uuid::nil() };
    commit.chats.push(ChatRow {
        room,
        kind: 1,
        status,
        title: String::new(),
        channel: String::new(),
        creator: None,
        user1: Some(user("alice")?),
        user2: Some(user(&format!("peer{number}"))?),
        ended_by_user1: false,
        ended_by_user2: false,
        created_at: at,
        expires_at: None,
        last_message_at: Some(at),
        public: false,
        may_send: 1,
        max_members: 2,
        history_events: 0,
        history_age_ms: 0,
        generation: Generation::FIRST,
        head: Seq(2),
        floor: Seq(1),
        last_no: MessageNo(1),
        opened: mark,
        closed: Mark::default(),
        window: Seq(1),
        evicted_until: Timestamp::ZERO,
        applied: Offset(1),
        chain: 0,
    });
    for name in ["alice".to_owned(), format!("peer{number}")] {
        let (seq, sent_no, joined_no) = (Seq(1), MessageNo::ZERO, MessageNo::ZERO);
        commit.members.push(MemberChange::Put(MemberRow {
            room,
            user: user(&name)?,
            state: MEMBER,
            seq,
            sent_no,
            joined_no,
            invited_by: None,
            kicked: None,
        }));
    }
    if followed {
        commit.listings.push(Listing { room, at: Some((Shelf::of(status), at)) });
    }
    commit.room_events.push(RoomEventRow {
        room,
        seq: Seq(2),
        kind: EVENT_MESSAGE,
        actor: Some(user(&format!("peer{number}"))?),
        target: None,
        id: Uuid::new_v4(),
        client_id: None,
        at,
        data: None,
        message: Some(MessageBody {
            no: MessageNo(1),
            body: "A last message of an ordinary length, as people write them.".to_owned(),
            message_type: "text".to_owned(),
            ..MessageBody::default()
        }),
    });
    Ok(())
}

fn user(name: &str) -> Result<UserId> {
    UserId::new(name).ok().context("a user's name")
}
