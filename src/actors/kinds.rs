//! The number of each record kind, for life. A number is never used again for something else.
//!
//! Room kinds 1–999, user kinds 1000–1999, control kinds 2000 and up. Reserved for what is to come: 20–29 reactions,
//! 30–39 threads, 40–49 pins, 50–59 polls, 60–79 roles and moderation, 80–89 attachments.

/// Makes a room.
pub const ROOM_CREATE: u32 = 1;
/// A message.
pub const ROOM_SEND: u32 = 2;
/// A new body for a message.
pub const ROOM_EDIT: u32 = 3;
/// Redacts a message.
pub const ROOM_DELETE: u32 = 4;
/// A user enters by himself.
pub const ROOM_JOIN: u32 = 5;
/// A member goes.
pub const ROOM_LEAVE: u32 = 6;
/// A member asks somebody in.
pub const ROOM_INVITE: u32 = 7;
/// The creator removes a member.
pub const ROOM_KICK: u32 = 8;
/// Title, time to live, who may send, public.
pub const ROOM_UPDATE: u32 = 9;
/// Ends the room.
pub const ROOM_END: u32 = 10;
/// The room's time is over; appended by the expiry scanner.
pub const ROOM_EXPIRE: u32 = 11;
/// Relayed from a user's partition: one side of a direct chat blocks or unblocks the other.
pub const ROOM_BLOCK: u32 = 12;
/// Takes an invitation back.
pub const ROOM_UNINVITE: u32 = 13;

/// Moves a read mark.
pub const USER_READ: u32 = 1000;
/// Blocks a user.
pub const USER_BLOCK: u32 = 1001;
/// Takes a block back.
pub const USER_UNBLOCK: u32 = 1002;
/// Makes a device known, with its push token.
pub const USER_DEVICE: u32 = 1003;
/// Forgets a device.
pub const USER_DEVICE_REMOVE: u32 = 1004;
/// Replaces the preferences.
pub const USER_PREFERENCES: u32 = 1005;
/// Relayed from a room's partition: the user's membership there changed.
pub const USER_ROOM: u32 = 1006;

/// Closes the verified prefix where others write; no meaning of its own.
pub const CONTROL_BARRIER: u32 = 2000;

/// Whether the kind belongs to the room fold.
#[must_use]
pub fn is_room(kind: u32) -> bool {
    (1..1000).contains(&kind)
}

/// Whether the kind belongs to the user fold.
#[must_use]
pub fn is_user(kind: u32) -> bool {
    (1000..2000).contains(&kind)
}

/// Its name for operators; `other` of a number without a meaning.
#[must_use]
pub fn name(kind: u32) -> &'static str {
    match kind {
        ROOM_CREATE => "room.create",
        ROOM_SEND => "room.send",
        ROOM_EDIT => "room.edit",
        ROOM_DELETE => "room.delete",
        ROOM_JOIN => "room.join",
        ROOM_LEAVE => "room.leave",
        ROOM_INVITE => "room.invite",
        ROOM_KICK => "room.kick",
        ROOM_UPDATE => "room.update",
        ROOM_END => "room.end",
        ROOM_EXPIRE => "room.expire",
        ROOM_BLOCK => "room.block",
        ROOM_UNINVITE => "room.uninvite",
        USER_READ => "user.read",
        USER_BLOCK => "user.block",
        USER_UNBLOCK => "user.unblock",
        USER_DEVICE => "user.device",
        USER_DEVICE_REMOVE => "user.device_remove",
        USER_PREFERENCES => "user.preferences",
        USER_ROOM => "user.room",
        CONTROL_BARRIER => "barrier",
        _ => "other",
    }
}
