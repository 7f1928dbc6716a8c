//! A room whose window sleeps but for its ends: what it can decide, and what it can't.

use super::support::{Room, client_id, delete, edit, join, send};
use crate::actors::room::commands::{RoomCommand, Send};
use crate::actors::room::payload;
use crate::ids::Timestamp;

/// A room with the messages `m2` to `m20` at these seqs, all but the first and the last four events asleep.
fn dozing() -> Room {
    let mut room = Room::group("ann", &["bob"]);
    for n in 2..=20 {
        room.say("ann", &format!("m{n}"));
    }
    room.state.doze(4);
    room
}

fn is_awake_for(room: &Room, bodies: &[RoomCommand]) -> bool {
    let mut room = room.clone();
    let envelopes: Vec<_> = bodies.iter().map(|body| payload::envelope(room.command(body.clone()))).collect();
    room.state.is_awake_for(envelopes.iter().map(|envelope| (Timestamp(room.now), envelope)))
}

fn say(id: &str, prev: Option<&str>) -> RoomCommand {
    RoomCommand::Send(Send { prev: prev.map(client_id), ..send("ann", Some(client_id(id))) })
}

#[test]
fn what_only_appends_needs_nothing_that_sleeps() {
    let room = dozing();
    assert!(is_awake_for(&room, &[say("new", None), say("newer", Some("new")), say("newest", Some("m19"))]));
    assert!(is_awake_for(&room, &[say("m20", None), edit("ann", 18, "better"), delete("ann", 20)]));
}

#[test]
fn what_looks_at_a_sleeping_event_needs_the_whole_room() {
    let room = dozing();
    for body in [say("m10", None), say("new", Some("m10")), edit("ann", 10, "better"), delete("ann", 3), join("bob")] {
        assert!(!is_awake_for(&room, std::slice::from_ref(&body)), "{body:?}");
    }
    let mut awake = Room::group("ann", &["bob"]);
    (2..=20).for_each(|n| _ = awake.say("ann", &format!("m{n}")));
    assert!(is_awake_for(&awake, &[say("m10", None)]));
    assert_eq!(awake.duplicate(say("m10", None)).0, 10);
}

#[test]
fn more_than_there_is_room_for_would_push_out_what_sleeps() {
    let room = dozing();
    let bodies: Vec<_> = (0..4).map(|n| say(&format!("new{n}"), None)).collect();
    assert!(is_awake_for(&room, &bodies));
    assert!(!is_awake_for(&room, &[&bodies[..], &[say("new4", None)]].concat()));
}
