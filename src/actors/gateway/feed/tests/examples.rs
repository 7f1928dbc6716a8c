//! The feed, case by case.

use super::support::{Owner, Recorder, event, message, stream, user};
use crate::actors::gateway::feed::{Ending, Feed, Position};
use crate::actors::wire::{Denial, EventBody, StreamEvent, ToGateway, ToOwner};
use crate::epoch::Epoch;
use crate::ids::{Generation, Seq, Timestamp};
use crate::limits;

/// A feed and its owner with a line between them that loses nothing unless told to.
struct World {
    feed: Feed<u32>,
    owner: Owner,
    out: Recorder,
    now: Timestamp,
}

impl World {
    fn new(members: &[&str]) -> Self {
        let now = Timestamp(1_000);
        Self { feed: Feed::new(stream(), false, now), owner: Owner::new(members), out: Recorder::default(), now }
    }

    fn with_messages(members: &[&str], count: u64) -> Self {
        let mut world = Self::new(members);
        for _ in 0..count {
            let _ = world.owner.send();
        }
        world
    }

    fn subscribe(&mut self, who: u32, name: &str, from: Option<u64>) -> super::super::SubscriberId {
        let position = from.map(|offset| Position { epoch: Epoch::Of(Generation::FIRST), offset: Seq(offset) });
        self.feed.subscribe(who, user(name), position, self.now, &mut self.out)
    }

    fn receive(&mut self, frame: &ToGateway) {
        self.feed.receive(frame, self.now, &mut self.out);
    }

    /// Answers questions until there are none.
    fn settle(&mut self) {
        loop {
            let sent = self.out.take_sent();
            if sent.is_empty() {
                return;
            }
            for frame in sent {
                if let Some(answer) = self.owner.answer(&frame) {
                    self.receive(&answer);
                }
            }
        }
    }

    fn publish(&mut self) {
        let frame = self.owner.send();
        self.receive(&frame);
    }

    fn pass(&mut self, ms: u64) -> bool {
        self.now.0 += ms;
        self.feed.tick(self.now, &mut self.out)
    }

    fn seqs(&mut self, who: u32) -> Vec<u64> {
        self.out.seen(who).seqs()
    }
}

#[test]
fn a_new_subscriber_starts_at_the_head() {
    let mut world = World::with_messages(&["ann"], 3);
    world.subscribe(1, "ann", None);
    world.settle();
    assert_eq!(world.out.seen(1).begun, Some((Seq(3), false)));
    world.publish();
    assert_eq!(world.seqs(1), [4]);
}

#[test]
fn a_stranger_is_refused() {
    let mut world = World::with_messages(&["ann"], 3);
    world.subscribe(1, "eve", None);
    world.settle();
    world.publish();
    assert_eq!(world.out.seen(1).refused, Some(Denial::NotMember));
    assert!(world.seqs(1).is_empty());
}

#[test]
fn doubled_and_overtaken_events_come_once_and_in_order() {
    let mut world = World::new(&["ann"]);
    world.subscribe(1, "ann", None);
    world.settle();
    let frames = [world.owner.send(), world.owner.send(), world.owner.send()];
    for at in [0, 2, 2, 0, 1, 1, 0, 2] {
        world.receive(&frames[at]);
    }
    assert_eq!(world.seqs(1), [1, 2, 3]);
}

#[test]
fn a_gap_is_fetched_once_and_asked_for_again_after_a_while() {
    let mut world = World::new(&["ann"]);
    world.subscribe(1, "ann", None);
    world.settle();
    let _lost = world.owner.send();
    world.publish();
    world.publish();
    let fetches = world.out.take_sent();
    assert!(matches!(fetches[..], [ToOwner::Fetch { from: Seq(1), to: Seq(1), .. }]), "{fetches:?}");
    world.pass(limits::GATEWAY_RETRY_MS);
    assert!(matches!(world.out.sent[..], [ToOwner::Fetch { from: Seq(1), .. }]));
    world.settle();
    assert_eq!(world.seqs(1), [1, 2, 3]);
}

#[test]
fn the_lost_last_message_is_found_by_the_announced_head() {
    let mut world = World::new(&["ann"]);
    world.subscribe(1, "ann", None);
    world.settle();
    let _lost = world.owner.send();
    let head = world.owner.head_frame();
    world.receive(&head);
    world.settle();
    assert_eq!(world.seqs(1), [1]);
}

#[test]
fn a_gap_that_cannot_be_fetched_sends_everybody_to_recover() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.subscribe(2, "bob", None);
    world.settle();
    let _lost = world.owner.send();
    world.publish();
    world.owner.store_down = true;
    for _ in 0..11 {
        world.settle();
        world.pass(limits::GATEWAY_RETRY_MS);
    }
    assert_eq!(world.out.seen(1).ended, Some(Ending::Insufficient));
    assert_eq!(world.out.seen(2).ended, Some(Ending::Insufficient));
    assert!(world.seqs(1).is_empty());
}

#[test]
fn a_kicked_member_sees_the_kick_and_nothing_after_it() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.subscribe(2, "bob", None);
    world.settle();
    world.publish();
    let _ = (world.owner.kick("bob"), world.owner.send());
    let both = world.owner.events_from(Seq(2));
    world.receive(&both);
    assert_eq!(world.seqs(1), [1, 2, 3]);
    assert_eq!(world.seqs(2), [1, 2]);
    assert_eq!(world.out.seen(2).ended, Some(Ending::Removed));
}

#[test]
fn who_was_kicked_and_has_come_back_recovers_across_the_old_kick() {
    let mut world = World::with_messages(&["ann", "bob"], 2);
    let _missed = (world.owner.kick("bob"), world.owner.send(), world.owner.join("bob"), world.owner.send());
    world.subscribe(1, "ann", None);
    world.subscribe(2, "bob", Some(1));
    world.settle();
    assert_eq!((world.out.seen(2).begun.unwrap().1, world.seqs(2)), (true, vec![2, 3, 4, 5, 6]));
    world.publish();
    assert_eq!(world.out.seen(2).ended, None, "he is a member since 5");
    let kick = world.owner.kick("bob");
    world.receive(&kick);
    assert_eq!((world.out.seen(2).ended, world.seqs(2).last()), (Some(Ending::Removed), Some(&8)));
}

#[test]
fn a_grant_from_before_a_kick_that_has_passed_is_asked_for_again() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.settle();
    world.subscribe(2, "bob", None);
    let listen = world.out.take_sent().remove(0);
    let grant = world.owner.answer(&listen).unwrap();
    let kick = world.owner.kick("bob");
    world.receive(&kick);
    world.receive(&grant);
    assert_eq!(world.out.seen(2).begun, None);
    world.settle();
    assert_eq!(world.out.seen(2).refused, Some(Denial::NotMember));
}

#[test]
fn a_grant_above_the_head_waits_for_the_events_below_it() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.settle();
    let _lost = (world.owner.send(), world.owner.send());
    world.subscribe(2, "bob", None);
    let listen = world.out.take_sent().remove(0);
    let grant = world.owner.answer(&listen).unwrap();
    world.receive(&grant);
    assert_eq!(world.out.seen(2).begun, None);
    world.settle();
    assert_eq!(world.seqs(1), [1, 2]);
    assert_eq!(world.out.seen(2).begun, Some((Seq(2), false)));
}

#[test]
fn recovery_from_the_ring_is_in_the_reply() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.settle();
    for _ in 0..5 {
        world.publish();
    }
    world.subscribe(2, "bob", Some(2));
    world.settle();
    assert_eq!(world.out.seen(2).begun, Some((Seq(2), true)));
    world.publish();
    assert_eq!(world.seqs(2), [3, 4, 5, 6]);
}

#[test]
fn a_long_absence_is_fetched_in_pages_before_anything_newer() {
    let mut world = World::with_messages(&["ann"], 40);
    world.subscribe(1, "ann", Some(0));
    let listen = world.out.take_sent();
    let grant = world.owner.answer(&listen[0]).unwrap();
    world.receive(&grant);
    assert_eq!(world.out.seen(1).begun, None, "the reply waits for the first page");
    world.publish();
    let fetch = world.out.take_sent();
    let page = world.owner.answer(&fetch[0]).unwrap();
    world.receive(&page);
    assert_eq!(world.out.seen(1).begun, Some((Seq(0), true)));
    world.publish();
    world.settle();
    assert_eq!(world.seqs(1), (1..=42).collect::<Vec<_>>());
}

#[test]
fn the_reply_holds_at_most_its_bound_and_the_rest_follows() {
    let mut world = World::with_messages(&["ann"], 1_000);
    world.owner.page = 1_000;
    world.subscribe(1, "ann", Some(0));
    world.settle();
    let seen = world.out.seen(1);
    assert_eq!(seen.begun, Some((Seq(0), true)));
    assert!(seen.in_reply <= limits::RECOVERY_REPLY_PUBLICATIONS, "{}", seen.in_reply);
    assert_eq!(world.seqs(1), (1..=1_000).collect::<Vec<_>>());
}

#[test]
fn who_takes_nothing_is_waited_for_and_loses_nothing() {
    let mut world = World::with_messages(&["ann", "bob"], 20);
    world.subscribe(2, "bob", None);
    world.settle();
    let weight = message(1).weight();
    world.out.room.insert(1, weight * 3);
    world.subscribe(1, "ann", Some(0));
    world.settle();
    world.out.room.insert(1, 0);
    for _ in 0..30 {
        world.publish();
    }
    world.settle();
    let before = world.seqs(1).len();
    assert!(before < 20, "{before}");
    for _ in 0..60 {
        if let Some(id) = world.out.waiting_for_room.remove(&1) {
            world.out.room.insert(1, weight * 2);
            world.feed.resume(id, world.now, &mut world.out);
        }
        world.settle();
        if world.seqs(1).len() < 50 {
            world.out.room.insert(1, 0);
            world.publish_nothing();
        }
    }
    world.out.room.remove(&1);
    world.settle();
    assert_eq!(world.seqs(1), (1..=50).collect::<Vec<_>>());
}

impl World {
    /// A head that says nothing new makes the feed try what it can.
    fn publish_nothing(&mut self) {
        let head = self.owner.head_frame();
        self.receive(&head);
    }
}

#[test]
fn who_takes_nothing_more_lags_and_is_caught_up_later() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.subscribe(2, "bob", None);
    world.settle();
    world.out.room.insert(1, 0);
    world.publish();
    world.publish();
    assert_eq!((world.seqs(1).len(), world.seqs(2)), (0, vec![1, 2]));
    assert!(world.feed.has_behind());
    world.out.room.remove(&1);
    let id = world.out.waiting_for_room.remove(&1).unwrap();
    world.feed.resume(id, world.now, &mut world.out);
    world.publish();
    assert_eq!(world.seqs(1), [1, 2, 3]);
    assert!(!world.feed.has_behind());
}

#[test]
fn what_is_gone_or_of_another_epoch_is_not_recovered() {
    let mut world = World::with_messages(&["ann"], 20);
    world.owner.floor = Seq(10);
    world.subscribe(1, "ann", Some(8));
    world.subscribe(2, "ann", Some(9));
    world.subscribe(3, "ann", Some(21));
    let other = Position { epoch: Epoch::Of(Generation(9)), offset: Seq(15) };
    world.feed.subscribe(4, user("ann"), Some(other), world.now, &mut world.out);
    let none = Position { epoch: Epoch::Foreign, offset: Seq(15) };
    world.feed.subscribe(5, user("ann"), Some(none), world.now, &mut world.out);
    let unnamed = Position { epoch: Epoch::Unnamed, offset: Seq(15) };
    world.feed.subscribe(6, user("ann"), Some(unnamed), world.now, &mut world.out);
    world.settle();
    assert_eq!(world.seqs(6), (16..=20).collect::<Vec<_>>());
    assert_eq!(world.out.seen(1).begun, Some((Seq(20), false)));
    assert!(world.out.seen(2).begun.unwrap().1);
    assert_eq!(world.seqs(2), (10..=20).collect::<Vec<_>>());
    for who in [3, 4, 5] {
        assert_eq!(world.out.seen(who).begun, Some((Seq(20), false)), "{who}");
    }
}

#[test]
fn what_vanishes_between_grant_and_fetch_is_not_called_recovered() {
    let mut world = World::with_messages(&["ann"], 20);
    world.subscribe(1, "ann", Some(2));
    let listen = world.out.take_sent().remove(0);
    let grant = world.owner.answer(&listen).unwrap();
    world.receive(&grant);
    world.owner.floor = Seq(10);
    world.settle();
    assert_eq!(world.out.seen(1).begun, Some((Seq(20), false)));
}

#[test]
fn what_vanishes_in_the_middle_ends_the_subscription() {
    let mut world = World::with_messages(&["ann"], 60);
    world.subscribe(1, "ann", Some(0));
    for _ in 0..2 {
        for frame in world.out.take_sent() {
            let answer = world.owner.answer(&frame).unwrap();
            world.receive(&answer);
        }
    }
    assert!(world.out.seen(1).begun.unwrap().1);
    world.owner.floor = Seq(50);
    world.settle();
    assert_eq!(world.out.seen(1).ended, Some(Ending::Insufficient));
}

#[test]
fn a_new_generation_ends_all_subscriptions() {
    let mut world = World::with_messages(&["ann"], 3);
    world.subscribe(1, "ann", None);
    world.settle();
    world.owner.generation = Generation(2);
    world.publish();
    assert_eq!(world.out.seen(1).ended, Some(Ending::Insufficient));
    world.subscribe(2, "ann", Some(3));
    world.settle();
    assert_eq!(world.out.seen(2).begun, Some((Seq(4), false)));
}

#[test]
fn lost_questions_are_asked_again_and_given_up_in_the_end() {
    let mut world = World::new(&["ann"]);
    world.subscribe(1, "ann", None);
    world.out.take_sent();
    world.pass(limits::GATEWAY_RETRY_MS);
    assert!(matches!(world.out.take_sent()[..], [ToOwner::Listen { .. }]));
    world.pass(limits::GATEWAY_GIVE_UP_MS);
    assert_eq!(world.out.seen(1).refused, Some(Denial::Unavailable));
}

#[test]
fn an_empty_feed_lingers_and_then_says_that_nobody_listens() {
    let mut world = World::new(&["ann"]);
    let id = world.subscribe(1, "ann", None);
    world.settle();
    assert!(!world.feed.needs_ticks());
    assert_eq!(world.feed.unsubscribe(id, world.now), Some(1));
    assert_eq!(world.feed.unsubscribe(id, world.now), None);
    assert!(!world.pass(limits::FEED_LINGER_MS - 1));
    world.publish();
    assert!(world.pass(1));
    assert!(matches!(world.out.take_sent()[..], [ToOwner::Unlisten { .. }]));
}

#[test]
fn a_deleted_body_is_gone_from_the_ring() {
    let mut world = World::new(&["ann"]);
    world.subscribe(1, "ann", None);
    world.settle();
    world.publish();
    let delete = event(2, &user("writer"), EventBody::Deleted { target: Seq(1) });
    world.owner.events.push(delete);
    world.owner.before.push(world.owner.members.clone());
    let frame = world.owner.events_from(Seq(2));
    world.receive(&frame);
    world.owner.store_down = true;
    world.subscribe(2, "ann", Some(0));
    world.settle();
    let StreamEvent::Room(first) = &world.out.seen(2).events[0] else { panic!("a room's event") };
    let EventBody::Message { content, redacted, .. } = &first.body else { panic!("a message") };
    assert!(*redacted && content.body.is_empty());
    let StreamEvent::Room(live) = &world.out.seen(1).events[0] else { panic!("a room's event") };
    assert!(matches!(&live.body, EventBody::Message { redacted: false, .. }), "what was delivered is not changed");
}

#[test]
fn a_new_owner_is_told_who_listens_and_what_was_missed_is_fetched() {
    let mut world = World::new(&["ann", "bob"]);
    world.subscribe(1, "ann", None);
    world.subscribe(2, "bob", None);
    world.settle();
    let _lost = (world.owner.kick("ann"), world.owner.send());
    world.owner.listening = false;
    world.feed.owner_changed(world.now, &mut world.out);
    world.settle();
    assert!(world.owner.listening, "asked on behalf of the first one that is still a member");
    assert_eq!((world.seqs(1), world.seqs(2)), (vec![1], vec![1, 2]));
    assert!(!world.feed.needs_ticks());
}

#[test]
fn an_unavailable_store_refuses_a_recovery_for_now() {
    let mut world = World::with_messages(&["ann"], 5);
    world.owner.store_down = true;
    world.subscribe(1, "ann", Some(1));
    for _ in 0..12 {
        world.settle();
        world.pass(limits::GATEWAY_RETRY_MS);
    }
    assert_eq!(world.out.seen(1).refused, Some(Denial::Unavailable));
}

#[test]
fn a_subscriber_has_his_own_place_and_none_once_the_feed_knows_that_he_is_removed() {
    let mut world = World::new(&["ann", "bob"]);
    let id = world.subscribe(1, "ann", None);
    assert_eq!(world.feed.place(id), None, "he has not begun");
    world.settle();
    world.publish();
    assert_eq!(world.feed.place(id), Some((Generation::FIRST, Seq(1))));
    world.out.room.insert(1, 0);
    world.publish();
    world.publish();
    assert_eq!(world.feed.place(id), Some((Generation::FIRST, Seq(1))), "he did not take what came after it");
    let kick = world.owner.kick("ann");
    world.receive(&kick);
    assert_eq!((world.feed.place(id), world.feed.subscribers().count()), (None, 0));
    assert_eq!(world.out.seen(1).ended, None, "he is told at its place");
    world.out.room.remove(&1);
    world.feed.resume(id, world.now, &mut world.out);
    assert_eq!((world.seqs(1), world.out.seen(1).ended), (vec![1, 2, 3, 4], Some(Ending::Removed)));
}

#[test]
fn a_page_with_a_hole_is_taken_up_to_the_hole_and_the_rest_is_asked_for_again() {
    let mut world = World::with_messages(&["ann"], 6);
    world.subscribe(1, "ann", Some(0));
    let mut pages = 0;
    loop {
        let sent = world.out.take_sent();
        if sent.is_empty() {
            break;
        }
        for mut answer in sent.iter().filter_map(|frame| world.owner.answer(frame)).collect::<Vec<_>>() {
            if let ToGateway::Fetched { events: Ok(page), .. } = &mut answer {
                pages += 1;
                if pages == 1 {
                    *page = page.iter().filter(|event| event.seq() != Seq(3)).cloned().collect();
                }
            }
            world.receive(&answer);
        }
    }
    assert_eq!(world.seqs(1), [1, 2, 3, 4, 5, 6]);
    assert!(pages > 1, "the page with the hole was not enough");
}
