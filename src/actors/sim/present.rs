//! The rows in their present form, against what the events of the log say: edited and redacted messages, unread counts, and
//! what users were told of their rooms.

use std::collections::BTreeMap;

use super::oracle::Stream;
use super::world::World;
use crate::actors::wire::{Entity, Event, EventBody, RoomChange, RoomKind, StreamEvent, UserEventBody};
use crate::ids::{MessageNo, RoomId, Seq, UserId};
use crate::storage::store::SeqRange;

/// A message as it should be read now.
#[derive(Default, PartialEq, Debug)]
struct Text {
    body: String,
    metadata: String,
    data: Vec<u8>,
    deleted: bool,
}

impl World<'_> {
    /// The messages that the rows give are those of the log with all edits, and without what was deleted.
    pub(crate) fn check_messages(&self) -> Result<(), String> {
        for room in &self.cast.rooms {
            let stream = self.truth.stream(&Entity::Room(room.id));
            let present = present(stream);
            for row in self.store.rows().messages(room.id, SeqRange::all(), usize::MAX) {
                let message = &row.message;
                let found = Text {
                    body: message.body.clone(),
                    metadata: message.metadata.clone(),
                    data: message.data.to_vec(),
                    deleted: message.deleted,
                };
                if present.get(&row.seq) != Some(&found) {
                    let (room, seq, there) = (room.id, row.seq, present.get(&row.seq));
                    return Err(format!("I6: message {seq} of {room:?} reads {found:?}, and should {there:?}"));
                }
            }
        }
        Ok(())
    }

    /// Each member's count of unread messages is what the log makes of it.
    pub(crate) fn check_unread(&self) -> Result<(), String> {
        for room in self.cast.rooms.iter().filter(|room| room.kind != RoomKind::Open) {
            let stream = self.truth.stream(&Entity::Room(room.id));
            for user in self.cast.users.iter().filter(|user| stream.is_member(user)) {
                let read = self.truth.stream(&Entity::User(user.clone())).read(room.id);
                let wanted = unread(stream, user, read);
                let found = self.store.rows().room_line(user, room.id).map(|line| line.unread);
                if found != Some(wanted) {
                    let room = room.id;
                    return Err(format!(
                        "I6: {user} has {found:?} unread messages in {room:?}, and should have {wanted}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Users were told of their rooms what happened there, and not something like it.
    pub(crate) fn check_told(&self) -> Result<(), String> {
        for user in &self.cast.users {
            for event in &self.truth.stream(&Entity::User(user.clone())).events {
                if let StreamEvent::User(event) = event
                    && let UserEventBody::Room { room, change, room_seq, .. } = &event.body
                    && !self.happened(*room, *room_seq, *change)
                {
                    return Err(format!("relay: {user} is told {event:?}, which did not happen"));
                }
            }
        }
        Ok(())
    }

    fn happened(&self, room: RoomId, seq: Seq, change: RoomChange) -> bool {
        let Some(stream) = self.truth.known(&Entity::Room(room)) else { return false };
        let at = (seq.0 as usize).checked_sub(1);
        let Some(StreamEvent::Room(event)) = at.and_then(|at| stream.events.get(at)) else { return false };
        match event.body {
            EventBody::Created { .. } | EventBody::Joined => change == RoomChange::Joined,
            EventBody::Left => change == RoomChange::Left,
            EventBody::Kicked { .. } | EventBody::Uninvited { .. } => change == RoomChange::Kicked,
            EventBody::Invited { .. } => change == RoomChange::Invited,
            EventBody::Ended | EventBody::Expired => change == RoomChange::Ended,
            EventBody::Reopened { .. } => change == RoomChange::Reopened,
            _ => false,
        }
    }
}

fn events(stream: &Stream) -> impl Iterator<Item = &Event> {
    stream.events.iter().filter_map(|event| match event {
        StreamEvent::Room(event) => Some(&**event),
        StreamEvent::User(_) => None,
    })
}

fn present(stream: &Stream) -> BTreeMap<Seq, Text> {
    let mut texts: BTreeMap<Seq, Text> = BTreeMap::new();
    for event in events(stream) {
        match &event.body {
            EventBody::Message { content, .. } => {
                let text = Text {
                    body: content.body.clone(),
                    metadata: content.metadata.clone(),
                    data: content.data.to_vec(),
                    deleted: false,
                };
                texts.insert(event.seq, text);
            }
            EventBody::Edited { target, body, metadata } => {
                if let Some(text) = texts.get_mut(target).filter(|text| !text.deleted) {
                    text.body.clone_from(body);
                    text.metadata = metadata.clone().unwrap_or_else(|| std::mem::take(&mut text.metadata));
                }
            }
            EventBody::Deleted { target } => {
                if let Some(text) = texts.get_mut(target) {
                    *text = Text { deleted: true, ..Text::default() };
                }
            }
            _ => {}
        }
    }
    texts
}

/// Messages that came after a member did, after its own last one, and after the last one that it has read.
fn unread(stream: &Stream, user: &UserId, read: MessageNo) -> u64 {
    let (mut last, mut seen) = (0, 0);
    for event in events(stream) {
        match &event.body {
            EventBody::Message { .. } => {
                last += 1;
                if event.actor.as_ref() == Some(user) {
                    seen = last;
                }
            }
            EventBody::Joined if event.actor.as_ref() == Some(user) => seen = last,
            _ => {}
        }
    }
    u64::saturating_sub(last, read.0.max(seen))
}
