//! `room.join`, `room.leave`, `room.kick`, `room.members`.

use std::collections::HashMap;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::admission::Cost;
use super::request::{self, InRoom, OfUser};
use super::view::{self, Happened, MemberPage, MemberView};
use super::{Caller, Error, Handlers, stored};
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::{Join, Kick, Leave};
use crate::actors::wire::{Query, QueryAnswer};
use crate::ids::{RoomId, Seq, UserId};
use crate::limits;

/// Members in a page if the caller does not say.
const PAGE: usize = 100;

/// A page of members.
#[derive(Deserialize, Debug, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct MembersQuery {
    /// How many, 100 unless said otherwise.
    #[schema(minimum = 1, maximum = 300, required = false, nullable = false)]
    #[param(minimum = 1, maximum = 300, required = false, nullable = false)]
    limit: Option<u64>,
    /// The last user of the last page.
    #[schema(required = false, nullable = false)]
    #[param(required = false, nullable = false)]
    after: Option<UserId>,
    /// With each one's read mark.
    #[serde(default)]
    #[schema(required = false)]
    #[param(required = false)]
    marks: bool,
}

impl Handlers {
    pub(in crate::api) async fn join(&self, caller: &Caller, InRoom { room }: InRoom) -> Result<Happened, Error> {
        let join = RoomCommand::Join(Join { user: caller.user.clone() });
        self.room_command(caller, room, join).await.map(Happened::from)
    }

    pub(in crate::api) async fn leave(&self, caller: &Caller, InRoom { room }: InRoom) -> Result<Happened, Error> {
        let leave = RoomCommand::Leave(Leave { user: caller.user.clone() });
        self.room_command(caller, room, leave).await.map(Happened::from)
    }

    pub(in crate::api) async fn kick(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        OfUser { user }: OfUser,
    ) -> Result<Happened, Error> {
        let kick = RoomCommand::Kick(Kick { by: caller.user.clone(), user });
        self.room_command(caller, room, kick).await.map(Happened::from)
    }

    /// From the folded state, so it includes what was acknowledged a moment ago. The read marks come from the store and
    /// may be older by as much as the store is behind.
    pub(in crate::api) async fn members(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        MembersQuery { limit, after, marks }: MembersQuery,
    ) -> Result<MemberPage, Error> {
        let limit = request::page(limit, PAGE, limits::HISTORY_PAGE)?;
        self.admit(caller, Cost::Question { rows: limit })?;
        let query = Query::Members { user: caller.user.clone(), after: after.clone(), limit: limit + 1 };
        let QueryAnswer::Members { members, total, creator } = self.ask_inside(caller, room, query).await? else {
            return Err(Error::unavailable());
        };
        let view = |(user, joined)| {
            let role = view::role(&user, creator.as_ref());
            MemberView { user, role, joined, read_seq: None }
        };
        let mut members: Vec<_> = members.into_iter().map(view).collect();
        let more = members.len() > limit;
        members.truncate(limit);
        if marks {
            let mut found = self.marks_of(room, after, members.last().map(|last| &last.user)).await?;
            for member in &mut members {
                member.read_seq = Some(found.remove(&member.user).unwrap_or(Seq::ZERO));
            }
        }
        let after = members.last().filter(|_| more).map(|last| last.user.clone());
        Ok(MemberPage { members, total, after })
    }

    /// The read marks of the users above `after` and up to `last`.
    async fn marks_of(
        &self,
        room: RoomId,
        mut after: Option<UserId>,
        last: Option<&UserId>,
    ) -> Result<HashMap<UserId, Seq>, Error> {
        let mut found = HashMap::new();
        loop {
            let rows = stored(self.node.store().read_marks(room, after.as_ref(), limits::HISTORY_PAGE)).await?;
            let full = rows.len() == limits::HISTORY_PAGE;
            after = rows.last().map(|row| row.user.clone());
            found.extend(rows.into_iter().map(|row| (row.user, row.seq)));
            if !full || after.as_ref() >= last {
                return Ok(found);
            }
        }
    }
}
