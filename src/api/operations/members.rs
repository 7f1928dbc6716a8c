//! `room.join`, `room.leave`, `room.kick`, `room.members`.

use std::collections::HashMap;

use super::admission::Cost;
use super::input::{self, InRoom, Members, UserInRoom};
use super::view::{self, Happened, MemberPage, MemberView};
use super::{Caller, Error, Handlers, stored};
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::{Join, Kick, Leave};
use crate::actors::wire::{Query, QueryAnswer};
use crate::ids::{RoomId, Seq, UserId};
use crate::limits;

/// Members in a page if the caller does not say.
const PAGE: usize = 100;

impl Handlers {
    pub(in crate::api) async fn join(&self, caller: &Caller, input: InRoom) -> Result<Happened, Error> {
        let join = RoomCommand::Join(Join { user: caller.user.clone() });
        self.room_command(caller, input.room.0, join).await.map(Happened::from)
    }

    pub(in crate::api) async fn leave(&self, caller: &Caller, input: InRoom) -> Result<Happened, Error> {
        let leave = RoomCommand::Leave(Leave { user: caller.user.clone() });
        self.room_command(caller, input.room.0, leave).await.map(Happened::from)
    }

    pub(in crate::api) async fn kick(&self, caller: &Caller, input: UserInRoom) -> Result<Happened, Error> {
        let kick = RoomCommand::Kick(Kick { by: caller.user.clone(), user: input.user });
        self.room_command(caller, input.room.0, kick).await.map(Happened::from)
    }

    /// From the folded state, so it includes what was acknowledged a moment ago. The read marks come from the store and
    /// may be older by as much as the store is behind.
    pub(in crate::api) async fn members(&self, caller: &Caller, input: Members) -> Result<MemberPage, Error> {
        let limit = input::page(input.limit, PAGE, limits::HISTORY_PAGE)?;
        let Members { room, limit: _, after, marks } = input;
        self.admit(caller, Cost::Question { rows: limit })?;
        let query = Query::Members { user: caller.user.clone(), after: after.clone(), limit: limit + 1 };
        let QueryAnswer::Members { members, total, creator } = self.ask_inside(caller, room.0, query).await? else {
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
            let mut found = self.marks_of(room.0, after, members.last().map(|last| &last.user)).await?;
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
