//! What a room may be asked. A command is a wish: the fold decides.

use uuid::Uuid;

use crate::actors::wire::{Content, HistoryBound, MaySend, RoomKind};
use crate::ids::{ClientId, DeviceId, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// A room command with what the envelope says of it.
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
    /// The wish.
    pub body: RoomCommand,
}

/// The wishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomCommand {
    /// Makes the room, or opens an ended or expired direct chat again.
    Create(Create),
    /// A message.
    Send(Send),
    /// Gives a message a new body; its author only, while the message is inside the window.
    Edit(Edit),
    /// Redacts a message; its author only.
    Delete(Delete),
    /// Enters a public room, or answers an invitation.
    Join {
        /// Who enters.
        user: UserId,
    },
    /// Leaves (or declines an invitation).
    Leave {
        /// Who leaves.
        user: UserId,
    },
    /// Asks somebody in; members only.
    Invite {
        /// Who asks.
        by: UserId,
        /// Who is asked.
        user: UserId,
    },
    /// Removes a member; the creator only. Also takes an invitation back.
    Kick {
        /// Who removes.
        by: UserId,
        /// Who goes.
        user: UserId,
    },
    /// Takes an invitation back: whoever made it, the creator, or the one who was asked in.
    Uninvite(Uninvite),
    /// Changes settings; the creator only.
    Update(Update),
    /// Ends the room: the creator, or either side of a direct chat.
    End {
        /// Who ends it.
        by: UserId,
    },
    /// The time is over (`expires_at` ≤ fold time), else no effect.
    Expire,
    /// One side of a direct chat blocks or unblocks the other. Relayed; numbered by its source.
    Block(Block),
}

/// See [`RoomCommand::Create`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create {
    /// The kind.
    pub kind: RoomKind,
    /// Who makes it.
    pub creator: UserId,
    /// The first members, the creator among them or not (he is one in any case). Direct: the other side. Open: none.
    pub members: Vec<UserId>,
    /// Title, may be empty.
    pub title: String,
    /// The channel's name, for open channels; empty otherwise.
    pub channel: String,
    /// Milliseconds from creation (direct: from opening) to expiry; 0 = never.
    pub ttl_ms: u64,
    /// Whether users may join without an invitation.
    pub public: bool,
    /// Who may send.
    pub may_send: MaySend,
    /// Most members, resolved from configuration; at most `limits::MEMBERS`.
    pub max_members: u32,
    /// How much history is kept.
    pub history: HistoryBound,
}

/// See [`RoomCommand::Send`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Send {
    /// Who sends.
    pub sender: UserId,
    /// The client's own id of the message; without one there is no dedupe.
    pub client_id: Option<ClientId>,
    /// The sending device.
    pub device: Option<DeviceId>,
    /// The client id that the same device sent before this one: the fold answers `NeedPrev` if that one is not in.
    pub prev: Option<ClientId>,
    /// What it says.
    pub content: Content,
    /// Names the open channel that is published to, with what it takes to make the room if this is the first publish.
    /// Resolved at admission; a later publish brings the history bound up to date. Without it an open channel's room
    /// counts as absent.
    pub open: Option<OpenChannel>,
}

/// See [`Send::open`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenChannel {
    /// The channel's name.
    pub channel: String,
    /// How much history is kept.
    pub history: HistoryBound,
}

/// See [`RoomCommand::Edit`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Who edits.
    pub by: UserId,
    /// The message's seq.
    pub target: Seq,
    /// The new text.
    pub body: String,
    /// The new metadata; `None` keeps the old.
    pub metadata: Option<String>,
}

/// See [`RoomCommand::Delete`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delete {
    /// Who deletes.
    pub by: UserId,
    /// The message's seq.
    pub target: Seq,
    /// The author of `target` as the admitting node read it below the verified prefix, where it never changes. Used only
    /// for messages older than the fold's window; the window itself knows the authors of newer ones.
    pub author: Option<UserId>,
}

/// See [`RoomCommand::Uninvite`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uninvite {
    /// Who takes it back.
    pub by: UserId,
    /// Whose invitation it is. Another one's of the same user stays.
    pub inviter: UserId,
    /// Who was asked in.
    pub user: UserId,
}

/// See [`RoomCommand::Update`]. `None` keeps what is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// Who changes it.
    pub by: UserId,
    /// New title.
    pub title: Option<String>,
    /// New time to live in milliseconds from this record's fold time on; 0 = never expires.
    pub ttl_ms: Option<u64>,
    /// Who may send.
    pub may_send: Option<MaySend>,
    /// Whether users may join by themselves.
    pub public: Option<bool>,
}

/// See [`RoomCommand::Block`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Who blocks.
    pub by: UserId,
    /// Block or unblock.
    pub blocked: bool,
    /// Where the relay read it: the user's partition.
    pub source: Partition,
    /// And the offset there. The room keeps the highest one of each source and drops the rest.
    pub source_offset: Offset,
}
