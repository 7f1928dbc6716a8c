//! What a block keeps from who made it, beside the direct chat of the two (that room's own log knows its blocks): being
//! put into groups, being invited, and being seen online. The blocked user is told nothing of it.
//!
//! The log of the one who blocks is asked before a record is made, so a block counts from its acknowledgement on. Nothing
//! here decides who is in a room: it only leaves names out of what the room is asked for.

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};

use super::admission::Cost;
use super::view::Happened;
use super::{Caller, Error, Handlers};
use crate::actors::wire::{Entity, Query, QueryAnswer, RoomKind, RoomStanding, RoomStatus};
use crate::ids::{RoomId, UserId};

/// Users that are asked at a time on behalf of one request.
const AT_ONCE: usize = 16;

impl Handlers {
    /// Those who do not block the caller, in no order.
    ///
    /// # Errors
    /// One of them can't be asked now: nothing has happened.
    pub(super) async fn reachable(&self, caller: &Caller, users: Vec<UserId>) -> Result<Vec<UserId>, Error> {
        let asked = users.into_iter().map(|user| async move {
            let blocked = self.is_blocked_by(caller, &user).await?;
            Ok((!blocked).then_some(user))
        });
        let reachable = stream::iter(asked).buffer_unordered(AT_ONCE).try_filter_map(future::ok);
        reachable.try_collect().await
    }

    /// Whether `user` blocks the caller.
    ///
    /// # Errors
    /// He can't be asked now.
    pub(super) async fn is_blocked_by(&self, caller: &Caller, user: &UserId) -> Result<bool, Error> {
        if *user == caller.user || user.is_anonymous() {
            return Ok(false);
        }
        let blocks = Query::Blocks { other: caller.user.clone() };
        match self.node.router().query(Entity::User(user.clone()), blocks).await {
            QueryAnswer::Blocks(blocks) => Ok(blocks),
            _ => Err(Error::unavailable()),
        }
    }

    /// What an invitation of somebody who blocks the caller comes to: the answer of one that was made, and nothing is
    /// made. `None` if the room would refuse it, or knows the user already: then it may say so itself.
    pub(super) async fn invited_in_vain(
        &self,
        caller: &Caller,
        room: RoomId,
        user: &UserId,
    ) -> Result<Option<Happened>, Error> {
        let now = self.node.env().now();
        let facts = self.inside(caller, room).await?;
        let is_new = matches!(self.standing(room, user).await?, None | Some(RoomStanding::Kicked(_)));
        let by_invitation = matches!(facts.kind, Some(RoomKind::Group | RoomKind::Broadcast));
        let lives = facts.status.at(facts.expires_at, now) == RoomStatus::Active;
        let head = (by_invitation && is_new && lives).then_some(facts.head);
        if head.is_some() {
            self.admit(caller, Cost::Change { users: 1, bytes: 0 })?;
        }
        Ok(head.map(|seq| Happened { seq, ts: now, existing: false }))
    }

    /// Where another user stands in a room that the caller is known to be in.
    pub(super) async fn standing(&self, room: RoomId, user: &UserId) -> Result<Option<RoomStanding>, Error> {
        match self.node.router().query(Entity::Room(room), Query::Room { user: user.clone() }).await {
            QueryAnswer::Room(facts) => Ok(facts.standing),
            _ => Err(Error::unavailable()),
        }
    }
}
