//! `message.send`, `message.edit`, `message.delete`; and sending in two steps that do not wait, for sessions that keep the
//! order of what one connection sends (P5).

use super::admission::Cost;
use super::error::{Accepted, accepted};
use super::history::MessagesQuery;
use super::request::{self, InRoom, OfMessage};
use super::view::{Happened, Sent};
use super::{Caller, Error, Handlers, Options, no_anonymous, room_record, stored};
use crate::actors::bounds::{self, BadInput};
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::{self, NewBody, NewMessage, OpenChannel, Reaction};
use crate::actors::wire::{Answer, HistoryBound, Query, QueryAnswer, Reject};
use crate::api::protocol::publish::{Open, Published, open_data, room_data};
use crate::env::Env;
use crate::ids::{ClientId, RoomId, Seq, UserId};
use crate::limits;
use crate::storage::journal::record::Addressed;
use crate::storage::store::SeqRange;

/// `message.send` as a record. Waits for nothing.
///
/// # Errors
/// Malformed, too large, or the caller is anonymous.
pub(crate) fn prepare_send(caller: &Caller, env: &Env, options: &Options, data: &[u8]) -> Result<Addressed, Error> {
    no_anonymous(caller)?;
    let object = request::object(data)?;
    let InRoom { room } = request::part(object)?;
    Ok(room_record(env, room, send_command(caller, options, request::part(object)?)?))
}

/// A `publish` to `room:<uuid>` as a record: see [`room_data`]. `key` is the message's client id if the data has none.
///
/// # Errors
/// Malformed, too large, or the caller is anonymous.
pub(crate) fn prepare_publish(
    caller: &Caller,
    env: &Env,
    options: &Options,
    room: RoomId,
    data: &[u8],
    key: Option<ClientId>,
) -> Result<Addressed, Error> {
    no_anonymous(caller)?;
    let Published { content, client_id } = room_data(data).map_err(Error::Data)?;
    let client_id = client_id.or(key);
    let (sender, device) = (caller.user.clone(), caller.device.clone());
    let send = fitting(options, commands::Send { sender, client_id, device, prev: None, content, open: None })?;
    Ok(room_record(env, room, send))
}

/// A `publish` to an open channel as a record: the data is carried as it is. Whether the caller may publish there is its
/// namespace's business, and has been checked.
///
/// # Errors
/// No JSON, or too large.
pub(crate) fn prepare_open_publish(
    caller: &Caller,
    env: &Env,
    options: &Options,
    channel: &str,
    history: HistoryBound,
    open: impl Into<Open>,
    client_id: Option<ClientId>,
) -> Result<Addressed, Error> {
    let content = open_data(open).map_err(Error::Data)?;
    bounds::bytes("data", content.data.len(), options.body_bytes)?;
    let sender = caller.user.clone();
    let open = Some(OpenChannel { channel: channel.to_owned(), history });
    let send = commands::Send { sender, client_id, device: None, prev: None, content, open };
    Ok(room_record(env, RoomId::open(channel), RoomCommand::Send(send)))
}

fn send_command(caller: &Caller, options: &Options, message: NewMessage) -> Result<RoomCommand, Error> {
    fitting(options, message.by(caller.user.clone(), caller.device.clone())?)
}

/// A message within its bounds, and within the one that is configured.
fn fitting(options: &Options, send: commands::Send) -> Result<RoomCommand, Error> {
    bounds::bytes("body", send.content.body.len(), options.body_bytes)?;
    let command = RoomCommand::Send(send);
    command.check()?;
    Ok(command)
}

/// The result of `message.send`.
fn result(accepted: Accepted) -> Sent {
    let Accepted { seq, id, at, duplicate, end: _ } = accepted;
    Sent { id, seq, ts: at, duplicate }
}

impl Handlers {
    /// See [`prepare_send`]; here and in the next two the caller pays for the message.
    ///
    /// # Errors
    /// The same, and one message too many now.
    pub(crate) fn prepare_send(&self, caller: &Caller, data: &[u8]) -> Result<Addressed, Error> {
        self.paid(caller, prepare_send(caller, self.node.env(), &self.options, data)?)
    }

    /// See [`prepare_publish`].
    ///
    /// # Errors
    /// The same.
    pub(crate) fn prepare_publish(
        &self,
        caller: &Caller,
        room: RoomId,
        data: &[u8],
        key: Option<ClientId>,
    ) -> Result<Addressed, Error> {
        self.paid(caller, prepare_publish(caller, self.node.env(), &self.options, room, data, key)?)
    }

    /// See [`prepare_open_publish`].
    ///
    /// # Errors
    /// The same.
    pub(crate) fn prepare_open_publish(
        &self,
        caller: &Caller,
        channel: &str,
        history: HistoryBound,
        open: impl Into<Open>,
        client_id: Option<ClientId>,
    ) -> Result<Addressed, Error> {
        self.paid(
            caller,
            prepare_open_publish(caller, self.node.env(), &self.options, channel, history, open, client_id)?,
        )
    }

    /// A record that has been prepared, once its message is paid for: what is malformed costs nothing.
    fn paid(&self, caller: &Caller, record: Addressed) -> Result<Addressed, Error> {
        self.admit(caller, Cost::Message)?;
        Ok(record)
    }

    /// The sender's result of a prepared record for this room; notes that the sender was told.
    ///
    /// # Errors
    /// The fold said no, or nobody knows.
    pub(crate) fn sent(&self, caller: &Caller, room: Option<RoomId>, answer: Answer) -> Result<Sent, Error> {
        let accepted = accepted(answer)?;
        self.wrote(caller, room, accepted.end);
        Ok(result(accepted))
    }

    pub(in crate::api) async fn send(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        message: NewMessage,
    ) -> Result<Sent, Error> {
        let send = send_command(caller, &self.options, message)?;
        self.room_command(caller, room, send).await.map(result)
    }

    pub(in crate::api) async fn edit(&self, caller: &Caller, of: OfMessage, new: NewBody) -> Result<Happened, Error> {
        let (room, target) = (of.room, of.seq()?);
        let edit = new.by(caller.user.clone(), target);
        bounds::bytes("body", edit.body.len(), self.options.body_bytes)?;
        // Keeps open channels out: what is published there has no body.
        self.inside(caller, room).await?;
        if edit.body.is_empty() && edit.metadata.is_none() && !self.has_metadata(caller, room, target).await? {
            return Err(Error::bad("a message needs a body or metadata"));
        }
        self.room_command(caller, room, RoomCommand::Edit(edit)).await.map(Happened::from)
    }

    /// Whether a message has metadata that an edit of its text leaves. No edit takes metadata away, so the answer stays
    /// true. What is no message (any more) counts as one that has: the fold says what it is.
    async fn has_metadata(&self, caller: &Caller, room: RoomId, target: Seq) -> Result<bool, Error> {
        let (after, limit) = (Some(target.0 - 1), Some(1));
        let page = self.history(caller, InRoom { room }, MessagesQuery { before: None, after, limit }).await?;
        let message = page.messages.into_iter().next().filter(|message| message.seq == target);
        Ok(message.is_none_or(|message| message.deleted || message.metadata.is_some()))
    }

    pub(in crate::api) async fn delete(&self, caller: &Caller, of: OfMessage) -> Result<Happened, Error> {
        let (target, author) = self.known_message(caller, &of).await?;
        let delete = commands::Delete { by: caller.user.clone(), target, author };
        self.room_command(caller, of.room, RoomCommand::Delete(delete)).await.map(Happened::from)
    }

    /// What is meant by a seq, for a command that concerns a message of any age: the seq, and who wrote the message, if it is
    /// one.
    async fn known_message(&self, caller: &Caller, of: &OfMessage) -> Result<(Seq, Option<UserId>), Error> {
        let (room, target) = (of.room, of.seq()?);
        let query = Query::Author { user: caller.user.clone(), seq: target };
        match self.ask_inside(caller, room, query).await? {
            QueryAnswer::Author { head, .. } if target > head => Err(Error::Rejected(Reject::NoMessage)),
            QueryAnswer::Author { author: None, is_remembered: false, .. } => {
                Ok((target, self.stored_author(room, target).await?))
            }
            QueryAnswer::Author { author, .. } => Ok((target, author)),
            _ => Err(Error::unavailable()),
        }
    }

    pub(in crate::api) async fn react(
        &self,
        caller: &Caller,
        of: OfMessage,
        reaction: Reaction,
    ) -> Result<Happened, Error> {
        if !reaction.is_one_emoji() {
            return Err(Error::bad("emoji must be one emoji"));
        }
        let (target, author) = self.known_message(caller, &of).await?;
        if !reaction.remove {
            // What is not stored yet or can't be asked for now is not counted: the bound is for pages, not exact.
            let on_it = stored(self.node.store().emoji_on(of.room, target, limits::EMOJI_ON_MESSAGE)).await;
            let on_it = on_it.unwrap_or_default();
            if on_it.len() >= limits::EMOJI_ON_MESSAGE && !on_it.contains(&reaction.emoji) {
                return Err(
                    BadInput::TooMany { what: "different emoji on a message", max: limits::EMOJI_ON_MESSAGE }.into()
                );
            }
        }
        let react = commands::React { by: caller.user.clone(), target, reaction, author };
        self.room_command(caller, of.room, RoomCommand::React(react)).await.map(Happened::from)
    }

    /// Who wrote a message that the room remembers no more, if it is one.
    async fn stored_author(&self, room: RoomId, seq: Seq) -> Result<Option<UserId>, Error> {
        let store = self.node.store();
        let rows = stored(store.messages(room, SeqRange::new(seq, seq), 1)).await?;
        if let Some(row) = rows.into_iter().next() {
            return Ok(row.sender);
        }
        // No message, or not stored yet.
        let chat = stored(store.chat(room)).await?;
        if chat.is_some_and(|chat| chat.head >= seq) { Ok(None) } else { Err(Error::unavailable()) }
    }
}

impl From<Accepted> for Happened {
    fn from(accepted: Accepted) -> Self {
        Self { seq: accepted.seq, ts: accepted.at, existing: accepted.duplicate }
    }
}
