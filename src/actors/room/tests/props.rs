//! What must hold for every history.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::model::Model;
use super::steps::{History, NAMES, Scene, any_history, history};
use super::support::{client_id, send, user};
use crate::actors::room::commands::{Command, End, Expire, Invite, Join, Kick, Leave, RoomCommand};
use crate::actors::room::window::{self, WindowBounds, WindowEntry};
use crate::actors::room::{Outcome, RoomSnapshot, RoomState, payload};
use crate::actors::wire::event;
use crate::actors::wire::{Event, EventBody, Reject, RoomKind};
use crate::ids::{ClientId, MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use uuid::Uuid;

/// A window that a history of some dozen events fills.
const SMALL: WindowBounds = WindowBounds { events: 8, age_ms: limits::DEDUPE_WINDOW_MS };

fn start(room: RoomId) -> RoomState {
    RoomState::absent_bounded(room, SMALL)
}

/// The state as a store would bring it back: with the window read from the rows of events.
fn restored(state: &RoomState, events: &[Event]) -> RoomState {
    let mut snapshot = state.snapshot();
    let kept = events.iter().filter(|event| event.seq >= snapshot.meta.window_from);
    let deletes = |event: &Event| match event.body {
        EventBody::Deleted { target } => Some(target),
        _ => None,
    };
    snapshot.window = window::entries_of(kept.map(|event| (WindowEntry::of(event), deletes(event))));
    RoomState::from_snapshot_bounded(snapshot, SMALL).unwrap()
}

fn outcomes(state: &mut RoomState, history: &[(Timestamp, Command)]) -> Vec<Outcome> {
    history.iter().map(|(now, command)| state.fold(*now, command.clone())).collect()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Every decision is that of the naive model, also when the state was put away and brought back before each of them.
    #[test]
    fn the_room_decides_as_the_naive_model_does((scene, history) in any_history()) {
        let mut state = start(scene.room());
        let mut model = Model::new(scene.room(), SMALL);
        for (index, (now, command)) in history.iter().enumerate() {
            let expected = model.fold(*now, command);
            let mut from_rows = restored(&state, &model.events[..state.head().0 as usize]);
            let mut from_snapshot = RoomState::from_snapshot_bounded(state.snapshot(), SMALL).unwrap();
            let before = state.snapshot();

            let outcome = state.fold(*now, command.clone());
            prop_assert_eq!(&outcome, &expected, "step {} of {:?}: {:?}", index, scene, command);
            prop_assert_eq!(&from_rows.fold(*now, command.clone()), &expected);
            prop_assert_eq!(&from_snapshot.fold(*now, command.clone()), &expected);
            prop_assert_eq!(state.hash(), from_rows.hash());
            prop_assert_eq!(state.hash(), from_snapshot.hash());

            match &outcome {
                Outcome::Accepted(event) => {
                    prop_assert_eq!(event.seq.0, before.meta.head.0 + 1, "dense");
                    prop_assert_eq!(event.at, *now);
                    prop_assert_eq!(event.id, command.id);
                    prop_assert_eq!(&event::from_text::<Event>(&event::text_of(event.as_ref())).unwrap(), event.as_ref());
                }
                Outcome::Noted => prop_assert_ne!(&state.snapshot(), &before),
                _ => {
                    let after = RoomSnapshot { decisions: before.decisions.clone(), ..state.snapshot() };
                    prop_assert_eq!(&after, &before, "no effect, no change");
                }
            }
            prop_assert_eq!(state.floor(), model.floor());
            prop_assert!(state.floor() >= Seq(before.meta.floor.0), "the floor never falls");
        }
        compare(&state, &model, history.last().unwrap().0)?;
    }

    /// A room whose window sleeps but for its ends says itself when that is not enough for a decision.
    #[test]
    fn a_dozing_room_decides_as_one_that_is_awake((scene, history) in any_history()) {
        let mut state = start(scene.room());
        for chunk in history.chunks(3) {
            let records: Vec<_> = chunk.iter().map(|(now, command)| (*now, payload::envelope(command.clone()))).collect();
            let mut dozing = RoomState::from_snapshot_bounded(state.snapshot(), SMALL).unwrap();
            dozing.doze(2);
            let is_awake = dozing.is_awake_for(records.iter().map(|(now, envelope)| (*now, envelope)));
            for (now, command) in chunk {
                let expected = state.fold(*now, command.clone());
                if is_awake {
                    prop_assert_eq!(dozing.fold(*now, command.clone()), expected);
                    prop_assert_eq!(dozing.meta(), state.meta());
                }
            }
        }
    }

    /// I1: equal prefixes give equal hashes and outcomes, wherever the state was put away in between.
    #[test]
    fn a_prefix_gives_the_same_state_however_it_is_cut((scene, history) in any_history(), cut in any::<prop::sample::Index>()) {
        let mut whole = start(scene.room());
        let all = outcomes(&mut whole, &history);
        let cut = cut.index(history.len());
        let mut first = start(scene.room());
        let mut pieces = outcomes(&mut first, &history[..cut]);
        let mut second = RoomState::from_snapshot_bounded(first.snapshot(), SMALL).unwrap();
        prop_assert_eq!(first.hash(), second.hash());
        pieces.extend(outcomes(&mut second, &history[cut..]));
        prop_assert_eq!(all, pieces);
        prop_assert_eq!(whole.hash(), second.hash());
        prop_assert_eq!(whole.snapshot(), second.snapshot());
    }

    /// Commands come through their records unchanged.
    #[test]
    fn a_record_carries_its_command((_, history) in any_history()) {
        for (_, command) in &history {
            prop_assert_eq!(&payload::decode(&payload::envelope(command.clone())).unwrap(), command);
        }
    }

    /// P3: what is inside the window is there once; P2: numbers are dense.
    #[test]
    fn no_message_is_in_the_window_twice((scene, history) in any_history()) {
        let mut state = start(scene.room());
        let mut events: Vec<Event> = Vec::new();
        for (now, command) in &history {
            let Outcome::Accepted(event) = state.fold(*now, command.clone()) else { continue };
            if let (Some(actor), Some(id)) = (&event.actor, &event.client_id) {
                let twin = events.iter().rev().take(SMALL.events).find(|old| {
                    old.actor.as_ref() == Some(actor) && old.client_id.as_ref() == Some(id)
                        && event.at.since(old.at) <= SMALL.age_ms
                });
                prop_assert!(twin.is_none(), "{:?} again as {:?}", twin, event);
            }
            events.push(event.as_ref().clone());
        }
        let numbers: Vec<u64> = events.iter().filter_map(number).map(|no| no.0).collect();
        prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>());
    }

    /// P3 for ids with a time in them that is not far ahead: once for ever, however long ago it was.
    #[test]
    fn an_id_with_a_time_makes_one_message_for_ever((scene, history) in any_history()) {
        let mut state = start(scene.room());
        let mut seen: BTreeSet<(UserId, ClientId)> = BTreeSet::new();
        for (now, command) in &history {
            let Outcome::Accepted(event) = state.fold(*now, command.clone()) else { continue };
            let (Some(actor), Some(id)) = (&event.actor, &event.client_id) else { continue };
            if id.time().is_some_and(|time| time.since(*now) <= limits::CLOCK_SKEW_MS) {
                prop_assert!(seen.insert((actor.clone(), id.clone())), "twice: {:?}", event);
            }
        }
    }

    /// P5: whatever is resent, delayed or overtaken, one device's messages stand in the order in which it made them.
    #[test]
    fn a_device_is_heard_in_its_order(sends in prop::collection::vec(0..8u32, 1..80)) {
        let mut state = start(Scene::Group.room());
        let create = super::support::create(RoomKind::Group, "ann", &["bob"]);
        fold_one(&mut state, RoomCommand::Create(create));
        let mut heard = Vec::new();
        for n in sends {
            let mut message = send("bob", Some(client_id(&format!("d{n}"))));
            message.prev = (n > 0).then(|| client_id(&format!("d{}", n - 1)));
            match fold_one(&mut state, RoomCommand::Send(message)) {
                Outcome::Accepted(_) => heard.push(n),
                Outcome::Duplicate { .. } => prop_assert!(heard.contains(&n)),
                Outcome::Rejected(Reject::NeedPrev) => prop_assert!(!heard.contains(&(n - 1))),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(&heard, &(0..heard.len() as u32).collect::<Vec<_>>());
    }

    /// P6: between a kick and the next time that he is asked in and enters, a kicked user does nothing and may not listen.
    #[test]
    fn a_kicked_user_is_out((_, history) in history(Scene::Group).prop_map(|history| ((), history))) {
        let mut state = start(Scene::Group.room());
        let (mut out, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for (now, command) in &history {
            let Outcome::Accepted(event) = state.fold(*now, command.clone()) else { continue };
            match &event.body {
                EventBody::Kicked { user } => {
                    out.insert(user.clone());
                    asked.remove(user);
                }
                EventBody::Invited { user } => {
                    asked.insert(user.clone());
                }
                // Whoever is out may take back an invitation of his own.
                EventBody::Uninvited { user } => _ = asked.remove(user),
                EventBody::Joined => {
                    let user = event.actor.as_ref().unwrap();
                    prop_assert!(!out.contains(user) || asked.contains(user));
                    out.remove(user);
                }
                EventBody::Left => {
                    let user = event.actor.as_ref().unwrap();
                    prop_assert!(!out.contains(user) || asked.remove(user));
                }
                _ => prop_assert!(!event.actor.as_ref().is_some_and(|actor| out.contains(actor))),
            }
            for user in &out {
                prop_assert!(!state.may_listen(user));
            }
        }
    }

    /// Time is append time: when a command was admitted changes nothing.
    #[test]
    fn the_time_of_admission_decides_nothing((scene, history) in any_history(), shifts in prop::collection::vec(0..1u64 << 41, 64)) {
        let (mut one, mut other) = (start(scene.room()), start(scene.room()));
        for ((now, command), shift) in history.iter().zip(shifts) {
            let command = Command { ttl_ms: 0, ..command.clone() };
            let moved = Command { issued_at: Timestamp(shift), ..command.clone() };
            prop_assert_eq!(one.fold(*now, command.clone()), other.fold(*now, moved.clone()));
        }
        prop_assert_eq!(one.hash(), other.hash());
    }

    /// Expiry by append time: after `expires_at` nothing is accepted but leaving, taking back (a message or an invitation), the
    /// expiry itself and, in a direct chat, opening it again; whether the expiry was recorded does not matter.
    #[test]
    fn an_expired_room_is_closed_with_or_without_a_record((scene, history) in any_history(), told in any::<bool>()) {
        let mut state = start(scene.room());
        for (now, command) in &history {
            if told {
                let body = RoomCommand::Expire(Expire);
                let expire = Command { room: scene.room(), id: Uuid::nil(), issued_at: *now, ttl_ms: 0, body };
                state.fold(*now, expire.clone());
            }
            let due = state.expires_at().is_some_and(|at| at <= *now);
            let Outcome::Accepted(event) = state.fold(*now, command.clone()) else { continue };
            if due {
                let fine = matches!(
                    event.body,
                    EventBody::Left
                        | EventBody::Uninvited { .. }
                        | EventBody::Deleted { .. }
                        | EventBody::Expired
                        | EventBody::Reopened { .. }
                );
                prop_assert!(fine, "{:?} after the time", event);
            }
        }
    }

    /// A direct chat has no first and second side: with the names exchanged everything is the same, with the names exchanged.
    #[test]
    fn a_direct_chat_is_the_same_from_both_sides(history in history(Scene::Direct)) {
        let (mut one, mut other) = (start(Scene::Direct.room()), start(Scene::Direct.room()));
        for (now, command) in &history {
            // No way in makes another kind of room under this id, and where it passes on, the lowest id has a side.
            if matches!(&command.body, RoomCommand::Create(create) if create.kind != RoomKind::Direct) {
                continue;
            }
            let mirrored = mirror_command(command);
            let (here, there) = (one.fold(*now, command.clone()), other.fold(*now, mirrored.clone()));
            match (&here, &there) {
                (Outcome::Accepted(a), Outcome::Accepted(b)) => {
                    prop_assert_eq!(a.actor.as_ref().map(mirror), b.actor.clone());
                    prop_assert_eq!((a.seq, a.at, a.body.number()), (b.seq, b.at, b.body.number()));
                }
                _ => prop_assert_eq!(&here, &there),
            }
        }
    }

    /// Any bytes as a payload of any room kind: one decision, the same twice, no effect if it is none.
    #[test]
    fn any_payload_has_a_decision((scene, history) in any_history(), kind in 0..1001u32, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut state = start(scene.room());
        outcomes(&mut state, &history);
        let now = history.last().unwrap().0;
        let mut envelope = payload::envelope(history[0].1.clone());
        envelope.kind = if kind > 20 { kind } else { kind % 13 };
        envelope.payload = bytes.into();
        let mut again = state.clone();
        let before = state.hash();
        let decode_and_fold = |state: &mut RoomState| match payload::decode(&envelope) {
            Ok(command) => state.fold(now, command.clone()),
            Err(reject) => {
                assert_eq!(reject, Reject::Invalid);
                Outcome::Rejected(reject)
            }
        };
        let outcome = decode_and_fold(&mut state);
        prop_assert_eq!(&outcome, &decode_and_fold(&mut again));
        prop_assert_eq!(state.hash(), again.hash());
        if !matches!(outcome, Outcome::Accepted(_) | Outcome::Noted) {
            prop_assert_eq!(state.hash(), before);
        }
    }

    /// A record that was cut or changed somewhere in its payload still has a decision.
    #[test]
    fn a_mangled_payload_has_a_decision((scene, history) in any_history(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut state = start(scene.room());
        for (now, command) in &history {
            let mut envelope = payload::envelope(command.clone());
            let mut bytes = envelope.payload.to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                if cut { bytes.truncate(at) } else { bytes[at] = byte }
            }
            envelope.payload = bytes.into();
            if let Ok(command) = payload::decode(&envelope) {
                state.fold(*now, command.clone());
            }
        }
        prop_assert!(RoomState::from_snapshot_bounded(state.snapshot(), SMALL).is_ok());
    }
}

fn compare(state: &RoomState, model: &Model, now: Timestamp) -> Result<(), TestCaseError> {
    let view = model.view();
    let sorted = |mut list: Vec<(UserId, Seq)>| {
        list.sort();
        list
    };
    let members: Vec<_> = state.members().map(|(user, member)| (user.clone(), member.joined)).collect();
    prop_assert_eq!(members, sorted(view.members));
    let invited: Vec<_> = state.invited().map(|(user, invitation)| (user.clone(), invitation.seq)).collect();
    prop_assert_eq!(invited, sorted(view.invited));
    let kicked: Vec<_> = state.kicked().map(|(user, seq)| (user.clone(), seq)).collect();
    prop_assert_eq!(kicked, sorted(view.kicked));
    prop_assert_eq!(state.creator().cloned(), view.creator);
    prop_assert_eq!(state.status(), view.status);
    prop_assert_eq!(state.title(), view.title);
    prop_assert_eq!(state.expires_at(), view.expires_at);
    prop_assert_eq!(state.last_no(), MessageNo(view.messages));
    prop_assert_eq!(state.head().0, model.events.len() as u64);
    for event in model.events.iter().rev().take(SMALL.events).filter(|event| now.since(event.at) <= SMALL.age_ms) {
        let is_message = number(event).is_some();
        prop_assert_eq!(state.author_of(event.seq), event.actor.as_ref().filter(|_| is_message));
        let no = model.events[..event.seq.0 as usize].iter().filter_map(number).max().unwrap_or_default();
        prop_assert_eq!(state.no_at(event.seq), Some(no));
    }
    for name in NAMES {
        let sent = model.events.iter().rev().find(|event| event.actor == Some(user(name)) && number(event).is_some());
        if let (Some(member), Some(sent)) = (state.member(&user(name)), sent)
            && sent.seq > member.joined
        {
            prop_assert_eq!(Some(member.sent_no), number(sent));
        }
    }
    Ok(())
}

fn number(event: &Event) -> Option<MessageNo> {
    match event.body {
        EventBody::Message { no, .. } => Some(no),
        _ => None,
    }
}

fn fold_one(state: &mut RoomState, body: RoomCommand) -> Outcome {
    let now = Timestamp(super::support::T0);
    // As many commands as were decided so far.
    let id = Uuid::from_u128(u128::from(state.head().0) + state.decisions().len() as u128 + 1);
    state.fold(now, Command { room: state.room(), id, issued_at: now, ttl_ms: 0, body })
}

fn mirror(name: &UserId) -> UserId {
    match name.as_str() {
        "ann" => user("bob"),
        "bob" => user("ann"),
        _ => name.clone(),
    }
}

fn mirror_command(command: &Command) -> Command {
    let mut command = command.clone();
    match &mut command.body {
        RoomCommand::Create(create) => {
            create.creator = mirror(&create.creator);
            create.members = create.members.iter().map(mirror).collect();
        }
        RoomCommand::Send(send) => send.sender = mirror(&send.sender),
        RoomCommand::Edit(edit) => edit.by = mirror(&edit.by),
        RoomCommand::React(react) => {
            react.by = mirror(&react.by);
            react.author = react.author.as_ref().map(mirror);
        }
        RoomCommand::Delete(delete) => {
            delete.by = mirror(&delete.by);
            delete.author = delete.author.as_ref().map(mirror);
        }
        RoomCommand::Join(Join { user }) | RoomCommand::Leave(Leave { user }) => *user = mirror(user),
        RoomCommand::Invite(Invite { by, user }) | RoomCommand::Kick(Kick { by, user }) => {
            *by = mirror(by);
            *user = mirror(user);
        }
        RoomCommand::Uninvite(uninvite) => {
            uninvite.by = mirror(&uninvite.by);
            uninvite.inviter = mirror(&uninvite.inviter);
            uninvite.user = mirror(&uninvite.user);
        }
        RoomCommand::Update(update) => update.by = mirror(&update.by),
        RoomCommand::End(End { by }) => *by = mirror(by),
        RoomCommand::Block(block) => block.by = mirror(&block.by),
        RoomCommand::Expire(Expire) => {}
    }
    command
}

#[test]
fn the_histories_reach_every_decision() {
    // The properties above say little if the random histories never get anywhere: count what happens in them.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut happened, mut rejected) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..400 {
        let (scene, history): (Scene, History) = any_history().new_tree(&mut runner).unwrap().current();
        // Histories are short: only a very small window is pushed out by number.
        let starts = [SMALL, WindowBounds { events: 2, ..SMALL }];
        let all = starts.map(|bounds| outcomes(&mut RoomState::absent_bounded(scene.room(), bounds), &history));
        for outcome in all.into_iter().flatten() {
            match outcome {
                Outcome::Accepted(event) => happened.insert(event.body.number()),
                Outcome::Rejected(reject) => rejected.insert(reject),
                Outcome::Duplicate { .. } => happened.insert(100),
                Outcome::Noted => happened.insert(101),
                Outcome::Ignored => happened.insert(102),
            };
        }
    }
    assert_eq!(happened, (1..=14).chain(100..=102).collect());
    use Reject::*;
    let all = [
        NoRoom,
        Exists,
        Ended,
        Expired,
        NotMember,
        NotInvited,
        NotAllowed,
        Blocked,
        NeedPrev,
        TooOld,
        NoMessage,
        NotAuthor,
        Deleted,
        EditTooLate,
        Full,
        Invalid,
        WrongKind,
    ];
    // TooLarge and Stale are judged before anything else, and tested by themselves.
    assert_eq!(rejected, all.into());
}
