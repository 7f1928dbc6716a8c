//! What breaks the promises of durability, order and once.

use super::{Story, message};
use crate::checker::Kind;
use crate::history::Entry;

#[test]
fn a_lost_acknowledged_message_is_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    story.last(&[message(1, 1, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::LostAck]);
}

#[test]
fn an_acknowledgement_with_another_seq_is_found() {
    let mut story = Story::default();
    let first = story.send("ann", "a1");
    story.add(Entry::Unknown { op: first });
    story.sent("ann", "a1", 2);
    story.last(&[message(1, 1, "ann", "a1"), message(2, 2, "bob", "b1")]);
    let kinds = story.kinds();
    assert!(kinds.contains(&Kind::WrongSeq) && kinds.contains(&Kind::Divergence), "{kinds:?}");
}

#[test]
fn two_acknowledgements_that_differ_are_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 1);
    story.sent("ann", "a1", 2);
    story.last(&[message(1, 1, "ann", "a1"), message(2, 2, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::WrongSeq, Kind::DuplicateClientId]);
}

#[test]
fn a_client_id_that_made_two_messages_is_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 1);
    let mut twin = message(2, 2, "ann", "a1");
    twin.id = "another".into();
    story.last(&[message(1, 1, "ann", "a1"), twin]);
    assert!(story.kinds().contains(&Kind::DuplicateClientId));
}

#[test]
fn a_seq_that_stands_twice_in_the_stream_is_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 1);
    story.last(&[message(1, 1, "ann", "a1"), message(1, 1, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::DuplicateSeq]);
}

#[test]
fn a_gap_in_the_live_stream_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2"), message(3, 3, "ann", "a3")];
    let mut story = Story::default();
    let sub = story.subscribe("bob", None, 0, false, 0);
    story.sent("ann", "a1", 1).sent("ann", "a2", 2).sent("ann", "a3", 3);
    story.deliver(sub, &[events[0].clone(), events[2].clone()]).last(&events);
    assert_eq!(story.kinds(), [Kind::Gap]);
}

#[test]
fn a_lost_last_message_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2")];
    let mut story = Story::default();
    let sub = story.subscribe("bob", None, 0, false, 0);
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    story.deliver(sub, &events[..1]).add(Entry::Settled { sub }).last(&events);
    assert_eq!(story.kinds(), [Kind::LostTail]);
}

#[test]
fn a_reordered_delivery_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2"), message(3, 3, "ann", "a3")];
    let mut story = Story::default();
    let sub = story.subscribe("bob", None, 0, false, 0);
    story.sent("ann", "a1", 1).sent("ann", "a2", 2).sent("ann", "a3", 3);
    story.deliver(sub, &[events[1].clone(), events[2].clone(), events[0].clone()]).last(&events);
    assert_eq!(story.kinds(), [Kind::Gap, Kind::Reorder]);
}

#[test]
fn a_delivery_that_comes_twice_is_found() {
    let events = [message(1, 1, "ann", "a1")];
    let mut story = Story::default();
    let sub = story.subscribe("bob", None, 0, false, 0);
    story.sent("ann", "a1", 1);
    story.deliver(sub, &events).deliver(sub, &events).last(&events);
    assert_eq!(story.kinds(), [Kind::DuplicateSeq]);
}

#[test]
fn two_clients_with_two_messages_at_one_seq_are_found() {
    let mut story = Story::default();
    let (ann, bob) = (story.subscribe("ann", None, 0, false, 0), story.subscribe("bob", None, 0, false, 0));
    let (one, other) = (story.send("ann", "a1"), story.send("bob", "b1"));
    story.add(Entry::Unknown { op: one }).add(Entry::Unknown { op: other });
    story.deliver(ann, &[message(1, 1, "ann", "a1")]).deliver(bob, &[message(1, 1, "bob", "b1")]);
    assert_eq!(story.kinds(), [Kind::Divergence]);
}

#[test]
fn a_phantom_is_found() {
    let mut story = Story::default();
    let sub = story.subscribe("bob", None, 0, false, 0);
    let op = story.send("ann", "a1");
    story.add(Entry::Unknown { op }).deliver(sub, &[message(1, 1, "ann", "a1")]).last(&[]);
    assert_eq!(story.kinds(), [Kind::Phantom]);
    let mut story = Story::default();
    story.page("bob", 10, &[message(1, 1, "ann", "a1")]).last(&[]);
    assert_eq!(story.kinds(), [Kind::Phantom]);
}

#[test]
fn a_refused_message_that_appears_is_found() {
    let mut story = Story::default();
    let op = story.send("ann", "a1");
    story.add(Entry::Fail { op, code: 103 }).last(&[message(1, 1, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::FailedButPresent]);
    // One attempt of unknown outcome explains it.
    let op = story.send("ann", "a1");
    story.add(Entry::Unknown { op });
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_message_that_nobody_sent_is_found() {
    let mut story = Story::default();
    story.last(&[message(1, 1, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::FromNowhere]);
}

#[test]
fn a_broken_sender_order_is_found() {
    let mut story = Story::default();
    let (one, other) = (story.send("ann", "a1"), story.send("ann", "a2"));
    story.ok(other, 1, "id-a2").ok(one, 2, "id-a1");
    story.last(&[message(1, 1, "ann", "a2"), message(2, 2, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::SenderOrder]);
}

#[test]
fn a_message_before_one_that_was_acknowledged_before_it_was_sent_is_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 2).sent("bob", "b1", 1);
    story.last(&[message(1, 1, "bob", "b1"), message(2, 2, "ann", "a1")]);
    assert_eq!(story.kinds(), [Kind::RealTime]);
}

#[test]
fn a_resume_with_a_hole_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2"), message(3, 3, "ann", "a3")];
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    let sub = story.subscribe("bob", Some(1), 1, true, 0);
    story.sent("ann", "a3", 3);
    story.deliver(sub, &events[2..]).last(&events);
    assert_eq!(story.kinds(), [Kind::StaleResume]);
}

#[test]
fn a_position_beyond_the_one_recovered_from_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2")];
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    let sub = story.subscribe("bob", Some(0), 1, true, 1);
    story.deliver(sub, &events).last(&events);
    assert_eq!(story.kinds(), [Kind::WrongPosition]);
}

#[test]
fn a_subscription_below_what_was_acknowledged_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2")];
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    let sub = story.subscribe("bob", None, 1, false, 0);
    story.deliver(sub, &events[1..]).last(&events);
    assert_eq!(story.kinds(), [Kind::StaleHead]);
}

#[test]
fn a_page_without_the_readers_own_message_is_found() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "bob", "b1"), message(3, 3, "ann", "a2")];
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("bob", "b1", 2).sent("ann", "a2", 3);
    story.page("ann", 2, &events[..2]).last(&events);
    assert_eq!(story.kinds(), [Kind::ReadYourWrite]);
    story.entries.truncate(6);
    story.page("ann", 2, &events[1..]).last(&events);
    assert_eq!(story.kinds(), []);
}
