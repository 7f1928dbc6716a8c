//! `notification.read`: what the caller has seen of the list of notifications. A record in the caller's partition, so that it
//! outlives the rows, and the caller's other devices are told.

use uuid::Uuid;

use super::view::Done;
use super::{Caller, Error, Handlers, no_anonymous};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{NotificationRead, WhatIsRead};

impl Handlers {
    pub(in crate::api) async fn read_notifications(
        &self,
        caller: &Caller,
        WhatIsRead { ids, all, up_to }: WhatIsRead,
    ) -> Result<Done, Error> {
        no_anonymous(caller)?;
        let read = match (all, ids.is_empty()) {
            // All that there is: the record's time says what that is.
            (true, true) => NotificationRead { up_to: up_to.unwrap_or(Uuid::max()), ids },
            (false, false) if up_to.is_none() => NotificationRead { up_to: Uuid::nil(), ids },
            (true, false) => return Err(Error::bad("ids or all, not both")),
            (false, false) => return Err(Error::bad("up_to goes with all")),
            (false, true) => return Err(Error::bad("say which: ids, or all")),
        };
        let decided = self.user_command(caller, UserCommandBody::NotificationRead(read)).await?;
        self.own.read_notifications(&caller.user, decided.end, self.node.stored());
        Ok(Done {})
    }

    /// Waits until the rows have what the caller was told to have read.
    ///
    /// # Errors
    /// They don't within two seconds: the caller comes again.
    pub(in crate::api) async fn own_notifications(&self, caller: &Caller) -> Result<(), Error> {
        let waits = self.own.own_notifications(&caller.user, self.node.stored(), self.node.halted());
        waits.await.map_err(|_| Error::unavailable())
    }
}
