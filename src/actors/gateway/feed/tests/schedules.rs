//! Random schedules: frames are lost, doubled, delayed and overtaken in both directions; subscribers come with and
//! without positions and go; members are kicked and come back. What each subscriber saw is compared with the truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::{Owner, Recorder, stream, user};
use crate::actors::gateway::feed::{Ending, Feed, Position, SubscriberId};
use crate::actors::wire::{RequestId, ToGateway, ToOwner};
use crate::epoch::Epoch;
use crate::ids::{Generation, Seq, Timestamp};
use crate::limits;

const NAMES: [&str; 3] = ["ann", "bob", "cyn"];

#[derive(Clone, Debug)]
enum Step {
    Send,
    Kick(usize),
    Join(usize),
    Subscribe {
        name: usize,
        back: Option<u64>,
    },
    Unsubscribe(usize),
    /// Carries the frame at this place to the owner: the first ones overtake the others.
    ToOwner {
        at: usize,
        fate: Fate,
    },
    ToGateway {
        at: usize,
        fate: Fate,
    },
    Head,
    Pass(u64),
    OwnerChanged,
    Room {
        who: usize,
        bytes: usize,
    },
    Floor(u64),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Doubled,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Arrives), 1 => Just(Fate::Lost), 1 => Just(Fate::Doubled)]
}

fn step() -> impl Strategy<Value = Step> {
    let at = prop_oneof![4 => Just(0usize), 1 => 0usize..6];
    prop_oneof![
        10 => Just(Step::Send),
        2 => (0usize..3).prop_map(Step::Kick),
        2 => (0usize..3).prop_map(Step::Join),
        4 => (0usize..3, proptest::option::of(0u64..20))
            .prop_map(|(name, back)| Step::Subscribe { name, back }),
        1 => (0usize..8).prop_map(Step::Unsubscribe),
        14 => (at.clone(), fate()).prop_map(|(at, fate)| Step::ToOwner { at, fate }),
        20 => (at, fate()).prop_map(|(at, fate)| Step::ToGateway { at, fate }),
        2 => Just(Step::Head),
        3 => prop_oneof![Just(50u64), Just(1_000), Just(3_000)].prop_map(Step::Pass),
        1 => Just(Step::OwnerChanged),
        2 => (0usize..8, prop_oneof![Just(0usize), Just(900), Just(100_000)])
            .prop_map(|(who, bytes)| Step::Room { who, bytes }),
        1 => (0u64..4).prop_map(Step::Floor),
    ]
}

struct Sub {
    name: &'static str,
    id: SubscriberId,
    asked_from: Option<u64>,
    gone: bool,
}

struct World {
    feed: Feed<u32>,
    owner: Owner,
    out: Recorder,
    now: Timestamp,
    up: Vec<ToOwner>,
    down: Vec<ToGateway>,
    subs: Vec<Sub>,
    /// The last head granted to each subscriber before he began.
    granted: BTreeMap<u32, Seq>,
    /// Who asked under which number.
    asker: BTreeMap<RequestId, String>,
}

impl World {
    fn new(history: u64) -> Self {
        let now = Timestamp(1_000_000);
        let mut owner = Owner::new(&NAMES);
        for _ in 0..history {
            let _ = owner.send();
        }
        Self {
            feed: Feed::new(stream(), false, now),
            owner,
            out: Recorder::default(),
            now,
            up: Vec::new(),
            down: Vec::new(),
            subs: Vec::new(),
            granted: BTreeMap::new(),
            asker: BTreeMap::new(),
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Send => {
                let frame = self.owner.send();
                self.owner_says(frame);
            }
            Step::Kick(name) if self.owner.members.contains(&user(NAMES[*name])) => {
                let frame = self.owner.kick(NAMES[*name]);
                self.owner_says(frame);
            }
            Step::Join(name) if !self.owner.members.contains(&user(NAMES[*name])) => {
                let frame = self.owner.join(NAMES[*name]);
                self.owner_says(frame);
            }
            Step::Kick(_) | Step::Join(_) => {}
            Step::Subscribe { name, back } => {
                let asked_from = back.map(|back| self.owner.head().0.saturating_sub(back));
                let position =
                    asked_from.map(|offset| Position { epoch: Epoch::Of(Generation::FIRST), offset: Seq(offset) });
                let who = self.subs.len() as u32;
                let id = self.feed.subscribe(who, user(NAMES[*name]), position, self.now, &mut self.out);
                self.subs.push(Sub { name: NAMES[*name], id, asked_from, gone: false });
            }
            Step::Unsubscribe(who) => {
                if let Some(sub) = self.subs.get_mut(*who) {
                    sub.gone |= self.feed.unsubscribe(sub.id, self.now).is_some();
                }
            }
            Step::ToOwner { at, fate } => self.carry_up(*at, *fate),
            Step::ToGateway { at, fate } => self.carry_down(*at, *fate),
            Step::Head => self.owner_says(self.owner.head_frame()),
            Step::Pass(ms) => self.pass(*ms),
            Step::OwnerChanged => self.feed.owner_changed(self.now, &mut self.out),
            Step::Room { who, bytes } => {
                self.out.room.insert(*who as u32, *bytes);
                self.give_room(*who as u32);
            }
            Step::Floor(up) => {
                self.owner.floor = Seq((self.owner.floor.0 + up).min(self.owner.head().0 + 1));
            }
        }
        self.after();
    }

    fn owner_says(&mut self, frame: ToGateway) {
        if self.owner.listening {
            self.down.push(frame);
        }
    }

    fn carry_up(&mut self, at: usize, fate: Fate) {
        if self.up.is_empty() {
            return;
        }
        let frame = self.up.remove(at % self.up.len());
        let times = match fate {
            Fate::Lost => 0,
            Fate::Arrives => 1,
            Fate::Doubled => 2,
        };
        for _ in 0..times {
            if let Some(answer) = self.owner.answer(&frame) {
                self.down.push(answer);
            }
        }
    }

    fn carry_down(&mut self, at: usize, fate: Fate) {
        if self.down.is_empty() {
            return;
        }
        let at = at % self.down.len();
        let frame = if matches!(fate, Fate::Doubled) { self.down[at].clone() } else { self.down.remove(at) };
        if !matches!(fate, Fate::Lost) {
            self.receive(&frame);
        }
    }

    fn receive(&mut self, frame: &ToGateway) {
        self.feed.receive(frame, self.now, &mut self.out);
    }

    fn give_room(&mut self, who: u32) {
        if self.out.room.get(&who) != Some(&0)
            && let Some(id) = self.out.waiting_for_room.remove(&who)
        {
            self.feed.resume(id, self.now, &mut self.out);
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.0 += ms;
        if self.feed.tick(self.now, &mut self.out) {
            self.feed = Feed::new(stream(), false, self.now);
        }
    }

    fn after(&mut self) {
        for frame in self.out.take_sent() {
            if let ToOwner::Listen { request, user, .. } = &frame {
                self.asker.insert(*request, user.to_string());
            }
            self.up.push(frame);
        }
        // The lowest bound that is certain: the highest head granted so far to anybody of that name.
        for (who, seen) in &self.out.seen {
            if seen.begun.is_some() && !self.granted.contains_key(who) {
                let name = self.subs[*who as usize].name;
                let grants = self.owner.grants.iter().filter(|(request, _)| self.asker[request] == name);
                let head = grants.map(|(_, head)| *head).max().expect("nobody begins without a grant");
                self.granted.insert(*who, head);
            }
        }
    }

    /// The line is good again: everything that is due arrives.
    fn calm_down(&mut self) {
        self.out.room.clear();
        for who in 0..self.subs.len() as u32 {
            if let Some(id) = self.out.waiting_for_room.remove(&who) {
                self.feed.resume(id, self.now, &mut self.out);
                self.after();
            }
        }
        for _ in 0..30 {
            self.owner_says(self.owner.head_frame());
            while !(self.up.is_empty() && self.down.is_empty()) {
                self.carry_up(0, Fate::Arrives);
                self.carry_down(0, Fate::Arrives);
                self.after();
            }
            self.now.0 += limits::GATEWAY_RETRY_MS;
            if self.feed.tick(self.now, &mut self.out) {
                self.feed = Feed::new(stream(), false, self.now);
            }
            self.after();
        }
    }

    fn check(&mut self) {
        for (who, sub) in self.subs.iter().enumerate() {
            let seen = self.out.seen.remove(&(who as u32)).unwrap_or_default();
            let Some((offset, recovered)) = seen.begun else {
                assert!(sub.gone || seen.refused.is_some(), "{who} waits for ever");
                continue;
            };
            assert!(!recovered || sub.asked_from == Some(offset.0), "{who} is told to go on from {offset}");
            // Dense from his position on.
            let first = if recovered { sub.asked_from.unwrap() + 1 } else { offset.0 + 1 };
            let expected: Vec<u64> = (first..first + seen.events.len() as u64).collect();
            assert_eq!(seen.seqs(), expected, "{who}: {seen:?}");
            // Each as the owner has it.
            for event in &seen.events {
                assert_eq!(event, &self.owner.events[event.seq().0 as usize - 1]);
            }
            // Nothing above his removal.
            let granted = self.granted[&(who as u32)];
            for event in seen.events.iter().filter(|event| event.seq() > granted) {
                let members = &self.owner.before[event.seq().0 as usize - 1];
                assert!(members.contains(&user(sub.name)), "{who} sees {} after his removal", event.seq());
            }
            let last = seen.events.last();
            match seen.ended {
                Some(Ending::Removed) => {
                    assert_eq!(last.and_then(|event| event.removes()), Some(&user(sub.name)), "{who}");
                }
                Some(Ending::Insufficient) => {}
                None if sub.gone => {}
                None => {
                    // He listens still: he has everything.
                    let reached = last.map_or(offset, |event| event.seq());
                    assert_eq!(reached, self.owner.head(), "{who} lacks the end: {seen:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn each_subscriber_sees_exactly_the_events_after_his_position(
        history in 0u64..30,
        steps in proptest::collection::vec(step(), 1..250),
    ) {
        let mut world = World::new(history);
        for step in &steps {
            world.run(step);
        }
        world.calm_down();
        world.check();
    }
}
