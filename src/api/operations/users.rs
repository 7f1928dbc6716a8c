//! `presence.get`, `user.block`, `user.unblock`, `user.device`, `user.preferences`.

use futures_util::future::join_all;
use serde::Deserialize;
use utoipa::ToSchema;

use super::admission::Cost;
use super::request::{OfDevice, OfUser};
use super::view::{Done, PreferencesView, PresencePage, PresenceView, json};
use super::{Caller, Error, Handlers};
use crate::actors::bounds;
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{self, DeviceFacts, NewPreferences};
use crate::actors::wire::{Query, QueryAnswer};
use crate::actors::workers::notification::providers::PushSubscription;
use crate::ids::UserId;
use crate::limits;

/// Users asked for in one `presence.get`.
const PRESENCE_USERS: usize = 100;

/// Who is online of these.
#[derive(Deserialize, Debug, ToSchema)]
pub(in crate::api) struct PresenceQuery {
    /// The users, at most 100.
    pub(in crate::api) users: Vec<UserId>,
}

impl Handlers {
    /// Whom one may ask about is not checked: users share rooms in too many partitions for that to be cheap. Only callers
    /// with an id of their own get here. Who blocks the caller is never seen online, nor who can't be asked.
    pub(in crate::api) async fn presence(&self, caller: &Caller, input: PresenceQuery) -> Result<PresencePage, Error> {
        bounds::count("users", input.users.len(), PRESENCE_USERS)?;
        self.admit(caller, Cost::Question { rows: input.users.len() })?;
        let views = input.users.into_iter().map(|user| async move {
            let online = (self.online)(&user) && !self.is_blocked_by(caller, &user).await.unwrap_or(true);
            (user, PresenceView { online })
        });
        Ok(PresencePage { users: join_all(views).await.into_iter().collect() })
    }

    /// The direct chat of the two hears of it through the relay: a moment later, not with the answer. What the other one
    /// asked the caller into is declined.
    pub(in crate::api) async fn block(&self, caller: &Caller, OfUser { user }: OfUser) -> Result<Done, Error> {
        may_be_blocked(caller, &user)?;
        let block = commands::Block { user: user.clone() };
        self.user_command(caller, UserCommandBody::Block(block)).await?;
        self.decline_all_of(caller, &user).await;
        Ok(Done {})
    }

    pub(in crate::api) async fn unblock(&self, caller: &Caller, OfUser { user }: OfUser) -> Result<Done, Error> {
        may_be_blocked(caller, &user)?;
        self.user_command(caller, UserCommandBody::Unblock(commands::Unblock { user })).await?;
        Ok(Done {})
    }

    pub(in crate::api) async fn device(
        &self,
        caller: &Caller,
        OfDevice { device }: OfDevice,
        DeviceFacts { platform, push_token, remove }: DeviceFacts,
    ) -> Result<Done, Error> {
        // What is named here is asked by the server: no address that is none of the internet.
        if push_token.starts_with('{') && !remove {
            bounds::text("push_token", &push_token, limits::PUSH_TOKEN_BYTES)?;
            let read = PushSubscription::read(&push_token, self.options.web_push_anywhere);
            read.map_err(|why| Error::bad(why.to_string()))?;
        }
        let body = match remove {
            true => UserCommandBody::DeviceRemove(commands::DeviceRemove { device }),
            false => UserCommandBody::Device(commands::Device { device, platform, push_token }),
        };
        self.user_command(caller, body).await?;
        Ok(Done {})
    }

    /// Forgets all devices of a user who has signed out everywhere, is banned or gone: no push reaches them any more. What was
    /// done to the user is done whether this works or not; the log tells.
    pub(in crate::api) async fn forget_devices(&self, user: &UserId) {
        let body = UserCommandBody::DevicesForget(commands::DevicesForget);
        if let Err(error) = self.user_command(&Caller::in_the_name_of(user.clone()), body).await {
            tracing::warn!(%user, %error, "the devices of a user who was signed out could not be forgotten");
        }
    }

    pub(in crate::api) async fn preferences(
        &self,
        caller: &Caller,
        new: NewPreferences,
    ) -> Result<PreferencesView, Error> {
        if let Some(preferences) = new.preferences {
            let text = preferences.get();
            if !text.starts_with('{') {
                return Err(Error::bad("preferences are a JSON object"));
            }
            self.user_command(caller, UserCommandBody::Preferences(commands::Preferences { json: text.to_owned() }))
                .await?;
            return Ok(PreferencesView { preferences: Some(preferences) });
        }
        match self.ask_myself(caller, Query::Preferences).await? {
            QueryAnswer::Preferences(now) => Ok(PreferencesView { preferences: json(now) }),
            _ => Err(Error::unavailable()),
        }
    }
}

fn may_be_blocked(caller: &Caller, user: &UserId) -> Result<(), Error> {
    if *user == caller.user {
        return Err(Error::bad("nobody blocks himself"));
    }
    if user.is_anonymous() {
        return Err(Error::bad("anonymous users can't be blocked: they are new each time"));
    }
    Ok(())
}
