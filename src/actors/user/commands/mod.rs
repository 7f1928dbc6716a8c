//! What a user may be asked: the table of the verbs, one file each. See [`crate::actors::verbs`] for what a verb says of
//! itself.

mod block;
mod device;
mod device_remove;
mod devices_forget;
mod mute;
mod notification_read;
mod preferences;
mod push_gone;
mod read;
mod room;
mod unblock;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

pub use self::block::Block;
pub use self::device::Device;
pub(crate) use self::device::DeviceFacts;
pub use self::device_remove::DeviceRemove;
pub use self::devices_forget::DevicesForget;
pub use self::mute::Mute;
pub(crate) use self::mute::MuteTime;
pub use self::notification_read::NotificationRead;
pub(crate) use self::notification_read::WhatIsRead;
pub(crate) use self::preferences::NewPreferences;
pub use self::preferences::Preferences;
pub use self::push_gone::PushGone;
pub use self::read::Read;
pub(crate) use self::read::UpTo;
pub use self::room::RoomFact;
pub use self::unblock::Unblock;
use super::{UserOutcome, UserState};
use crate::actors::bounds::BadInput;
use crate::actors::moment::Moment;
use crate::actors::verbs::{Verb, verbs};
use crate::actors::wire::Reject;
use crate::ids::{Timestamp, UserId};
use crate::storage::journal::record::Envelope;

/// A user command with what its record's envelope says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserCommand {
    /// The user, the record's key.
    pub user: UserId,
    /// The command's own id.
    pub id: Uuid,
    /// When a gateway admitted it.
    pub issued_at: Timestamp,
    /// Milliseconds it is good for, 0 for ever.
    pub ttl_ms: u64,
    /// What is asked.
    pub body: UserCommandBody,
}

// A number is for life: it is never used again for something else.
verbs! {
    /// What a user may be asked. The fold decides whether it happens.
    pub enum UserCommandBody of UserState -> UserOutcome;

    /// Moves the read mark of a room forward; never back (the maximum wins).
    Read = 1000 "user.read";
    /// Blocks a user.
    Block = 1001 "user.block";
    /// Takes a block back.
    Unblock = 1002 "user.unblock";
    /// Makes a device known or brings it up to date.
    Device = 1003 "user.device";
    /// Forgets a device.
    DeviceRemove = 1004 "user.device_remove";
    /// Replaces the preferences.
    Preferences = 1005 "user.preferences";
    /// The user's membership of a room changed, as the relay read it.
    RoomFact = 1006 "user.room";
    /// Takes a push token away that leads nowhere any more.
    PushGone = 1007 "user.push_gone";
    /// Forgets all devices.
    DevicesForget = 1008 "user.devices_forget";
    /// Mutes a room, or takes that back.
    Mute = 1009 "user.mute";
    /// Marks notifications as read.
    NotificationRead = 1010 "user.notification_read";
}

/// The payload of verbs that say only whom they concern.
#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Whom {
    #[prost(bytes = "bytes", tag = "1")]
    user: Bytes,
}
