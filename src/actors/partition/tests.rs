//! The partition's pure core, driven by hand.

mod ahead;
mod answers;
mod cover;
mod drives;
mod full;
mod halts;
mod log;
mod placing;

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::core::{Action, Core, Deps, Options, Ticket};
use super::entity::EntityCore;
use super::hydration::Loaded;
use super::memory::{Memory, Share};
use super::question::{Question, QuestionBody};
use super::verified::Rule;
use crate::actors::digest::Chain;
use crate::actors::fold::{self, EntityState};
use crate::actors::moment::FoldVersion;
use crate::actors::room::Command;
use crate::actors::room::commands::{RoomCommand, Send};
use crate::actors::room::payload;
use crate::actors::wire::{Answer, Content, Entity, NodeId, Origin, Query, QueryAnswer, RequestId, ToGateway};
use crate::ids::{Offset, RoomId, Timestamp, UserId};
use crate::storage::journal::record::Envelope;
use crate::storage::journal::{AppendError, Appended, StoredRecord};
use crate::storage::store::rows::WatermarkRow;

type Actions = Vec<Action>;

/// Entities in memory at most: more than these tests have.
const RESIDENT: usize = 100;
const NOW: Timestamp = Timestamp(1_000);

fn room() -> RoomId {
    RoomId(Uuid::from_u128(7))
}

fn entity() -> Entity {
    Entity::Room(room())
}

fn options(rule: Rule) -> Options {
    Options {
        rule,
        unknown_after_ms: 2_000,
        retry_after_ms: 50,
        idle_ms: 60_000,
        cover_after_ms: None,
        knows: FoldVersion::KNOWN,
    }
}

fn deps(rule: Rule, memory: usize) -> Deps {
    Deps {
        watermark: WatermarkRow::start(room().partition()),
        journal_end: Offset(0),
        listeners: Arc::default(),
        memory: Arc::new(Memory::new(memory)),
        resident: RESIDENT,
        options: options(rule),
    }
}

fn core(rule: Rule) -> Core {
    let mut core = Core::new(deps(rule, 1 << 30));
    core.begin(&mut Actions::new());
    core
}

fn loaded(entity: &Entity, watermark: u64, chain: Option<(Offset, Chain)>) -> Loaded {
    let state = EntityState::absent(entity);
    let core = Box::new(EntityCore::new(entity.clone(), state, Arc::default(), Offset(watermark)));
    Loaded {
        core,
        watermark: Offset(watermark),
        is_newer: false,
        chain,
        share: Share::new(&Arc::new(Memory::new(1 << 30))),
    }
}

/// The entity is loaded, of rows at this watermark.
fn load(core: &mut Core, entity: &Entity, watermark: u64, out: &mut Actions) {
    core.loaded(entity, loaded(entity, watermark, None), NOW, out);
}

fn question() -> Question {
    let asked = QuestionBody::Query(Query::Position);
    Question { from: NodeId { number: 0, life: 0 }, request: RequestId(77), asked }
}

fn is_refusal(action: &Action) -> bool {
    let refused = QueryAnswer::Unavailable;
    matches!(action, Action::Send { frame: ToGateway::Queried { answer, .. }, .. } if *answer == refused)
}

fn origin(n: u64) -> Origin {
    Origin { node: NodeId::default(), request: RequestId(n), weight: 10 }
}

fn record(n: u128) -> Bytes {
    record_within(n, 0)
}

fn record_within(n: u128, ttl_ms: u64) -> Bytes {
    let sender = UserId::new("alice").unwrap();
    let content = Content { body: format!("{n}"), ..Content::default() };
    let send = Send { sender, client_id: None, device: None, prev: None, content, open: None };
    let command =
        Command { room: room(), id: Uuid::from_u128(n), issued_at: NOW, ttl_ms, body: RoomCommand::Send(send) };
    payload::encode(command)
}

fn stored(offset: u64, n: u128) -> StoredRecord {
    StoredRecord { offset: Offset(offset), time: NOW, bytes: record(n) }
}

fn report(first: u64, end: u64) -> Appended {
    Appended { first: Offset(first), end: Offset(end), time: NOW, is_dense: true, losses: 0 }
}

/// The partition's tail tells these records; the readable end lies right behind them.
fn told(core: &mut Core, records: Vec<StoredRecord>, out: &mut Actions) {
    let end = records.last().map_or(Offset(0), |record| record.offset.next());
    core.told(records, end, 0, NOW, out);
}

/// A core whose room is resident.
fn ready(rule: Rule) -> Core {
    let mut core = core(rule);
    let mut out = Actions::new();
    core.ask(entity(), question(), NOW, &mut out);
    load(&mut core, &entity(), 0, &mut out);
    let [Action::Load { .. }, Action::Spawn { .. }, Action::Hand { .. }] = &out[..] else { panic!("{out:?}") };
    core
}

fn appends_nothing(out: &Actions) {
    assert!(!out.iter().any(|action| matches!(action, Action::Append { .. })), "{out:?}");
}

fn append_of(out: &Actions) -> Ticket {
    let tickets: Vec<_> = out
        .iter()
        .filter_map(|action| match action {
            Action::Append { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(tickets.len(), 1, "one append in {out:?}");
    tickets[0]
}

fn delivered(out: &Actions) -> Vec<(u64, Option<u64>)> {
    out.iter()
        .filter_map(|action| match action {
            Action::Deliver { batch, .. } => Some(batch),
            _ => None,
        })
        .flat_map(|batch| batch.items().iter().map(|item| item.get()))
        .map(|item| (item.offset.0, item.origin.map(|origin| origin.request.0)))
        .collect()
}

fn answers(out: &Actions) -> Vec<(u64, Answer)> {
    out.iter()
        .filter_map(|action| match action {
            Action::Answer { origin, answer } => Some((origin.request.0, *answer)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_command_has_no_effect_before_its_append_is_confirmed() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    assert!(delivered(&out).is_empty() && answers(&out).is_empty());
    out.clear();
    told(&mut core, vec![stored(0, 1)], &mut out);
    assert!(delivered(&out).is_empty(), "readable is not verified");
    core.appended(ticket, Ok(report(0, 1)), NOW, &mut out);
    assert_eq!(delivered(&out), [(0, Some(1))]);
}

#[test]
fn commands_that_come_during_an_append_go_together_in_the_next_one() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    for n in 1..=4 {
        core.submit(origin(n), record(n.into()), NOW, NOW, &mut out);
    }
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Ok(report(0, 1)), NOW, &mut out);
    let ticket = append_of(&out);
    assert_eq!(core.place(ticket, NOW, NOW).len(), 3);
}

#[test]
fn records_of_others_in_between_are_read_first_and_everything_comes_in_offset_order() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(3), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Ok(report(2, 3)), NOW, &mut out);
    assert!(delivered(&out).is_empty());
    assert!(matches!(out.pop(), Some(Action::Seek { from: Offset(0) })), "the tail may have passed over it");
    told(&mut core, vec![stored(0, 1), stored(1, 2), stored(2, 3)], &mut out);
    assert_eq!(delivered(&out), [(0, None), (1, None), (2, Some(1))]);
}

#[test]
fn a_batch_that_another_stands_inside_of_is_read_back_and_never_assumed() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    core.appended(append_of(&out), Ok(report(0, 1)), NOW, &mut out);
    out.clear();
    for n in 2..=4 {
        core.submit(origin(n), record(n.into()), NOW, NOW, &mut out);
    }
    let ticket = append_of(&out);
    core.appended(ticket, Ok(report(1, 2)), NOW, &mut out);
    assert_eq!(delivered(&out), [(1, Some(2))]);
    out.retain(|action| matches!(action, Action::Append { ticket: next } if *next != ticket));
    let ticket = append_of(&out);
    out.clear();
    // Two records, three offsets: somebody else's stands between.
    core.appended(ticket, Ok(Appended { is_dense: false, ..report(2, 5) }), NOW, &mut out);
    assert!(delivered(&out).is_empty(), "{out:?}");
    told(&mut core, vec![stored(2, 3), stored(3, 9), stored(4, 4)], &mut out);
    assert_eq!(delivered(&out), [(2, Some(3)), (3, None), (4, Some(4))]);
}

#[test]
fn own_records_that_the_tail_tells_after_their_report_are_passed_over_unread() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    core.appended(append_of(&out), Ok(report(0, 1)), NOW, &mut out);
    out.clear();
    let unreadable = StoredRecord { offset: Offset(0), time: NOW, bytes: Bytes::from_static(b"not looked at") };
    told(&mut core, vec![unreadable, stored(1, 2)], &mut out);
    assert_eq!(delivered(&out), [(1, None)]);
}

#[test]
fn what_was_told_before_a_truncation_is_forgotten() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 8), stored(1, 9)], &mut out);
    core.truncated(Offset(0), 1, &mut out);
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    core.appended(ticket, Ok(Appended { losses: 1, ..report(0, 1) }), NOW, &mut out);
    assert_eq!(delivered(&out), [(0, Some(1))], "the phantom at offset 0 must not take its place");
}

/// A report comes by another way than what the tail tells: the loss may be told after it.
#[test]
fn a_report_that_knows_of_a_loss_makes_the_core_forget_what_may_be_lost() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 8)], &mut out);
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Ok(Appended { losses: 1, ..report(1, 2) }), NOW, &mut out);
    assert!(delivered(&out).is_empty(), "nobody knows what lies at offset 0 now");
    assert!(out.iter().all(|action| matches!(action, Action::Seek { from: Offset(0) })), "{out:?}");
    // On its way since before the loss.
    core.told(vec![stored(0, 8)], Offset(1), 0, NOW, &mut out);
    core.truncated(Offset(0), 1, &mut out);
    assert!(delivered(&out).is_empty(), "{out:?}");
    core.told(vec![stored(0, 7), stored(1, 1)], Offset(2), 1, NOW, &mut out);
    assert_eq!(delivered(&out), [(0, None), (1, Some(1))]);
}

#[test]
fn a_refused_append_refuses_what_waits_behind_it_too() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    core.submit(origin(2), record(2), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    core.appended(ticket, Err(AppendError::Refused("full".into())), NOW, &mut out);
    let refused = Answer::Unavailable { retry_after_ms: 50 };
    assert_eq!(answers(&out), [(1, refused), (2, refused)]);
    assert!(delivered(&out).is_empty());
}

#[test]
fn an_unknown_outcome_is_answered_by_what_is_read_or_as_unknown_in_time() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    core.submit(origin(2), record(2), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Err(AppendError::Unknown("timeout".into())), NOW, &mut out);
    assert!(answers(&out).is_empty(), "unknown is not a failure");
    let second = append_of(&out);
    core.tick(Timestamp(3_000), Offset(0), RESIDENT, || fold::barrier(Uuid::nil(), NOW), &mut out);
    assert_eq!(answers(&out), [(1, Answer::Unknown)]);
    core.appended(second, Ok(report(0, 1)), NOW, &mut out);
    assert_eq!(delivered(&out), [(0, Some(2))]);
}

#[test]
fn a_room_that_cant_be_loaded_refuses_before_anything_is_written() {
    let mut core = core(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    assert!(matches!(&out[..], [Action::Load { .. }]));
    out.clear();
    core.load_failed(&entity(), &mut out);
    assert!(matches!(&out[..], [Action::Rest { .. }]), "{out:?}");
    core.submit(origin(2), record(2), NOW, NOW, &mut out);
    assert_eq!(out.len(), 1, "the store is not asked again for each command: {out:?}");
    core.rested(&entity(), &mut out);
    let refused = Answer::Unavailable { retry_after_ms: 50 };
    assert_eq!(answers(&out), [(1, refused), (2, refused)]);
    appends_nothing(&out);
}

#[test]
fn an_entity_that_dies_gets_its_unfinished_records_again_and_the_finished_ones_replayed() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    let Some(Action::Deliver { batch, .. }) = out.pop() else { panic!("{out:?}") };
    batch.finish();
    told(&mut core, vec![stored(1, 2)], &mut out);
    assert_eq!(delivered(&out), [(1, None)]);
    out.clear();
    core.died(&entity(), &mut out);
    assert!(matches!(&out[..], [Action::Load { replay_to: Offset(1), .. }]), "{out:?}");
    load(&mut core, &entity(), 0, &mut out);
    assert_eq!(delivered(&out), [(1, None)]);
}

#[test]
fn an_idle_entity_goes_only_when_the_store_has_all_that_it_applied() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    let Some(Action::Deliver { batch, .. }) = out.pop() else { panic!("{out:?}") };
    let later = Timestamp(NOW.0 + 120_000);
    let barrier = || fold::barrier(Uuid::nil(), NOW);
    let gone = |out: &Actions| out.iter().any(|action| matches!(action, Action::Passivate { .. }));
    core.tick(later, Offset(1), RESIDENT, barrier, &mut out);
    assert!(!gone(&out), "its batch is not finished: {out:?}");
    batch.finish();
    core.tick(later, Offset(0), RESIDENT, barrier, &mut out);
    assert!(!gone(&out), "the store lacks offset 0: {out:?}");
    core.tick(later, Offset(1), RESIDENT, barrier, &mut out);
    assert!(gone(&out), "{out:?}");
}

#[test]
fn a_damaged_record_halts_the_partition_and_is_never_skipped() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    let mut newer = record(1).to_vec();
    newer[1] = 2;
    let bad = StoredRecord { offset: Offset(0), time: NOW, bytes: newer.into() };
    told(&mut core, vec![bad, stored(1, 2)], &mut out);
    assert!(delivered(&out).is_empty() && core.is_halted());
    assert!(out.iter().any(|a| matches!(a, Action::Halt { reason } if reason.contains("version 2"))), "{out:?}");
}

#[test]
fn where_others_write_a_barrier_closes_the_prefix() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    assert!(delivered(&out).is_empty());
    core.tick(NOW, Offset(0), RESIDENT, || fold::barrier(Uuid::nil(), NOW), &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Ok(report(1, 2)), NOW, &mut out);
    assert_eq!(delivered(&out), [(0, None)]);
    assert_eq!(
        core.progress().complete([(Offset(0), Some(Chain(7)))]),
        Some(Offset(2)),
        "the barrier is decided by the core itself"
    );
}

#[test]
fn a_store_that_fell_back_behind_what_was_let_go_is_never_folded_upon() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    let Some(Action::Deliver { batch, .. }) = out.pop() else { panic!("{out:?}") };
    batch.finish();
    core.let_go(NOW, Offset(1), &mut out);
    assert!(matches!(&out[..], [Action::Passivate { .. }]), "{out:?}");
    out.clear();
    core.ask(entity(), question(), NOW, &mut out);
    load(&mut core, &entity(), 0, &mut out);
    assert!(matches!(out.last(), Some(Action::Restart { reason: "the store has fallen back" })), "{out:?}");
    assert!(out.iter().any(is_refusal), "{out:?}");
}

#[test]
fn an_operator_lets_an_entity_go_only_if_it_is_idle_and_the_store_has_all_of_it() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    let Some(Action::Deliver { batch, .. }) = out.pop() else { panic!("{out:?}") };
    out.clear();
    assert!(!core.let_one_go(&entity(), Offset(1), &mut out), "it has something to do");
    batch.finish();
    assert!(!core.let_one_go(&entity(), Offset(0), &mut out), "the store lacks offset 0");
    assert!(out.is_empty());
    assert!(core.let_one_go(&entity(), Offset(1), &mut out));
    assert!(matches!(&out[..], [Action::Passivate { .. }]), "{out:?}");
    assert!(!core.let_one_go(&entity(), Offset(1), &mut out), "it is gone");
    // What it had applied is remembered: a store that falls back behind it is not folded upon.
    core.ask(entity(), question(), NOW, &mut out);
    load(&mut core, &entity(), 0, &mut out);
    assert!(matches!(out.last(), Some(Action::Restart { reason: "the store has fallen back" })), "{out:?}");
}

#[test]
fn what_one_record_means_for_two_users_of_a_partition_is_answered_twice() {
    let fact = |user: &str| {
        let key = Bytes::copy_from_slice(user.as_bytes());
        let (kind, command_id) = (1_006, Bytes::copy_from_slice(Uuid::from_u128(5).as_bytes()));
        Envelope { kind, key, command_id, payload: Bytes::new(), ..Envelope::default() }.encode_record()
    };
    let mut names =
        (0..).map(|n| UserId::new(&format!("u{n}")).unwrap()).filter(|u| u.partition() == room().partition());
    let (one, other) = (names.next().unwrap(), names.next().unwrap());
    let mut core = core(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    for (n, user) in [(1, &one), (2, &other)] {
        core.submit(origin(n), fact(user.as_str()), NOW, NOW, &mut out);
        load(&mut core, &Entity::User(user.clone()), 0, &mut out);
    }
    let mut at = 0;
    while let Some(Action::Append { ticket }) =
        out.iter().rposition(|a| matches!(a, Action::Append { .. })).map(|place| out.remove(place))
    {
        let end = at + core.place(ticket, NOW, NOW).len() as u64;
        core.appended(ticket, Ok(report(at, end)), NOW, &mut out);
        at = end;
    }
    assert_eq!(delivered(&out), [(0, Some(1)), (1, Some(2))]);
}

#[test]
fn two_owners_do_not_answer_each_others_barriers_for_ever() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    let barrier = || fold::barrier(Uuid::nil(), NOW);
    let others = |offset| vec![StoredRecord { offset: Offset(offset), time: NOW, bytes: barrier() }];
    told(&mut core, others(0), &mut out);
    core.tick(NOW, Offset(0), RESIDENT, barrier, &mut out);
    // Once: the other one may be of this node's own earlier life.
    core.appended(append_of(&out), Ok(report(1, 2)), NOW, &mut out);
    assert_eq!(core.progress().applied(), Offset(2));
    out.clear();
    told(&mut core, others(2), &mut out);
    core.tick(NOW, Offset(0), RESIDENT, barrier, &mut out);
    appends_nothing(&out);
}
