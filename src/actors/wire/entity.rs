//! The names by which nodes speak of an entity, of a node and of a question.

use crate::ids::{Partition, RoomId, UserId};

/// What a record belongs to and what can be listened to: the unit that is made resident, folds, and passivates. Its events
/// are one stream.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entity {
    /// A room: `room:<uuid>`, or an open channel.
    Room(RoomId),
    /// A user: `#<user id>`.
    User(UserId),
}

impl Entity {
    /// The partition that holds it.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::Room(room) => room.partition(),
            Self::User(user) => user.partition(),
        }
    }

    /// The key of its records.
    #[must_use]
    pub(crate) fn record_key(&self) -> &[u8] {
        match self {
            Self::Room(room) => room.0.as_bytes(),
            Self::User(user) => user.as_str().as_bytes(),
        }
    }
}

/// A number that a gateway gives to a question, unique in that life of its node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// A node of the cluster in one of its lives: it keeps its number, and each start of the program is another life. Request
/// numbers begin anew in each, so what is meant for one life is never taken by another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId {
    /// Its name. One node: always 0.
    pub number: u32,
    /// Grows from life to life.
    pub life: u64,
}

impl NodeId {
    /// Whether `other` is an earlier life of the same node.
    #[must_use]
    pub(crate) fn has_outlived(self, other: Self) -> bool {
        self.number == other.number && self.life > other.life
    }
}

/// Who asked: which gateway, and under which number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    /// The gateway's node.
    pub(crate) node: NodeId,
    /// The gateway's number for it.
    pub(crate) request: RequestId,
    /// Bytes taken from the partition's budget, given back with the answer.
    pub(crate) weight: u32,
}
