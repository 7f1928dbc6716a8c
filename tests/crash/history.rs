//! What was observed from outside: an ordered list of operations, deliveries, pages and final states. The order is that
//! in which this process saw them, so an entry that stands before another happened before it. Judges nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    /// Messages only, in any order. `more`: the server says that there are older ones.
    Page {
        page: PageNo,
        items: Vec<Event>,
        more: bool,
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

/// The entries, and when each was taken down: milliseconds since the recorder was made.
#[derive(Default)]
struct Tape {
    entries: Vec<Entry>,
    moments_ms: Vec<u64>,
}

/// Who sent it, and the client id.
type MessageKey = (String, String);

/// The messages without an acknowledgement.
#[derive(Default)]
struct Waiting {
    attempts: HashMap<Op, MessageKey>,
    /// Since when, and if no attempt is under way, since when that.
    since: HashMap<MessageKey, (Instant, Option<Instant>)>,
}

impl Waiting {
    /// After so long without a new attempt a message was given up: the server said no.
    const GIVEN_UP: Duration = Duration::from_secs(3);

    /// Says whether a message is acknowledged by it.
    fn note(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Invoke { op, user, what: What::Send { client_id, .. }, .. } => {
                let key = (user.clone(), client_id.clone());
                self.since.entry(key.clone()).or_insert((Instant::now(), None)).1 = None;
                self.attempts.insert(*op, key);
            }
            Entry::Ok { op, .. } => {
                let key = self.attempts.remove(op);
                return key.is_some_and(|key| self.since.remove(&key).is_some());
            }
            Entry::Fail { op, .. } | Entry::Unknown { op } => {
                let Some(key) = self.attempts.remove(op) else { return false };
                self.since.entry(key).and_modify(|(_, idle)| *idle = Some(Instant::now()));
            }
            _ => {}
        }
        false
    }

    fn longest(&mut self) -> Duration {
        self.since.retain(|_, (_, idle)| idle.is_none_or(|idle| idle.elapsed() < Self::GIVEN_UP));
        self.since.values().map(|(since, _)| since.elapsed()).max().unwrap_or_default()
    }
}

/// Takes the entries down, in the order in which they happen.
pub(crate) struct Recorder {
    begin: Instant,
    tape: Mutex<Tape>,
    numbers: AtomicU64,
    acks: AtomicU64,
    waiting: Mutex<Waiting>,
    resumed: Mutex<HashSet<Sub>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            tape: Mutex::default(),
            numbers: AtomicU64::new(0),
            acks: AtomicU64::new(0),
            waiting: Mutex::default(),
            resumed: Mutex::default(),
        }
    }
}

impl Recorder {
    /// A number that was never given before.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn record(&self, entry: Entry) {
        if self.waiting.lock().unwrap().note(&entry) {
            self.acks.fetch_add(1, Ordering::Relaxed);
        }
        let mut tape = self.tape.lock().unwrap();
        tape.moments_ms.push(self.now_ms());
        tape.entries.push(entry);
    }

    /// Milliseconds since it was made.
    pub(crate) fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    /// How many sends were acknowledged so far.
    pub(crate) fn acks(&self) -> u64 {
        self.acks.load(Ordering::Relaxed)
    }

    /// How long the message waits for its acknowledgement that has waited longest, over all its attempts.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.waiting.lock().unwrap().longest()
    }

    /// The subscription goes on with one that was cut off.
    pub(crate) fn resumes(&self, sub: Sub) {
        self.resumed.lock().unwrap().insert(sub);
    }

    /// The subscriptions that go on with one that was cut off.
    pub(crate) fn resumed(&self) -> HashSet<Sub> {
        self.resumed.lock().unwrap().clone()
    }

    /// A copy of all that was recorded so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.tape.lock().unwrap().entries.clone()
    }

    /// Takes all that was recorded so far, with the moment of each entry in milliseconds.
    pub(crate) fn take(&self) -> (Vec<Entry>, Vec<u64>) {
        let tape = std::mem::take(&mut *self.tape.lock().unwrap());
        (tape.entries, tape.moments_ms)
    }
}
