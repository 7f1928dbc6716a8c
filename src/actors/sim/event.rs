//! What happens in the simulated world, and when.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::actors::gateway::feed::{Ending, Position, Subscribed};
use crate::actors::partition::core::Ticket;
use crate::actors::partition::hydration::Loaded;
use crate::actors::partition::listeners::Listeners;
use crate::actors::partition::memory::Share;
use crate::actors::partition::stored_fetch::StoredFetch;
use crate::actors::room::commands::RoomCommand;
use crate::actors::user::commands::UserCommandBody;
use crate::actors::wire::{Answer, Denial, Entity, NodeId, StreamEvent, ToGateway, ToOwner};
use crate::ids::{Offset, Partition, RoomId};
use crate::storage::journal::memory;
use crate::storage::journal::{AppendError, Appended, ReadError, Tailed};
use crate::storage::store::Commit;

/// One life of an owner of a partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct OwnerId {
    /// Where.
    pub node: NodeId,
    /// Of what.
    pub partition: Partition,
    /// Which life.
    pub life: u32,
}

/// A connection of a client to one life of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Link {
    /// The node.
    pub node: NodeId,
    /// The connection's number, never used again.
    pub connection: u32,
}

/// A wish that becomes a command at the gateway.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Of a room.
    Room(RoomId, RoomCommand),
    /// Of the user himself.
    User(UserCommandBody),
}

/// From a client to its gateway.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    /// The connection begins.
    Connect {
        /// Whose.
        client: usize,
    },
    /// To what stands in the client's `n`th place, from a position on. Named by a token of the client's.
    Subscribe(u32, usize, Option<Position>),
    /// No more, in the client's `n`th place.
    Unsubscribe(usize),
    /// Named by a token of the client's.
    Command(u32, Box<Wish>),
    /// Types in a room.
    Typing(RoomId),
}

/// From a gateway to a client.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    /// The subscription begins.
    Subscribed(u32, Subscribed),
    /// It does not.
    Refused(u32, Denial),
    /// It ends.
    Ended(u32, Ending),
    /// The next events of what stands in the client's `n`th place.
    Events(usize, Arc<[StreamEvent]>),
    /// What became of a command.
    Answer(u32, Answer),
    /// The connection is over.
    Close,
}

/// What happens.
pub(crate) enum What {
    /// A frame reaches an owner's node.
    ToOwner { from: NodeId, to: NodeId, frame: ToOwner },
    /// A frame reaches a gateway.
    ToGateway { to: NodeId, bytes: Bytes },
    /// A client's message reaches its gateway.
    Up { link: Link, message: Up },
    /// A gateway empties an outbox.
    Flush { link: Link },
    /// A connection that had no room: has it taken enough since?
    Judge { link: Link },
    /// A gateway notices that a client is gone.
    Gone { link: Link },
    /// An append is seen before it is durable.
    Expose { ticket: memory::Ticket },
    /// The journal decides an append.
    Settle { ticket: memory::Ticket },
    /// A client of the brokers fetches of a partition: a node's, or that of the reader that stands alone.
    Bring { reader: Option<NodeId>, partition: Partition },
    /// The journal's leader of a partition is lost.
    LeaderLoss { partition: Partition },
    /// The owner hears of it.
    Report { owner: OwnerId, ticket: Ticket, report: Result<Appended, AppendError> },
    /// An owner's tail looks whether there is something to tell.
    Look { owner: OwnerId },
    /// And what it told reaches the owner.
    Told { owner: OwnerId, told: Result<Tailed, ReadError> },
    /// A snapshot is taken of the store for an entity.
    Load { owner: OwnerId, entity: Entity, replay_to: Offset, listeners: Arc<Listeners>, share: Share },
    /// And it reaches the owner, if there was one.
    Loaded { owner: OwnerId, entity: Entity, loaded: Option<Loaded> },
    /// An entity that could not be loaded has rested.
    Rested { owner: OwnerId, entity: Entity },
    /// What no later record covers is due to be covered.
    Cover { owner: OwnerId },
    /// A resident takes its next message.
    Resident { owner: OwnerId, entity: Entity },
    /// The owner notices that a resident died.
    Died { owner: OwnerId, entity: Entity },
    /// Older events are read from the store.
    Fetch { owner: OwnerId, fetch: StoredFetch },
    /// A node begins to own a partition.
    Begin { node: NodeId, partition: Partition },
    /// A gateway hears that a partition's owner has begun anew.
    Began { node: NodeId, partition: Partition },
    /// Once a second on each node.
    NodeTick { node: NodeId },
    /// Some times a second on each node.
    GatewayTick { node: NodeId },
    /// The projector's next round.
    Project { node: NodeId },
    /// Its commit reaches the store.
    Commit { node: NodeId, life: u32, commit: Box<Commit> },
    /// The relay's next round.
    Relay { node: NodeId },
    /// The scan for expired rooms.
    Expiry { node: NodeId },
    /// A node comes back.
    Return { node: usize },
    /// A node that can't go on with what it knows is ended, and begins again as the newer program.
    Replace { node: NodeId },
    /// The program starts again over a disk that had failed.
    Reopen,
    /// A connection has been told what others want of it.
    Obey { link: Link },
    /// A client does something.
    Act { client: usize },
    /// Something goes wrong.
    Fault,
    /// Whether everything has settled.
    Settled,
}

/// A command: its record's id and whom it concerns. What one record means for several users has one id.
pub(crate) type CommandKey = (Uuid, Bytes);

/// How often a command reached an owner, and how often an owner said that it is certainly not written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copies {
    /// Copies that came to an owner.
    pub came: usize,
    /// Answers that there is none of one.
    pub refused: usize,
}

struct Entry {
    at: u64,
    serial: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// What is to come, in the order of time and of asking.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Box<Entry>>>,
    serial: u64,
}

impl Queue {
    /// At this time.
    pub(crate) fn push(&mut self, at: u64, what: What) {
        self.serial += 1;
        self.heap.push(Reverse(Box::new(Entry { at, serial: self.serial, what })));
    }

    /// Later after all, and before what was asked for after it: what keeps its order does so behind a pause, too.
    pub(crate) fn put_off(&mut self, at: u64, serial: u64, what: What) {
        self.heap.push(Reverse(Box::new(Entry { at, serial, what })));
    }

    /// Drops what is not to come.
    pub(crate) fn retain(&mut self, comes: impl Fn(&What) -> bool) {
        self.heap.retain(|Reverse(entry)| comes(&entry.what));
    }

    /// The next one, its time and its number.
    pub(crate) fn pop(&mut self) -> Option<(u64, u64, What)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.serial, entry.what))
    }
}

impl fmt::Display for What {
    /// A line of the story.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToOwner { from, to, frame } => write!(f, "{from:?} to the owner at {to:?}: {frame:?}"),
            Self::ToGateway { to, bytes } => match ToGateway::decode(bytes, *to) {
                Ok(frame) => write!(f, "to gateway {to:?}: {frame:?}"),
                Err(error) => write!(f, "to gateway {to:?}: {error}"),
            },
            Self::Up { link, message } => write!(f, "to {link:?}: {message:?}"),
            Self::Flush { link } => write!(f, "{link:?} takes more"),
            Self::Judge { link } => write!(f, "is {link:?} slow?"),
            Self::Gone { link } => write!(f, "{link:?} is gone"),
            Self::Expose { ticket } => write!(f, "{ticket:?} is seen"),
            Self::Settle { ticket } => write!(f, "{ticket:?} is decided"),
            Self::Bring { reader, partition } => write!(f, "{reader:?} fetches of {partition}"),
            Self::LeaderLoss { partition } => write!(f, "the leader of {partition} is lost"),
            Self::Report { owner, ticket, report } => write!(f, "{owner:?} hears of {ticket:?}: {report:?}"),
            Self::Look { owner } => write!(f, "the tail of {owner:?} looks"),
            Self::Told { owner, told: Ok(Tailed::Batch { records, end, .. }) } => {
                write!(f, "{owner:?} is told {} records, the end is {end}", records.len())
            }
            Self::Told { owner, told: Ok(Tailed::Truncated { end, .. }) } => {
                write!(f, "{owner:?} is told of a loss at {end}")
            }
            Self::Told { owner, told: Err(error) } => write!(f, "{owner:?} can't read: {error}"),
            Self::Load { owner, entity, replay_to, .. } => write!(f, "{owner:?} loads {entity:?} up to {replay_to}"),
            Self::Loaded { owner, entity, loaded } => write!(f, "{owner:?} has {entity:?}: {}", loaded.is_some()),
            Self::Cover { owner } => write!(f, "{owner:?} covers what no later record does"),
            Self::Rested { owner, entity } => write!(f, "{owner:?} asks again for {entity:?}, or refuses it"),
            Self::Resident { owner, entity } => write!(f, "{entity:?} works at {owner:?}"),
            Self::Died { owner, entity } => write!(f, "{entity:?} has died at {owner:?}"),
            Self::Fetch { owner, fetch } => write!(f, "{owner:?} asks the store: {fetch:?}"),
            Self::Begin { node, partition } => write!(f, "{node:?} begins to own {partition}"),
            Self::Began { node, partition } => write!(f, "{node:?} hears that the owner of {partition} begins"),
            Self::NodeTick { node } => write!(f, "{node:?} ticks"),
            Self::GatewayTick { node } => write!(f, "gateway {node:?} ticks"),
            Self::Project { node } => write!(f, "{node:?} projects"),
            Self::Commit { node, commit, .. } => write!(f, "{node:?} commits {:?}", commit.watermarks),
            Self::Relay { node } => write!(f, "{node:?} relays"),
            Self::Expiry { node } => write!(f, "{node:?} looks for what expires"),
            Self::Return { node } => write!(f, "node {node} comes back"),
            Self::Replace { node } => write!(f, "{node:?} is replaced by the newer program"),
            Self::Reopen => write!(f, "the journal is opened again"),
            Self::Obey { link } => write!(f, "{link:?} obeys"),
            Self::Act { client } => write!(f, "client {client} acts"),
            Self::Fault => write!(f, "a fault"),
            Self::Settled => write!(f, "is all settled?"),
        }
    }
}

impl What {
    /// The node that has to be alive and awake for it.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match self {
            Self::ToOwner { to, .. } | Self::ToGateway { to, .. } => Some(*to),
            Self::Up { link, .. }
            | Self::Flush { link }
            | Self::Judge { link }
            | Self::Obey { link }
            | Self::Gone { link } => Some(link.node),
            Self::Report { owner, .. }
            | Self::Look { owner }
            | Self::Told { owner, .. }
            | Self::Load { owner, .. }
            | Self::Loaded { owner, .. }
            | Self::Rested { owner, .. }
            | Self::Cover { owner }
            | Self::Resident { owner, .. }
            | Self::Died { owner, .. }
            | Self::Fetch { owner, .. } => Some(owner.node),
            Self::Begin { node, .. }
            | Self::Began { node, .. }
            | Self::NodeTick { node }
            | Self::GatewayTick { node }
            | Self::Project { node }
            | Self::Relay { node }
            | Self::Replace { node }
            | Self::Expiry { node } => Some(*node),
            Self::Bring { reader, .. } => *reader,
            // A commit on its way reaches the store whatever becomes of its sender.
            Self::Commit { .. }
            | Self::Expose { .. }
            | Self::Settle { .. }
            | Self::LeaderLoss { .. }
            | Self::Return { .. }
            | Self::Reopen
            | Self::Act { .. }
            | Self::Fault
            | Self::Settled => None,
        }
    }

    /// A number for the trace.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::ToOwner { .. } => 1,
            Self::ToGateway { .. } => 2,
            Self::Up { .. } => 3,
            Self::Flush { .. } => 4,
            Self::Gone { .. } => 5,
            Self::Expose { .. } => 6,
            Self::Settle { .. } => 7,
            Self::Report { .. } => 8,
            Self::Look { .. } => 9,
            Self::Told { .. } => 10,
            Self::Load { .. } => 12,
            Self::Rested { .. } => 11,
            Self::Loaded { .. } => 13,
            Self::Resident { .. } => 14,
            Self::Died { .. } => 15,
            Self::Fetch { .. } => 16,
            Self::Begin { .. } => 17,
            Self::NodeTick { .. } => 18,
            Self::GatewayTick { .. } => 19,
            Self::Project { .. } => 20,
            Self::Commit { .. } => 21,
            Self::Relay { .. } => 22,
            Self::Expiry { .. } => 23,
            Self::Return { .. } => 24,
            Self::Act { .. } => 25,
            Self::Fault => 26,
            Self::Settled => 27,
            Self::Began { .. } => 28,
            Self::LeaderLoss { .. } => 29,
            Self::Judge { .. } => 30,
            Self::Reopen => 31,
            Self::Obey { .. } => 32,
            Self::Replace { .. } => 33,
            Self::Cover { .. } => 34,
            Self::Bring { .. } => 35,
        }
    }
}
