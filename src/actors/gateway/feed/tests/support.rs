//! A stream with an honest owner, and a recorder of what a feed causes. Written apart from the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::actors::gateway::feed::{Ending, LiveSubscribers, Output, Subscribed, SubscriberId};
use crate::actors::wire::{
    Content, Denial, Entity, Ephemeral, Event, EventBody, FetchError, RequestId, StreamEvent, ToGateway, ToOwner,
};
use crate::ids::{Generation, MessageNo, RoomId, Seq, Timestamp, UserId};

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn stream() -> Entity {
    Entity::Room(RoomId(Uuid::from_u128(7)))
}

pub(crate) fn event(seq: u64, actor: &UserId, body: EventBody) -> StreamEvent {
    StreamEvent::Room(Arc::new(Event {
        seq: Seq(seq),
        at: Timestamp(seq),
        id: Uuid::from_u128(u128::from(seq)),
        actor: Some(actor.clone()),
        client_id: None,
        body,
    }))
}

pub(crate) fn message(seq: u64) -> StreamEvent {
    let content = Content { body: format!("m{seq}"), message_type: "text".to_owned(), ..Content::default() };
    event(seq, &user("writer"), EventBody::Message { no: MessageNo(seq), content, redacted: false })
}

/// The truth about one stream, and how its owner answers.
pub(crate) struct Owner {
    pub events: Vec<StreamEvent>,
    pub generation: Generation,
    pub floor: Seq,
    pub members: BTreeSet<UserId>,
    /// Who was a member just before each event (index = seq − 1).
    pub before: Vec<BTreeSet<UserId>>,
    /// Requests granted: at which head.
    pub grants: BTreeMap<RequestId, Seq>,
    pub listening: bool,
    pub page: usize,
    pub store_down: bool,
}

impl Owner {
    pub(crate) fn new(members: &[&str]) -> Self {
        Self {
            events: Vec::new(),
            generation: Generation::FIRST,
            floor: Seq(1),
            members: members.iter().map(|name| user(name)).collect(),
            before: Vec::new(),
            grants: BTreeMap::new(),
            listening: false,
            page: 7,
            store_down: false,
        }
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.events.len() as u64)
    }

    pub(crate) fn send(&mut self) -> ToGateway {
        let next = message(self.head().0 + 1);
        self.append(next)
    }

    pub(crate) fn kick(&mut self, name: &str) -> ToGateway {
        let next = event(self.head().0 + 1, &user("writer"), EventBody::Kicked { user: user(name) });
        let frame = self.append(next);
        self.members.remove(&user(name));
        frame
    }

    pub(crate) fn join(&mut self, name: &str) -> ToGateway {
        let next = event(self.head().0 + 1, &user(name), EventBody::Joined);
        let frame = self.append(next);
        self.members.insert(user(name));
        frame
    }

    fn append(&mut self, event: StreamEvent) -> ToGateway {
        self.before.push(self.members.clone());
        self.events.push(event);
        self.events_from(self.head())
    }

    pub(crate) fn events_from(&self, from: Seq) -> ToGateway {
        let events: Arc<[StreamEvent]> = self.events[from.0 as usize - 1..].into();
        ToGateway::Events { stream: stream(), generation: self.generation, events }
    }

    pub(crate) fn head_frame(&self) -> ToGateway {
        ToGateway::Head { stream: stream(), generation: self.generation, head: self.head() }
    }

    pub(crate) fn answer(&mut self, frame: &ToOwner) -> Option<ToGateway> {
        match frame {
            ToOwner::Listen { request, user, .. } => {
                if !self.members.contains(user) {
                    let reason = Denial::NotMember;
                    return Some(ToGateway::Denied { request: *request, stream: stream(), reason });
                }
                self.listening = true;
                self.grants.insert(*request, self.head());
                Some(ToGateway::Granted {
                    request: *request,
                    stream: stream(),
                    generation: self.generation,
                    head: self.head(),
                    floor: self.floor,
                })
            }
            ToOwner::Fetch { request, from, to, .. } => {
                let events = if *from < self.floor {
                    Err(FetchError::Gone { floor: self.floor })
                } else if self.store_down {
                    Err(FetchError::Unavailable)
                } else {
                    let to = to.0.min(self.head().0).min(from.0 + self.page as u64 - 1);
                    Ok(self.events[from.0 as usize - 1..to as usize].into())
                };
                Some(ToGateway::Fetched { request: *request, stream: stream(), generation: self.generation, events })
            }
            ToOwner::Unlisten { .. } => {
                self.listening = false;
                None
            }
            ToOwner::Command { .. } | ToOwner::Query { .. } | ToOwner::Ephemeral { .. } => None,
        }
    }
}

/// What one subscriber saw.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub begun: Option<(Seq, bool)>,
    /// Events in the reply.
    pub in_reply: usize,
    pub events: Vec<StreamEvent>,
    pub refused: Option<Denial>,
    pub ended: Option<Ending>,
}

impl Seen {
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.events.iter().map(|event| event.seq().0).collect()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.refused.is_some() || self.ended.is_some()
    }
}

/// Records everything; subscribers are numbers.
#[derive(Default)]
pub(crate) struct Recorder {
    pub next_request: u64,
    pub sent: Vec<ToOwner>,
    pub seen: BTreeMap<u32, Seen>,
    /// Bytes that each subscriber who catches up still takes; unlimited if not named.
    pub room: BTreeMap<u32, usize>,
    pub waiting_for_room: BTreeMap<u32, SubscriberId>,
    pub ephemeral: usize,
}

impl Recorder {
    pub(crate) fn seen(&mut self, who: u32) -> &mut Seen {
        self.seen.entry(who).or_default()
    }

    pub(crate) fn take_sent(&mut self) -> Vec<ToOwner> {
        std::mem::take(&mut self.sent)
    }

    fn deliver(&mut self, who: u32, events: &[StreamEvent]) {
        let seen = self.seen(who);
        assert!(seen.begun.is_some() && !seen.is_over(), "{who} gets events outside of his subscription");
        seen.events.extend_from_slice(events);
    }
}

impl Output<u32> for Recorder {
    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    fn send(&mut self, frame: ToOwner) {
        self.sent.push(frame);
    }

    fn live(&mut self, events: &[StreamEvent], to: LiveSubscribers<'_, u32>) -> Vec<(SubscriberId, usize)> {
        let mut lagging = Vec::new();
        for (id, who) in to {
            // Who is full takes one of two at most.
            let full = self.room.get(who) == Some(&0);
            let takes = if full { events.len() / 2 } else { events.len() };
            self.deliver(*who, &events[..takes]);
            if full {
                self.waiting_for_room.insert(*who, id);
                lagging.push((id, takes));
            }
        }
        lagging
    }

    fn catch_up(&mut self, to: &u32, events: &[StreamEvent]) {
        if let Some(room) = self.room.get_mut(to) {
            *room = room.saturating_sub(events.iter().map(StreamEvent::weight).sum());
        }
        self.deliver(*to, events);
    }

    fn room(&mut self, id: SubscriberId, to: &u32) -> usize {
        let room = self.room.get(to).copied().unwrap_or(usize::MAX);
        if room == 0 {
            self.waiting_for_room.insert(*to, id);
        }
        room
    }

    fn subscribed(&mut self, to: &u32, reply: Subscribed) {
        let seen = self.seen(*to);
        assert!(seen.begun.is_none() && !seen.is_over(), "{to} gets two answers");
        if let Some(first) = reply.events.first() {
            assert_eq!(
                first.seq(),
                reply.offset.next(),
                "the reply's offset is the place that its publications go on from"
            );
        }
        seen.begun = Some((reply.offset, reply.recovered));
        seen.in_reply = reply.events.len();
        seen.events.extend(reply.events);
    }

    fn refused(&mut self, to: &u32, reason: Denial) {
        let seen = self.seen(*to);
        assert!(seen.begun.is_none() && !seen.is_over());
        seen.refused = Some(reason);
    }

    fn ended(&mut self, to: &u32, why: Ending) {
        let seen = self.seen(*to);
        assert!(seen.begun.is_some() && !seen.is_over());
        seen.ended = Some(why);
    }

    fn ephemeral(&mut self, _: &Ephemeral, to: LiveSubscribers<'_, u32>) {
        self.ephemeral += to.count();
    }
}
