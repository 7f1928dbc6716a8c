//! The hub with an owner that answers when the test says so.

mod crowd;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use super::*;
use crate::actors::gateway::feed::tests::support::{Owner, stream, user};
use crate::actors::gateway::feed::{Ending, SubscriberId};
use crate::actors::gateway::order::Order;
use crate::actors::gateway::outbox::{Outbox, OutboxItem, OutboxTake, Signal};
use crate::actors::wire::Denial;
use crate::env::ManualClock;
use crate::epoch::Epoch;
use crate::ids::{Generation, Seq};
use crate::limits;

/// Encodes as `wire:channel:seq,seq`, and counts how often.
#[derive(Default)]
struct Plain(AtomicUsize);

impl Encode for Plain {
    fn events(&self, wire: Wire, channel: &str, _: bool, events: &[StreamEvent]) -> Bytes {
        self.0.fetch_add(1, Ordering::Relaxed);
        let seqs: Vec<_> = events.iter().map(|event| event.seq().to_string()).collect();
        format!("{wire:?}:{channel}:{}", seqs.join(",")).into()
    }

    fn ephemeral(&self, _: Wire, channel: &str, _: &Ephemeral) -> Bytes {
        format!("ephemeral:{channel}").into()
    }

    fn join(&self, _: Wire, _: &str, who: &Presence) -> Bytes {
        format!("join:{}", who.user).into()
    }

    fn leave(&self, _: Wire, _: &str, who: &Presence) -> Bytes {
        format!("leave:{}", who.user).into()
    }
}

/// The way to the owner: keeps what is sent, unless it is full.
#[derive(Default)]
struct Line {
    sent: Mutex<Vec<ToOwner>>,
    full: AtomicBool,
    numbers: AtomicU64,
}

impl Owners for Line {
    fn send(&self, frame: ToOwner) -> Result<(), NotTaken> {
        if self.full.load(Ordering::Relaxed) {
            return Err(NotTaken);
        }
        lock(&self.sent).push(frame);
        Ok(())
    }

    fn next_request(&self) -> RequestId {
        RequestId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }
}

struct World {
    hub: Hub,
    owner: Owner,
    line: Arc<Line>,
    encoder: Arc<Plain>,
    clock: Arc<ManualClock>,
}

fn world(members: &[&str]) -> World {
    let line: Arc<Line> = Arc::default();
    let (encoder, clock) = (Arc::new(Plain::default()), Arc::new(ManualClock::new(Timestamp(1_000_000))));
    let hub = Hub::new(line.clone(), encoder.clone(), clock.clone(), Arc::new(Metrics::new()));
    World { hub, owner: Owner::new(members), line, encoder, clock }
}

fn connection(name: &str, wire: Wire, most: usize) -> Arc<Connection> {
    let client = Uuid::from_u128(u128::from(name.as_bytes()[0]));
    Arc::new(Connection {
        client,
        user: user(name),
        wire,
        info: None,
        outbox: Outbox::new(most),
        since: Timestamp::ZERO,
        sign_in: None,
        commands: AtomicU32::new(0),
    })
}

use uuid::Uuid;

const CHANNEL: &str = "room:7";

fn room(open: bool) -> StreamKey {
    StreamKey { stream: stream(), open }
}

impl World {
    fn subscribe(&self, connection: &Arc<Connection>, wishes: Wishes) -> Subscription {
        self.hub.subscribe(room(false), CHANNEL, connection, 5, wishes)
    }

    fn settle(&mut self) {
        loop {
            let sent = std::mem::take(&mut *lock(&self.line.sent));
            if sent.is_empty() {
                return;
            }
            for frame in sent {
                if let Some(answer) = self.owner.answer(&frame) {
                    self.hub.receive(answer);
                }
            }
        }
    }

    fn publish(&mut self) {
        let frame = self.owner.send();
        self.hub.receive(frame);
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(ms);
        self.hub.tick();
    }
}

fn from_position(offset: u64) -> Wishes {
    let position = Position { epoch: Epoch::Of(Generation::FIRST), offset: Seq(offset) };
    Wishes { recover: Some(position), ..Wishes::default() }
}

fn items(connection: &Connection, written: usize) -> VecDeque<OutboxItem> {
    match connection.outbox.take(written, &mut Context::from_waker(Waker::noop())) {
        OutboxTake::Items(items) => items,
        OutboxTake::Nothing => VecDeque::new(),
    }
}

/// What a connection would tell its client, and how many bytes it took.
fn told(connection: &Connection) -> (Vec<String>, usize) {
    let mut bytes = 0;
    let text = |item| match item {
        OutboxItem::Bytes(text) => {
            bytes += text.len();
            String::from_utf8(text.to_vec()).unwrap()
        }
        OutboxItem::Signal(signal) => match *signal {
            Signal::Subscribed { key, reply } => {
                bytes += reply.events.iter().map(StreamEvent::weight).sum::<usize>();
                format!("subscribed {key} at {} {}", reply.offset, reply.recovered)
            }
            Signal::Refused { key, reason } => format!("refused {key} {reason:?}"),
            Signal::Ended { key, why } => format!("ended {key} {why:?}"),
        },
    };
    let told = items(connection, 0).into_iter().map(text).collect();
    (told, bytes)
}

#[test]
fn an_event_is_encoded_once_for_each_wire_format_and_shared() {
    let mut world = world(&["ann", "bob", "cyn"]);
    let json = [connection("ann", Wire::Json, 10_000), connection("bob", Wire::Json, 10_000)];
    let protobuf = connection("cyn", Wire::Protobuf, 10_000);
    for connection in json.iter().chain([&protobuf]) {
        world.subscribe(connection, Wishes::default());
    }
    world.settle();
    world.publish();
    assert_eq!(world.encoder.0.load(Ordering::Relaxed), 2);
    let pushed: Vec<_> = json.iter().map(|connection| items(connection, 0)).collect();
    let [OutboxItem::Bytes(one), OutboxItem::Bytes(other)] = [&pushed[0][1], &pushed[1][1]] else { panic!("bytes") };
    assert_eq!((one.as_ptr(), &one[..]), (other.as_ptr(), &b"Json:room:7:1"[..]));
    assert_eq!(told(&protobuf).0, ["subscribed 5 at 0 false", "Protobuf:room:7:1"]);
    assert_eq!(world.hub.metrics.deliveries.get(), 3);
}

#[test]
fn many_events_in_one_frame_are_one_piece() {
    let mut world = world(&["ann"]);
    let ann = connection("ann", Wire::Json, 10_000);
    world.subscribe(&ann, Wishes::default());
    world.settle();
    let _ = (world.owner.send(), world.owner.send());
    world.hub.receive(world.owner.events_from(Seq(1)));
    assert_eq!(told(&ann).0, ["subscribed 5 at 0 false", "Json:room:7:1,2"]);
}

#[test]
fn who_has_no_room_lags_and_gets_the_very_same_bytes_later() {
    let mut world = world(&["ann", "bob"]);
    let (slow, quick) = (connection("ann", Wire::Json, 40), connection("bob", Wire::Json, 10_000));
    world.subscribe(&slow, Wishes::default());
    world.subscribe(&quick, Wishes::default());
    world.settle();
    for _ in 0..6 {
        world.publish();
    }
    assert_eq!(world.encoder.0.load(Ordering::Relaxed), 6);
    let (first, written) = told(&slow);
    assert_eq!(first.len(), 4, "{first:?}");
    assert_eq!(told(&quick).0.len(), 7);
    assert!(!world.hub.resume(&slow), "nothing is written yet");
    let mut rest = Vec::new();
    let mut written = written;
    while rest.len() < 3 {
        assert!(items(&slow, std::mem::take(&mut written)).is_empty());
        assert!(world.hub.resume(&slow));
        let (more, bytes) = told(&slow);
        rest.extend(more);
        written = bytes;
    }
    assert_eq!(rest, ["Json:room:7:4", "Json:room:7:5", "Json:room:7:6"]);
    assert_eq!(world.encoder.0.load(Ordering::Relaxed), 6, "encoded once, whoever lags");
    world.publish();
    assert!(items(&slow, written).len() == 1, "and then it is up to date");
}

#[test]
fn who_catches_up_is_paced_by_his_outbox_and_loses_nothing() {
    let mut world = world(&["ann"]);
    for _ in 0..600 {
        let _ = world.owner.send();
    }
    world.owner.page = 50;
    let ann = connection("ann", Wire::Json, 40_000);
    let subscription = world.subscribe(&ann, from_position(0));
    world.settle();
    let (mut seqs, mut written, mut rounds) = (Vec::new(), 0, 0);
    while seqs.last() != Some(&610) {
        rounds += 1;
        assert!(rounds < 200, "stuck at {:?}", seqs.last());
        if rounds <= 10 {
            world.publish();
        }
        for item in items(&ann, written) {
            match item {
                OutboxItem::Bytes(bytes) => {
                    written += bytes.len();
                    let text = String::from_utf8(bytes.to_vec()).unwrap();
                    let list = text.rsplit_once(':').unwrap().1.split(',').map(|seq| seq.parse::<u64>().unwrap());
                    seqs.extend(list);
                }
                OutboxItem::Signal(signal) => {
                    let Signal::Subscribed { reply, .. } = *signal else { panic!("{signal:?}") };
                    assert!(reply.recovered);
                    written += reply.events.iter().map(StreamEvent::weight).sum::<usize>();
                    seqs.extend(reply.events.iter().map(|event| event.seq().0));
                }
            }
        }
        assert!(items(&ann, std::mem::take(&mut written)).is_empty(), "nothing comes by itself");
        world.hub.resume(&ann);
        world.settle();
    }
    assert_eq!(seqs, (1..=610).collect::<Vec<_>>());
    assert!(rounds > 2, "all at once is not paced");
    assert_eq!(subscription.place(), Some((Generation::FIRST, Seq(610))));
}

#[test]
fn an_open_channels_room_by_its_uuid_is_another_stream() {
    let world = world(&[]);
    let (ann, bob) = (connection("ann", Wire::Json, 10_000), connection("bob", Wire::Json, 10_000));
    world.hub.subscribe(room(false), CHANNEL, &ann, 1, Wishes::default());
    world.hub.subscribe(room(true), "news", &bob, 2, Wishes::default());
    let sent = std::mem::take(&mut *lock(&world.line.sent));
    let [ToOwner::Listen { request: by_uuid, open: false, .. }, ToOwner::Listen { request: by_name, open: true, .. }] =
        sent[..]
    else {
        panic!("{sent:?}")
    };
    world.hub.receive(ToGateway::Denied { request: by_uuid, stream: stream(), reason: Denial::NoRoom });
    world.hub.receive(ToGateway::Granted {
        request: by_name,
        stream: stream(),
        generation: Generation::FIRST,
        head: Seq(0),
        floor: Seq(1),
    });
    let events = Arc::new([crate::actors::gateway::feed::tests::support::message(1)]);
    world.hub.receive(ToGateway::Events { stream: stream(), generation: Generation::FIRST, events });
    assert_eq!(told(&ann).0, ["refused 1 NoRoom"]);
    assert_eq!(told(&bob).0, ["subscribed 2 at 0 false", "Json:news:1"]);
}

#[test]
fn coming_and_going_is_told_to_those_who_want_to_know() {
    let mut world = world(&["ann", "bob", "cyn"]);
    let [ann, bob, cyn] = ["ann", "bob", "cyn"].map(|name| connection(name, Wire::Json, 10_000));
    let wishes = Wishes { announced: true, join_leave: true, ..Wishes::default() };
    let first = world.subscribe(&ann, wishes.clone());
    world.subscribe(&cyn, Wishes::default());
    world.settle();
    let second = world.subscribe(&bob, wishes.clone());
    world.settle();
    let mut present: Vec<_> = first.presence(10).unwrap().into_iter().map(|who| who.user.to_string()).collect();
    present.sort();
    assert_eq!(present, ["ann", "bob", "cyn"]);
    second.end(&world.hub);
    second.end(&world.hub);
    assert_eq!(told(&ann).0, ["subscribed 5 at 0 false", "join:ann", "join:bob", "leave:bob"]);
    assert_eq!(told(&cyn).0, ["subscribed 5 at 0 false"]);
    let kick = {
        world.subscribe(&bob, wishes);
        world.settle();
        world.owner.kick("bob")
    };
    told(&ann);
    world.hub.receive(kick);
    assert_eq!(told(&ann).0, ["Json:room:7:1", "leave:bob"]);
    assert_eq!(told(&bob).0.last().unwrap(), &format!("ended 5 {:?}", Ending::Removed));
}

#[test]
fn ephemeral_news_reaches_those_who_are_up_to_date() {
    let mut world = world(&["ann"]);
    let ann = connection("ann", Wire::Json, 10_000);
    world.subscribe(&ann, Wishes::default());
    world.settle();
    let event = Ephemeral::Typing { user: user("bob") };
    world.hub.receive(ToGateway::Ephemeral { stream: stream(), event });
    assert_eq!(told(&ann).0[1], "ephemeral:room:7");
}

#[test]
fn a_full_queue_delays_a_subscription_and_does_not_lose_it() {
    let mut world = world(&["ann"]);
    let ann = connection("ann", Wire::Json, 10_000);
    world.line.full.store(true, Ordering::Relaxed);
    world.subscribe(&ann, Wishes::default());
    world.line.full.store(false, Ordering::Relaxed);
    world.settle();
    assert!(told(&ann).0.is_empty());
    world.pass(limits::GATEWAY_RETRY_MS);
    world.settle();
    assert_eq!(told(&ann).0, ["subscribed 5 at 0 false"]);
}

#[test]
fn a_feed_without_listeners_goes_and_the_owner_is_told() {
    let mut world = world(&["ann"]);
    let ann = connection("ann", Wire::Json, 10_000);
    world.subscribe(&ann, Wishes::default()).end(&world.hub);
    world.settle();
    assert_eq!(world.hub.feeds(), 1);
    world.pass(limits::FEED_LINGER_MS);
    assert_eq!(world.hub.feeds(), 0);
    assert!(matches!(lock(&world.line.sent)[..], [ToOwner::Unlisten { .. }]));
    world.settle();
    world.subscribe(&ann, Wishes::default());
    world.settle();
    assert_eq!(told(&ann).0, ["subscribed 5 at 0 false"], "and comes back as a new one");
}

#[test]
fn an_owner_that_did_not_hear_of_the_end_is_told_again() {
    let mut world = world(&[]);
    world.publish();
    assert!(matches!(lock(&world.line.sent)[..], [ToOwner::Unlisten { .. }]));
}

#[test]
fn a_moved_partition_is_listened_to_again() {
    let mut world = world(&["ann"]);
    let ann = connection("ann", Wire::Json, 10_000);
    world.subscribe(&ann, Wishes::default());
    world.settle();
    let _lost = world.owner.send();
    world.hub.owners_changed(|_| false);
    assert!(lock(&world.line.sent).is_empty());
    world.hub.owners_changed(|partition| partition == stream().partition());
    world.settle();
    assert_eq!(told(&ann).0[1], "Json:room:7:1");
}

#[test]
fn what_is_listened_to_again_is_asked_for_in_one_order() {
    let world = world(&["ann"]);
    let ann = connection("ann", Wire::Json, 10_000);
    // So many that the map's own order would show.
    for n in 0..300_u128 {
        let key = StreamKey { stream: Entity::Room(crate::ids::RoomId(Uuid::from_u128(n))), open: false };
        world.hub.subscribe(key, CHANNEL, &ann, 5, Wishes::default());
    }
    lock(&world.line.sent).clear();
    world.hub.owners_changed(|_| true);
    let asked = std::mem::take(&mut *lock(&world.line.sent)).into_iter().map(|frame| match frame {
        ToOwner::Listen { stream: Entity::Room(room), .. } => room.0.as_u128(),
        other => panic!("{other:?}"),
    });
    let rooms: Vec<u128> = asked.collect();
    assert_eq!(rooms, (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn users_and_everybody_can_be_sent_away() {
    let world = world(&[]);
    let [ann, bob] = ["ann", "bob"].map(|name| connection(name, Wire::Json, 10_000));
    for connection in [&ann, &bob] {
        world.hub.sessions().add(connection);
    }
    assert!(world.hub.sessions().is_online(&user("ann")));
    assert_eq!(world.hub.sessions().disconnect(&user("ann"), 3503), 1);
    let closes = |connection: &Connection| match connection.outbox.take_order() {
        Some(Order::Close { code, .. }) => Some(code),
        _ => None,
    };
    assert_eq!((closes(&ann), closes(&bob)), (Some(3503), None));
    world.hub.sessions().remove(&ann);
    assert!(!world.hub.sessions().is_online(&user("ann")));
    world.hub.sessions().disconnect_all(3001, Duration::from_secs(1)).await;
    assert_eq!((world.hub.sessions().count(), closes(&bob)), (1, Some(3001)));
}

#[test]
fn a_subscriber_costs_a_feed_less_than_a_hundred_bytes() {
    assert!(size_of::<(Subscription, SubscriberId)>() <= 24);
    assert!(size_of::<super::fanout::Listener>() <= 32, "{}", size_of::<super::fanout::Listener>());
    assert!(size_of::<Channel>() <= 496, "{}", size_of::<Channel>());
}

#[test]
fn who_goes_by_one_name_of_a_room_does_not_silence_the_other_name() {
    let mut world = world(&["alice"]);
    let (alice, bob) = (connection("alice", Wire::Json, 1_000_000), connection("bob", Wire::Json, 1_000_000));
    let _by_uuid = world.subscribe(&alice, Wishes::default());
    // By the channel's name somebody else comes and is denied; that name is not listened to after a while.
    let by_name = world.hub.subscribe(room(true), "lobby", &bob, 6, Wishes::default());
    world.settle();
    by_name.end(&world.hub);
    lock(&world.line.sent).clear();
    world.pass(limits::FEED_LINGER_MS);
    world.pass(limits::FEED_LINGER_MS);
    let sent = std::mem::take(&mut *lock(&world.line.sent));
    let number = |frame: &ToOwner, listen: bool| match frame {
        ToOwner::Listen { request, .. } if listen => Some(request.0),
        ToOwner::Unlisten { request, .. } if !listen => Some(request.0),
        _ => None,
    };
    let unlisten = sent.iter().filter_map(|frame| number(frame, false)).max();
    let listen = sent.iter().filter_map(|frame| number(frame, true)).max();
    assert!(unlisten.is_some(), "{sent:?}");
    assert!(listen > unlisten, "the room's own name is not listened to any more: {sent:?}");
}
