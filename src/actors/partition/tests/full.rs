//! Every place in memory is taken: what is folded anew waits for the store, and what comes for others waits in turn.

use super::*;
use crate::actors::user::commands::Preferences;
use crate::actors::user::{self, UserCommand, UserCommandBody};
use crate::limits;
use crate::storage::journal::Tailed;

/// Entities in memory at most.
const PLACES: usize = 50;

/// Users of one partition.
fn someone(n: u64) -> UserId {
    UserId::new(&format!("{{one}}{n}")).unwrap()
}

fn command_of(n: u64) -> Bytes {
    let body = UserCommandBody::Preferences(Preferences { json: "{}".to_owned() });
    let command =
        UserCommand { user: someone(n), id: Uuid::from_u128(u128::from(n) + 1), issued_at: NOW, ttl_ms: 0, body };
    user::payload::encode(command)
}

fn records(of: std::ops::Range<u64>) -> Vec<StoredRecord> {
    of.map(|n| StoredRecord { offset: Offset(n), time: NOW, bytes: command_of(n) }).collect()
}

/// A core, and as much of its driver and of a projector as it needs.
struct Driven {
    core: Core,
    memory: Arc<Memory>,
    out: Actions,
    /// How many records the tail has told, of those that the journal held at the start.
    told: u64,
    journal_end: u64,
    folded: u64,
    stored: u64,
    /// It said that something waits for rows.
    wants_rows: bool,
}

impl Driven {
    /// The journal holds the first words of so many users, and the store nothing.
    fn new(journal_end: u64) -> Self {
        let watermark = WatermarkRow::start(someone(0).partition());
        let ours = Deps {
            watermark,
            resident: PLACES,
            journal_end: Offset(journal_end),
            ..deps(Rule::ReadableIsDurable, 1 << 30)
        };
        let memory = Arc::clone(&ours.memory);
        let core = Core::new(ours);
        let mut it =
            Self { core, memory, out: Actions::new(), told: 0, journal_end, folded: 0, stored: 0, wants_rows: false };
        it.core.begin(&mut it.out);
        it
    }

    /// Carries out all that the core asks for.
    fn settle(&mut self) {
        while !self.out.is_empty() {
            for action in std::mem::take(&mut self.out) {
                match action {
                    Action::Load { entity, .. } => load(&mut self.core, &entity, self.stored, &mut self.out),
                    Action::Deliver { batch, .. } => {
                        self.folded += batch.items().len() as u64;
                        batch.finish();
                    }
                    Action::Follow { .. } if self.told < self.journal_end => {
                        let to = self.journal_end.min(self.told + 500);
                        let batch =
                            Tailed::Batch { records: records(self.told..to), end: Offset(self.journal_end), losses: 0 };
                        self.told = to;
                        self.core.heard(Ok(batch), NOW, &mut self.out);
                    }
                    Action::WantRows => self.wants_rows = true,
                    Action::Follow { .. } | Action::Spawn { .. } | Action::Passivate { .. } => {}
                    other => panic!("{other:?}"),
                }
                assert!(self.core.residents() <= PLACES, "{} are in memory", self.core.residents());
            }
        }
    }

    /// The projector stores what is folded.
    fn store(&mut self) {
        self.stored = self.folded;
        self.core.stored(Offset(self.stored), Vec::new(), NOW, &mut self.out);
        self.settle();
    }
}

#[test]
fn a_journal_that_is_folded_anew_never_has_more_in_memory_than_may_be() {
    const USERS: u64 = 50_000;
    let mut it = Driven::new(USERS);
    it.settle();
    while it.folded < USERS {
        assert!(it.core.is_full() && std::mem::take(&mut it.wants_rows), "it waits for the store alone, and says so");
        assert!(it.told <= it.folded + 500, "one batch of the tail waits at most");
        let before = it.folded;
        it.store();
        assert!(it.folded > before, "nothing moves at {before}");
    }
    it.store();
    assert_eq!((it.told, it.folded, it.core.is_full()), (USERS, USERS, false));
}

/// A core with every place taken, the store away.
fn full() -> Driven {
    let mut it = Driven::new(PLACES as u64);
    it.settle();
    assert_eq!((it.folded, it.core.residents()), (PLACES as u64, PLACES));
    it
}

fn tick(it: &mut Driven, now: u64) {
    let barrier = || fold::barrier(Uuid::nil(), NOW);
    it.core.tick(Timestamp(NOW.0 + now), Offset(it.stored), PLACES, barrier, &mut it.out);
}

fn loads(of: &Actions) -> Vec<Entity> {
    let load = |action: &Action| match action {
        Action::Load { entity, .. } => Some(entity.clone()),
        _ => None,
    };
    of.iter().filter_map(load).collect()
}

#[test]
fn while_the_store_is_away_and_every_place_is_taken_what_comes_for_others_waits_for_a_moment_and_comes_in() {
    let other = Entity::User(someone(PLACES as u64));
    let mut it = full();
    it.core.submit(origin(1), command_of(PLACES as u64), NOW, NOW, &mut it.out);
    it.core.ask(other.clone(), question(), NOW, &mut it.out);
    tick(&mut it, limits::PLACE_WAIT_MS - 1);
    assert!(it.out.iter().all(|action| matches!(action, Action::Announce { .. } | Action::WantRows)), "{:?}", it.out);
    it.out.clear();
    tick(&mut it, limits::PLACE_WAIT_MS);
    assert_eq!((loads(&it.out), it.core.residents()), (vec![other.clone()], PLACES + 1));
    it.out.clear();
    load(&mut it.core, &other, it.stored, &mut it.out);
    assert!(it.out.iter().any(|action| matches!(action, Action::Hand { .. })), "all that waited: {:?}", it.out);
    append_of(&it.out);
    // Once the store has what others said, it is as few as may be again.
    it.out.clear();
    it.stored = it.folded;
    tick(&mut it, 2 * limits::PLACE_WAIT_MS);
    assert!(it.core.residents() <= PLACES);
}

#[test]
fn without_bytes_left_who_waits_for_a_place_is_refused_in_the_end() {
    let mut it = full();
    it.core.submit(origin(1), command_of(PLACES as u64), NOW, NOW, &mut it.out);
    it.core.ask(Entity::User(someone(PLACES as u64)), question(), NOW, &mut it.out);
    assert!(!it.out.is_empty() && it.out.iter().all(|a| matches!(a, Action::WantRows)), "{:?}", it.out);
    let others = Share::new(&it.memory);
    others.set(1 << 30);
    tick(&mut it, limits::PLACE_WAIT_MS);
    assert_eq!(answers(&it.out), [(1, Answer::Unavailable { retry_after_ms: 50 })]);
    assert_eq!(it.out.iter().filter(|action| matches!(action, Action::NoMemory)).count(), 2, "{:?}", it.out);
    assert!(it.out.iter().any(is_refusal), "{:?}", it.out);
}

/// The command's record is in the journal behind all that is folded anew: neither may wait for the other.
#[test]
fn a_command_for_a_cold_one_does_not_hold_up_what_is_folded_anew() {
    let users = 2 * PLACES as u64;
    let mut it = Driven::new(users);
    for n in 0..PLACES as u64 {
        let n = users + n;
        it.core.submit(origin(n), command_of(n), NOW, NOW, &mut it.out);
        load(&mut it.core, &Entity::User(someone(n)), it.stored, &mut it.out);
    }
    it.out.retain(|action| !matches!(action, Action::Append { .. }));
    it.settle();
    for _ in 0..users {
        it.store();
    }
    assert_eq!((it.folded, it.core.is_full()), (users, false));
}

#[test]
fn while_the_store_is_away_those_in_memory_go_on() {
    let most = PLACES as u64;
    let mut it = full();
    it.core.submit(origin(1), command_of(most), NOW, NOW, &mut it.out);
    it.core.submit(origin(2), command_of(0), NOW, NOW, &mut it.out);
    let ticket = append_of(&it.out);
    it.core.appended(ticket, Ok(report(most, most + 1)), NOW, &mut it.out);
    assert_eq!(delivered(&it.out), [(most, Some(2))]);
}

#[test]
fn who_waits_for_a_place_gets_one_in_turn() {
    let most = PLACES as u64;
    let mut it = full();
    let waiting = [most + 2, most, most + 1];
    for n in waiting {
        it.core.submit(origin(n), command_of(n), NOW, NOW, &mut it.out);
    }
    it.core.ask(Entity::User(someone(waiting[0])), question(), NOW, &mut it.out);
    assert!(!it.out.is_empty() && it.out.iter().all(|a| matches!(a, Action::WantRows)), "{:?}", it.out);
    it.stored = it.folded;
    it.core.stored(Offset(it.stored), Vec::new(), NOW, &mut it.out);
    assert_eq!(loads(&it.out), waiting.map(|n| Entity::User(someone(n))));
    it.out.clear();
    load(&mut it.core, &Entity::User(someone(waiting[0])), it.stored, &mut it.out);
    assert!(it.out.iter().any(|action| matches!(action, Action::Hand { .. })), "all that waited for it: {:?}", it.out);
    assert!(it.out.iter().any(|action| matches!(action, Action::Append { .. })), "{:?}", it.out);
}

#[test]
fn one_with_a_command_under_way_keeps_its_place() {
    let most = PLACES as u64;
    let mut it = full();
    it.core.submit(origin(1), command_of(0), NOW, NOW, &mut it.out);
    it.out.clear();
    it.stored = it.folded;
    it.core.stored(Offset(it.stored), Vec::new(), NOW, &mut it.out);
    for n in 0..2 * most {
        let now = Timestamp(NOW.0 + n);
        it.core.ask(Entity::User(someone(most + n)), question(), now, &mut it.out);
        for entity in loads(&std::mem::take(&mut it.out)) {
            load(&mut it.core, &entity, it.stored, &mut it.out);
        }
        let gone = Entity::User(someone(0));
        assert!(!it.out.iter().any(|a| matches!(a, Action::Passivate { entity } if *entity == gone)), "at {n}");
    }
    assert!(it.core.residents() <= PLACES);
}

#[test]
fn what_waits_for_a_place_is_answered_when_the_partition_halts() {
    let mut it = full();
    it.core.submit(origin(1), command_of(PLACES as u64), NOW, NOW, &mut it.out);
    it.core.halt("as ordered".to_owned(), &mut it.out);
    assert_eq!(answers(&it.out), [(1, Answer::Unavailable { retry_after_ms: 50 })]);
}
