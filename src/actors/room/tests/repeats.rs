//! The same record may stand in the log again: it is answered as it was, and changes nothing.

use super::support::{Room, create, edit, end, invite, join, kick, leave, send, user};
use crate::actors::fold::{EntityOutcome, EntityState};
use crate::actors::moment::Moment;
use crate::actors::room::commands::{Block, Command, Create, Delete, Expire, RoomCommand};
use crate::actors::room::{Outcome, RoomState, payload};
use crate::actors::wire::{Reject, RoomKind};
use crate::ids::{Offset, Partition, Seq, Timestamp};
use crate::limits;

/// Folds a command, and then the same one again.
fn twice(room: &mut Room, body: RoomCommand) -> (Outcome, Outcome) {
    let command = room.command(body);
    let first = room.state.fold(Timestamp(room.now), command.clone());
    let before = room.state.snapshot();
    let again = room.state.fold(Timestamp(room.now), command);
    assert_eq!(room.state.snapshot(), before, "a repeat changed the state");
    (first, again)
}

#[test]
fn a_repeated_command_is_answered_with_the_event_that_it_made() {
    let mut room = Room::group("ann", &["bob"]);
    let bodies = [
        RoomCommand::Send(send("ann", None)),
        edit("ann", 2, "better"),
        RoomCommand::Delete(Delete { by: user("ann"), target: Seq(2), author: None }),
        invite("ann", "cat"),
        join("cat"),
        kick("ann", "cat"),
        leave("bob"),
        end("ann"),
    ];
    for body in bodies {
        let (first, again) = twice(&mut room, body.clone());
        let Outcome::Accepted(event) = first else { panic!("{body:?}: {first:?}") };
        assert_eq!(again, Outcome::Duplicate { seq: event.seq, id: event.id, at: event.at }, "{body:?}");
    }
}

#[test]
fn a_refused_command_stays_refused_when_it_is_repeated_in_better_times() {
    let mut room = Room::group("ann", &[]);
    let command = room.command(join("bob"));
    assert_eq!(room.state.fold(Timestamp(room.now), command.clone()), Outcome::Rejected(Reject::NotInvited));
    room.accepted(invite("ann", "bob"));
    assert_eq!(room.state.fold(Timestamp(room.now), command), Outcome::Rejected(Reject::NotInvited));
    room.accepted(join("bob"));
}

#[test]
fn what_had_happened_before_is_not_made_to_happen_by_a_repeat() {
    let mut room = Room::group("ann", &["bob"]);
    let command = room.command(join("bob"));
    let first = room.state.fold(Timestamp(room.now), command.clone());
    assert!(matches!(first, Outcome::Duplicate { seq: Seq(1), .. }), "{first:?}");
    room.accepted(leave("bob"));
    assert_eq!(room.state.fold(Timestamp(room.now), command), first);
    assert_eq!(room.state.standing(&user("bob")), None);
}

#[test]
fn a_repeat_is_known_by_a_room_that_was_put_away_and_brought_back() {
    let mut room = Room::group("ann", &[]);
    let refused = room.command(join("bob"));
    let first = room.state.fold(Timestamp(room.now), refused.clone());
    let taken = room.command(RoomCommand::Send(send("ann", None)));
    room.state.fold(Timestamp(room.now), taken.clone());
    let mut back = RoomState::from_snapshot(room.state.snapshot()).unwrap();
    assert_eq!(back.hash(), room.state.hash());
    assert_eq!(back.fold(Timestamp(room.now), refused), first);
    let again = back.fold(Timestamp(room.now), taken.clone());
    assert_eq!(again, Outcome::Duplicate { seq: Seq(2), id: taken.id, at: Timestamp(room.now) });
}

#[test]
fn what_was_taken_is_no_ghost_when_it_is_repeated_late_and_what_was_late_stays_refused() {
    let mut room = Room::group("ann", &[]);
    let envelope = |append: u64, room: &mut Room| {
        let command = Command { ttl_ms: limits::COMMAND_TTL_MS, ..room.command(RoomCommand::Send(send("ann", None))) };
        payload::envelope(command).placed(Timestamp(append), 0)
    };
    let (now, late) = (room.now, room.now + limits::COMMAND_TTL_MS + 1);
    let (taken, refused) = (envelope(now, &mut room), envelope(now, &mut room));
    let mut state = EntityState::room(room.state);
    let EntityOutcome::Room(Outcome::Accepted(event)) = state.fold(Timestamp(now), &taken) else { panic!("refused") };
    let again = Outcome::Duplicate { seq: event.seq, id: event.id, at: event.at };
    assert_eq!(state.fold(Timestamp(late), &taken), EntityOutcome::Room(again));

    let stale = EntityOutcome::Room(Outcome::Rejected(Reject::Stale));
    assert_eq!(state.fold(Timestamp(late), &refused), stale);
    let back_in_time = Moment { fold: Timestamp(late), ..Timestamp(now).into() };
    assert_eq!(state.fold(back_in_time, &refused), stale);
}

#[test]
fn of_a_room_that_does_not_exist_nothing_is_kept() {
    let mut room = Room::absent();
    room.rejected(RoomCommand::Send(send("ann", None)));
    let full = Create { members: vec![user("ann"); limits::CREATE_MEMBERS + 1], ..create(RoomKind::Group, "ann", &[]) };
    room.rejected(RoomCommand::Create(full));
    assert_eq!(room.state.decisions().len(), 0);
}

#[test]
fn what_bears_repetition_by_itself_is_not_kept() {
    let mut room = Room::direct("ann", "bob");
    let source = Partition::new(3).unwrap();
    let block = |offset| Block { by: user("ann"), blocked: true, source, source_offset: Offset(offset) };
    assert_eq!(twice(&mut room, RoomCommand::Block(block(1))), (Outcome::Noted, Outcome::Ignored));
    assert_eq!(twice(&mut room, RoomCommand::Expire(Expire)), (Outcome::Ignored, Outcome::Ignored));
    assert_eq!(room.state.decisions().len(), 0);
}
