//! What was observed from outside: an ordered list of operations, deliveries, pages and final states. The order is that
//! in which this process saw them, so an entry that stands before another happened before it. Judges nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// An attempt at an operation. A retry is another attempt with the same client id.
pub(crate) type Op = u64;
/// One subscription of one connection: from the subscribe command to the unsubscribe push or the end of the connection.
pub(crate) type Sub = u64;
/// One page of history.
pub(crate) type PageNo = u64;

/// A place in a room's stream, as the protocol gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub epoch: String,
    pub offset: u64,
}

/// An event of a room as a client saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub seq: u64,
    /// Empty where the server does not tell it.
    pub id: String,
    pub actor: Option<String>,
    /// Milliseconds since the Unix epoch, 0 where the server does not tell it.
    pub at: u64,
    pub body: Body,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// `no` is 0 where the server does not tell it.
    Message {
        no: u64,
        client_id: Option<String>,
        text: String,
    },
    Edited {
        target: u64,
    },
    Deleted {
        target: u64,
    },
    Created {
        members: Vec<String>,
    },
    Joined,
    Left,
    Invited {
        user: String,
    },
    Kicked {
        user: String,
    },
    /// In a personal stream: what happened to the user's membership of `room`, by the event `room_seq` there.
    Told {
        kind: String,
        room: String,
        room_seq: u64,
    },
    Other(String),
}

impl Body {
    /// The kind as the wire and the database name it.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Message { .. } => "message",
            Self::Edited { .. } => "edited",
            Self::Deleted { .. } => "deleted",
            Self::Created { .. } => "created",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Invited { .. } => "invited",
            Self::Kicked { .. } => "kicked",
            Self::Told { kind, .. } | Self::Other(kind) => kind,
        }
    }
}

/// What an operation asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Send { device: String, client_id: String, text: String },
    Edit { target: u64 },
    Delete { target: u64 },
    Join,
    Leave,
    Invite { user: String },
    Kick { user: String },
    Read { seq: u64 },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Just before the command was written to the socket.
    Invoke {
        op: Op,
        room: String,
        user: String,
        what: What,
    },
    /// The server said yes. `id` is empty and `seq` 0 where the answer has none.
    Ok {
        op: Op,
        seq: u64,
        id: String,
        duplicate: bool,
    },
    /// The server said no and meant it: this attempt left nothing behind.
    Fail {
        op: Op,
        code: u32,
    },
    /// No answer (connection lost, time over), or an answer that leaves it open.
    Unknown {
        op: Op,
    },
    /// Just before the subscribe command was written. `from` is set if recovery was asked for.
    Subscribing {
        sub: Sub,
        room: String,
        user: String,
        from: Option<Position>,
    },
    /// The answer. The `publications` that it holds follow as `Delivered`.
    Subscribed {
        sub: Sub,
        epoch: String,
        offset: u64,
        recovered: bool,
        publications: u64,
    },
    Delivered {
        sub: Sub,
        event: Event,
    },
    /// A publication with an offset for a channel without a subscription.
    Stray {
        room: String,
        user: String,
        event: Event,
    },
    Unsubscribed {
        sub: Sub,
        code: u32,
    },
    /// Just before a page of the newest `limit` messages was asked for.
    PageAsked {
        page: PageNo,
        room: String,
        user: String,
        limit: usize,
    },
    /// Messages only, in any order.
    Page {
        page: PageNo,
        items: Vec<Event>,
    },
    /// After the run: the subscription was open and had all the time it needed to catch up.
    Settled {
        sub: Sub,
    },
    /// After the run: the whole stream of a room, read over the protocol.
    Final {
        room: String,
        epoch: String,
        events: Vec<Event>,
    },
    /// After the run: what `message.history` says of all messages, edits and deletions applied.
    Present {
        room: String,
        messages: Vec<Event>,
    },
    /// After the run: how many messages `room.list` calls unread.
    Unread {
        room: String,
        user: String,
        unread: u64,
    },
    /// After the run: the database's rows of the room.
    Rows {
        room: String,
        rows: Rows,
    },
}

/// A room in the database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rows {
    pub head: u64,
    pub messages_head: u64,
    pub events: Vec<EventRow>,
    pub messages: Vec<MessageRow>,
}

/// A row of `room_events`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EventRow {
    pub seq: u64,
    pub kind: String,
    pub actor: Option<String>,
}

/// A row of `messages`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MessageRow {
    pub seq: u64,
    pub no: u64,
    pub id: String,
    pub sender: String,
    pub client_id: Option<String>,
    pub text: String,
}

/// Takes the entries down, in the order in which they happen.
#[derive(Default)]
pub(crate) struct Recorder {
    entries: Mutex<Vec<Entry>>,
    numbers: AtomicU64,
}

impl Recorder {
    /// A number that was never given before.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn record(&self, entry: Entry) {
        self.entries.lock().unwrap().push(entry);
    }

    /// A copy of all that was recorded so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }
}
