//! `room.invite`, `room.uninvite`: asking in, and taking back what is not answered yet.
//!
//! How many invitations a user has out, over all rooms, is counted here, in the store's rows, before a record is made: no
//! room knows the others, and the bound needs no more than a count that is nearly right. It is too low by what the store
//! does not have yet, which a user's share ([`super::share`]) bounds. How many a room has is exact: its fold decides.

use futures_util::{StreamExt as _, stream};

use super::admission::Cost;
use super::request::{InRoom, OfUser};
use super::view::{Happened, TakenBack};
use super::{Caller, Error, Handlers, room_record, stored};
use crate::actors::room::commands::{Invite, Unanswered};
use crate::actors::room::{self, RoomCommand};
use crate::actors::wire::{Reject, RoomStanding};
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::storage::store::Invitations;
use crate::storage::store::rows::MemberRow;

/// Commands that are under way at a time on behalf of one request.
const AT_ONCE: usize = 16;

impl Handlers {
    pub(in crate::api) async fn invite(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        OfUser { user }: OfUser,
    ) -> Result<Happened, Error> {
        self.may_change(caller)?;
        if self.is_blocked_by(caller, &user).await?
            && let Some(nothing) = self.invited_in_vain(caller, room, &user).await?
        {
            return Ok(nothing);
        }
        self.may_invite(caller, room, &user).await?;
        let invite = RoomCommand::Invite(Invite { by: caller.user.clone(), user });
        self.room_command(caller, room, invite).await.map(Happened::from)
    }

    /// A user who is in the room or invited already is no further invitation: the room says so itself.
    async fn may_invite(&self, caller: &Caller, room: RoomId, user: &UserId) -> Result<(), Error> {
        let most = self.options.invitations;
        if most == 0 {
            return Ok(());
        }
        let store = self.node.store();
        // Nearly everybody is below it even with those into rooms that are over, and an index says so.
        if stored(store.invitations_out(&caller.user, most)).await? < most {
            return Ok(());
        }
        let look = most.max(limits::INVITES);
        self.admit(caller, Cost::Question { rows: look })?;
        if stored(store.pending_invitations(&caller.user, look)).await? < most {
            return Ok(());
        }
        self.inside(caller, room).await?;
        match self.standing(room, user).await? {
            Some(RoomStanding::Member(_) | RoomStanding::Invited(_)) => Ok(()),
            Some(RoomStanding::Kicked(_)) | None => Err(Error::TooManyInvitations { most }),
        }
    }

    /// Takes back the caller's own unanswered invitations, or in a room of his those of another.
    ///
    /// # Errors
    /// Nothing was taken back. If only some could be, that is told with `more`.
    pub(in crate::api) async fn uninvite(&self, caller: &Caller, which: Unanswered) -> Result<TakenBack, Error> {
        self.may_change(caller)?;
        let Unanswered { room, user, inviter } = which;
        let by = inviter.as_ref().unwrap_or(&caller.user);
        if *by != caller.user && room.is_none() {
            return Err(Error::bad("whoever takes back the invitations of another says in which room"));
        }
        let which = Invitations { by, room, user: user.as_ref() };
        let done = self.take_back(caller, which).await;
        let taken = done.as_ref().map_or(0, |done| done.taken);
        self.admission.charge(&caller.payer, Cost::Change { users: taken, bytes: 0 });
        done
    }

    /// Declines what somebody whom the caller blocks asked him into. As far as the store has it: what came in the last
    /// moment stays, and is declined by leaving.
    pub(super) async fn decline_all_of(&self, caller: &Caller, inviter: &UserId) {
        let which = Invitations { user: Some(&caller.user), ..Invitations::of(inviter) };
        if let Err(error) = self.take_back(caller, which).await {
            tracing::warn!(%error, "invitations by a user who was blocked stay until they are declined");
        }
    }

    async fn take_back(&self, caller: &Caller, which: Invitations<'_>) -> Result<TakenBack, Error> {
        let most = limits::INVITES_TAKEN_BACK;
        let mut found = stored(self.node.store().invitations(which, most + 1)).await?;
        let mut more = found.len() > most;
        found.truncate(most);
        let one = |invitation: MemberRow| async move {
            let (by, inviter, user) = (caller.user.clone(), invitation.invited_by?, invitation.user);
            let body = RoomCommand::Uninvite(room::commands::Uninvite { by, inviter, user });
            Some(self.give(caller, room_record(self.node.env(), invitation.room, body), Cost::CHANGE).await)
        };
        let mut done = stream::iter(found).map(one).buffer_unordered(AT_ONCE);
        let (mut taken, mut refused) = (0, None);
        while let Some(one) = done.next().await {
            match one {
                Some(Ok(_)) => taken += 1,
                // Answered in the meantime, or taken back before and the store lacks that.
                Some(Err(Error::Rejected(Reject::NotMember | Reject::NoRoom))) | None => {}
                Some(Err(error)) => (more, refused) = (true, Some(error)),
            }
        }
        match refused {
            Some(error) if taken == 0 => Err(error),
            _ => Ok(TakenBack { taken, more }),
        }
    }
}
