//! Whose turn it is, told in rows of an outbox.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::turns::{TargetBatch, Turns, expand};
use crate::actors::user::commands::RoomFact;
use crate::actors::user::{UserCommand, UserCommandBody, payload};
use crate::actors::wire::{RoomChange, RoomKind};
use crate::actors::workers::persistence::outbox;
use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::record::Envelope;
use crate::storage::store::contract::{member_row, uuid};
use crate::storage::store::rows::{FanOut, OutboxPlace, OutboxRow};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn source(number: u16) -> Partition {
    Partition::new(number).unwrap()
}

/// A fact of source 1 that `by` caused for `to`.
fn row(offset: u64, ord: u32, by: &str, to: &str) -> OutboxRow {
    let fact = RoomFact {
        source: source(1),
        source_offset: Offset(offset),
        room: RoomId::open("x"),
        kind: RoomKind::Group,
        seq: Seq(1),
        by: Some(user(by)),
        change: RoomChange::Joined,
    };
    let body = UserCommandBody::RoomFact(fact);
    let command = UserCommand { user: user(to), id: uuid(offset), issued_at: Timestamp(1), ttl_ms: 0, body };
    let addressed = payload::address(command);
    let (target, record) = (addressed.partition, addressed.record);
    OutboxRow { source: source(1), offset: Offset(offset), ord, target, record, fan_out: None }
}

fn loaded(rows: &[OutboxRow]) -> Turns {
    let mut turns = Turns::default();
    turns.has_news(source(1));
    turns.load(source(1), rows.to_vec(), true);
    turns
}

fn next(turns: &mut Turns, most: usize) -> BTreeMap<Partition, TargetBatch> {
    turns.next(0, most, |_| true)
}

/// Offsets of what is told.
fn offsets(batches: &BTreeMap<Partition, TargetBatch>) -> Vec<u64> {
    let mut offsets: Vec<u64> = batches.values().flatten().map(|(place, _)| place.offset.0).collect();
    offsets.sort_unstable();
    offsets
}

/// Tells all of it.
fn tell(turns: &mut Turns, batches: &BTreeMap<Partition, TargetBatch>) {
    for (target, batch) in batches {
        let places: Vec<OutboxPlace> = batch.iter().map(|(place, _)| *place).collect();
        turns.settle(*target, &places, &[], 0, Duration::ZERO);
        turns.removed(&places);
    }
}

#[test]
fn a_bystander_comes_with_the_next_turn_however_many_wait_before_him() {
    let mut rows: Vec<_> = (0..400).map(|n| row(1, n, "mallory", &format!("stranger{n}"))).collect();
    rows.push(row(2, 0, "ann", "bob"));
    let mut turns = loaded(&rows);
    let first = next(&mut turns, 20);
    assert!(offsets(&first).contains(&2), "{first:?}");
    assert_eq!(offsets(&first).len(), 20, "and the turn is full all the same");
    let owed = turns.owed();
    assert_eq!((owed.get(&user("mallory")), owed.get(&user("ann"))), (Some(&400), None), "few are not told of");
    tell(&mut turns, &first);
    assert_eq!(turns.owed()[&user("mallory")], 381);
}

#[test]
fn facts_for_the_same_user_keep_the_order_of_their_source_whoever_caused_them() {
    let mut turns = loaded(&[row(1, 0, "mallory", "bob"), row(2, 0, "ann", "bob"), row(3, 0, "ann", "cem")]);
    let first = next(&mut turns, 10);
    assert_eq!(offsets(&first), [1, 3], "one for bob at a time");
    assert!(next(&mut turns, 10).is_empty(), "nothing while it is under way");
    tell(&mut turns, &first);
    let second = next(&mut turns, 10);
    assert_eq!(offsets(&second), [2]);
    tell(&mut turns, &second);
    assert!(turns.is_empty());
}

#[test]
fn a_lane_that_waits_behind_another_brings_what_is_before_it() {
    let mut rows: Vec<_> = (0..50).map(|n| row(1, n, "mallory", &format!("stranger{n}"))).collect();
    rows.extend([row(2, 0, "mallory", "bob"), row(3, 0, "ann", "bob")]);
    let mut turns = loaded(&rows);
    let first = next(&mut turns, 8);
    assert!(offsets(&first).contains(&2), "ann's turn gives what is before hers");
    tell(&mut turns, &first);
    assert!(offsets(&next(&mut turns, 8)).contains(&3));
}

#[test]
fn a_target_that_failed_rests_longer_each_time_and_gets_the_same_again() {
    let mut turns = loaded(&[row(1, 0, "ann", "bob")]);
    for (now, rest) in [(0, 10), (10, 20), (30, 40)] {
        let batches = turns.next(now, 10, |_| true);
        assert_eq!(offsets(&batches), [1], "at {now}");
        let failed = [row(1, 0, "ann", "bob").place()];
        turns.settle(user("bob").partition(), &[], &failed, now, Duration::from_millis(10));
        assert!(turns.next(now + rest - 1, 10, |_| true).is_empty(), "it rests {rest}");
    }
}

/// The rows of a halted partition would fill what is held of each source, and stop it.
#[test]
fn few_rows_are_held_for_a_target_that_does_not_come_back_and_the_others_are_read_again() {
    let bob = user("bob").partition();
    let rows: Vec<_> = (0..100).map(|n| row(n, 0, "mallory", "bob")).collect();
    let mut turns = loaded(&rows);
    assert_eq!(turns.len(), 100);
    let batches = next(&mut turns, 10);
    turns.settle(bob, &[], &[batches[&bob][0].0], 0, Duration::from_millis(10));
    assert_eq!(turns.len(), limits::RELAY_PARKED);
    turns.has_news(source(1));
    assert_eq!(turns.wanted()[0].0, rows[99].place().next(), "it goes on behind them");
    turns.load(source(1), vec![row(100, 0, "mallory", "bob"), row(101, 0, "ann", "cem")], true);
    assert_eq!(turns.len(), limits::RELAY_PARKED + 1, "new ones are passed over, too");
    let mut told = Vec::new();
    for now in 1..300 {
        let batches = turns.next(100 * now, 10, |_| true);
        told.extend(batches.get(&bob).into_iter().flatten().map(|(place, _)| place.offset.0));
        tell(&mut turns, &batches);
        for (from, limit) in turns.wanted() {
            let all = rows.iter().chain([&row(100, 0, "mallory", "bob")]).cloned().collect::<Vec<_>>();
            let rest = all.into_iter().filter(|row| row.place() >= from && !told.contains(&row.offset.0));
            turns.load(source(1), rest.take(limit).collect(), true);
        }
    }
    assert_eq!(told, (0..=100).collect::<Vec<_>>(), "all of them, in their order");
}

#[test]
fn a_source_stands_at_a_fan_out_until_all_members_have_rows() {
    let pattern = row(2, 0, "ann", "nobody").record;
    let fan_out = Some(FanOut { room: RoomId::open("x"), after: None });
    let fan_out = OutboxRow { record: pattern, fan_out, ..row(2, 0, "ann", "nobody") };
    let mut turns = loaded(&[row(1, 0, "ann", "bob"), fan_out.clone(), row(3, 0, "ann", "cem")]);
    assert_eq!((turns.len(), turns.fan_outs()), (1, vec![fan_out.clone()]));
    assert!(turns.wanted().is_empty());
    turns.expanded(source(1), Some(user("m")));
    assert_eq!(turns.fan_outs()[0].fan_out.as_ref().unwrap().after, Some(user("m")));
    turns.expanded(source(1), None);
    assert!(turns.fan_outs().is_empty());
    assert_eq!(turns.wanted()[0].0, fan_out.place(), "what took its place comes next");
}

#[test]
fn a_fan_out_goes_to_members_and_invited() {
    let (fan_out, room) = (row(7, 0, "ann", "nobody"), RoomId::open("x"));
    let page = [("a", 0), ("b", 1), ("c", 2)].map(|(name, state)| member_row(room, name, state));
    let expected: Vec<(Partition, Bytes)> = ["a", "b"]
        .map(|name| outbox::for_member(&Envelope::decode_record(&fan_out.record).unwrap(), &user(name)))
        .map(|addressed| (addressed.partition, addressed.record))
        .into();
    assert_eq!(expand(&fan_out, &page), Ok(expected), "not to the one who was kicked");
    assert!(expand(&OutboxRow { record: Bytes::new(), ..fan_out }, &page).is_err());
}

#[test]
fn an_outbox_that_fell_back_is_read_from_its_beginning() {
    let rows = [row(1, 0, "ann", "bob"), row(2, 0, "ann", "cem")];
    let mut turns = loaded(&rows);
    let batches = next(&mut turns, 10);
    turns.begins_at(rows[0].place());
    assert_eq!(turns.wanted()[0].0, rows[1].place().next(), "it is known");
    tell(&mut turns, &batches);
    turns.begins_at(rows[1].place());
    assert_eq!(turns.wanted()[0].0, OutboxPlace::first_of(source(1)));
}

#[test]
fn what_is_not_told_begins_at_the_first_row_that_is_held_or_passed_over_or_to_be_expanded() {
    let untold = |turns: &Turns| turns.untold().collect::<Vec<_>>();
    let mut turns = loaded(&[row(1, 0, "ann", "bob"), row(2, 0, "ann", "cem")]);
    assert_eq!(untold(&turns), [(source(1), Offset(1))]);
    let batches = next(&mut turns, 10);
    assert_eq!(untold(&turns), [(source(1), Offset(1))], "it is under way");
    tell(&mut turns, &batches);
    assert_eq!(untold(&turns), []);

    let fan_out = Some(FanOut { room: RoomId::open("x"), after: None });
    turns.has_news(source(1));
    turns.load(source(1), vec![OutboxRow { fan_out, ..row(3, 0, "ann", "nobody") }], true);
    assert_eq!(untold(&turns), [(source(1), Offset(3))]);

    let bob = user("bob").partition();
    let mut turns = loaded(&(5..100).map(|n| row(n, 0, "mallory", "bob")).collect::<Vec<_>>());
    turns.rests(bob, 0, Duration::from_millis(10));
    let batches = next(&mut turns, 0);
    assert!(batches.is_empty() && untold(&turns) == [(source(1), Offset(5))]);
}
