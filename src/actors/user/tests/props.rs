//! What must hold for every history of a user.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::model::Model;
use super::support::{
    block, device, fact, forget, forget_all, mute, notification, notifications_read, preferences, push_gone, read,
    room, unblock,
};
use crate::actors::room::tests::support::{T0, user};
use crate::actors::user::commands::{UserCommand, UserCommandBody};
use crate::actors::user::outcome::UserOutcome;
use crate::actors::user::{UserSnapshot, UserState, payload};
use crate::actors::wire::event;
use crate::actors::wire::{Reject, RoomChange, UserEvent};
use crate::ids::{DeviceId, Timestamp};
use crate::limits;

type History = Vec<(Timestamp, UserCommand)>;

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["ann", "bob", "cat", "anon:1"])
}

/// Of the times that histories have, some ahead of them, and what is no id of a notification.
fn notification_id() -> impl Strategy<Value = Uuid> {
    prop_oneof![
        9 => (0..400u64, 0..3u8).prop_map(|(after, n)| notification(T0 + after, n)),
        1 => any::<u128>().prop_map(Uuid::from_u128),
    ]
}

fn read_up_to() -> impl Strategy<Value = Uuid> {
    prop_oneof![2 => Just(Uuid::nil()), 2 => notification_id(), 1 => Just(Uuid::max())]
}

fn body() -> impl Strategy<Value = UserCommandBody> {
    let changes = (1..7u8).prop_map(|n| RoomChange::from_number(n).unwrap());
    let json = select(vec![String::new(), "{}".into(), "[]".into(), "x".repeat(limits::PREFERENCES_BYTES + 1)]);
    let token = || {
        let tokens = vec![String::new(), "t".into(), "u".into(), "x".repeat(limits::PUSH_TOKEN_BYTES + 1)];
        select(tokens)
    };
    let id = || (0..4u8).prop_map(|n| format!("d{n}"));
    prop_oneof![
        3 => (0..3u8, 0..9u64, 0..9u64).prop_map(|(n, seq, no)| read(n, seq, no)),
        2 => name().prop_map(block),
        2 => name().prop_map(unblock),
        3 => (id(), token()).prop_map(|(id, token)| device(&id, &token)),
        1 => id().prop_map(|id| forget(&id)),
        1 => (id(), token()).prop_map(|(id, token)| push_gone(&id, &token)),
        1 => Just(forget_all()),
        2 => (0..3u8, select(vec![0, T0 + 300, u64::MAX])).prop_map(|(n, until)| mute(n, until)),
        2 => (read_up_to(), vec(notification_id(), 0..4)).prop_map(|(up_to, ids)| notifications_read(up_to, &ids)),
        1 => json.prop_map(|json| preferences(&json)),
        4 => (0..3u16, 0..20u64, 0..3u8, changes).prop_map(|(source, offset, n, change)| fact(source, offset, n, change)),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let times = prop_oneof![6 => Just((0u64, 0u64)), 1 => Just((20, 10)), 1 => Just((10, 10))];
    // Some are the records of earlier ones, which a producer repeats.
    let repeats = prop_oneof![4 => Just(None), 1 => (0..16usize).prop_map(Some)];
    vec((0..50u64, times, body(), repeats), 1..60).prop_map(|steps| {
        let mut now = T0;
        let mut history: History = Vec::new();
        for (dt, (delay, ttl_ms), body, repeats) in steps {
            now += dt;
            let earlier = repeats.and_then(|back| history.iter().rev().nth(back)).map(|(_, command)| command.clone());
            let id = Uuid::from_u128(history.len() as u128 + 1);
            let issued_at = Timestamp(now - delay);
            let new = UserCommand { user: user("ann"), id, issued_at, ttl_ms, body };
            history.push((Timestamp(now), earlier.unwrap_or(new)));
        }
        history
    })
}

fn outcomes(state: &mut UserState, history: &[(Timestamp, UserCommand)]) -> Vec<UserOutcome> {
    history.iter().map(|(now, command)| state.fold(*now, command.clone())).collect()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_user_decides_as_the_naive_model_does(history in history()) {
        let (mut state, mut model) = (UserState::new(user("ann")), Model::default());
        for (now, command) in &history {
            let expected = model.fold(*now, command);
            let (before, mut restored) = (state.clone(), UserState::from_snapshot(state.snapshot()));
            let outcome = state.fold(*now, command.clone());
            prop_assert_eq!(&outcome, &expected);
            prop_assert_eq!(&restored.fold(*now, command.clone()), &expected);
            prop_assert_eq!(state.hash(), restored.hash());
            match &outcome {
                UserOutcome::Event(event) => {
                    prop_assert_eq!(event.seq.0, before.head().0 + 1);
                    prop_assert_eq!(&event::from_text::<UserEvent>(&event::text_of(event.as_ref())).unwrap(), event.as_ref());
                }
                UserOutcome::Quiet(_) => prop_assert_eq!(state.head(), before.head()),
                UserOutcome::Duplicate { .. } => prop_assert_eq!(&state, &before),
                UserOutcome::Unchanged | UserOutcome::Rejected(_) => {
                    let parts = UserSnapshot { decisions: before.snapshot().decisions, ..state.snapshot() };
                    prop_assert_eq!(parts, before.snapshot());
                }
            }
        }
        for n in 0..3 {
            prop_assert_eq!(state.read(room(n)), model.mark(room(n)));
            let listed = state.room(room(n)).map(|listed| (listed.change, listed.since));
            prop_assert_eq!(listed, model.listed(room(n)));
        }
        for n in 0..4 {
            let id = DeviceId::new(&format!("d{n}")).unwrap();
            let token = state.devices().find(|(other, _)| **other == id).map(|(_, known)| known.push_token.as_str());
            prop_assert_eq!(token, model.push_token(&id));
        }
        for name in ["bob", "cat", "anon:1"] {
            prop_assert_eq!(state.is_blocking(&user(name)), model.blocks(&user(name)));
        }
    }

    #[test]
    fn a_prefix_gives_the_same_state_however_it_is_cut(history in history(), cut in any::<prop::sample::Index>()) {
        let mut whole = UserState::new(user("ann"));
        let all = outcomes(&mut whole, &history);
        let cut = cut.index(history.len());
        let mut first = UserState::new(user("ann"));
        let mut pieces = outcomes(&mut first, &history[..cut]);
        let mut second = UserState::from_snapshot(first.snapshot());
        pieces.extend(outcomes(&mut second, &history[cut..]));
        prop_assert_eq!(all, pieces);
        prop_assert_eq!(whole.hash(), second.hash());
        prop_assert_eq!(whole, second);
    }

    #[test]
    fn a_record_carries_its_command(history in history()) {
        for (_, command) in &history {
            prop_assert_eq!(&payload::decode(&payload::envelope(command.clone())).unwrap(), command);
        }
    }

    /// The relay may repeat, at any time, whatever it sent: nothing happens twice.
    #[test]
    fn repeated_facts_change_nothing(history in history(), again in vec(any::<prop::sample::Index>(), 20)) {
        let mut state = UserState::new(user("ann"));
        outcomes(&mut state, &history);
        let (before, now) = (state.clone(), history.last().unwrap().0);
        for index in again {
            let (_, command) = &history[index.index(history.len())];
            if matches!(command.body, UserCommandBody::RoomFact(_)) {
                let command = UserCommand { ttl_ms: 0, ..command.clone() };
                if history.iter().any(|(_, old)| old.body == command.body && old.ttl_ms == 0) {
                    prop_assert_eq!(state.fold(now, command.clone()), UserOutcome::Unchanged);
                }
            }
        }
        prop_assert_eq!(state, before);
    }

    #[test]
    fn any_payload_has_a_decision(history in history(), kind in 999..1011u32, bytes in vec(any::<u8>(), 0..60)) {
        let mut state = UserState::new(user("ann"));
        outcomes(&mut state, &history);
        let now = history.last().unwrap().0;
        let mut envelope = payload::envelope(history[0].1.clone());
        envelope.kind = kind;
        envelope.payload = bytes.into();
        let mut again = state.clone();
        let decide = |state: &mut UserState| match payload::decode(&envelope) {
            Ok(command) => state.fold(now, command.clone()),
            Err(reject) => {
                assert_eq!(reject, Reject::Invalid);
                UserOutcome::Rejected(reject)
            }
        };
        prop_assert_eq!(decide(&mut state), decide(&mut again));
        prop_assert_eq!(state.hash(), again.hash());
    }
}
