//! The checker can see: each rule has a history that breaks it, and good histories break none.

mod order;
mod rest;

use super::{Kind, check};
use crate::history::{Body, Entry, Event, EventRow, MessageRow, Position, Rows, What};

const ROOM: &str = "room:1";

fn message(seq: u64, no: u64, sender: &str, client_id: &str) -> Event {
    let body = Body::Message { no, client_id: Some(client_id.into()), text: format!("text of {client_id}") };
    Event { seq, id: format!("id-{client_id}"), actor: Some(sender.into()), at: 1000 + seq, body }
}

fn event(seq: u64, actor: &str, body: Body) -> Event {
    Event { seq, id: format!("id-{seq}"), actor: Some(actor.into()), at: 1000 + seq, body }
}

fn created(members: &[&str]) -> Event {
    event(1, "ann", Body::Created { members: members.iter().map(|user| (*user).to_owned()).collect() })
}

/// Writes histories: calls in the order in which a client sees things.
#[derive(Default)]
struct Story {
    entries: Vec<Entry>,
    next: u64,
}

impl Story {
    fn add(&mut self, entry: Entry) -> &mut Self {
        self.entries.push(entry);
        self
    }

    fn invoke(&mut self, user: &str, what: What) -> u64 {
        self.next += 1;
        self.add(Entry::Invoke { op: self.next, room: ROOM.into(), user: user.into(), what });
        self.next
    }

    fn send(&mut self, user: &str, client_id: &str) -> u64 {
        let text = format!("text of {client_id}");
        self.invoke(user, What::Send { device: "phone".into(), client_id: client_id.into(), text })
    }

    fn ok(&mut self, op: u64, seq: u64, id: &str) -> &mut Self {
        self.add(Entry::Ok { op, seq, id: id.into(), duplicate: false })
    }

    fn sent(&mut self, user: &str, client_id: &str, seq: u64) -> &mut Self {
        let op = self.send(user, client_id);
        self.ok(op, seq, &format!("id-{client_id}"))
    }

    fn subscribe(&mut self, user: &str, from: Option<u64>, offset: u64, recovered: bool, publications: u64) -> u64 {
        self.next += 1;
        let (sub, epoch) = (self.next, "1".to_owned());
        let from = from.map(|offset| Position { epoch: epoch.clone(), offset });
        self.add(Entry::Subscribing { sub, room: ROOM.into(), user: user.into(), from });
        self.add(Entry::Subscribed { sub, epoch, offset, recovered, publications });
        sub
    }

    fn deliver(&mut self, sub: u64, events: &[Event]) -> &mut Self {
        for event in events {
            self.add(Entry::Delivered { sub, event: event.clone() });
        }
        self
    }

    fn page(&mut self, user: &str, limit: usize, items: &[Event]) -> &mut Self {
        self.next += 1;
        let page = self.next;
        self.add(Entry::PageAsked { page, room: ROOM.into(), user: user.into(), limit });
        self.add(Entry::Page { page, items: items.to_vec(), more: items.len() == limit })
    }

    fn last(&mut self, events: &[Event]) -> &mut Self {
        self.add(Entry::Final { room: ROOM.into(), epoch: "1".into(), events: events.to_vec() })
    }

    fn rows(&mut self, rows: Rows) -> &mut Self {
        self.add(Entry::Rows { room: ROOM.into(), rows })
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = check(&self.entries).into_iter().map(|anomaly| anomaly.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

fn rows_of(events: &[Event]) -> Rows {
    let messages: Vec<MessageRow> = events
        .iter()
        .filter_map(|event| match &event.body {
            Body::Message { no, client_id, text } => Some(MessageRow {
                seq: event.seq,
                no: *no,
                id: event.id.clone(),
                sender: event.actor.clone().unwrap(),
                client_id: client_id.clone(),
                text: text.clone(),
            }),
            _ => None,
        })
        .collect();
    let row = |event: &Event| EventRow { seq: event.seq, kind: event.body.kind().into(), actor: event.actor.clone() };
    Rows {
        head: events.len() as u64,
        messages_head: messages.len() as u64,
        events: events.iter().map(row).collect(),
        messages,
    }
}

/// ann and bob talk, bob's connection breaks, he comes back and recovers; one acknowledgement gets lost, the retry is
/// answered as a duplicate; all is read back.
fn good() -> (Story, Vec<Event>) {
    let events = vec![
        created(&["ann", "bob"]),
        message(2, 1, "ann", "a1"),
        message(3, 2, "bob", "b1"),
        message(4, 3, "ann", "a2"),
        message(5, 4, "ann", "a3"),
        message(6, 5, "bob", "b2"),
    ];
    let mut story = Story::default();
    let ann = story.subscribe("ann", None, 1, false, 0);
    let bob = story.subscribe("bob", None, 1, false, 0);
    story.sent("ann", "a1", 2);
    story.deliver(ann, &events[1..2]).deliver(bob, &events[1..2]);
    story.sent("bob", "b1", 3);
    story.page("bob", 10, &events[1..3]);
    story.deliver(ann, &events[2..3]);
    let lost = story.send("ann", "a2");
    story.add(Entry::Unknown { op: lost });
    let again = story.subscribe("bob", Some(2), 2, true, 2);
    story.deliver(again, &events[2..4]);
    story.deliver(ann, &events[3..4]);
    let retry = story.send("ann", "a2");
    story.add(Entry::Ok { op: retry, seq: 4, id: "id-a2".into(), duplicate: true });
    story.sent("ann", "a3", 5).sent("bob", "b2", 6);
    story.deliver(ann, &events[4..]).deliver(again, &events[4..]);
    story.add(Entry::Settled { sub: ann }).add(Entry::Settled { sub: again });
    story.last(&events).rows(rows_of(&events));
    (story, events)
}

#[test]
fn a_good_history_has_no_anomaly() {
    let (story, _) = good();
    assert_eq!(check(&story.entries), []);
}

#[test]
fn a_fresh_subscription_may_start_above_what_it_missed() {
    let events = [message(1, 1, "ann", "a1"), message(2, 2, "ann", "a2"), message(3, 3, "ann", "a3")];
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    let sub = story.subscribe("bob", Some(0), 2, false, 0);
    story.sent("ann", "a3", 3);
    story.deliver(sub, &events[2..]).add(Entry::Settled { sub }).last(&events);
    assert_eq!(story.kinds(), []);
}

/// Every single delivery that is dropped, doubled or swapped with its neighbour is noticed.
#[test]
fn no_damage_to_a_delivery_goes_unseen() {
    let (story, _) = good();
    let places: Vec<usize> =
        (0..story.entries.len()).filter(|at| matches!(story.entries[*at], Entry::Delivered { .. })).collect();
    assert!(places.len() >= 8);
    for at in places {
        let mut dropped = story.entries.clone();
        dropped.remove(at);
        // Before a cut, only the client itself knows what still arrived.
        let before_a_cut = ends_a_subscription(&story.entries, at);
        assert!(before_a_cut || !check(&dropped).is_empty(), "dropped {:?}", story.entries[at]);

        let mut doubled = story.entries.clone();
        doubled.insert(at, story.entries[at].clone());
        assert!(!check(&doubled).is_empty(), "doubled {:?}", story.entries[at]);

        let mut changed = story.entries.clone();
        let Entry::Delivered { event, .. } = &mut changed[at] else { unreachable!() };
        event.id.push('x');
        assert!(!check(&changed).is_empty(), "changed {:?}", story.entries[at]);

        if matches!(story.entries.get(at + 1), Some(Entry::Delivered { sub, .. })
            if matches!(&story.entries[at], Entry::Delivered { sub: first, .. } if first == sub))
        {
            let mut swapped = story.entries.clone();
            swapped.swap(at, at + 1);
            assert!(!check(&swapped).is_empty(), "swapped {:?}", story.entries[at]);
        }
    }
}

/// Whether nothing more is known of the subscription after the delivery at `at`.
fn ends_a_subscription(entries: &[Entry], at: usize) -> bool {
    let Entry::Delivered { sub, .. } = entries[at] else { return false };
    entries[at + 1..].iter().all(|later| match later {
        Entry::Delivered { sub: of, .. } | Entry::Settled { sub: of } => *of != sub,
        _ => true,
    })
}

/// Every single row and every event of the final stream that is taken away is noticed.
#[test]
fn no_damage_to_the_end_state_goes_unseen() {
    let (story, events) = good();
    for gone in 0..events.len() {
        let mut damaged = story.entries.clone();
        for entry in &mut damaged {
            if let Entry::Final { events, .. } = entry {
                events.remove(gone);
            }
        }
        assert!(!check(&damaged).is_empty(), "final without {gone}");
        let mut damaged = story.entries.clone();
        for entry in &mut damaged {
            if let Entry::Rows { rows, .. } = entry {
                rows.events.remove(gone);
            }
        }
        assert!(!check(&damaged).is_empty(), "rows without {gone}");
    }
}
