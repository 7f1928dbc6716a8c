//! Takes an invitation back.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, fields};
use crate::ids::{RoomId, UserId};

/// Which unanswered invitations are taken back; all of the caller's if nothing is said.
#[derive(Deserialize, Debug, Default, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Unanswered {
    /// Only those into this chat.
    #[serde(alias = "chat")]
    #[schema(required = false, nullable = false)]
    #[param(rename = "chat", required = false, nullable = false)]
    pub room: Option<RoomId>,
    /// Only those of this user.
    #[schema(required = false, nullable = false)]
    #[param(required = false, nullable = false)]
    pub user: Option<UserId>,
    /// Whose they are, if not one's own: the chat is then one of one's own making.
    #[schema(required = false, nullable = false)]
    #[param(required = false, nullable = false)]
    pub inviter: Option<UserId>,
}

/// Takes an invitation back, and nothing else: a member stays one, and only who was kicked before it needs another to enter. By
/// whoever made it, in the room or not, by the creator, or by the one who was asked in; also once the room is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uninvite {
    /// Who takes it back.
    pub by: UserId,
    /// Whose invitation it is. Another one's of the same user stays.
    pub inviter: UserId,
    /// Who was asked in.
    pub user: UserId,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    inviter: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    user: Bytes,
}

impl Verb<RoomState, Outcome> for Uninvite {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        let [by, inviter, user] = [self.by, self.inviter, self.user].map(|user| fields::bytes(user.as_str()));
        Payload { by, inviter, user }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let Payload { by, inviter, user } = payload;
        Ok(Self { by: fields::user(&by)?, inviter: fields::user(&inviter)?, user: fields::user(&user)? })
    }

    fn names(&self) -> usize {
        1
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { by, inviter, user } = self;
        room.with_membership()?;
        if room.members.invited.get(&user).is_none_or(|invitation| invitation.by != inviter) {
            return Err(Reject::NotMember);
        }
        if by != user && by != inviter {
            room.creator_only(&by)?;
        }
        room.members.leave(&user);
        let body = if by == user { EventBody::Left } else { EventBody::Uninvited { user } };
        Ok(room.accept(now, id, Some(by), None, body))
    }
}
