//! From a feed to the outboxes: one encoding for each wire format, one short lock for each subscriber.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::sessions::WIRES;
use super::{Channel, Connection, Hub, Presence, Wire, Wishes};
use crate::actors::gateway::feed::{Ending, Feed, LiveSubscribers, Output, Subscribed, SubscriberId};
use crate::actors::gateway::outbox::{OutboxItem, Pushed, Signal};
use crate::actors::wire::{Denial, Ephemeral, RequestId, StreamEvent, ToOwner};
use crate::ids::{Seq, UserId};
use crate::limits;

/// Bytes, about, of events that are encoded as one piece.
const PIECE_BYTES: usize = 16 * 1024;

/// A subscriber, as the feed keeps it.
pub(super) struct Listener {
    connection: Arc<Connection>,
    key: u32,
    announced: bool,
    join_leave: bool,
    info: Option<Box<Bytes>>,
}

impl Listener {
    pub(crate) fn new(connection: Arc<Connection>, key: u32, wishes: &Wishes) -> Self {
        let Wishes { announced, join_leave, info, recover: _ } = wishes;
        Self { connection, key, announced: *announced, join_leave: *join_leave, info: info.clone() }
    }

    pub(crate) fn user(&self) -> &UserId {
        &self.connection.user
    }

    pub(crate) fn presence(&self) -> Presence {
        Presence {
            client: self.connection.client,
            user: self.connection.user.clone(),
            connection_info: self.connection.info.clone(),
            channel_info: self.info.as_deref().cloned(),
        }
    }
}

/// What a feed causes in this node, while its lock is held.
pub(super) struct Fanout<'a> {
    hub: &'a Hub,
    cell: &'a Arc<Channel>,
    pieces: &'a mut Option<Box<Pieces>>,
    /// Who came (true) or went, in order; told once the feed is done.
    moves: Vec<(bool, Presence)>,
}

impl<'a> Fanout<'a> {
    pub(crate) fn new(hub: &'a Hub, cell: &'a Arc<Channel>, pieces: &'a mut Option<Box<Pieces>>) -> Self {
        Self { hub, cell, pieces, moves: Vec::new() }
    }

    pub(crate) fn left(&mut self, listener: &Listener) {
        if listener.announced {
            self.moves.push((false, listener.presence()));
        }
    }

    /// Once the feed is done: tells who came and who went, and forgets what nobody needs.
    pub(crate) fn finish(self, feed: &Feed<Listener>) {
        if !feed.has_behind() {
            *self.pieces = None;
        }
        if feed.count() > limits::PRESENCE_NAMED {
            // To tell everybody of everybody would take the square of them.
            return;
        }
        for (came, who) in &self.moves {
            let (encoder, channel) = (&self.hub.encoder, self.cell.channel());
            let mut encoded = OncePerWire::default();
            for (_, listener) in feed.subscribers().filter(|(_, listener)| listener.join_leave) {
                let bytes = encoded.get(&listener.connection, |wire| match came {
                    true => encoder.join(wire, channel, who),
                    false => encoder.leave(wire, channel, who),
                });
                listener.connection.outbox.push_ephemeral(bytes);
            }
        }
    }

    fn encode_events(&self, wire: Wire, events: &[StreamEvent]) -> Bytes {
        self.hub.encoder.events(wire, self.cell.channel(), self.cell.key().open, events)
    }
}

/// Bytes for each wire format, made when the first connection of that format needs them.
#[derive(Default)]
struct OncePerWire([Option<Bytes>; WIRES]);

impl OncePerWire {
    fn bytes(&self) -> usize {
        self.0.iter().flatten().map(Bytes::len).sum()
    }

    fn get(&mut self, connection: &Connection, encode: impl FnOnce(Wire) -> Bytes) -> Bytes {
        self.0[connection.wire as usize].get_or_insert_with(|| encode(connection.wire)).clone()
    }
}

impl Output<Listener> for Fanout<'_> {
    fn request(&mut self) -> RequestId {
        self.hub.next_request()
    }

    fn send(&mut self, frame: ToOwner) {
        // Without room for it, it is lost as on any line: the feed asks again.
        let _ = self.hub.owners.send(frame);
    }

    fn live(&mut self, events: &[StreamEvent], to: LiveSubscribers<'_, Listener>) -> Vec<(SubscriberId, usize)> {
        let mut lagging: Vec<(SubscriberId, usize)> = Vec::new();
        let (mut delivered, mut before) = (0, 0);
        for piece in pieces(events) {
            let mut encoded = OncePerWire::default();
            // A subscriber that could not take the piece before does not get this one. Both go by the order of subscribers.
            let mut lag = std::mem::take(&mut lagging).into_iter().peekable();
            for (id, listener) in to.clone() {
                if let Some(earlier) = lag.next_if(|(lags, _)| *lags == id) {
                    lagging.push(earlier);
                    continue;
                }
                let bytes = encoded.get(&listener.connection, |wire| self.encode_events(wire, piece));
                match listener.connection.outbox.push(bytes, || (Arc::clone(self.cell), id)) {
                    Pushed::Yes => delivered += piece.len() as u64,
                    Pushed::No => lagging.push((id, before)),
                    Pushed::Over => {}
                }
            }
            before += piece.len();
            if !lagging.is_empty() || self.pieces.is_some() {
                self.pieces.get_or_insert_default().keep(piece, &encoded);
            }
        }
        self.hub.metrics.deliveries.inc_by(delivered);
        lagging
    }

    fn catch_up(&mut self, to: &Listener, events: &[StreamEvent]) {
        let wire = to.connection.wire;
        let mut rest = events;
        while !rest.is_empty() {
            // Those who lag lag together: they get the very bytes that the others got.
            let kept = self.pieces.as_ref().and_then(|pieces| pieces.find(wire, rest));
            let (bytes, len) = match kept {
                Some(kept) => kept,
                None => {
                    let piece = first_piece(rest);
                    (self.encode_events(wire, piece), piece.len())
                }
            };
            rest = &rest[len..];
            to.connection.outbox.push_asked(OutboxItem::Bytes(bytes));
        }
        self.hub.metrics.deliveries.inc_by(events.len() as u64);
    }

    fn room(&mut self, id: SubscriberId, to: &Listener) -> usize {
        to.connection.outbox.room(|| (Arc::clone(self.cell), id))
    }

    fn subscribed(&mut self, to: &Listener, reply: Subscribed) {
        to.connection.outbox.signal(Signal::Subscribed { key: to.key, reply });
        if to.announced {
            self.moves.push((true, to.presence()));
        }
    }

    fn refused(&mut self, to: &Listener, reason: Denial) {
        to.connection.outbox.signal(Signal::Refused { key: to.key, reason });
    }

    fn ended(&mut self, to: &Listener, why: Ending) {
        to.connection.outbox.signal(Signal::Ended { key: to.key, why });
        self.left(to);
    }

    fn ephemeral(&mut self, event: &Ephemeral, to: LiveSubscribers<'_, Listener>) {
        let mut encoded = OncePerWire::default();
        let mut dropped = 0;
        for (_, listener) in to {
            let bytes =
                encoded.get(&listener.connection, |wire| self.hub.encoder.ephemeral(wire, self.cell.channel(), event));
            if listener.connection.outbox.push_ephemeral(bytes) == Pushed::No {
                dropped += 1;
            }
        }
        self.hub.metrics.outbox_dropped.inc_by(dropped);
    }
}

/// Encoded events of late, while somebody lags behind.
#[derive(Default)]
pub(super) struct Pieces {
    kept: VecDeque<Piece>,
    bytes: usize,
}

struct Piece {
    first: Seq,
    events: usize,
    encoded: OncePerWire,
}

impl Pieces {
    fn keep(&mut self, events: &[StreamEvent], encoded: &OncePerWire) {
        let redacts = |event: &StreamEvent| matches!(event, StreamEvent::Room(event) if event.redacts().is_some());
        if events.iter().any(redacts) {
            // What is kept may hold the body that goes.
            *self = Self::default();
        }
        let Some(first) = events.first().map(StreamEvent::seq) else { return };
        let encoded = OncePerWire(encoded.0.clone());
        self.bytes += encoded.bytes();
        self.kept.push_back(Piece { first, events: events.len(), encoded });
        while self.bytes > limits::HUB_RING_BYTES
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.encoded.bytes();
        }
    }

    /// What is kept of the first of `events`, and how many of them it holds.
    fn find(&self, wire: Wire, events: &[StreamEvent]) -> Option<(Bytes, usize)> {
        let first = events.first()?.seq();
        let at = self.kept.binary_search_by_key(&first, |piece| piece.first).ok()?;
        let piece = self.kept.get(at).filter(|piece| piece.events <= events.len())?;
        Some((piece.encoded.0[wire as usize].clone()?, piece.events))
    }
}

/// Runs of events of about [`PIECE_BYTES`], one event at least.
fn pieces(events: &[StreamEvent]) -> impl Iterator<Item = &[StreamEvent]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let piece = first_piece(rest);
        rest = &rest[piece.len()..];
        (!piece.is_empty()).then_some(piece)
    })
}

fn first_piece(events: &[StreamEvent]) -> &[StreamEvent] {
    let mut bytes = 0;
    let fits = events.iter().take_while(|event| {
        bytes += event.weight();
        bytes <= PIECE_BYTES
    });
    let len = fits.count().max(1).min(events.len());
    &events[..len]
}
