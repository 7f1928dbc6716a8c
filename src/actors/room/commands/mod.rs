//! What a room may be asked: the table of its verbs, one file each.
//!
//! See [`crate::actors::verbs`] for what a verb says of itself. A verb must never know a clock, a store or a connection: see
//! [`super`].

mod block;
mod create;
mod delete;
mod edit;
mod end;
mod expire;
mod invite;
mod join;
mod kick;
mod leave;
mod react;
mod send;
mod uninvite;
mod update;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

pub use self::block::Block;
pub use self::create::Create;
pub(crate) use self::create::{NewKind, NewRoom};
pub use self::delete::Delete;
pub use self::edit::Edit;
pub(crate) use self::edit::NewBody;
pub use self::end::End;
pub use self::expire::Expire;
pub use self::invite::Invite;
pub use self::join::Join;
pub use self::kick::Kick;
pub use self::leave::Leave;
pub use self::react::{React, Reaction};
pub(crate) use self::send::NewMessage;
pub use self::send::{OpenChannel, Send};
pub(crate) use self::uninvite::Unanswered;
pub use self::uninvite::Uninvite;
pub(crate) use self::update::NewSettings;
pub use self::update::Update;
use super::{Outcome, RoomState};
use crate::actors::bounds::BadInput;
use crate::actors::moment::Moment;
use crate::actors::verbs::{Verb, verbs};
use crate::actors::wire::{Reject, fields};
use crate::ids::{RoomId, Timestamp, UserId};
use crate::storage::journal::record::Envelope;

/// A room command with what its record's envelope says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// The room, the record's key.
    pub room: RoomId,
    /// The command's own id; a message that it makes has this id.
    pub id: Uuid,
    /// When a gateway admitted it.
    pub issued_at: Timestamp,
    /// Milliseconds it is good for, 0 for ever.
    pub ttl_ms: u64,
    /// What is asked.
    pub body: RoomCommand,
}

// A number is for life: it is never used again for something else. 30–39 are kept for threads, 40–49 for pins, 50–59 for
// polls, 60–79 for roles and moderation, 80–89 for attachments.
verbs! {
    /// What a room may be asked. The fold decides whether it happens.
    pub enum RoomCommand of RoomState -> Outcome;

    /// Makes the room, or opens an ended or expired direct chat again.
    Create = 1 "room.create";
    /// A message.
    Send = 2 "room.send";
    /// Gives a message a new body; its author only, while the message is inside the window.
    Edit = 3 "room.edit";
    /// Redacts a message; its author only.
    Delete = 4 "room.delete";
    /// Enters a public room, or answers an invitation.
    Join = 5 "room.join";
    /// Leaves, or declines an invitation.
    Leave = 6 "room.leave";
    /// Asks somebody in; members only.
    Invite = 7 "room.invite";
    /// Removes a member, or takes an invitation back; the creator only.
    Kick = 8 "room.kick";
    /// Changes settings; the creator only.
    Update = 9 "room.update";
    /// Ends the room: the creator, or either side of a direct chat.
    End = 10 "room.end";
    /// The room's time is over; appended by the expiry scanner.
    Expire = 11 "room.expire";
    /// One side of a direct chat blocks or unblocks the other. Relayed; numbered by its source.
    Block = 12 "room.block";
    /// Takes an invitation back: whoever made it, the creator, or the one who was asked in.
    Uninvite = 13 "room.uninvite";
    /// Puts an emoji on a message, or takes it back; members only.
    React = 20 "room.react";
}

/// The payload of verbs that say only who does it, or who does it to whom.
#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Who {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    user: Bytes,
}

impl Who {
    fn alone(by: &UserId) -> Self {
        Self { by: fields::bytes(by.as_str()), user: Bytes::new() }
    }

    fn pair(by: &UserId, user: &UserId) -> Self {
        Self { by: fields::bytes(by.as_str()), user: fields::bytes(user.as_str()) }
    }

    fn into_alone(self) -> Result<UserId, Reject> {
        if self.user.is_empty() { fields::user(&self.by) } else { Err(Reject::Invalid) }
    }

    fn into_pair(self) -> Result<(UserId, UserId), Reject> {
        Ok((fields::user(&self.by)?, fields::user(&self.user)?))
    }
}
