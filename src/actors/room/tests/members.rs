//! Entering, leaving, asking in, throwing out: who may, and what becomes of the room.

use super::support::{Room, create, invite, join, kick, leave, publish, uninvite, update, user};
use crate::actors::room::Outcome;
use crate::actors::room::commands::{Create, Expire, RoomCommand, Update};
use crate::actors::wire::{EventBody, HistoryBound, Reject, RoomKind, RoomStanding, RoomStatus};
use crate::ids::{Seq, Timestamp};
use crate::limits;

fn public(creator: &str, members: &[&str]) -> Room {
    let mut room = Room::absent();
    room.accepted(RoomCommand::Create(Create { public: true, ..create(RoomKind::Group, creator, members) }));
    room
}

#[test]
fn a_public_room_is_entered_by_anybody_and_any_other_by_invitation() {
    let mut room = Room::group("ann", &["bob"]);
    assert_eq!(room.rejected(join("cat")), Reject::NotInvited);
    assert_eq!(room.rejected(invite("cat", "dan")), Reject::NotMember);
    let asked = room.accepted(invite("bob", "cat"));
    assert_eq!(room.duplicate(invite("ann", "cat")), asked.seq);
    assert!(!room.state.may_listen(&user("cat")), "asked is not in");
    room.accepted(join("cat"));
    assert!(room.state.may_listen(&user("cat")));

    let mut room = public("ann", &[]);
    room.accepted(join("cat"));
}

#[test]
fn who_is_in_enters_at_the_seq_of_then() {
    let mut room = public("ann", &[]);
    assert_eq!(room.duplicate(join("ann")), Seq(1));
    let event = room.accepted(join("bob"));
    let Outcome::Duplicate { seq, id, at } = room.fold(join("bob")) else { panic!() };
    assert_eq!((seq, id, at), (event.seq, event.id, event.at));
    assert_eq!(room.duplicate(invite("ann", "bob")), event.seq);
    // Beyond the window only the seq is known.
    room.now += limits::DEDUPE_WINDOW_MS + 1;
    let Outcome::Duplicate { seq, id, at } = room.fold(join("bob")) else { panic!() };
    assert_eq!((seq, id.is_nil(), at), (event.seq, true, Timestamp::ZERO));
}

#[test]
fn a_kicked_user_needs_an_invitation_also_in_a_public_room() {
    let mut room = public("ann", &["bob"]);
    let kicked = room.accepted(kick("ann", "bob"));
    assert_eq!(kicked.removes(), Some(&user("bob")));
    assert_eq!(room.rejected(join("bob")), Reject::NotInvited);
    assert_eq!(room.rejected(leave("bob")), Reject::NotMember);
    assert_eq!(room.duplicate(kick("ann", "bob")), kicked.seq);
    room.accepted(invite("ann", "bob"));
    room.accepted(join("bob"));
}

#[test]
fn a_kick_counts_again_when_the_invitation_after_it_is_not_used() {
    let mut room = public("ann", &["bob", "cat"]);
    let kicked = room.accepted(kick("ann", "bob"));
    room.accepted(invite("cat", "bob"));
    room.accepted(uninvite("ann", "cat", "bob"));
    assert_eq!(room.rejected(join("bob")), Reject::NotInvited, "taken back");
    room.accepted(invite("cat", "bob"));
    room.accepted(leave("bob"));
    assert_eq!(room.rejected(join("bob")), Reject::NotInvited, "declined");
    assert_eq!(room.duplicate(kick("ann", "bob")), kicked.seq);
    room.accepted(invite("cat", "bob"));
    room.accepted(join("bob"));
    room.accepted(leave("bob"));
    room.accepted(join("bob"));
}

#[test]
fn a_kick_takes_an_invitation_back() {
    let mut room = Room::group("ann", &["bob"]);
    room.accepted(invite("bob", "cat"));
    room.accepted(kick("ann", "cat"));
    assert_eq!(room.rejected(join("cat")), Reject::NotInvited);
}

#[test]
fn only_the_creator_kicks_and_never_himself() {
    let mut room = Room::group("ann", &["bob", "cat"]);
    assert_eq!(room.rejected(kick("bob", "cat")), Reject::NotAllowed);
    assert_eq!(room.rejected(kick("eve", "cat")), Reject::NotMember);
    assert_eq!(room.rejected(kick("ann", "ann")), Reject::WrongKind);
    assert_eq!(room.rejected(kick("ann", "eve")), Reject::NotMember);
}

#[test]
fn an_invitation_is_declined_by_leaving() {
    let mut room = Room::group("ann", &[]);
    room.accepted(invite("ann", "bob"));
    assert_eq!(room.accepted(leave("bob")).removes(), Some(&user("bob")));
    assert_eq!(room.rejected(join("bob")), Reject::NotInvited);
    assert_eq!(room.rejected(leave("bob")), Reject::NotMember);
    assert_eq!(room.state.status(), RoomStatus::Active);
}

#[test]
fn an_invitation_is_taken_back_by_whose_it_is_and_by_the_creator_and_leaves_no_mark() {
    let mut room = public("ann", &["bob", "cat"]);
    room.accepted(invite("bob", "dan"));
    assert_eq!(room.rejected(uninvite("cat", "bob", "dan")), Reject::NotAllowed);
    assert_eq!(room.rejected(uninvite("eve", "bob", "dan")), Reject::NotMember);
    assert_eq!(room.rejected(uninvite("cat", "cat", "dan")), Reject::NotMember, "hers it is not");
    let event = room.accepted(uninvite("bob", "bob", "dan"));
    assert!(matches!(&event.body, EventBody::Uninvited { user: dan } if *dan == user("dan")));
    assert_eq!(room.rejected(uninvite("bob", "bob", "dan")), Reject::NotMember);
    room.accepted(join("dan"));
    assert_eq!(room.rejected(uninvite("ann", "bob", "dan")), Reject::NotMember, "a member stays one");
    room.accepted(invite("bob", "eve"));
    room.accepted(uninvite("ann", "bob", "eve"));
    room.accepted(invite("bob", "eve"));
    let declined = room.accepted(uninvite("eve", "bob", "eve"));
    assert!(matches!(declined.body, EventBody::Left), "the one who was asked in declines");
}

#[test]
fn an_invitation_is_taken_back_by_who_left_and_when_the_room_is_over() {
    let mut room = Room::group("ann", &["bob"]);
    room.accepted(invite("bob", "cat"));
    room.accepted(invite("bob", "dan"));
    room.accepted(leave("bob"));
    room.accepted(uninvite("bob", "bob", "cat"));
    room.accepted(super::support::end("ann"));
    room.accepted(uninvite("bob", "bob", "dan"));
    assert_eq!(room.state.invited().len(), 0);
}

#[test]
fn the_room_passes_to_who_has_been_in_for_longest() {
    let mut room = Room::group("cat", &["dan"]);
    room.accepted(invite("dan", "bob"));
    room.accepted(invite("dan", "ann"));
    room.accepted(join("bob"));
    room.accepted(join("ann"));
    room.accepted(leave("cat"));
    assert_eq!(room.state.creator(), Some(&user("dan")), "in since the making");
    room.accepted(leave("dan"));
    assert_eq!(room.state.creator(), Some(&user("bob")), "came before ann");
    assert_eq!(room.state.creator(), Some(&user("bob")));
    room.accepted(kick("bob", "ann"));

    let mut room = Room::group("cat", &["dan", "bob"]);
    room.accepted(leave("cat"));
    assert_eq!(room.state.creator(), Some(&user("bob")), "of two who came together the lower id");
}

#[test]
fn the_last_one_to_leave_ends_the_room_unless_others_may_enter() {
    let mut room = Room::group("ann", &["bob"]);
    room.accepted(invite("ann", "cat"));
    room.accepted(leave("ann"));
    assert_eq!(room.state.status(), RoomStatus::Active);
    room.accepted(leave("bob"));
    assert_eq!((room.state.status(), room.state.creator()), (RoomStatus::Ended, None));
    assert_eq!(room.rejected(join("cat")), Reject::Ended);
    assert_eq!(room.state.head(), Seq(4), "dense, without an event of its own");

    let mut room = public("ann", &[]);
    room.accepted(leave("ann"));
    assert_eq!((room.state.status(), room.state.creator()), (RoomStatus::Active, None));
    room.accepted(join("bob"));
    assert_eq!(room.state.creator(), Some(&user("bob")), "who enters an empty room owns it");
}

#[test]
fn a_full_room_takes_nobody() {
    let mut room = Room::absent();
    let small = Create { max_members: 2, public: true, ..create(RoomKind::Group, "ann", &["bob"]) };
    room.accepted(RoomCommand::Create(small));
    assert_eq!(room.rejected(join("cat")), Reject::Full);
    room.accepted(leave("bob"));
    room.accepted(join("cat"));

    let crowded = Create { max_members: 2, ..create(RoomKind::Group, "ann", &["bob", "cat"]) };
    assert_eq!(Room::absent().rejected(RoomCommand::Create(crowded)), Reject::Full);
}

#[test]
fn invitations_and_remembered_kicks_are_bounded() {
    let mut room = Room::group("ann", &["bob"]);
    let of_members = limits::INVITES - limits::INVITES_OF_CREATOR;
    for n in 0..of_members {
        room.accepted(invite("bob", &format!("u{n}")));
    }
    assert_eq!(room.rejected(invite("bob", "one-more")), Reject::Full, "the rest is the creator's");
    for n in of_members..limits::INVITES {
        room.accepted(invite("ann", &format!("u{n}")));
    }
    assert_eq!(room.rejected(invite("ann", "one-more")), Reject::Full);

    for n in 0..limits::KICKED {
        room.accepted(kick("ann", &format!("u{n}")));
    }
    room.accepted(invite("ann", "one-more"));
    room.accepted(kick("ann", "one-more"));
    assert_eq!(room.state.standing(&user("one-more")), None, "out, but not remembered");
    assert!(matches!(room.state.standing(&user("u0")), Some(RoomStanding::Kicked(_))));
}

#[test]
fn a_direct_chat_keeps_its_two_sides() {
    let mut room = Room::direct("ann", "bob");
    for command in [join("cat"), leave("ann"), invite("ann", "cat"), kick("ann", "bob")] {
        assert_eq!(room.rejected(command), Reject::WrongKind);
    }
}

#[test]
fn an_open_channel_has_no_members() {
    let mut room = Room::channel("news");
    room.accepted(RoomCommand::Send(publish("ann", "news", HistoryBound::default())));
    let others = [join("bob"), leave("ann"), invite("ann", "bob"), kick("ann", "bob"), super::support::end("ann")];
    for command in others.into_iter().chain([RoomCommand::Update(Update { public: None, ..update("ann") })]) {
        assert_eq!(room.rejected(command), Reject::WrongKind);
    }
    assert!(room.state.may_listen(&user("anybody")));
}

#[test]
fn nobody_is_in_a_room_that_is_not_there() {
    let mut room = Room::absent();
    for command in [join("a"), leave("a"), invite("a", "b"), kick("a", "b"), super::support::end("a")] {
        assert_eq!(room.rejected(command), Reject::NoRoom);
    }
    for command in [super::support::edit("a", 1, "x"), super::support::delete("a", 1), RoomCommand::Update(update("a"))]
    {
        assert_eq!(room.rejected(command), Reject::NoRoom);
    }
    assert_eq!(room.say("a", "m"), Outcome::Rejected(Reject::NoRoom));
    assert_eq!(room.fold(RoomCommand::Expire(Expire)), Outcome::Ignored);
    assert!(!room.state.may_listen(&user("a")));
}

#[test]
fn an_anonymous_user_is_no_member() {
    let mut room = public("ann", &[]);
    assert_eq!(room.rejected(join("anon:1")), Reject::NotAllowed);
    assert_eq!(room.rejected(invite("ann", "anon:1")), Reject::NotAllowed);
    assert_eq!(room.say("anon:1", "m"), Outcome::Rejected(Reject::NotAllowed));
    for (creator, member) in [("anon:1", "ann"), ("ann", "anon:1")] {
        let made = RoomCommand::Create(create(RoomKind::Group, creator, &[member]));
        assert_eq!(Room::absent().rejected(made), Reject::NotAllowed);
    }
}
