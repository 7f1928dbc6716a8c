//! The JSON of publications: what a room's events, a user's events and ephemeral news look like to clients.
//!
//! The forms are fixed by `docs/protocol.md`; fields may be added, never changed. An open channel carries the published
//! data as it is. Nothing here decides who sees what.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::actors::gateway::hub::Presence;
use crate::actors::wire::{
    Content, Ephemeral, Event, EventBody, MaySend, ReceiptStatus, RoomChange, RoomKind, StreamEvent, UserEvent,
    UserEventBody,
};
use crate::api::protocol::json_write::{ObjectWriter, number, object, string};
use crate::api::protocol::{ClientInfo, Format, Publication, Push, PushBody, append_publication, append_push};
use crate::ids::{Seq, Timestamp, UserId};
use crate::limits;

/// What an event takes in JSON beside long texts, about.
const EVENT_BYTES: usize = 256;

/// Encodes an event as a push at the end of a frame. In JSON it is written once, right there.
pub(crate) fn append_event(frame: &mut Vec<u8>, channel: &str, open: bool, event: &StreamEvent, format: Format) {
    let rest = |seq: Seq, at: Timestamp| Publication { offset: seq.0, time: at.as_i64(), ..Publication::default() };
    match event {
        StreamEvent::Room(event) if format == Format::Json && published(event, open).is_none() => {
            let texts = match &event.body {
                EventBody::Message { content, .. } => content.body.len() + content.metadata.len(),
                EventBody::Edited { body, metadata, .. } => body.len() + metadata.as_ref().map_or(0, String::len),
                _ => 0,
            };
            let rest = rest(event.seq, event.at);
            append_publication(frame, channel, &rest, EVENT_BYTES + texts, |o| room_fields(o, event));
        }
        StreamEvent::User(event) if format == Format::Json => {
            let rest = rest(event.seq, event.at);
            append_publication(frame, channel, &rest, EVENT_BYTES, |o| user_fields(o, event));
        }
        event => append_push(frame, &Push::new(channel, PushBody::Pub(stream_publication(event, open))), format),
    }
}

/// Durable events become publications with `offset` = seq. `open` says that the stream is an open channel.
#[must_use]
pub(crate) fn stream_publication(event: &StreamEvent, open: bool) -> Publication {
    match event {
        StreamEvent::Room(event) => room_publication(event, open),
        StreamEvent::User(event) => user_publication(event),
    }
}

/// A room's event. In an open channel a message is the published data, and its publisher stands in `info`.
#[must_use]
pub(crate) fn room_publication(event: &Event, open: bool) -> Publication {
    let (data, info) = match published(event, open) {
        Some(content) => {
            let user = event.actor.as_ref().filter(|user| !user.is_server());
            (content.data.clone(), user.map(|user| published_by(user, &content.metadata)))
        }
        None => (json(|o| room_fields(o, event)), None),
    };
    Publication { data, info, offset: event.seq.0, time: event.at.as_i64(), ..Publication::default() }
}

/// What was published, if this is a publication into an open channel: its data is told as it is.
fn published(event: &Event, open: bool) -> Option<&Content> {
    match &event.body {
        EventBody::Message { content, redacted: false, .. } if open => Some(content),
        _ => None,
    }
}

/// An event of a personal stream.
#[must_use]
pub(crate) fn user_publication(event: &UserEvent) -> Publication {
    Publication {
        data: json(|o| user_fields(o, event)),
        offset: event.seq.0,
        time: event.at.as_i64(),
        ..Publication::default()
    }
}

/// News without a place in the stream: no offset, may be lost.
#[must_use]
pub(crate) fn ephemeral_publication(event: &Ephemeral) -> Publication {
    let data = json(|o| match event {
        Ephemeral::Typing { user } => {
            o.text("type", "typing");
            o.text("user", user.as_str());
        }
        Ephemeral::Receipt { user, status, seq } => {
            o.text("type", "receipt");
            o.text("user", user.as_str());
            o.text(
                "status",
                match status {
                    ReceiptStatus::Delivered => "delivered",
                    ReceiptStatus::Read => "read",
                },
            );
            number(o.key("seq"), seq.0);
        }
        Ephemeral::ReadMark { room, seq, no } => {
            o.text("type", "read");
            uuid(o, "room", &room.0);
            number(o.key("seq"), seq.0);
            number(o.key("no"), no.0);
        }
    });
    Publication { data, ..Publication::default() }
}

/// A room kind's name.
#[must_use]
pub(crate) fn kind_name(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Direct => "direct",
        RoomKind::Group => "group",
        RoomKind::Broadcast => "broadcast",
        RoomKind::Open => "open",
    }
}

/// The name of who may send.
#[must_use]
pub(crate) fn may_send_name(may_send: MaySend) -> &'static str {
    match may_send {
        MaySend::Members => "members",
        MaySend::Creator => "creator",
    }
}

/// Which connection publishes into an open channel, as it is kept beside the data: what others see of it, as far as a
/// message's metadata may be large. Without room for all, what is of the channel goes first.
#[must_use]
pub(crate) fn publisher(who: &Presence) -> String {
    let text = |connection: Option<&Bytes>, channel: Option<&Bytes>| {
        let text = json(|o| {
            uuid(o, "client", &who.client);
            o.payload("conn_info", connection.map_or(&[][..], |info| info));
            o.payload("chan_info", channel.map_or(&[][..], |info| info));
        });
        String::from_utf8(text.into()).ok().filter(|text| text.len() <= limits::METADATA_BYTES)
    };
    let (connection, channel) = (who.connection_info.as_ref(), who.channel_info.as_ref());
    text(connection, channel).or_else(|| text(connection, None)).or_else(|| text(None, None)).unwrap_or_default()
}

/// Who published into an open channel.
fn published_by(user: &UserId, kept: &str) -> ClientInfo {
    #[derive(Deserialize, Default)]
    struct Kept<'a> {
        client: &'a str,
        #[serde(borrow)]
        conn_info: Option<&'a RawValue>,
        #[serde(borrow)]
        chan_info: Option<&'a RawValue>,
    }
    // Nothing is kept of a back end's.
    let Kept { client, conn_info, chan_info } = serde_json::from_str(kept).unwrap_or_default();
    let info = |raw: Option<&RawValue>| raw.map_or_else(Bytes::new, |raw| Bytes::copy_from_slice(raw.get().as_bytes()));
    ClientInfo {
        user: user.as_str().to_owned(),
        client: client.to_owned(),
        conn_info: info(conn_info),
        chan_info: info(chan_info),
    }
}

fn json(fill: impl FnOnce(&mut ObjectWriter<'_>)) -> Bytes {
    let mut out = Vec::with_capacity(EVENT_BYTES);
    object(&mut out, fill);
    out.into()
}

fn uuid(o: &mut ObjectWriter<'_>, key: &'static str, id: &Uuid) {
    o.text(key, id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
}

fn user(o: &mut ObjectWriter<'_>, key: &'static str, user: Option<&UserId>) {
    if let Some(user) = user {
        o.text(key, user.as_str());
    }
}

fn settings(o: &mut ObjectWriter<'_>, title: &str, expires_at: Option<Timestamp>, may_send: MaySend, public: bool) {
    string(o.key("title"), title);
    if let Some(at) = expires_at {
        number(o.key("expires_at"), at.0);
    }
    o.text("may_send", may_send_name(may_send));
    boolean(o, "public", public);
}

fn boolean(o: &mut ObjectWriter<'_>, key: &'static str, value: bool) {
    o.key(key).extend_from_slice(if value { b"true" } else { b"false" });
}

/// The fields of a room event's JSON: type and seq first, `ts` last.
fn room_fields(o: &mut ObjectWriter<'_>, event: &Event) {
    let actor = event.actor.as_ref();
    o.text("type", event.body.name());
    if let EventBody::Message { .. } = event.body {
        uuid(o, "id", &event.id);
    }
    number(o.key("seq"), event.seq.0);
    match &event.body {
        EventBody::Message { no, content, redacted } => {
            number(o.key("no"), no.0);
            user(o, "sender", actor);
            message(o, content);
            if let Some(id) = &event.client_id {
                o.text("client_id", id.as_str());
            }
            o.flag("deleted", *redacted);
        }
        EventBody::Edited { target, body, metadata } => {
            number(o.key("target"), target.0);
            string(o.key("body"), body);
            o.payload("metadata", metadata.as_deref().unwrap_or_default().as_bytes());
            user(o, "by", actor);
        }
        EventBody::Deleted { target } => {
            number(o.key("target"), target.0);
            user(o, "by", actor);
        }
        EventBody::Reacted { target, emoji, removed } => {
            number(o.key("target"), target.0);
            string(o.key("emoji"), emoji);
            o.flag("removed", *removed);
            user(o, "by", actor);
        }
        EventBody::Joined | EventBody::Left => user(o, "user", actor),
        EventBody::Invited { user: whom } | EventBody::Kicked { user: whom } | EventBody::Uninvited { user: whom } => {
            user(o, "user", Some(whom));
            user(o, "by", actor);
        }
        EventBody::Created { kind, title, members, expires_at, may_send, public, history: _ } => {
            o.text("kind", kind_name(*kind));
            settings(o, title, *expires_at, *may_send, *public);
            o.list("members", members, |out, member| string(out, member.as_str()));
            user(o, "by", actor);
        }
        EventBody::Updated { title, expires_at, may_send, public } => {
            settings(o, title, *expires_at, *may_send, *public);
            user(o, "by", actor);
        }
        EventBody::Reopened { expires_at } => {
            if let Some(at) = expires_at {
                number(o.key("expires_at"), at.0);
            }
            user(o, "by", actor);
        }
        EventBody::Ended | EventBody::Expired => user(o, "by", actor),
    }
    number(o.key("ts"), event.at.0);
}

fn message(o: &mut ObjectWriter<'_>, content: &Content) {
    string(o.key("body"), &content.body);
    string(o.key("message_type"), &content.message_type);
    o.payload("metadata", content.metadata.as_bytes());
    if let Some(seq) = content.reply_to {
        number(o.key("reply_to"), seq.0);
    }
}

/// The fields of a user event's JSON.
fn user_fields(o: &mut ObjectWriter<'_>, event: &UserEvent) {
    match &event.body {
        UserEventBody::Room { room, kind, change, room_seq, by } => {
            o.text(
                "type",
                match change {
                    RoomChange::Joined => "room.joined",
                    RoomChange::Left => "room.left",
                    RoomChange::Invited => "room.invited",
                    RoomChange::Kicked => "room.kicked",
                    RoomChange::Ended => "room.ended",
                    RoomChange::Reopened => "room.reopened",
                },
            );
            number(o.key("seq"), event.seq.0);
            uuid(o, "room", &room.0);
            o.text("kind", kind_name(*kind));
            number(o.key("room_seq"), room_seq.0);
            user(o, "by", by.as_ref());
        }
        UserEventBody::Block { user: whom, blocked } => {
            o.text("type", if *blocked { "user.blocked" } else { "user.unblocked" });
            number(o.key("seq"), event.seq.0);
            user(o, "user", Some(whom));
        }
        UserEventBody::Preferences => {
            o.text("type", "preferences");
            number(o.key("seq"), event.seq.0);
        }
        UserEventBody::NotificationsRead { up_to, ids } => {
            o.text("type", "notification.read");
            number(o.key("seq"), event.seq.0);
            if let Some(up_to) = up_to {
                uuid(o, "up_to", up_to);
            }
            o.list("ids", ids, |out, id| string(out, &id.to_string()));
        }
    }
    number(o.key("ts"), event.at.0);
}

#[cfg(test)]
mod tests;
