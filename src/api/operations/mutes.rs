//! `room.mute`, `room.unmute`, `user.mutes`: rooms whose messages notify the caller no more. It is the caller's own matter: a
//! record in the caller's partition, of which the room knows nothing.

use super::request::{InRoom, NoParams};
use super::view::{Done, MuteView, MutesView};
use super::{Caller, Error, Handlers, no_anonymous};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{Mute, MuteTime};
use crate::actors::wire::{Query, QueryAnswer};
use crate::ids::{RoomId, Timestamp};

impl Handlers {
    pub(in crate::api) async fn mute(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        MuteTime { until }: MuteTime,
    ) -> Result<Done, Error> {
        if until.is_some_and(|until| until <= self.node.env().now() || until > Mute::FOR_EVER) {
            return Err(Error::bad("until: expected a time to come, in milliseconds since 1970"));
        }
        self.mute_until(caller, room, until.unwrap_or(Mute::FOR_EVER)).await
    }

    pub(in crate::api) async fn unmute(&self, caller: &Caller, InRoom { room }: InRoom) -> Result<Done, Error> {
        self.mute_until(caller, room, Timestamp::ZERO).await
    }

    async fn mute_until(&self, caller: &Caller, room: RoomId, until: Timestamp) -> Result<Done, Error> {
        no_anonymous(caller)?;
        self.user_command(caller, UserCommandBody::Mute(Mute { room, until })).await?;
        Ok(Done {})
    }

    pub(in crate::api) async fn mutes(&self, caller: &Caller, NoParams {}: NoParams) -> Result<MutesView, Error> {
        let QueryAnswer::Mutes(mutes) = self.ask_myself(caller, Query::Mutes).await? else {
            return Err(Error::unavailable());
        };
        let until = |until| MuteView { until: Some(until).filter(|until| *until < Mute::FOR_EVER) };
        Ok(MutesView { mutes: mutes.into_iter().map(|(room, at)| (room, until(at))).collect() })
    }
}
