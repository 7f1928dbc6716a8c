//! What reaches a room or user beside records: somebody wants to listen, lacks events, or asks about the folded state.
//! Answered once, by the entity, or with a refusal if it can't be had now.

use crate::actors::wire::{Denial, Entity, FetchError, NodeId, Query, QueryAnswer, RequestId, ToGateway};
use crate::ids::{Generation, Seq, UserId};

/// A question of a gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// The gateway's node.
    pub from: NodeId,
    /// The gateway's number for it.
    pub request: RequestId,
    /// What is asked.
    pub asked: QuestionBody,
}

/// See [`Question`].
#[derive(Clone, PartialEq, Debug)]
pub enum QuestionBody {
    /// To listen, on behalf of this user.
    Listen {
        /// The user.
        user: UserId,
        /// By an open channel's name.
        open: bool,
    },
    /// Events.
    Fetch {
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
    /// Something about the folded state.
    Query(Query),
}

impl Question {
    /// The answer while the entity can't be had.
    pub(crate) fn refusal(&self, stream: Entity) -> ToGateway {
        let request = self.request;
        match self.asked {
            QuestionBody::Listen { .. } => ToGateway::Denied { request, stream, reason: Denial::Unavailable },
            QuestionBody::Fetch { .. } => {
                let (generation, events) = (Generation::FIRST, Err(FetchError::Unavailable));
                ToGateway::Fetched { request, stream, generation, events }
            }
            QuestionBody::Query(_) => ToGateway::Queried { request, answer: QueryAnswer::Unavailable },
        }
    }
}
