//! A simulated client: what the gateway gives it is applied as it comes, and must be in exact order (I5); what it sends is
//! sent again, through whatever node, until it is answered.

use std::collections::{BTreeMap, VecDeque};

use super::event::{Down, Link, Up, What, Wish};
use super::world::World;
use crate::actors::gateway::feed::{Ending, Position, Subscribed};
use crate::actors::gateway::hub::StreamKey;
use crate::actors::room::commands::{RoomCommand, Send};
use crate::actors::wire::{Answer, Content, Denial, Entity, NodeId, Reject, RoomKind, StreamEvent};
use crate::ids::{ClientId, DeviceId, MessageNo, Seq, Timestamp, UserId};

/// Milliseconds after which a client sends again what was not answered.
const RESEND_MS: u64 = 2_500;
/// Messages of one client to one room that wait for their answers at most.
const WINDOW: usize = 3;

/// A subscription.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    /// The client wants it.
    pub wanted: bool,
    /// Asked for under this token, or running.
    pub token: Option<u32>,
    /// The reply has come.
    pub begun: bool,
    /// Where it stands.
    pub at: Option<(String, Seq)>,
    /// The highest message number that it has seen.
    pub no: MessageNo,
    /// The seq since which its user is a member, and how many owners there had been, if all of them knew it when the client
    /// asked.
    pub member_since: Option<(Seq, u32)>,
}

/// A message that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    number: u64,
    id: ClientId,
    sent_at: Option<u64>,
    token: u32,
}

/// The messages of a client to a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    next: u64,
    /// In order.
    pub waiting: VecDeque<Outgoing>,
    last_in: Option<ClientId>,
}

/// Something else that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    wish: Wish,
    sent_at: u64,
}

/// How a device sends its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Some at a time; each names the one before it.
    NamesPrev,
    /// The next once the one before it is answered.
    OneByOne,
    /// Some at a time, and none names another: they keep their order as long as nothing is sent again.
    Pipelines,
}

/// See the module.
pub(crate) struct Client {
    /// Its user's index.
    pub user: usize,
    device: DeviceId,
    way: Way,
    /// Its ids have a time in them.
    timed_ids: bool,
    /// Its connection.
    pub link: Option<Link>,
    /// By room of the cast; the last one is the personal stream.
    pub streams: Vec<Listening>,
    /// By room of the cast.
    pub outboxes: Vec<Outbox>,
    /// By token.
    pub requests: BTreeMap<u32, Request>,
    next_token: u32,
}

impl Client {
    /// The `index`th client.
    pub(crate) fn new(index: usize, rooms: usize, way: Way, timed_ids: bool) -> Self {
        let listening = || {
            let (token, member_since) = (None, None);
            Listening { wanted: true, token, begun: false, at: None, no: MessageNo::ZERO, member_since }
        };
        Self {
            user: index / 2,
            device: DeviceId::new(&format!("d{index}")).expect("short and plain"),
            way,
            timed_ids,
            link: None,
            streams: (0..=rooms).map(|_| listening()).collect(),
            outboxes: vec![Outbox::default(); rooms],
            requests: BTreeMap::new(),
            next_token: 0,
        }
    }

    /// A day has passed since it was `then`: an id without a time in it, or with one that was ahead, is not known any more,
    /// so what was sent by it is not sent again, nor named. Says what is given up: device, place of the room, number.
    pub(crate) fn gives_up(&mut self, then: Timestamp) -> Vec<(DeviceId, usize, u64)> {
        let mut given_up = Vec::new();
        let is_forgotten = |id: &ClientId| id.time().is_none_or(|time| time > then);
        for (n, outbox) in self.outboxes.iter_mut().enumerate() {
            outbox.last_in.take_if(|id| is_forgotten(id));
            if outbox.waiting.iter().any(|outgoing| is_forgotten(&outgoing.id)) {
                let waiting = outbox.waiting.drain(..);
                given_up.extend(waiting.map(|outgoing| (self.device.clone(), n, outgoing.number)));
            }
        }
        given_up
    }

    /// The history in which its messages stood is gone: it names none of them any more.
    pub(crate) fn forgets_order(&mut self) {
        self.outboxes.iter_mut().for_each(|outbox| outbox.last_in = None);
    }

    /// The device, if it sends several messages at a time and names none before.
    pub(crate) fn unordered(&self) -> Option<&DeviceId> {
        (self.way == Way::Pipelines).then_some(&self.device)
    }

    fn token(&mut self) -> u32 {
        self.next_token += 1;
        self.next_token
    }

    /// Whether everything it sent is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.requests.is_empty() && self.outboxes.iter().all(|outbox| outbox.waiting.is_empty())
    }
}

impl World<'_> {
    fn user_of(&self, client: usize) -> &UserId {
        &self.cast.users[self.clients[client].user]
    }

    /// What a client listens to in its `n`th place.
    pub(crate) fn key_of(&self, client: usize, n: usize) -> StreamKey {
        match self.cast.rooms.get(n) {
            Some(room) => StreamKey { stream: Entity::Room(room.id), open: room.kind == RoomKind::Open },
            None => StreamKey { stream: Entity::User(self.user_of(client).clone()), open: false },
        }
    }

    /// Connects to a node that is up.
    pub(crate) fn connect(&mut self, client: usize, node: NodeId) {
        self.disconnect(client);
        self.connections += 1;
        let link = Link { node, connection: self.connections };
        self.clients[client].link = Some(link);
        self.send_up(client, Up::Connect { client });
        for n in 0..self.clients[client].streams.len() {
            self.subscribe(client, n);
        }
        // What was not answered is sent again at once.
        for outbox in &mut self.clients[client].outboxes {
            outbox.waiting.iter_mut().for_each(|outgoing| outgoing.sent_at = None);
        }
        self.resend(client);
    }

    /// The connection is over; the gateway notices when it does.
    pub(crate) fn disconnect(&mut self, client: usize) {
        let this = &mut self.clients[client];
        for listening in &mut this.streams {
            listening.token = None;
            listening.begun = false;
        }
        if let Some(link) = this.link.take() {
            self.after(800, What::Gone { link });
        }
    }

    fn send_up(&mut self, client: usize, message: Up) {
        let Some(link) = self.clients[client].link else { return };
        self.send_in_order(link, message);
    }

    /// Asks for a stream that is wanted and not asked for.
    pub(crate) fn subscribe(&mut self, client: usize, n: usize) {
        let this = &mut self.clients[client];
        if this.link.is_none() || !this.streams[n].wanted || this.streams[n].token.is_some() {
            return;
        }
        let token = this.token();
        let member_since = self.member_since(client, n);
        let this = &mut self.clients[client];
        this.streams[n].member_since = member_since;
        let at = this.streams[n].at.clone();
        let recover = at.map(|(epoch, offset)| Position { epoch: self.history.read(&epoch), offset });
        let this = &mut self.clients[client];
        this.streams[n].token = Some(token);
        this.streams[n].begun = false;
        self.send_up(client, Up::Subscribe(token, n, recover));
    }

    /// The seq since which the client's user is a member of what stands in its `n`th place, if every owner knows it.
    fn member_since(&self, client: usize, n: usize) -> Option<(Seq, u32)> {
        let entity = self.key_of(client, n).stream;
        let partition = entity.partition();
        let owners = self.nodes.iter().filter_map(|node| node.owners.get(&partition));
        let all_know =
            owners.map(|owner| owner.core.progress().applied()).all(|applied| applied >= self.truth.next(partition));
        self.truth
            .stream(&entity)
            .member_since(self.user_of(client))
            .filter(|_| all_know)
            .map(|since| (since, self.lives))
    }

    /// Does not want a stream any more.
    pub(crate) fn unsubscribe(&mut self, client: usize, n: usize) {
        let listening = &mut self.clients[client].streams[n];
        listening.wanted = false;
        listening.begun = false;
        if listening.token.take().is_some() {
            self.send_up(client, Up::Unsubscribe(n));
        }
    }

    /// Writes a message; it goes out when its turn comes.
    pub(crate) fn write(&mut self, client: usize, n: usize) {
        let right = self.today();
        // A phone whose clock is a day ahead, once.
        let now = if self.rng.chance(20) { right + 24 * 3_600_000 } else { right };
        let fresh = self.fresh_id().as_u128();
        let this = &mut self.clients[client];
        let outbox = &mut this.outboxes[n];
        outbox.next += 1;
        let number = outbox.next;
        let id = if this.timed_ids {
            let bits = (u128::from(now) << 80) | (0x7 << 76) | (0b10 << 62) | (fresh & 0xFFFF_FFFF_FFFF);
            uuid::Uuid::from_u128(bits).to_string()
        } else {
            format!("{}-{number:06}", this.device)
        };
        let id = ClientId::new(&id).expect("short and plain");
        outbox.waiting.push_back(Outgoing { number, id, sent_at: None, token: 0 });
        self.resend(client);
    }

    /// Something that is asked for until it is answered.
    pub(crate) fn ask(&mut self, client: usize, wish: Wish) {
        let token = self.clients[client].token();
        let request = Request { wish: wish.clone(), sent_at: self.now };
        self.clients[client].requests.insert(token, request);
        self.send_up(client, Up::Command(token, Box::new(wish)));
    }

    /// Sends what was never sent, or not answered for long.
    pub(crate) fn resend(&mut self, client: usize) {
        let now = self.now;
        let over = |sent_at: u64| now >= sent_at + RESEND_MS;
        let mut out = Vec::new();
        let this = &mut self.clients[client];
        if this.link.is_none() {
            return;
        }
        let sender = &self.cast.users[this.user];
        for (room, outbox) in self.cast.rooms.iter().zip(&mut this.outboxes) {
            let window = if this.way == Way::OneByOne { 1 } else { WINDOW };
            // All of them or none, so that they keep their order.
            let due = outbox.waiting.iter().take(window).any(|outgoing| outgoing.sent_at.is_none_or(over));
            let mut prev = outbox.last_in.clone();
            for outgoing in outbox.waiting.iter_mut().take(window).filter(|_| due) {
                this.next_token += 1;
                self.arrivals.sent(room.id, &this.device, outgoing.number);
                outgoing.token = this.next_token;
                outgoing.sent_at = Some(now);
                let text = outgoing.number.to_string();
                let open = room.open_channel();
                let content = if open.is_some() {
                    Content { data: text.into(), ..Content::default() }
                } else {
                    Content { body: text, message_type: "text".to_owned(), ..Content::default() }
                };
                let send = Send {
                    sender: sender.clone(),
                    client_id: Some(outgoing.id.clone()),
                    device: Some(this.device.clone()),
                    prev: prev.replace(outgoing.id.clone()).filter(|_| this.way == Way::NamesPrev),
                    content,
                    open,
                };
                out.push((outgoing.token, Wish::Room(room.id, RoomCommand::Send(send))));
            }
        }
        let late: Vec<u32> = this.requests.iter().filter(|(_, r)| over(r.sent_at)).map(|(token, _)| *token).collect();
        for token in late {
            if let Some(request) = this.requests.remove(&token) {
                this.next_token += 1;
                out.push((this.next_token, request.wish.clone()));
                this.requests.insert(this.next_token, Request { sent_at: now, ..request });
            }
        }
        for (token, wish) in out {
            self.send_up(client, Up::Command(token, Box::new(wish)));
        }
    }

    /// A message of the gateway.
    pub(crate) fn client_hears(&mut self, client: usize, message: Down) {
        self.tell(|| format!("client {client} hears {message:?}"));
        match message {
            Down::Subscribed(token, reply) => self.begun(client, token, &reply),
            // Else they belong to a subscription that the client has ended.
            Down::Events(n, events) if self.clients[client].streams[n].begun => self.apply(client, n, &events),
            Down::Events(..) => {}
            Down::Refused(token, reason) => {
                if let Some(listening) = self.listening(client, token) {
                    listening.token = None;
                    // Who may not listen asks again when he has a reason; all others by time.
                    listening.wanted = reason == Denial::Unavailable;
                }
            }
            Down::Ended(token, why) => {
                if why == Ending::Removed {
                    self.stats.removed += 1;
                    self.check_removed(client, token);
                }
                if let Some(listening) = self.listening(client, token) {
                    listening.token = None;
                    listening.begun = false;
                    listening.wanted = why == Ending::Insufficient;
                }
            }
            Down::Answer(token, answer) => self.answer(client, token, answer),
            Down::Close => self.disconnect(client),
        }
    }

    /// P6, the other way round: who was a member when he asked, and has been ever since, is not removed.
    fn check_removed(&mut self, client: usize, token: u32) {
        let of_token = |listening: &Listening| listening.token == Some(token);
        let Some(n) = self.clients[client].streams.iter().position(of_token) else { return };
        let stream = self.key_of(client, n).stream;
        let Some((since, lives)) = self.clients[client].streams[n].member_since else { return };
        let user = self.user_of(client);
        if self.lives == lives && self.truth.stream(&stream.clone()).member_since(user) == Some(since) {
            self.fail(format!("P6: {user} is removed from {stream:?}, and is a member since {since}"));
        }
    }

    fn listening(&mut self, client: usize, token: u32) -> Option<&mut Listening> {
        self.clients[client].streams.iter_mut().find(|listening| listening.token == Some(token))
    }

    fn begun(&mut self, client: usize, token: u32, reply: &Subscribed) {
        let of_token = |listening: &Listening| listening.token == Some(token);
        let Some(n) = self.clients[client].streams.iter().position(of_token) else { return };
        let listening = &mut self.clients[client].streams[n];
        let before = listening.at.clone();
        let here = (self.history.epoch(reply.generation), reply.offset);
        listening.begun = true;
        self.trace.mix(reply.offset.0 ^ (client as u64) << 32);
        if !reply.recovered {
            self.stats.not_recovered += u64::from(before.is_some());
            listening.at = Some(here);
            if !reply.events.is_empty() {
                self.fail("P4: events in a reply that does not recover".to_owned());
            }
            return;
        }
        self.stats.recovered += 1;
        if before.as_ref() != Some(&here) {
            self.fail(format!("P4: client {client} is told that it recovered from {before:?}: {reply:?}"));
            return;
        }
        self.apply(client, n, &reply.events);
    }

    /// I5: exactly the next ones, and (P6) none that the user may not see.
    fn apply(&mut self, client: usize, n: usize, events: &[StreamEvent]) {
        let stream = self.key_of(client, n).stream;
        let entity = stream.clone();
        for event in events {
            let seq = event.seq();
            let listening = &mut self.clients[client].streams[n];
            let Some((_, at)) = &mut listening.at else {
                self.fail(format!("I5: client {client} gets {seq} of {stream:?} before its subscription began"));
                return;
            };
            if seq != at.next() {
                let why = format!("I5: client {client} is at {at} of {stream:?} and gets {seq}");
                self.fail(why);
                return;
            }
            *at = seq;
            if let StreamEvent::Room(room) = event
                && let crate::actors::wire::EventBody::Message { no, .. } = room.body
            {
                listening.no = listening.no.max(no);
            }
            self.stats.delivered += 1;
            self.trace.mix(seq.0 ^ (client as u64) << 40 ^ (n as u64) << 32);
            if let Err(why) = self.truth.check_event(&stream, event) {
                self.fail(why);
            }
            if !self.truth.stream(&entity).may_see(self.user_of(client), seq) {
                self.fail(format!("P6: client {client} ({}) gets {seq} of {stream:?}", self.user_of(client)));
            }
        }
    }

    fn answer(&mut self, client: usize, token: u32, answer: Answer) {
        self.trace.mix(u64::from(token) ^ (client as u64) << 32);
        let this = &mut self.clients[client];
        if this.requests.contains_key(&token) {
            match answer {
                // Not decided, or decided by the clocks: once more, by time.
                Answer::Unavailable { .. } | Answer::Unknown | Answer::Rejected(Reject::Stale) => {}
                Answer::Accepted { .. } | Answer::Rejected(_) => _ = this.requests.remove(&token),
            }
            return;
        }
        let found = this
            .outboxes
            .iter()
            .enumerate()
            .find_map(|(n, outbox)| Some((n, outbox.waiting.iter().position(|outgoing| outgoing.token == token)?)));
        let Some((n, place)) = found else { return };
        let outbox = &mut this.outboxes[n];
        match answer {
            Answer::Unavailable { .. } | Answer::Unknown | Answer::Rejected(Reject::Stale | Reject::NeedPrev) => {
                // Again, by time.
            }
            Answer::Accepted { seq, id, .. } => {
                // Those before it must be in, too: their answers are on their way, or lost.
                let Some(outgoing) = outbox.waiting.get(place).cloned() else { return };
                outbox.last_in = Some(outgoing.id.clone());
                outbox.waiting.remove(place);
                self.acks.push((Entity::Room(self.cast.rooms[n].id), seq, id, outgoing.id));
                self.stats.acked += 1;
            }
            Answer::Rejected(_) => {
                if let Some(outgoing) = outbox.waiting.remove(place) {
                    let key = (this.device.clone(), self.cast.rooms[n].id, outgoing.number);
                    self.truth.forgiven.insert(key);
                    self.stats.rejected += 1;
                }
                // Those behind it named it as the one before: they are sent again with another.
                outbox.waiting.iter_mut().for_each(|outgoing| outgoing.sent_at = None);
            }
        }
        self.resend(client);
    }
}
