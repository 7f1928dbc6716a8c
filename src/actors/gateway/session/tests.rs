//! The core of a session: the order of orders and commands, what is told of subscriptions, and the pace of who does not read.

use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::drain::{Drain, Judged};
use super::subscriptions::{Sub, Told};
use super::*;
use crate::actors::gateway::feed::{Ending, Subscribed};
use crate::actors::gateway::outbox::{OutboxItem, Pushed, Signal};
use crate::actors::wire::Denial;
use crate::ids::{Generation, Seq};

/// Commands are a number and what they are about.
enum Plain {}

impl Dialect for Plain {
    type Command = (u32, Option<&'static str>);
    type Wish = ();
    type Place = ();

    fn about(command: &Self::Command) -> Option<&str> {
        command.1
    }
}

type Core = SessionCore<Plain>;

fn asked(core: &mut Core, channel: &str) -> u32 {
    let key = core.subs.next_key();
    core.subs.add(Sub::asked(key, channel.into(), (), ()));
    key
}

fn begins(key: u32, recovered: bool) -> Signal {
    let reply = Subscribed { generation: Generation(1), offset: Seq(3), recovered, events: Vec::new() };
    Signal::Subscribed { key, reply }
}

/// The numbers of the commands that are carried out now; what is ordered is obeyed.
fn carried_out(core: &mut Core, held: bool, outbox: &Outbox<u32>) -> Vec<u32> {
    let steps = std::iter::from_fn(|| core.step(held, Some(outbox)));
    steps.filter_map(|step| if let Step::Command((number, _)) = step { Some(number) } else { None }).collect()
}

#[test]
fn an_order_to_close_is_obeyed_before_the_next_command_and_nothing_follows_it() {
    let (mut core, outbox) = (Core::new(), Outbox::<u32>::new(1_000));
    core.receive(vec![(1, None), (2, None)]);
    assert!(matches!(core.step(false, Some(&outbox)), Some(Step::Command((1, _)))));
    outbox.order(Order::Unsubscribe { channel: "x".into() });
    outbox.order(Order::close(3503));
    outbox.order(Order::close(3001));
    assert!(matches!(core.step(false, Some(&outbox)), Some(Step::Obey(Order::Unsubscribe { .. }))));
    assert!(core.step(false, Some(&outbox)).is_none());
    core.receive(vec![(3, None)]);
    assert!(core.step(false, Some(&outbox)).is_none() && !core.wants_frames(false, Some(&outbox)));
    core.close(3001, Some("later".into()));
    assert_eq!(core.closing(), Some(&Close { code: 3503, reason: None }));
}

#[test]
fn orders_are_obeyed_while_commands_are_held() {
    let (mut core, outbox) = (Core::new(), Outbox::<u32>::new(1_000));
    core.receive(vec![(1, None)]);
    outbox.order(Order::Expire(None));
    assert!(matches!(core.step(true, Some(&outbox)), Some(Step::Obey(Order::Expire(None)))));
    assert!(core.step(true, Some(&outbox)).is_none());
    assert_eq!(carried_out(&mut core, false, &outbox), [1]);
}

#[test]
fn a_command_about_a_channel_waits_until_its_subscription_is_answered_and_those_behind_it_wait_too() {
    let outbox = Outbox::new(1_000);
    for answer in [|key| begins(key, true), |key| Signal::Refused { key, reason: Denial::NotMember }] {
        let mut core = Core::new();
        let key = asked(&mut core, "a");
        core.receive(vec![(1, Some("b")), (2, Some("a")), (3, None)]);
        assert_eq!(carried_out(&mut core, false, &outbox), [1]);
        assert!(!core.wants_frames(false, Some(&outbox)));
        assert!(core.subs.signal(answer(key)).is_some());
        assert_eq!(carried_out(&mut core, false, &outbox), [2, 3]);
        assert!(core.wants_frames(false, Some(&outbox)));
    }
}

#[test]
fn no_command_is_taken_while_too_much_is_unanswered_kept_or_unread() {
    let (mut core, outbox) = (Core::new(), Outbox::<u32>::new(1_000));
    for (count, bytes) in [(limits::SESSION_INFLIGHT, 0), (1, limits::CALLS_BYTES)] {
        core.receive(vec![(1, None)]);
        (0..count).for_each(|_| core.asked(bytes));
        assert!(carried_out(&mut core, false, &outbox).is_empty());
        (0..count).for_each(|_| core.answered(bytes));
        assert_eq!(carried_out(&mut core, false, &outbox), [1]);
    }
    core.receive(vec![(2, None)]);
    outbox.push_asked(OutboxItem::Bytes(vec![0; 501].into()));
    assert!(carried_out(&mut core, false, &outbox).is_empty());
}

#[test]
fn what_the_client_is_told_follows_from_the_state_of_its_subscription() {
    let mut core = Core::new();
    let ends = |key| Signal::Ended { key, why: Ending::Insufficient };
    let [own, servers] = [asked(&mut core, "own"), core.subs.next_key()];
    core.subs.add(Sub::asked(servers, "servers".into(), (), ()).server_side(true));
    assert!(matches!(core.subs.signal(begins(own, false)), Some(Told::Begun(..))));
    assert!(matches!(core.subs.signal(ends(own)), Some(Told::Insufficient(sub)) if &*sub.channel == "own"));
    assert!(matches!(core.subs.signal(ends(servers)), Some(Told::Lost(_))));
    assert!(core.subs.signal(ends(own)).is_none() && core.subs.signal(begins(servers, true)).is_none());
    let strict = core.subs.next_key();
    core.subs.add(Sub::asked(strict, "strict".into(), (), ()).must_recover(true));
    assert!(matches!(core.subs.signal(begins(strict, false)), Some(Told::Unrecovered(_))));
    assert!(core.subs.find("strict").is_none());
}

#[test]
fn subscriptions_expire_each_at_its_time() {
    let mut core = Core::new();
    for (channel, at) in [("late", 9), ("soon", 5), ("moved", 3), ("gone", 1)] {
        asked(&mut core, channel);
        core.subs.set_expiry(channel, Some(Duration::from_secs(at)));
    }
    core.subs.set_expiry("moved", None);
    core.subs.remove("gone");
    assert_eq!(core.subs.next_expiry(), Some(Duration::from_secs(5)));
    let mut expired = |at| core.subs.take_expired(Duration::from_secs(at)).map(|sub| sub.channel.to_string());
    assert_eq!([expired(4), expired(5), expired(5)], [None, Some("soon".to_owned()), None]);
    assert_eq!(core.subs.next_expiry(), Some(Duration::from_secs(9)));
}

#[test]
fn a_client_is_too_slow_if_it_takes_less_than_it_owes_in_the_grace() {
    let (mut drain, outbox) = (Drain::default(), Outbox::<u32>::new(100));
    let mut cx = Context::from_waker(Waker::noop());
    let (grace, at) = (Duration::from_secs(5), Duration::from_secs);
    outbox.push_asked(OutboxItem::Bytes(vec![0; 90].into()));
    assert!(!drain.watch(&Outbox::<u32>::new(100), at(0), grace, &mut cx));
    assert_eq!(outbox.push(Bytes::from_static(&[0; 20]), || 7), Pushed::No);
    assert!(drain.watch(&outbox, at(1), grace, &mut cx));
    assert!(!drain.watch(&outbox, at(2), grace, &mut cx));
    assert_eq!((drain.judged_at(), drain.judge(at(5), grace)), (Some(at(6)), None));
    drain.wrote(100);
    assert_eq!((drain.judge(at(6), grace), drain.judged_at()), (Some(Judged::Passed), Some(at(11))));
    drain.wrote(99);
    assert_eq!(drain.judge(at(11), grace), Some(Judged::TooSlow));
    // It read all the same: nothing is judged any more.
    assert!(drain.next(&outbox, || false, &mut cx).is_some() && drain.next(&outbox, || false, &mut cx).is_none());
    assert_eq!(drain.judged_at(), None);
}

/// What happens to a session.
#[derive(Clone, Debug)]
enum Happens {
    Command(Option<&'static str>),
    Asks(&'static str),
    Answer(usize, bool),
    Order,
    Close,
    Held(bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    let channel = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        6 => prop::option::of(channel()).prop_map(Happens::Command),
        3 => channel().prop_map(Happens::Asks),
        3 => (0..4_usize, any::<bool>()).prop_map(|(at, begins)| Happens::Answer(at, begins)),
        1 => Just(Happens::Order),
        1 => Just(Happens::Close),
        1 => any::<bool>().prop_map(Happens::Held),
    ]
}

proptest! {
    #[test]
    fn commands_keep_their_order_wait_for_their_channel_and_end_with_the_order_to_close(
        all in prop::collection::vec(happens(), 0..60)
    ) {
        let (mut core, outbox) = (Core::new(), Outbox::<u32>::new(1_000));
        let (mut held, mut said, mut done, mut closed) = (false, Vec::new(), 0, false);
        let mut pending: Vec<(u32, &str)> = Vec::new();
        for one in all {
            match one {
                Happens::Command(about) => {
                    said.push(about);
                    core.receive(vec![(said.len() as u32, about)]);
                }
                Happens::Asks(channel) if core.subs.find(channel).is_none() => {
                    pending.push((asked(&mut core, channel), channel));
                }
                Happens::Answer(at, true) if at < pending.len() => {
                    core.subs.signal(begins(pending.remove(at).0, true));
                }
                Happens::Answer(at, false) if at < pending.len() => {
                    core.subs.signal(Signal::Refused { key: pending.remove(at).0, reason: Denial::NoRoom });
                }
                Happens::Asks(_) | Happens::Answer(..) => {}
                Happens::Order => outbox.order(Order::Expire(None)),
                Happens::Close => {
                    outbox.order(Order::close(3503));
                    closed = true;
                }
                Happens::Held(now) => held = now,
            }
            let numbers = carried_out(&mut core, held, &outbox);
            prop_assert!(numbers.is_empty() || (!closed && !held));
            for number in numbers {
                done += 1;
                prop_assert_eq!(number, done);
            }
            let waits = |about: &Option<&str>| pending.iter().any(|(_, channel)| *about == Some(*channel));
            let next = said.get(done as usize);
            prop_assert!(closed || held || next.is_none_or(waits), "nothing is held back without a reason");
            prop_assert_eq!(core.closing().is_some(), closed);
        }
    }
}
