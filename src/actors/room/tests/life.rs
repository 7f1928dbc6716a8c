//! How rooms are made, changed, ended, and opened again; blocks; channels and their bounded history.

use super::support::{Room, block, create, delete, edit, end, publish, send, update, user};
use crate::actors::room::commands::{Create, Edit, Expire, RoomCommand, Send, Update};
use crate::actors::room::window::WindowBounds;
use crate::actors::room::{Outcome, RoomSnapshot, RoomState, snapshot::SnapshotError};
use crate::actors::wire::{Content, EventBody, HistoryBound, MaySend, Reject, RoomKind, RoomStatus};
use crate::ids::{Generation, RoomId, Seq, Timestamp};
use crate::limits;

fn direct(creator: &str, other: &str, ttl_ms: u64) -> RoomCommand {
    RoomCommand::Create(Create { ttl_ms, ..create(RoomKind::Direct, creator, &[other]) })
}

#[test]
fn a_group_is_made_once() {
    let mut room = Room::absent();
    let made = room.accepted(RoomCommand::Create(create(RoomKind::Group, "ann", &["bob", "bob", "ann"])));
    let EventBody::Created { members, .. } = &made.body else { panic!() };
    assert_eq!(members, &[user("ann"), user("bob")], "each once, sorted, the creator among them");
    assert_eq!(room.duplicate(RoomCommand::Create(create(RoomKind::Group, "ann", &[]))), Seq(1));
    assert_eq!(room.rejected(RoomCommand::Create(create(RoomKind::Group, "bob", &[]))), Reject::Exists);
    assert_eq!(room.rejected(RoomCommand::Create(create(RoomKind::Broadcast, "ann", &[]))), Reject::Exists);
}

#[test]
fn a_direct_chat_is_of_two_and_has_their_uuid() {
    for (creator, members) in [("ann", vec![]), ("ann", vec!["ann"]), ("ann", vec!["bob", "cat"])] {
        let made = RoomCommand::Create(create(RoomKind::Direct, creator, &members));
        assert_eq!(Room::pair("ann", "bob").rejected(made), Reject::Invalid);
    }
    assert_eq!(Room::pair("ann", "cat").rejected(direct("ann", "bob", 0)), Reject::Invalid, "another room");
    Room::pair("ann", "bob").accepted(direct("bob", "ann", 0));
}

#[test]
fn a_live_direct_chat_is_the_one_that_is_there() {
    let mut room = Room::direct("ann", "bob");
    assert_eq!(room.duplicate(direct("bob", "ann", 5)), Seq(1));
    assert_eq!(room.state.expires_at(), None, "asking again changes nothing");
}

#[test]
fn a_direct_chat_is_opened_again_after_its_end_and_after_its_time() {
    let mut room = Room::direct("ann", "bob");
    room.accepted(end("bob"));
    assert_eq!(room.say("ann", "m1"), Outcome::Rejected(Reject::Ended));
    assert!(room.state.may_listen(&user("ann")), "its history can still be read");
    let opened = room.accepted(direct("bob", "ann", 10));
    assert_eq!(opened.seq, Seq(3));
    assert_eq!(opened.body, EventBody::Reopened { expires_at: Some(Timestamp(room.now + 10)) });
    assert_eq!(room.state.generation(), Generation::FIRST);
    assert_eq!(room.duplicate(direct("ann", "bob", 10)), opened.seq);

    room.now += 10;
    assert_eq!(room.say("ann", "m1"), Outcome::Rejected(Reject::Expired), "without a record");
    assert_eq!(room.state.status(), RoomStatus::Active);
    room.accepted(direct("ann", "bob", 10));
    assert!(matches!(room.say("ann", "m1"), Outcome::Accepted(_)));
    room.now += 10;
    room.accepted(RoomCommand::Expire(Expire));
    assert_eq!(room.state.status(), RoomStatus::Expired);
    room.accepted(direct("ann", "bob", 0));
    room.now += 1_000_000;
    assert!(matches!(room.say("ann", "m2"), Outcome::Accepted(_)));
}

#[test]
fn an_expiry_before_its_time_does_nothing() {
    let mut room = Room::pair("ann", "bob");
    room.accepted(direct("ann", "bob", 10));
    room.now += 9;
    assert_eq!(room.fold(RoomCommand::Expire(Expire)), Outcome::Ignored);
    room.now += 1;
    let event = room.accepted(RoomCommand::Expire(Expire));
    assert_eq!((event.actor.as_ref(), &event.body), (None, &EventBody::Expired));
    assert_eq!(room.fold(RoomCommand::Expire(Expire)), Outcome::Ignored, "once");
}

#[test]
fn either_side_ends_a_direct_chat_and_only_the_creator_a_group() {
    let mut room = Room::direct("ann", "bob");
    assert_eq!(room.rejected(end("cat")), Reject::NotMember);
    let ended = room.accepted(end("bob"));
    assert_eq!(room.duplicate(end("ann")), ended.seq);

    let mut room = Room::group("ann", &["bob"]);
    assert_eq!(room.rejected(end("bob")), Reject::NotAllowed);
    room.accepted(end("ann"));
    for command in
        [super::support::invite("ann", "cat"), super::support::kick("ann", "bob"), RoomCommand::Update(update("ann"))]
    {
        assert_eq!(room.rejected(command), Reject::Ended);
    }
    room.accepted(super::support::leave("bob"));
}

#[test]
fn settings_are_the_creators() {
    let mut room = Room::group("ann", &["bob"]);
    assert_eq!(room.rejected(RoomCommand::Update(update("bob"))), Reject::NotAllowed);
    let change = Update {
        title: Some("new".into()),
        ttl_ms: Some(50),
        may_send: Some(MaySend::Creator),
        public: Some(true),
        ..update("ann")
    };
    let event = room.accepted(RoomCommand::Update(change));
    let expires_at = Some(Timestamp(room.now + 50));
    let now = EventBody::Updated { title: "new".into(), expires_at, may_send: MaySend::Creator, public: true };
    assert_eq!(event.body, now);
    assert_eq!(room.say("bob", "m1"), Outcome::Rejected(Reject::NotAllowed));
    assert!(matches!(room.say("ann", "m1"), Outcome::Accepted(_)));
    let event = room.accepted(RoomCommand::Update(Update { ttl_ms: Some(0), ..update("ann") }));
    assert!(matches!(&event.body, EventBody::Updated { title, expires_at: None, .. } if title == "new"));
}

#[test]
fn in_a_broadcast_only_the_creator_sends() {
    let mut room = Room::absent();
    room.accepted(RoomCommand::Create(create(RoomKind::Broadcast, "ann", &["bob"])));
    assert_eq!(room.say("bob", "m1"), Outcome::Rejected(Reject::NotAllowed));
    assert!(matches!(room.say("ann", "m1"), Outcome::Accepted(_)));
    let loosened = Update { may_send: Some(MaySend::Members), ..update("ann") };
    assert_eq!(room.rejected(RoomCommand::Update(loosened)), Reject::WrongKind);
}

#[test]
fn a_direct_chat_has_no_settings_of_groups() {
    let mut room = Room::direct("ann", "bob");
    for change in
        [Update { public: Some(true), ..update("ann") }, Update { may_send: Some(MaySend::Creator), ..update("ann") }]
    {
        assert_eq!(room.rejected(RoomCommand::Update(change)), Reject::WrongKind);
    }
    room.accepted(RoomCommand::Update(Update { ttl_ms: Some(9), ..update("ann") }));
}

#[test]
fn a_block_by_either_side_silences_both() {
    for blocker in ["ann", "bob"] {
        let mut room = Room::direct("ann", "bob");
        room.say("ann", "m0");
        assert_eq!(room.fold(block(blocker, true, 3, 10)), Outcome::Noted);
        assert_eq!(room.say("ann", "m1"), Outcome::Rejected(Reject::Blocked));
        assert_eq!(room.say("bob", "m1"), Outcome::Rejected(Reject::Blocked));
        assert_eq!(room.rejected(edit("ann", 2, "worse")), Reject::Blocked);
        let title = Update { title: Some("read this".into()), ..update("ann") };
        assert_eq!(room.rejected(RoomCommand::Update(title.clone())), Reject::Blocked, "a title is a message, too");
        room.accepted(delete("ann", 2));
        assert!(room.state.is_silenced());
        assert_eq!(room.fold(block(blocker, false, 3, 11)), Outcome::Noted);
        assert!(!room.state.is_silenced());
        assert!(matches!(room.say("bob", "m1"), Outcome::Accepted(_)));
        room.accepted(RoomCommand::Update(title));
    }
}

#[test]
fn who_is_blocked_does_not_end_the_chat_and_who_blocks_may() {
    let mut room = Room::direct("ann", "bob");
    room.fold(block("bob", true, 3, 10));
    assert_eq!(room.rejected(end("ann")), Reject::Blocked);
    room.accepted(end("bob"));
    let mut room = Room::direct("ann", "bob");
    room.fold(block("bob", true, 3, 10));
    room.fold(block("ann", true, 4, 1));
    room.accepted(end("ann"));
}

#[test]
fn a_relayed_block_counts_once_and_in_the_order_of_its_source() {
    let mut room = Room::direct("ann", "bob");
    assert_eq!(room.fold(block("ann", false, 3, 11)), Outcome::Noted);
    assert_eq!(room.fold(block("ann", true, 3, 10)), Outcome::Ignored, "overtaken");
    assert_eq!(room.fold(block("ann", false, 3, 11)), Outcome::Ignored, "again");
    assert_eq!(room.fold(block("cat", true, 3, 12)), Outcome::Ignored, "no side of this chat");
    assert_eq!(room.fold(block("bob", true, 4, 0)), Outcome::Noted, "another source");
    assert_eq!(room.say("ann", "m1"), Outcome::Rejected(Reject::Blocked));
    assert_eq!(Room::group("ann", &["bob"]).fold(block("ann", true, 3, 1)), Outcome::Ignored);
}

#[test]
fn a_block_may_come_before_the_chat() {
    let mut room = Room::pair("ann", "bob");
    assert_eq!(room.fold(block("bob", true, 3, 1)), Outcome::Noted);
    assert!(!room.state.exists());
    assert_eq!(room.rejected(direct("ann", "bob", 0)), Reject::Blocked);
    assert_eq!(room.fold(block("bob", false, 3, 2)), Outcome::Noted);
    room.accepted(direct("ann", "bob", 0));
}

#[test]
fn a_channel_is_made_by_its_first_publish() {
    let mut room = Room::channel("news");
    assert_eq!(room.rejected(RoomCommand::Send(send("ann", None))), Reject::NoRoom, "without what it takes");
    assert_eq!(room.rejected(RoomCommand::Send(publish("ann", "other", HistoryBound::default()))), Reject::Invalid);
    let made = RoomCommand::Create(create(RoomKind::Open, "ann", &[]));
    assert_eq!(room.rejected(made), Reject::Invalid);
    let event = room.accepted(RoomCommand::Send(publish("anon:1", "news", HistoryBound::default())));
    assert_eq!((event.seq, event.body.number()), (Seq(1), 2));
    assert_eq!((room.state.channel(), room.state.kind()), ("news", Some(RoomKind::Open)));
    assert_eq!(room.rejected(RoomCommand::Send(send("bob", None))), Reject::NoRoom, "by its uuid alone");
    room.accepted(RoomCommand::Send(publish("bob", "news", HistoryBound::default())));
    assert_eq!(room.rejected(RoomCommand::Send(publish("ann", "other", HistoryBound::default()))), Reject::Invalid);
    assert_eq!(room.rejected(edit("bob", 1, "x")), Reject::NotAuthor);
    room.accepted(edit("anon:1", 1, "x"));
    room.accepted(delete("bob", 2));
}

#[test]
fn a_group_is_no_channel() {
    let mut room = Room::group("ann", &[]);
    assert_eq!(room.rejected(RoomCommand::Send(publish("ann", "x", HistoryBound::default()))), Reject::WrongKind);
}

#[test]
fn a_bounded_history_has_a_floor_that_never_falls() {
    let mut room = Room::channel("news");
    let three = HistoryBound { events: 3, age_ms: 0 };
    for seq in 1..=5u64 {
        room.accepted(RoomCommand::Send(publish("ann", "news", three)));
        assert_eq!(room.state.floor(), Seq(seq.saturating_sub(2).max(1)));
    }
    room.accepted(RoomCommand::Send(publish("ann", "news", HistoryBound { events: 100, age_ms: 0 })));
    assert_eq!(room.state.floor(), Seq(3), "what is gone does not come back");
}

#[test]
fn history_ages_by_append_time() {
    let mut room = Room::channel("news");
    let bound = HistoryBound { events: 0, age_ms: 100 };
    for _ in 0..3 {
        room.accepted(RoomCommand::Send(publish("ann", "news", bound)));
        room.now += 50;
    }
    // Events at 0, 50, 100; now is 150.
    assert_eq!(room.state.floor(), Seq(1));
    assert_eq!(room.state.floor_at(Timestamp(room.now)), Seq(2));
    assert_eq!(room.state.floor_at(Timestamp(room.now + 1000)), Seq(4), "nothing is left, the head stays");
    room.accepted(RoomCommand::Send(publish("ann", "news", bound)));
    assert_eq!((room.state.floor(), room.state.head()), (Seq(2), Seq(4)));
}

#[test]
fn the_window_is_bounded_in_events() {
    let bounds = WindowBounds { events: 4, ..WindowBounds::default() };
    let mut room = Room::of(RoomState::absent_bounded(RoomId::open("news"), bounds));
    let id = |n: u64| super::support::timed(super::support::T0 + n, 0);
    for n in 1..=6 {
        room.now += 1;
        let message = Send { client_id: Some(id(n)), ..publish("ann", "news", HistoryBound::default()) };
        room.accepted(RoomCommand::Send(message));
    }
    assert_eq!(room.state.meta().window_from, Seq(3));
    let again = |n: u64| {
        let publish = publish("ann", "news", HistoryBound::default());
        RoomCommand::Send(Send { client_id: Some(id(n)), ..publish })
    };
    assert_eq!(room.rejected(again(2)), Reject::TooOld, "left the window by number");
    assert_eq!(room.duplicate(again(3)), Seq(3));
    assert_eq!(room.rejected(edit("ann", 2, "x")), Reject::EditTooLate);
    assert_eq!((room.state.author_of(Seq(2)), room.state.no_at(Seq(2)).map(|no| no.0)), (None, Some(2)));
    assert_eq!(room.state.no_at(Seq(1)), None);
}

#[test]
fn an_id_of_a_clock_that_is_a_little_ahead_stays_known_when_others_push_it_out() {
    let bounds = WindowBounds { events: 4, ..WindowBounds::default() };
    let mut room = Room::of(RoomState::absent_bounded(RoomId::open("news"), bounds));
    let ahead = super::support::timed(room.now + limits::CLOCK_SKEW_MS, 0);
    let far_ahead = super::support::timed(room.now + limits::CLOCK_SKEW_MS + 1, 0);
    let message = |client_id| RoomCommand::Send(Send { client_id, ..publish("ann", "news", HistoryBound::default()) });
    for id in [Some(ahead.clone()), Some(far_ahead.clone()), None, None, None, None] {
        room.accepted(message(id));
    }
    assert_eq!(room.rejected(message(Some(ahead))), Reject::TooOld);
    // Further ahead than the allowance: like an id without a time, known within the window only.
    room.accepted(message(Some(far_ahead)));
}

#[test]
fn the_real_window_is_bounded_too() {
    let mut room = Room::channel("news");
    for _ in 0..limits::DEDUPE_WINDOW_EVENTS + 10 {
        room.accepted(RoomCommand::Send(publish("ann", "news", HistoryBound::default())));
    }
    assert_eq!(room.state.snapshot().window.len(), limits::DEDUPE_WINDOW_EVENTS);
}

#[test]
fn what_is_too_large_is_refused_and_what_just_fits_is_not() {
    let content = |body: usize, message_type: usize, metadata: usize, data: usize| {
        let content = Content {
            body: "x".repeat(body),
            message_type: "x".repeat(message_type),
            metadata: "x".repeat(metadata),
            reply_to: None,
            data: vec![0; data].into(),
        };
        RoomCommand::Send(Send { content, ..send("ann", None) })
    };
    let title = |len: usize| RoomCommand::Update(Update { title: Some("x".repeat(len)), ..update("ann") });
    let body = |len: usize| edit("ann", 2, &"x".repeat(len));
    let mut room = Room::group("ann", &[]);
    room.say("ann", "m1");
    for (fits, does_not) in [
        (content(limits::BODY_BYTES, 0, 0, 0), content(limits::BODY_BYTES + 1, 0, 0, 0)),
        (content(0, limits::MESSAGE_TYPE_BYTES, 0, 0), content(0, limits::MESSAGE_TYPE_BYTES + 1, 0, 0)),
        (content(0, 0, limits::METADATA_BYTES, 0), content(0, 0, limits::METADATA_BYTES + 1, 0)),
        (content(0, 0, 0, limits::BODY_BYTES), content(0, 0, 0, limits::BODY_BYTES + 1)),
        (title(limits::TITLE_BYTES), title(limits::TITLE_BYTES + 1)),
        (body(limits::BODY_BYTES), body(limits::BODY_BYTES + 1)),
    ] {
        assert_eq!(room.rejected(does_not), Reject::TooLarge);
        room.accepted(fits);
    }
    let names: Vec<String> = (0..=limits::CREATE_MEMBERS).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = |n: usize| RoomCommand::Create(create(RoomKind::Group, "u0", &names[..n]));
    assert_eq!(Room::absent().rejected(many(limits::CREATE_MEMBERS + 1)), Reject::TooLarge);
    Room::absent().accepted(many(limits::CREATE_MEMBERS));
    let long = "x".repeat(limits::CHANNEL_BYTES + 1);
    let publish = RoomCommand::Send(publish("ann", &long, HistoryBound::default()));
    assert_eq!(Room::channel(&long).rejected(publish), Reject::TooLarge);
}

/// A database that can't hold it would never get past the record.
#[test]
fn a_text_with_nul_is_invalid_wherever_it_stands_and_changes_nothing() {
    let nul = || "a\0b".to_owned();
    let says = |change: fn(&mut Content)| {
        let mut content = Content::default();
        change(&mut content);
        RoomCommand::Send(Send { content, ..send("ann", None) })
    };
    let mut room = Room::group("ann", &[]);
    room.say("ann", "m1");
    let before = room.snapshot();
    for command in [
        says(|content| content.body = "a\0b".to_owned()),
        says(|content| content.message_type = "\0".to_owned()),
        says(|content| content.metadata = "\0".to_owned()),
        edit("ann", 2, "a\0b"),
        RoomCommand::Edit(Edit { by: user("ann"), target: Seq(2), body: String::new(), metadata: Some(nul()) }),
        RoomCommand::Update(Update { title: Some(nul()), ..update("ann") }),
    ] {
        assert_eq!(room.rejected(command), Reject::Invalid);
    }
    assert_eq!(room.snapshot(), before);
    // Data of an open channel is bytes, and may hold anything.
    room.accepted(says(|content| content.data = vec![0; 3].into()));
    let titled = Create { title: nul(), ..create(RoomKind::Group, "ann", &[]) };
    assert_eq!(Room::absent().rejected(RoomCommand::Create(titled)), Reject::Invalid);
    let publish = RoomCommand::Send(publish("ann", &nul(), HistoryBound::default()));
    assert_eq!(Room::channel(&nul()).rejected(publish), Reject::Invalid);
}

#[test]
fn a_command_of_another_room_is_invalid() {
    let mut room = Room::group("ann", &[]);
    let mut command = room.command(end("ann"));
    command.room = RoomId::open("other");
    assert_eq!(room.state.fold(Timestamp(room.now), command.clone()), Outcome::Rejected(Reject::Invalid));
}

#[test]
fn parts_that_are_no_room_are_refused() {
    let mut room = Room::group("ann", &["bob"]);
    room.say("bob", "m1");
    room.say("bob", "m2");
    let snapshot = room.state.snapshot();
    let broken = |change: fn(&mut RoomSnapshot)| {
        let mut snapshot = snapshot.clone();
        change(&mut snapshot);
        RoomState::from_snapshot(snapshot).map(|_| ())
    };
    let window = Err(SnapshotError::Window { from: Seq(1), head: Seq(3) });
    assert_eq!(broken(|_| {}), Ok(()));
    assert_eq!(broken(|snapshot| drop(snapshot.window.pop())), window, "the last is missing");
    assert_eq!(broken(|snapshot| drop(snapshot.window.remove(0))), window, "the first is missing");
    assert_eq!(broken(|snapshot| drop(snapshot.window.remove(1))), window, "one between is missing");
    assert_eq!(broken(|snapshot| snapshot.meta.last_no.0 = 0), Err(SnapshotError::Numbers));
    assert_eq!(broken(|snapshot| snapshot.meta.head = Seq(u64::MAX)), Err(SnapshotError::Range));
}
