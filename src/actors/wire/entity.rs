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
}

/// A number that a gateway gives to a question, unique on that gateway while it runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// A node of the cluster. One node: always 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u32);

/// Who asked: which gateway, and under which number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    /// The gateway's node.
    pub node: NodeId,
    /// The gateway's number for it.
    pub request: RequestId,
    /// Bytes taken from the partition's budget, given back with the answer.
    pub weight: u32,
}
