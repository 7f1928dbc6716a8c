//! The one suite that every [`Store`] passes. Each check takes a fresh, empty store and panics where the contract is
//! broken; [`store_contract!`](crate::store_contract) makes a test of each.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::commit::{Commit, WatermarkMove};
use super::rows::*;
use super::{SeqRange, Store, StoreError};
use crate::ids::{ClientId, DeviceId, Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};

mod history;
mod lists;
mod users;
mod writes;

pub(crate) use history::*;
pub(crate) use lists::*;
pub(crate) use users::*;
pub(crate) use writes::*;

/// A store to check, and what must live as long as it does.
pub(crate) struct Fixture {
    pub store: Arc<dyn Store>,
    pub keep: Box<dyn Any + Send>,
}

/// Hands the names of all checks to the macro `$then`, behind what it is given.
#[macro_export]
macro_rules! store_checks {
    ($then:path, $($given:tt)*) => {
        $then!($($given)*
            an_empty_store_starts_everywhere_at_zero
            rows_of_a_room_come_back_as_they_were
            rows_of_a_user_come_back_as_they_were
            many_users_are_read_at_once_whether_they_have_rows_or_not
            a_stale_guard_writes_nothing
            one_stale_partition_refuses_the_whole_commit
            the_same_commit_twice_is_refused_the_second_time
            an_event_that_is_there_already_is_damage_and_nothing_is_written
            an_edit_changes_the_message_and_not_its_event
            a_deletion_redacts_the_message_and_its_edits
            an_edit_does_not_bring_a_deleted_message_back
            reactions_are_counted_and_go_with_their_message
            a_page_of_history_is_of_one_moment_and_above_the_floor
            pages_of_events_go_both_ways
            a_trim_removes_what_lies_below_and_nothing_else
            the_window_begins_where_the_room_says
            the_window_of_a_busy_room_is_whole_wherever_it_begins
            the_room_list_is_sorted_and_counts_what_is_unread
            invitations_are_found_by_who_made_them
            pages_of_a_room_end_with_the_row_that_fills_them
            the_room_list_is_paged_without_holes
            a_page_of_the_room_list_is_bounded_in_bytes
            a_room_that_is_over_leaves_the_live_list
            a_mark_that_the_fold_forgot_is_shown_and_never_falls
            members_and_read_marks_are_paged
            all_rooms_and_users_are_paged
            only_active_rooms_expire_the_longest_overdue_first
            the_outbox_keeps_its_order_until_it_is_delivered
            dead_letters_are_bounded
            bulk_commits_of_every_size_are_written
            rows_and_watermark_are_of_one_moment
            a_note_is_kept
            a_closed_store_is_unavailable
        );
    };
}

/// Makes a test of each check. The argument is an async function without parameters that gives a [`Fixture`].
#[macro_export]
macro_rules! store_contract {
    ($fixture:path) => {
        $crate::store_checks!($crate::store_contract, $fixture:);
    };
    ($fixture:path: $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let fixture: $crate::storage::store::contract::Fixture = $fixture().await;
                $crate::storage::store::contract::$check(fixture.store.as_ref()).await;
                drop(fixture.keep);
            }
        )*
    };
}

/// A check by name, for a database that is shared by all of them.
pub(crate) type Check = for<'a> fn(&'a dyn Store) -> BoxFuture<'a, ()>;

macro_rules! list_of_checks {
    ($($check:ident)*) => {
        pub(crate) const CHECKS: &[(&str, Check)] = &[$((stringify!($check), |store| Box::pin($check(store)))),*];
    };
}
store_checks!(list_of_checks,);

pub(crate) fn room_id(n: u128) -> RoomId {
    RoomId(Uuid::from_u128(n))
}

pub(crate) fn user_id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A user of whom little is known.
pub(crate) fn user_row(name: &str) -> UserRow {
    UserRow { created_at: Timestamp(1), updated_at: Timestamp(2), ..UserRow::unsaid(user_id(name)) }
}

pub(crate) fn uuid(n: u64) -> Uuid {
    Uuid::from_u64_pair(0x7000, n)
}

pub(crate) fn chat_row(room: RoomId) -> ChatRow {
    ChatRow {
        room,
        kind: 2,
        status: ACTIVE,
        title: "A room, 部屋".to_owned(),
        channel: String::new(),
        creator: Some(user_id("alice")),
        user1: None,
        user2: None,
        ended_by_user1: false,
        ended_by_user2: true,
        created_at: Timestamp(1_000),
        expires_at: None,
        last_message_at: None,
        public: true,
        may_send: 1,
        max_members: 100_000,
        history_events: 0,
        history_age_ms: 0,
        generation: Generation::FIRST,
        head: Seq(0),
        floor: Seq(1),
        last_no: MessageNo(0),
        opened: Mark { seq: Seq(1), at: Timestamp(1_000), id: uuid(1) },
        closed: Mark::default(),
        window: Seq(1),
        evicted_until: Timestamp(7),
        applied: Offset(3),
        chain: u64::MAX - 3,
    }
}

pub(crate) fn message_row(room: RoomId, seq: u64, no: u64, sender: &str, body: &str) -> RoomEventRow {
    RoomEventRow {
        room,
        seq: Seq(seq),
        kind: EVENT_MESSAGE,
        actor: Some(user_id(sender)),
        target: None,
        id: uuid(seq),
        client_id: Some(ClientId::new(&format!("c{seq}")).unwrap()),
        at: Timestamp(1_000 + seq),
        data: None,
        message: Some(MessageBody {
            no: MessageNo(no),
            body: body.to_owned(),
            message_type: "text".to_owned(),
            metadata: "{\"a\":1}".to_owned(),
            reply_to: Some(Seq(1)),
            data: Bytes::new(),
            deleted: false,
        }),
    }
}

pub(crate) fn event_row(room: RoomId, seq: u64, kind: u8) -> RoomEventRow {
    RoomEventRow {
        room,
        seq: Seq(seq),
        kind,
        actor: Some(user_id("alice")),
        target: None,
        id: uuid(seq),
        client_id: None,
        at: Timestamp(1_000 + seq),
        data: Some("{\"x\":\"é\"}".to_owned()),
        message: None,
    }
}

fn edit_row(room: RoomId, seq: u64, target: u64, data: &str) -> RoomEventRow {
    RoomEventRow { target: Some(Seq(target)), data: Some(data.to_owned()), ..event_row(room, seq, 3) }
}

pub(crate) fn member_row(room: RoomId, user: &str, state: u8) -> MemberRow {
    let (room, user, invited_by) = (room, user_id(user), None);
    MemberRow {
        room,
        user,
        state,
        seq: Seq(1),
        sent_no: MessageNo(0),
        joined_no: MessageNo(0),
        invited_by,
        kicked: None,
    }
}

/// A move of the room's partition, with rows to come.
pub(crate) fn moved(partition: Partition, from: u64, to: u64) -> Commit {
    let to = WatermarkRow {
        partition,
        next_offset: Offset(to),
        log_hash: u64::MAX - to,
        fold_time: Timestamp(1_000 + to),
        fold_version: 3,
        last_record: Some(u64::MAX - 2 * to),
    };
    Commit { watermarks: vec![WatermarkMove { from: Offset(from), to }], ..Commit::default() }
}

async fn write(store: &dyn Store, room: RoomId, from: u64, fill: impl FnOnce(&mut Commit)) {
    let mut commit = moved(room.partition(), from, from + 1);
    fill(&mut commit);
    store.commit(commit).await.unwrap();
}

async fn all_events(store: &dyn Store, room: RoomId) -> Vec<RoomEventRow> {
    store.events(room, SeqRange::all(), 1_000).await.unwrap()
}
