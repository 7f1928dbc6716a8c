//! One thing at a time.

use super::support::{
    Someone, block, device, fact, forget, forget_all, mute, notification, notifications_read, preferences, push_gone,
    read, room, unblock,
};
use uuid::Uuid;

use crate::actors::room::tests::support::{T0, user};
use crate::actors::user::commands;
use crate::actors::user::outcome::Quiet;
use crate::actors::user::snapshot::ListedRoom;
use crate::actors::user::{UserCommand, UserOutcome, UserSnapshot, UserState};
use crate::actors::wire::{ReadPoint, Reject, RoomChange, RoomKind, UserEventBody};
use crate::ids::{DeviceId, MessageNo, RoomId, Seq, Timestamp};
use crate::limits;
use crate::storage::store::commit::{Commit, DeviceChange};
use crate::storage::store::contract::user_row;
use crate::storage::store::rows::{DeviceRow, UserRow};

#[test]
fn a_read_mark_moves_forward_only() {
    let mut ann = Someone::new("ann");
    let to = |seq, no| ReadPoint { seq: Seq(seq), no: MessageNo(no) };
    assert_eq!(ann.fold(read(1, 5, 3)), UserOutcome::Quiet(Quiet::Read { room: room(1), to: to(5, 3) }));
    assert_eq!(ann.fold(read(1, 4, 2)), UserOutcome::Unchanged);
    assert_eq!(ann.fold(read(1, 5, 3)), UserOutcome::Unchanged);
    assert_eq!(ann.fold(read(1, 9, 1)), UserOutcome::Quiet(Quiet::Read { room: room(1), to: to(9, 3) }));
    assert_eq!(ann.fold(read(2, 0, 0)), UserOutcome::Unchanged);
    assert_eq!((ann.state.read(room(1)), ann.state.read(room(2))), (to(9, 3), to(0, 0)));
    assert_eq!(ann.state.head(), Seq(0), "marks take no seq");
}

#[test]
fn a_block_is_told_once() {
    let mut ann = Someone::new("ann");
    assert_eq!(ann.event(block("bob")), 1);
    assert_eq!(ann.fold(block("bob")), UserOutcome::Unchanged);
    assert!(ann.state.is_blocking(&user("bob")));
    assert_eq!(ann.event(unblock("bob")), 2);
    assert_eq!(ann.fold(unblock("bob")), UserOutcome::Unchanged);
    assert_eq!(ann.fold(block("ann")), UserOutcome::Rejected(Reject::Invalid));
}

#[test]
fn the_number_of_blocks_is_bounded() {
    let mut ann = Someone::new("ann");
    for n in 0..limits::BLOCKS {
        ann.event(block(&format!("u{n}")));
    }
    assert_eq!(ann.fold(block("one-more")), UserOutcome::Rejected(Reject::Full));
    ann.event(unblock("u0"));
    ann.event(block("one-more"));
}

#[test]
fn the_device_not_heard_of_for_longest_makes_room() {
    let mut ann = Someone::new("ann");
    for n in 0..limits::DEVICES {
        ann.fold(device(&format!("d{n:02}"), "token"));
        ann.now += 1;
    }
    ann.fold(device("d00", "other"));
    ann.now += 1;
    ann.fold(device("new", ""));
    let known: Vec<&str> = ann.state.devices().map(|(id, _)| id.as_str()).collect();
    assert_eq!(known.len(), limits::DEVICES);
    assert!(known.contains(&"d00") && known.contains(&"new") && !known.contains(&"d01"));
    let (_, first) = ann.state.devices().next().unwrap();
    assert_eq!(first.push_token, "other");
}

#[test]
fn a_forgotten_device_is_forgotten_once() {
    let mut ann = Someone::new("ann");
    ann.fold(device("d", "token"));
    let body = forget("d");
    let device = DeviceId::new("d").unwrap();
    assert_eq!(ann.fold(body.clone()), UserOutcome::Quiet(Quiet::DeviceRemoved(device)));
    assert_eq!(ann.fold(body), UserOutcome::Unchanged);
}

#[test]
fn a_dead_token_is_taken_from_its_device_and_not_the_one_that_came_since() {
    let mut ann = Someone::new("ann");
    ann.fold(device("d", "old"));
    ann.fold(device("d", "new"));
    assert_eq!(ann.fold(push_gone("d", "old")), UserOutcome::Unchanged, "it spoke of the one before");
    assert_eq!(ann.fold(push_gone("other", "new")), UserOutcome::Unchanged);
    assert!(matches!(ann.fold(push_gone("d", "new")), UserOutcome::Quiet(Quiet::Device(_))));
    let tokens: Vec<&str> = ann.state.devices().map(|(_, known)| known.push_token.as_str()).collect();
    assert_eq!(tokens, [""], "the device stays");
    assert_eq!(ann.fold(push_gone("d", "")), UserOutcome::Unchanged);
}

#[test]
fn all_devices_are_forgotten_at_once() {
    let mut ann = Someone::new("ann");
    assert_eq!(ann.fold(forget_all()), UserOutcome::Unchanged);
    ann.fold(device("b", "token"));
    ann.fold(device("a", ""));
    let devices = ["a", "b"].map(|id| DeviceId::new(id).unwrap()).to_vec();
    assert_eq!(ann.fold(forget_all()), UserOutcome::Quiet(Quiet::DevicesForgotten(devices)));
    assert_eq!(ann.state.devices().len(), 0);
}

#[test]
fn a_room_is_muted_until_it_is_over_taken_back_or_left() {
    let mut ann = Someone::new("ann");
    assert_eq!(ann.fold(mute(1, u64::MAX)), UserOutcome::Rejected(Reject::NotMember), "it is not on the list");
    ann.fold(fact(1, 1, 1, RoomChange::Joined));
    let end = Timestamp(ann.now + 1_000);
    let muted = |until| UserOutcome::Quiet(Quiet::Muted { room: room(1), until });
    assert_eq!(ann.fold(mute(1, end.0)), muted(end));
    assert_eq!(ann.fold(mute(1, end.0)), UserOutcome::Unchanged);
    let mutes = |ann: &Someone, at: u64| ann.state.mutes(Timestamp(at)).collect::<Vec<_>>();
    assert_eq!((mutes(&ann, end.0 - 1), mutes(&ann, end.0)), (vec![(room(1), end)], vec![]));
    ann.fold(fact(1, 2, 1, RoomChange::Reopened));
    assert_eq!(mutes(&ann, ann.now), [(room(1), end)], "news of the room change nothing of it");
    let now = ann.now;
    assert_eq!(ann.fold(mute(1, now)), muted(Timestamp::ZERO), "what is over takes it back");
    assert_eq!(ann.fold(mute(1, u64::MAX - 1)), muted(commands::Mute::FOR_EVER));
    ann.fold(fact(1, 3, 1, RoomChange::Left));
    ann.fold(fact(1, 4, 1, RoomChange::Joined));
    assert_eq!(mutes(&ann, ann.now), [], "who comes again has said nothing of it");
}

#[test]
fn notifications_are_read_up_to_one_that_never_falls_or_one_by_one() {
    let mut ann = Someone::new("ann");
    let none = Uuid::nil();
    let at = |n| notification(T0 + n, 1);
    let told = |outcome| match outcome {
        UserOutcome::Event(event) => match &event.body {
            UserEventBody::NotificationsRead { up_to, ids } => (*up_to, ids.clone()),
            other => panic!("another event: {other:?}"),
        },
        other => panic!("no event: {other:?}"),
    };
    ann.now = T0 + 100;
    assert_eq!(ann.fold(notifications_read(none, &[])), UserOutcome::Unchanged);
    assert_eq!(told(ann.fold(notifications_read(at(50), &[]))), (Some(at(50)), vec![]));
    assert_eq!(ann.fold(notifications_read(at(50), &[])), UserOutcome::Unchanged);
    assert_eq!(ann.fold(notifications_read(at(40), &[at(45)])), UserOutcome::Unchanged, "it is read already");
    let odd = Uuid::from_u128(u128::MAX / 2);
    assert_eq!(
        told(ann.fold(notifications_read(none, &[at(70), at(60), at(70), at(30), odd]))),
        (None, vec![at(60), at(70)])
    );
    assert_eq!(told(ann.fold(notifications_read(at(65), &[at(60), at(70)]))), (Some(at(65)), vec![at(70)]));
    let (up_to, _) = told(ann.fold(notifications_read(Uuid::max(), &[])));
    assert!(up_to >= Some(at(100)) && up_to < Some(at(101)), "what comes later is not read yet: {up_to:?}");
    assert_eq!(ann.state.meta().notifications_read, up_to.unwrap());
    let many = vec![at(200); limits::NOTIFICATION_IDS + 1];
    assert_eq!(ann.fold(notifications_read(none, &many)), UserOutcome::Rejected(Reject::TooLarge));
    ann.event(notifications_read(none, &many[1..]));
}

#[test]
fn a_push_token_is_in_nothing_that_is_shown_for_logs() {
    let mut ann = Someone::new("ann");
    let subscription = r#"{"endpoint":"https://push.example/token-7","keys":{"p256dh":"token-8","auth":"token-9"}}"#;
    let (named, gone) = (ann.command(device("d", subscription)), ann.command(push_gone("d", subscription)));
    let outcome = ann.fold(device("d", subscription));
    let row = UserRow { push_token: subscription.to_owned(), ..user_row("ann") };
    let (user, device) = (row.user.clone(), DeviceId::new("d").unwrap());
    let seen_at = Timestamp(T0);
    let kept = DeviceRow { user, device, platform: "web".to_owned(), push_token: subscription.to_owned(), seen_at };
    let said: commands::DeviceFacts =
        serde_json::from_value(serde_json::json!({ "push_token": subscription })).unwrap();
    let commit = Commit { users: vec![row], devices: vec![DeviceChange::Put(kept)], ..Commit::default() };
    for shown in [
        format!("{named:?}{gone:?}"),
        format!("{outcome:?}{:?}{:?}", ann.state, ann.state.snapshot()),
        format!("{commit:#?}{said:?}"),
    ] {
        assert!(!shown.contains("token-") && !shown.contains("push.example"), "{shown}");
    }
}

#[test]
fn preferences_are_replaced() {
    let mut ann = Someone::new("ann");
    assert_eq!(ann.event(preferences("{}")), 1);
    assert_eq!(ann.fold(preferences("{}")), UserOutcome::Unchanged);
    assert_eq!(ann.event(preferences("")), 2);
}

#[test]
fn what_is_too_large_is_refused() {
    let mut ann = Someone::new("ann");
    let long = |len: usize| "x".repeat(len);
    assert_eq!(ann.fold(preferences(&long(limits::PREFERENCES_BYTES + 1))), UserOutcome::Rejected(Reject::TooLarge));
    ann.event(preferences(&long(limits::PREFERENCES_BYTES)));
    assert_eq!(ann.fold(device("d", &long(limits::PUSH_TOKEN_BYTES + 1))), UserOutcome::Rejected(Reject::TooLarge));
    assert!(matches!(ann.fold(device("d", &long(limits::PUSH_TOKEN_BYTES))), UserOutcome::Quiet(_)));
    let platform = crate::actors::user::UserCommandBody::Device(commands::Device {
        device: DeviceId::new("d").unwrap(),
        platform: long(limits::MESSAGE_TYPE_BYTES + 1),
        push_token: String::new(),
    });
    assert_eq!(ann.fold(platform), UserOutcome::Rejected(Reject::TooLarge));
}

/// A database that can't hold it would never get past the record.
#[test]
fn a_text_with_nul_is_invalid_and_changes_nothing() {
    let mut ann = Someone::new("ann");
    let platform = crate::actors::user::UserCommandBody::Device(commands::Device {
        device: DeviceId::new("d").unwrap(),
        platform: "we\0b".to_owned(),
        push_token: String::new(),
    });
    let before = ann.state.snapshot();
    for command in [preferences("{\0}"), device("d", "\0"), platform] {
        assert_eq!(ann.fold(command), UserOutcome::Rejected(Reject::Invalid));
    }
    assert_eq!(UserSnapshot { decisions: Vec::new(), ..ann.state.snapshot() }, before);
}

#[test]
fn a_relayed_fact_counts_once() {
    let mut ann = Someone::new("ann");
    assert_eq!(ann.event(fact(3, 10, 1, RoomChange::Joined)), 1);
    assert_eq!(ann.fold(fact(3, 10, 1, RoomChange::Joined)), UserOutcome::Unchanged);
    assert_eq!(ann.fold(fact(3, 9, 1, RoomChange::Kicked)), UserOutcome::Unchanged, "overtaken");
    assert_eq!(ann.event(fact(4, 0, 2, RoomChange::Invited)), 2, "another source");
    assert_eq!(ann.state.rooms().count(), 2);
    ann.event(fact(3, 11, 1, RoomChange::Kicked));
    assert!(ann.state.room(room(1)).is_none());
    ann.event(fact(4, 1, 2, RoomChange::Ended));
    assert!(ann.state.room(room(2)).is_none());
}

/// With chats that live for a day a user has had thousands after some years.
#[test]
fn what_is_known_of_a_user_does_not_grow_with_the_rooms_that_are_over() {
    let mut ann = Someone::new("ann");
    for n in 0..200 {
        ann.event(fact(3, 3 * n, n as u8, RoomChange::Joined));
        ann.fold(read(n as u8, 5, 3));
        let gone = [RoomChange::Ended, RoomChange::Left, RoomChange::Kicked][n as usize % 3];
        ann.event(fact(3, 3 * n + 1, n as u8, gone));
    }
    assert_eq!((ann.state.rooms().len(), ann.state.reads().len()), (0, 0));
    ann.event(fact(3, 1_000, 1, RoomChange::Reopened));
    assert_eq!(ann.state.room(room(1)).unwrap().change, RoomChange::Reopened);
}

#[test]
fn above_the_bound_of_rooms_a_user_is_told_of_each_and_can_read_each() {
    let mut ann = Someone::new("ann");
    let many = |n: usize| RoomId(uuid::Uuid::from_u128(n as u128));
    let mut parts = ann.state.snapshot();
    let listed =
        ListedRoom { kind: RoomKind::Group, change: RoomChange::Joined, since: Seq(1), muted_until: Timestamp::ZERO };
    parts.rooms = (1_000..1_000 + limits::ROOMS_PER_USER).map(|n| (many(n), listed)).collect();
    parts.reads = parts.rooms.iter().map(|(room, _)| (*room, ReadPoint { seq: Seq(1), no: MessageNo(1) })).collect();
    ann.state = UserState::from_snapshot(parts);
    assert_eq!(ann.event(fact(3, 10, 1, RoomChange::Joined)), 1);
    assert!(matches!(ann.fold(read(1, 5, 3)), UserOutcome::Quiet(Quiet::Read { .. })));
    assert_eq!((ann.state.rooms().len(), ann.state.reads().len()), (limits::ROOMS_PER_USER, limits::ROOMS_PER_USER));
    assert_eq!(ann.fold(fact(3, 10, 1, RoomChange::Joined)), UserOutcome::Unchanged, "the numbers go on");
}

#[test]
fn an_anonymous_user_has_nothing_that_is_kept() {
    let mut nobody = Someone::new("anon:1");
    assert_eq!(nobody.fold(read(1, 5, 3)), UserOutcome::Rejected(Reject::NotAllowed));
    assert_eq!(nobody.fold(preferences("{}")), UserOutcome::Rejected(Reject::NotAllowed));
}

#[test]
fn misled_commands_are_refused() {
    let mut ann = Someone::new("ann");
    let mut command = ann.command(preferences("{}"));
    command.user = user("bob");
    assert_eq!(ann.state.fold(Timestamp(ann.now), command.clone()), UserOutcome::Rejected(Reject::Invalid));
}

#[test]
fn a_repeated_command_is_answered_as_it_was_and_changes_nothing() {
    let mut ann = Someone::new("ann");
    let fold = |ann: &mut Someone, command: &UserCommand| ann.state.fold(Timestamp(ann.now), command.clone());
    let (blocks, unblocks) = (ann.command(block("bob")), ann.command(unblock("bob")));
    let UserOutcome::Event(event) = fold(&mut ann, &blocks) else { panic!("no event") };
    fold(&mut ann, &unblocks);
    let mut back = UserState::from_snapshot(ann.state.snapshot());
    let again = UserOutcome::Duplicate { seq: event.seq, at: event.at };
    assert_eq!(fold(&mut ann, &blocks), again);
    assert_eq!(back.fold(Timestamp(ann.now), blocks), again, "also once it was put away and brought back");
    assert!(!ann.state.is_blocking(&user("bob")), "an old block came back");

    let quiet = ann.command(device("d1", "token"));
    fold(&mut ann, &quiet);
    ann.fold(forget("d1"));
    assert_eq!(fold(&mut ann, &quiet), UserOutcome::Duplicate { seq: Seq(0), at: Timestamp(0) });
    assert_eq!(ann.state.devices().len(), 0);

    let refused = ann.command(block("ann"));
    assert_eq!(fold(&mut ann, &refused), UserOutcome::Rejected(Reject::Invalid));
    assert_eq!(fold(&mut ann, &refused), UserOutcome::Rejected(Reject::Invalid));
}

#[test]
fn read_marks_and_relayed_rooms_are_not_remembered_as_commands() {
    let mut ann = Someone::new("ann");
    ann.fold(read(1, 5, 3));
    ann.fold(fact(1, 1, 1, RoomChange::Joined));
    assert_eq!(ann.state.decisions().len(), 0);
}
