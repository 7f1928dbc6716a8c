//! What holds for both databases, and the suites of everything that lies on this layer.

mod report;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::support::{self, Postgres};
use super::*;
use crate::config::Database;
use crate::ids::{Offset, Partition, Seq, Timestamp};
use crate::storage::store::commit::WindowPiece;
use crate::storage::store::contract::{self, chat_row, message_row, moved, room_id};
use crate::storage::store::rows::{ChatRow, MessageBody, WindowRow};
use crate::storage::store::sql::SqlStore;
use crate::storage::store::{SeqRange, Store, StoreError};
use crate::storage::{accounts, analytics, notifications, uploads};

mod copy;
mod pooler;
mod transfer;

support::sql_suite!(
    a_transaction_that_is_dropped_leaves_nothing
    a_snapshot_shows_one_moment
    a_text_with_a_nul_is_refused_and_nothing_is_written
    json_that_databases_stumble_over_comes_back_as_it_was
    numbers_stop_at_the_largest_of_sql
    of_two_commits_at_once_one_is_refused
    commits_to_many_partitions_at_once_all_go_through
    texts_are_compared_byte_by_byte
    pieces_of_a_window_go_when_the_window_has_left_them
);

const NOTE: &str = "INSERT INTO meta (key, value) VALUES (?, ?)";
const NOTES: &str = "SELECT key FROM meta ORDER BY key";

async fn notes(session: &mut Session<'_>) -> Vec<String> {
    session.list(NOTES, |_| (), |c| c.text()).await.unwrap()
}

async fn a_transaction_that_is_dropped_leaves_nothing(connections: &Connections) {
    let mut change = connections.direct().change().await.unwrap();
    change.session().execute(NOTE, |b| _ = b.text("a").text("1")).await.unwrap();
    assert_eq!(notes(&mut change.session()).await, ["a"]);
    drop(change);
    let mut change = connections.direct().change().await.unwrap();
    change.session().execute(NOTE, |b| _ = b.text("b").text("1")).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(connections.clients().list(NOTES, |_| (), |c| c.text()).await.unwrap(), ["b"]);
}

async fn a_snapshot_shows_one_moment(connections: &Connections) {
    let mut snapshot = connections.clients().snapshot().await.unwrap();
    assert!(notes(&mut snapshot.session()).await.is_empty());
    connections.direct().execute(NOTE, |b| _ = b.text("a").text("1")).await.unwrap();
    assert!(notes(&mut snapshot.session()).await.is_empty());
    snapshot.commit().await.unwrap();
    assert_eq!(connections.clients().list(NOTES, |_| (), |c| c.text()).await.unwrap(), ["a"]);
}

async fn a_text_with_a_nul_is_refused_and_nothing_is_written(connections: &Connections) {
    let store = SqlStore::new(connections.clone());
    let room = room_id(1);
    let mut commit = moved(room.partition(), 0, 1);
    commit.chats.push(chat_row(room));
    commit.room_events.push(message_row(room, 1, 1, "alice", "a\0b"));
    let refused = store.commit(commit).await;
    assert!(matches!(&refused, Err(StoreError::Damaged(why)) if why.contains("NUL")), "{refused:?}");
    let found = store.room(room).await.unwrap();
    assert_eq!((found.watermark.next_offset, found.chat), (Offset(0), None));
}

async fn json_that_databases_stumble_over_comes_back_as_it_was(connections: &Connections) {
    let store = SqlStore::new(connections.clone());
    let room = room_id(1);
    let mut commit = moved(room.partition(), 0, 1);
    let mut message = message_row(room, 1, 1, "alice", "\u{feff}\u{10ffff}\u{1}");
    let metadata = r#"{"nul":"\u0000","half":"\ud800","many":1e999999,"twice":1,"twice":2}"#.to_owned();
    message.message = message.message.map(|body| MessageBody { metadata, ..body });
    commit.chats.push(chat_row(room));
    commit.room_events.push(message.clone());
    store.commit(commit).await.unwrap();
    assert_eq!(store.events(room, SeqRange::all(), 9).await.unwrap(), [message]);
}

async fn numbers_stop_at_the_largest_of_sql(connections: &Connections) {
    let store = SqlStore::new(connections.clone());
    let room = room_id(1);
    let mut commit = moved(room.partition(), 0, 1);
    commit.watermarks[0].to.next_offset = Offset(u64::MAX);
    let mut chat = chat_row(room);
    (chat.created_at, chat.history_age_ms, chat.max_members) = (Timestamp(u64::MAX), u64::MAX, u32::MAX);
    commit.chats.push(chat.clone());
    store.commit(commit).await.unwrap();
    let largest = i64::MAX as u64;
    (chat.created_at, chat.history_age_ms) = (Timestamp(largest), largest);
    let found = store.room(room).await.unwrap();
    assert_eq!((found.watermark.next_offset, found.chat), (Offset(largest), Some(chat)));
}

async fn of_two_commits_at_once_one_is_refused(connections: &Connections) {
    let (one, two) = (SqlStore::new(connections.clone()), SqlStore::new(connections.clone()));
    let room = room_id(1);
    for at in 0..10 {
        let mut commit = moved(room.partition(), at, at + 1);
        commit.room_events.push(message_row(room, at + 1, at + 1, "alice", "x"));
        let (first, second) = tokio::join!(one.commit(commit.clone()), two.commit(commit));
        let refused: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, [StoreError::Stale { partition: room.partition(), found: Offset(at + 1) }]);
    }
    assert_eq!(one.events(room, SeqRange::all(), 99).await.unwrap().len(), 10);
}

async fn commits_to_many_partitions_at_once_all_go_through(connections: &Connections) {
    let store = SqlStore::new(connections.clone());
    let commits = (0..16).map(|n| store.commit(moved(Partition::new(n).unwrap(), 0, u64::from(n) + 1)));
    for done in futures_util::future::join_all(commits).await {
        done.unwrap();
    }
    let marks = store.watermarks().await.unwrap();
    assert!(marks.iter().take(16).enumerate().all(|(n, mark)| mark.next_offset.0 == n as u64 + 1), "{marks:?}");
}

async fn texts_are_compared_byte_by_byte(connections: &Connections) {
    let keys = ["B", "Z", "a", "b-", "b_a", "bb", "z", "ä"];
    for key in keys.iter().rev() {
        connections.direct().execute(NOTE, |b| _ = b.text(*key).text("")).await.unwrap();
    }
    assert_eq!(connections.clients().list(NOTES, |_| (), |c| c.text()).await.unwrap(), keys);
}

async fn pieces_of_a_window_go_when_the_window_has_left_them(connections: &Connections) {
    const PIECES: &str = "SELECT COUNT(*) FROM room_windows WHERE chat = ?";
    let store = SqlStore::new(connections.clone());
    let piece = crate::limits::WINDOW_PIECE_EVENTS;
    let room = room_id(1);
    let pieces = async || {
        let found = connections.clients().one(PIECES, |b| _ = b.room(room), |c| c.number::<u64>());
        found.await.unwrap().unwrap()
    };
    let comes = |at: u64, window| {
        let events = (at * piece + 1..=(at + 1) * piece).map(|seq| message_row(room, seq, seq, "alice", "x"));
        let (mut commit, events) = (moved(Partition::FIRST, at, at + 1), events.collect::<Vec<_>>());
        commit.chats.push(ChatRow { window, head: Seq((at + 1) * piece), ..chat_row(room) });
        let of_piece = events.iter().map(WindowRow::of).collect();
        commit.window_pieces.push(WindowPiece { room, events: of_piece, window });
        commit.room_events = events;
        commit
    };
    for at in 0..8 {
        store.commit(comes(at, Seq(1))).await.unwrap();
    }
    assert_eq!(pieces().await, 8);
    // Bounded history takes them away, too; and so does a window that goes on.
    let mut commit = moved(Partition::FIRST, 8, 9);
    commit.trims.push((room, Seq(2 * piece + 1)));
    store.commit(commit).await.unwrap();
    assert_eq!(pieces().await, 6);
    let mut commit = comes(8, Seq(7 * piece));
    commit.watermarks = moved(Partition::FIRST, 9, 10).watermarks;
    store.commit(commit).await.unwrap();
    assert_eq!(pieces().await, 3, "the one that the window begins in, and two behind it");
}

/// Runs a check on a fresh database. Says its name if it fails.
async fn failed(name: &str, check: BoxFuture<'_, ()>) -> Option<String> {
    AssertUnwindSafe(check).catch_unwind().await.is_err().then(|| name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_contract_holds_on_postgresql() {
    let postgres = Postgres::start().await;
    let mut broken = Vec::new();
    for (name, check) in contract::CHECKS {
        let store = SqlStore::open(&postgres.fresh().await).await.unwrap();
        broken.extend(failed(name, check(&store)).await);
        store.close().await;
    }
    let notified = [notifications::CHECKS, notifications::outbox::CHECKS, notifications::devices::CHECKS];
    let suites = [CHECKS, accounts::CHECKS, uploads::CHECKS, analytics::CHECKS].into_iter().chain(notified);
    for (name, check) in suites.flatten() {
        let connections = Connections::open(&postgres.fresh().await).await.unwrap();
        broken.extend(failed(name, check(&connections)).await);
        connections.close().await;
    }
    assert!(broken.is_empty(), "broken on PostgreSQL: {broken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_may_do_to_us_is_retryable() {
    let postgres = Postgres::start().await;
    let connections = Connections::open(&postgres.fresh().await).await.unwrap();
    let store = SqlStore::new(connections.clone());
    store.health().await.unwrap();

    // Others hold a lock for longer than we wait.
    let _held = connections.direct().change_in_line("alice").await.unwrap();
    let mut second = connections.direct().change().await.unwrap();
    second.session().execute("SET LOCAL lock_timeout = '20ms'", |_| ()).await.unwrap();
    let refused = second.session().execute(postgres::STAND_IN_LINE, |b| _ = b.text("alice")).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    drop(second);

    // Our connections are ended: what is under way fails, what comes next goes by new ones.
    let ended = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut snapshot = connections.engine().snapshot().await.unwrap();
    connections.clients().list(ended, |_| (), |c| c.number::<u64>()).await.unwrap();
    let lost = snapshot.session().list(NOTES, |_| (), |c| c.text()).await.unwrap_err();
    assert!(lost.is_retryable(), "{lost}");
    drop(snapshot);
    store.commit(moved(Partition::FIRST, 0, 1)).await.unwrap();

    // It becomes a standby.
    let reads_only = "ALTER DATABASE fresh_0 SET default_transaction_read_only = on";
    connections.direct().execute(reads_only, |_| ()).await.unwrap();
    connections.clients().list(ended, |_| (), |c| c.number::<u64>()).await.unwrap();
    let refused = store.health().await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    let refused = store.commit(moved(Partition::FIRST, 1, 2)).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    assert_eq!(store.watermarks().await.unwrap()[0].next_offset, Offset(1));
}

/// A server that takes the connection and says nothing: an error that names it, within a bound.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_an_error_that_names_it() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://kervan:hunter2@{}/kervan", silent.local_addr().unwrap());
    let error = Connections::open(&Database::Postgres(url)).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
    assert!(text.contains("***@127.0.0.1:") && text.contains("5 s") && !text.contains("hunter2"), "{text}");
}

#[test]
fn parameters_are_numbered_and_hints_left_out_for_postgresql() {
    let text = postgres::text("UPDATE a INDEXED BY a_b SET c = ? WHERE d = ? AND e IN (?, ?)");
    assert_eq!(text.as_str(), "UPDATE a SET c = $1 WHERE d = $2 AND e IN ($3, $4)");
}

#[tokio::test]
async fn a_writer_that_is_lost_is_opened_again() {
    let fresh = support::sqlite().await;
    let (connections, store) = (&fresh.connections, SqlStore::new(fresh.connections.clone()));
    store.commit(moved(Partition::FIRST, 0, 5)).await.unwrap();
    let busy: Result<(), _> = Err(StoreError::Unavailable("busy".into()));
    assert!(connections.writer().await.unwrap().done(busy).await.is_err());
    assert!(connections.has_writer().await, "a good one is kept");
    connections.lose_writer().await;
    store.commit(moved(Partition::FIRST, 5, 10)).await.unwrap();
    store.health().await.unwrap();
    store.close().await;
    assert!(store.health().await.unwrap_err().is_retryable(), "a closed store stays closed");
    drop(fresh.keep);
}
