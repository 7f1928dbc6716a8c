//! The operations of the chat: the same for the socket's rpc, for REST and for back ends.
//!
//! A request is read ([`request`]) and judged by size and shape, becomes a record, and the fold decides; the operation waits
//! for the decision and says what came of it ([`error`], [`view`]). What is only read is checked against the folded state
//! of its room first. A handler never decides who may write, never gives a seq, and never writes to the store.
//!
//! | file | methods |
//! |---|---|
//! | `messages` | `message.send`, `message.edit`, `message.delete`; [`messages::prepare_send`] and its kin for sessions |
//! | `history`, [`history_page`] | `message.history` |
//! | `rooms`, `list`, `lines` | `room.create`, `room.get`, `room.update`, `room.end`; `room.list` |
//! | `page`, `reactions` | how much goes into one page; the emoji on its messages |
//! | `members` | `room.join`, `room.leave`, `room.kick`, `room.members` |
//! | `invitations` | `room.invite`, `room.uninvite` |
//! | `marks`, [`coalesce`], [`throttle`] | `read.mark`, `message.delivered`, `typing` |
//! | [`blocks`] | what a block keeps away |
//! | [`admission`] | who may ask for how much |
//! | [`options`] | what the configuration says |
//! | `users` | `presence.get`, `user.block`, `user.unblock`, `user.device`, `user.preferences` |
//! | `mutes` | `room.mute`, `room.unmute`, `user.mutes` |
//! | `notifications` | `notification.read` |
//!
//! # In order, or beside others
//!
//! All methods go through [`Handlers::run`], which may be run beside others. A session keeps the order of what one
//! connection sends (P5), so it does not `run` `message.send` and `publish`: it turns them into a record at once
//! ([`Handlers::prepare_send`], [`Handlers::prepare_publish`], [`Handlers::prepare_open_publish`]; none of them waits),
//! hands the record to the partition, and turns the answer into the reply with [`Handlers::sent`].
//!
//! # Reading one's own writes
//!
//! `message.history` joins the store's rows with the room's events in memory; `room.list` takes the lines of rooms that the
//! caller wrote to from memory until the store has it, see [`read_your_writes`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use self::admission::{Admission, Cost, Payer};
use self::coalesce::Coalescer;
use self::error::{Accepted, accepted};
use self::history::MessagesQuery;
use self::list::ChatsQuery;
use self::marks::Reading;
use self::members::MembersQuery;
use self::read_your_writes::OwnWrites;
use self::request::{InRoom, NoParams, OfDevice, OfMessage, OfUser};
use self::share::Shares;
use self::throttle::{Delivered, TypingThrottle};
use self::users::PresenceQuery;
use crate::actors::hints::acknowledgements::Acknowledgements;
use crate::actors::node::Node;
use crate::actors::room::commands::{NewBody, NewMessage, NewRoom, NewSettings, Reaction, Unanswered};
use crate::actors::room::{self, RoomCommand};
use crate::actors::user::commands::{DeviceFacts, MuteTime, NewPreferences, UpTo, WhatIsRead};
use crate::actors::user::{self, UserCommand, UserCommandBody};
use crate::actors::wire::{Entity, Query, QueryAnswer, ReadPoint, Reject, RoomFacts};
use crate::api::schema::Described;
use crate::env::Env;
use crate::ids::{DeviceId, Generation, Offset, Partition, RoomId, Seq, UserId};
use crate::limits;
use crate::storage::journal::record::Addressed;
use crate::storage::store::StoreError;

pub mod admission;
mod blocks;
pub(crate) mod coalesce;
pub mod error;
pub(in crate::api) mod history;
pub(crate) mod history_page;
mod invitations;
mod lines;
pub(in crate::api) mod list;
mod marks;
pub(in crate::api) mod members;
pub mod messages;
mod mutes;
mod notifications;
mod options;
mod page;
mod reactions;
pub mod read_your_writes;
pub(in crate::api) mod request;
mod rooms;
mod share;
pub(crate) mod throttle;
pub(in crate::api) mod users;
pub mod view;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use options::Options;

/// How long a question to the store may take before it counts as unanswered.
const STORE_DEADLINE: Duration = Duration::from_secs(3);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The device that the connection named, if it did; a request may name another.
    pub device: Option<DeviceId>,
    /// Whose account is charged.
    pub(crate) payer: Payer,
}

impl Caller {
    /// A user with a name, who pays from the account of that name.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self { payer: Payer::of(&user, None), user, device: None }
    }

    /// An operator or a back end that acts in the name of a user. The user's account is neither asked nor charged: it may be
    /// empty because of what the operator puts an end to.
    #[must_use]
    pub(crate) fn in_the_name_of(user: UserId) -> Self {
        Self { user, device: None, payer: Payer::Nobody }
    }
}

/// Whether a user has a connection (anywhere, once there are more nodes). Answers at once.
pub(crate) type Online = Arc<dyn Fn(&UserId) -> bool + Send + Sync>;

/// The handlers of one node.
pub struct Handlers {
    node: Arc<Node>,
    options: Options,
    online: Online,
    admission: Admission,
    own: OwnWrites,
    shares: Shares,
    reads: Coalescer<(UserId, RoomId), Reading>,
    typing: TypingThrottle,
    delivered: Delivered,
    /// Told of deliveries, for other processes.
    told: Option<Arc<Acknowledgements>>,
}

/// One line says all of a method: its name on the wire, what it is about and what is said beside that, what carries it out,
/// what it gives, and the sentence that documents it.
macro_rules! methods {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal: ($($Part:ty),+) => $operation:ident -> $Output:ty;)*) => {
        /// The methods, by the name that rpc uses.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Method {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Method {
            /// What it does.
            #[must_use]
            pub(crate) fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }

            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The method with this name.
            #[must_use]
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Bytes that its reply may take, about: a session keeps room for them while the method runs.
            #[must_use]
            pub(crate) fn reply_bytes(self) -> usize {
                match self {
                    Self::MessageHistory | Self::RoomList | Self::RoomMembers => limits::PAGE_BYTES,
                    _ => limits::CALL_BYTES,
                }
            }

            /// What it takes, in parts of one object, and gives.
            pub(in crate::api) fn types(self) -> (Vec<Described>, Described) {
                match self {
                    $(Self::$variant => (vec![$(Described::of::<$Part>()),+], Described::of::<$Output>()),)*
                }
            }
        }

        impl Handlers {
            /// Carries out a method.
            ///
            /// # Errors
            /// See [`Error`].
            pub(crate) async fn run(&self, caller: &Caller, method: Method, data: &[u8]) -> Result<Bytes, Error> {
                no_anonymous(caller)?;
                let object = request::object(data)?;
                match method {
                    $(Method::$variant => {
                        let output: $Output = self.$operation(caller, $(request::part::<$Part>(object)?),+).await?;
                        encoded(&output)
                    })*
                }
            }
        }
    };
}

methods! {
    /// Sends a message.
    MessageSend = "message.send": (InRoom, NewMessage) => send -> view::Sent;
    /// Gives one's own message a new body.
    MessageEdit = "message.edit": (OfMessage, NewBody) => edit -> view::Happened;
    /// Redacts one's own message.
    MessageDelete = "message.delete": (OfMessage) => delete -> view::Happened;
    /// Puts an emoji on a message, or takes it back.
    MessageReact = "message.react": (OfMessage, Reaction) => react -> view::Happened;
    /// A page of messages in their present form.
    MessageHistory = "message.history": (InRoom, MessagesQuery) => history -> view::HistoryPage;
    /// Tells the others how far messages came to this device.
    MessageDelivered = "message.delivered": (InRoom, UpTo) => mark_delivered -> view::Done;
    /// Makes a room, or opens a direct chat.
    RoomCreate = "room.create": (NewRoom) => create -> view::Created;
    /// The caller's rooms, the latest activity first.
    RoomList = "room.list": (ChatsQuery) => list -> view::RoomPage;
    /// A room as it is.
    RoomGet = "room.get": (InRoom) => get -> view::RoomView;
    /// Changes settings.
    RoomUpdate = "room.update": (InRoom, NewSettings) => update -> view::Happened;
    /// Enters.
    RoomJoin = "room.join": (InRoom) => join -> view::Happened;
    /// Leaves, or declines an invitation.
    RoomLeave = "room.leave": (InRoom) => leave -> view::Happened;
    /// Asks somebody in.
    RoomInvite = "room.invite": (InRoom, OfUser) => invite -> view::Happened;
    /// Takes back unanswered invitations.
    RoomUninvite = "room.uninvite": (Unanswered) => uninvite -> view::TakenBack;
    /// Removes a member, or takes an invitation back.
    RoomKick = "room.kick": (InRoom, OfUser) => kick -> view::Happened;
    /// Ends a room.
    RoomEnd = "room.end": (InRoom) => end -> view::Happened;
    /// Who is in.
    RoomMembers = "room.members": (InRoom, MembersQuery) => members -> view::MemberPage;
    /// Mutes a room of the caller's.
    RoomMute = "room.mute": (InRoom, MuteTime) => mute -> view::Done;
    /// Takes that back.
    RoomUnmute = "room.unmute": (InRoom) => unmute -> view::Done;
    /// The rooms that the caller has muted.
    UserMutes = "user.mutes": (NoParams) => mutes -> view::MutesView;
    /// Moves the caller's read mark.
    ReadMark = "read.mark": (InRoom, UpTo) => mark_read -> view::Marked;
    /// Marks notifications of the caller's as read.
    NotificationRead = "notification.read": (WhatIsRead) => read_notifications -> view::Done;
    /// Tells the others that the caller is typing.
    Typing = "typing": (InRoom) => typing -> view::Done;
    /// Who is online.
    PresenceGet = "presence.get": (PresenceQuery) => presence -> view::PresencePage;
    /// Blocks a user.
    UserBlock = "user.block": (OfUser) => block -> view::Done;
    /// Takes a block back.
    UserUnblock = "user.unblock": (OfUser) => unblock -> view::Done;
    /// Makes a device known, or forgets it.
    UserDevice = "user.device": (OfDevice, DeviceFacts) => device -> view::Done;
    /// Reads or replaces the caller's preferences.
    UserPreferences = "user.preferences": (NewPreferences) => preferences -> view::PreferencesView;
}

impl Handlers {
    /// The handlers of a node that has started.
    #[must_use]
    pub fn new(node: Arc<Node>, options: Options, online: Online) -> Self {
        let ends = node.router().owned().iter().map(|partition| (partition, node.awaited_end(partition)));
        let own = OwnWrites::new(ends);
        let admission = Admission::new(options.rates, &node.env().clock);
        let shares = Shares::new(Arc::clone(node.owed()));
        let (reads, typing, delivered) = (Coalescer::default(), TypingThrottle::default(), Delivered::default());
        Self { node, options, online, admission, own, shares, reads, typing, delivered, told: None }
    }

    /// Tells other processes of deliveries, if there is a way.
    #[must_use]
    pub(crate) fn telling(self, told: Option<Arc<Acknowledgements>>) -> Self {
        Self { told, ..self }
    }

    /// The accounts that clients pay from.
    #[must_use]
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Lets a caller do what costs so much: before anything is done. Commands and questions of the handlers pay in
    /// the few functions that all of them go through; this is for what is done beside them.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`].
    pub(crate) fn admit(&self, caller: &Caller, cost: Cost) -> Result<(), Error> {
        self.admission.admit(&caller.payer, cost)
    }

    /// Carries out a method.
    ///
    /// # Errors
    /// See [`Error`]; the socket answers with [`Error::to_protocol`].
    pub async fn call(&self, caller: &Caller, method: &str, data: &[u8]) -> Result<Bytes, Error> {
        let method = Method::named(method).ok_or(Error::UnknownMethod)?;
        self.run(caller, method, data).await
    }

    /// Whether the caller is in a room.
    ///
    /// # Errors
    /// The caller is not, or there is no such room: a stranger can't tell which.
    pub(crate) async fn require_member(&self, caller: &Caller, room: RoomId) -> Result<(), Error> {
        no_anonymous(caller)?;
        self.inside(caller, room).await.map(|_| ())
    }

    /// Whether a message of the caller would be taken into this room now: for what comes before one.
    ///
    /// # Errors
    /// It would not: the caller is no member or may not send, the room is over, or one of the two has blocked the other.
    pub(crate) async fn require_sender(&self, caller: &Caller, room: RoomId) -> Result<(), Error> {
        no_anonymous(caller)?;
        match self.ask_inside(caller, room, Query::TakesMessage { user: caller.user.clone() }).await? {
            QueryAnswer::TakesMessage(taken) => taken.map_err(Error::Rejected),
            _ => Err(Error::unavailable()),
        }
    }

    /// Where a stream stands, for operators and back ends, who may see all of them.
    ///
    /// # Errors
    /// Its owner can't say now.
    pub async fn position(&self, stream: &Entity) -> Result<(Generation, Seq), Error> {
        match self.node.router().query(stream.clone(), Query::Position).await {
            QueryAnswer::Position { generation, head, .. } => Ok((generation, head)),
            _ => Err(Error::unavailable()),
        }
    }

    /// Gives a room command and waits for the decision.
    async fn room_command(&self, caller: &Caller, room: RoomId, body: RoomCommand) -> Result<Accepted, Error> {
        body.check()?;
        let joining = matches!(body, RoomCommand::Join(_));
        let cost = Cost::of_room(&body);
        let record = room_record(self.node.env(), room, body);
        self.admit(caller, cost.with_bytes(record.record.len()))?;
        match self.give(caller, record, cost).await {
            Err(Error::Rejected(reject @ (Reject::NoRoom | Reject::WrongKind | Reject::NotInvited))) => {
                let refused = Error::Rejected(reject);
                // Only a member is told more than "not a member".
                let is_member = self.inside(caller, room).await.is_ok();
                Err(if is_member { refused } else { refused.for_stranger(joining) })
            }
            other => other,
        }
    }

    /// Gives a command of the caller's own partition and waits for the decision.
    async fn user_command(&self, caller: &Caller, body: UserCommandBody) -> Result<Accepted, Error> {
        body.check()?;
        let cost = Cost::of_user(&body);
        let record = user_record(self.node.env(), &caller.user, body);
        self.admit(caller, cost.with_bytes(record.record.len()))?;
        self.give(caller, record, cost).await
    }

    /// Gives a record, in the caller's share of what others wait behind.
    async fn give(&self, caller: &Caller, record: Addressed, cost: Cost) -> Result<Accepted, Error> {
        let Addressed { partition, room, record } = record;
        // Whoever pays nothing takes no place either: a user who is far ahead does not hold an operator up.
        let weight = if caller.payer == Payer::Nobody { 0 } else { share::weight(cost) };
        let stored = self.node.stored();
        let place = self.shares.place(&caller.user, weight, stored, self.node.halted()).await;
        let place = place.map_err(|share::TooFar| Error::unavailable())?;
        let decided = accepted(self.node.router().command(partition, record).get().await)?;
        place.answered(partition, decided.end, stored);
        self.wrote(caller, room, decided.end);
        Ok(decided)
    }

    /// Notes that the caller was told of a record, of a room, that lies below `end`: the caller's later reads include it.
    fn wrote(&self, caller: &Caller, room: Option<RoomId>, end: Offset) {
        if let Some(room) = room {
            self.wrote_of(caller, room, room.partition(), end);
        }
    }

    /// Notes that the caller was told of a record below `end` in `partition` that changes his line of a room.
    fn wrote_of(&self, caller: &Caller, room: RoomId, partition: Partition, end: Offset) {
        self.own.wrote(&caller.user, room, partition, end, self.node.stored());
    }

    /// What a room is for one of its members.
    async fn inside(&self, caller: &Caller, room: RoomId) -> Result<RoomFacts, Error> {
        match self.ask_inside(caller, room, Query::Room { user: caller.user.clone() }).await? {
            QueryAnswer::Room(facts) => Ok(*facts),
            _ => Err(Error::unavailable()),
        }
    }

    /// Asks a room something that only its members are told. The query names the caller.
    async fn ask_inside(&self, caller: &Caller, room: RoomId, query: Query) -> Result<QueryAnswer, Error> {
        self.admit(caller, Cost::QUESTION)?;
        let answer = self.node.router().query(Entity::Room(room), query).await;
        let is_stranger = match &answer {
            QueryAnswer::NotMember | QueryAnswer::TakesMessage(Err(Reject::NotMember)) => true,
            QueryAnswer::Room(facts) | QueryAnswer::Recent { room: facts, .. } => facts.member().is_none(),
            _ => false,
        };
        if is_stranger {
            self.asked_in_vain(caller);
            return Err(Error::Rejected(Reject::NotMember));
        }
        Ok(answer)
    }

    /// Whether the caller may change something now: asked before what is looked at for a change whose cost is charged with
    /// its record.
    fn may_change(&self, caller: &Caller) -> Result<(), Error> {
        self.admission.would_admit(&caller.payer, Cost::CHANGE)
    }

    /// Charges a question about a room that the caller has nothing to do with: it was made resident for it.
    pub(in crate::api) fn asked_in_vain(&self, caller: &Caller) {
        self.admission.charge(&caller.payer, Cost::Search);
    }

    /// Asks the caller's own log.
    async fn ask_myself(&self, caller: &Caller, query: Query) -> Result<QueryAnswer, Error> {
        self.admit(caller, Cost::QUESTION)?;
        Ok(self.node.router().query(Entity::User(caller.user.clone()), query).await)
    }

    /// How far the caller has read a room, if that is known.
    async fn read_point(&self, caller: &Caller, room: RoomId) -> Result<Option<ReadPoint>, Error> {
        match self.ask_myself(caller, Query::ReadPoint { room }).await? {
            QueryAnswer::ReadPoint(point) => Ok(point),
            _ => Err(Error::unavailable()),
        }
    }
}

/// An answer of the store, in time.
async fn stored<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Error> {
    match tokio::time::timeout(STORE_DEADLINE, question).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::unavailable()),
    }
}

/// Rooms are for users who can come back as who they are.
fn no_anonymous(caller: &Caller) -> Result<(), Error> {
    if caller.user.is_anonymous() { Err(Error::Anonymous) } else { Ok(()) }
}

/// A room command as a record, with a fresh id, good for [`limits::COMMAND_TTL_MS`].
fn room_record(env: &Env, room: RoomId, body: RoomCommand) -> Addressed {
    let (id, issued_at, ttl_ms) = (env.ids.next(), env.now(), limits::COMMAND_TTL_MS);
    room::payload::address(room::Command { room, id, issued_at, ttl_ms, body })
}

/// A user command as a record, likewise.
fn user_record(env: &Env, user: &UserId, body: UserCommandBody) -> Addressed {
    let (id, issued_at, ttl_ms) = (env.ids.next(), env.now(), limits::COMMAND_TTL_MS);
    user::payload::address(UserCommand { user: user.clone(), id, issued_at, ttl_ms, body })
}

/// A method's output as the JSON that goes out.
pub(in crate::api) fn encoded(output: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(output).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "a reply can't be written as JSON");
        Error::Damaged
    })
}
