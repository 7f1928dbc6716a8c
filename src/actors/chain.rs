//! The hash chain of a partition (I10): over (offset, outcome) of every record from offset 0 on, the same whichever rooms
//! are resident. Two folders of one prefix whose chains differ halt that partition; nothing is ever healed by overwriting.
//!
//! The digests are xxh3-64 over a canonical encoding of the outcomes and fixed for life (`tests/golden`). What people wrote
//! enters by its own digest only.

use xxhash_rust::xxh3::xxh3_64;

use super::canon::Canon;
use super::room::Outcome;
use super::user::command::UserCommandBody;
use crate::actors::user::outcome::Quiet;
use crate::actors::user::outcome::UserOutcome;
use crate::actors::wire::{Content, Event, EventBody, HistoryBound, Reject, UserEvent, UserEventBody};
use crate::ids::Offset;

/// The chain's value after some offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chain(pub u64);

impl Chain {
    /// Before offset 0.
    pub const START: Self = Self(0);

    /// The chain with the record at `offset` added, whose outcome has this digest.
    #[must_use]
    pub fn next(self, offset: Offset, digest: u64) -> Self {
        let mut bytes = [0u8; 24];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&offset.0.to_le_bytes());
        bytes[16..].copy_from_slice(&digest.to_le_bytes());
        Self(xxh3_64(&bytes))
    }
}

/// What a digest is of: its first byte.
mod domain {
    pub const ROOM: u8 = 1;
    pub const USER: u8 = 2;
    pub const CONTROL: u8 = 3;
}

impl Outcome {
    /// The outcome's digest for the chain.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut canon = Canon::new();
        canon.u8(domain::ROOM);
        match self {
            Self::Accepted(event) => event.write(canon.u8(1)),
            Self::Duplicate { seq, id, at } => {
                canon.u8(2).seq(*seq).uuid(*id).time(*at);
            }
            Self::Rejected(reject) => {
                canon.u8(3).u8(reject.number());
            }
            Self::Noted => {
                canon.u8(4);
            }
            Self::Ignored => {
                canon.u8(5);
            }
        }
        canon.finish()
    }
}

impl UserOutcome {
    /// The outcome's digest for the chain.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut canon = Canon::new();
        canon.u8(domain::USER);
        match self {
            Self::Event(event) => event.write(canon.u8(1)),
            Self::Quiet(Quiet::Read { room, to }) => {
                canon.u8(2).uuid(room.0).seq(to.seq).u64(to.no.0);
            }
            Self::Quiet(Quiet::Device(body)) => {
                canon.u8(3);
                match body {
                    UserCommandBody::Device { device, platform, push_token } => {
                        canon.u8(1).text(device.as_str()).text(platform).content(push_token.as_bytes());
                    }
                    UserCommandBody::DeviceRemove { device } => {
                        canon.u8(2).text(device.as_str());
                    }
                    // Never made by the fold.
                    _ => {
                        canon.u8(0);
                    }
                }
            }
            Self::Unchanged => {
                canon.u8(4);
            }
            Self::Rejected(reject) => {
                canon.u8(5).u8(reject.number());
            }
        }
        canon.finish()
    }
}

/// The digest of a record that belongs to no room and no user: known control kinds (`reject` is `None`), and what can't be
/// understood.
#[must_use]
pub fn control_digest(kind: u32, reject: Option<Reject>) -> u64 {
    let mut canon = Canon::new();
    canon.u8(domain::CONTROL).u64(u64::from(kind)).u8(reject.map_or(0, Reject::number));
    canon.finish()
}

impl Event {
    pub(crate) fn write(&self, canon: &mut Canon) {
        canon.seq(self.seq).time(self.at).uuid(self.id);
        canon.option(self.actor.as_ref(), |canon, actor| {
            canon.user(actor);
        });
        canon.option(self.client_id.as_ref(), |canon, id| {
            canon.text(id.as_str());
        });
        canon.u8(self.body.number());
        match &self.body {
            EventBody::Created { kind, title, members, expires_at, may_send, public, history } => {
                canon.u8(kind.number()).content(title.as_bytes()).len(members.len());
                for user in members {
                    canon.user(user);
                }
                canon.option(*expires_at, |canon, at| {
                    canon.time(at);
                });
                canon.u8(may_send.number()).bool(*public);
                write_history(canon, *history);
            }
            EventBody::Message { no, content, redacted } => {
                canon.u64(no.0);
                write_content(canon, content);
                canon.bool(*redacted);
            }
            EventBody::Edited { target, body, metadata } => {
                canon.seq(*target).content(body.as_bytes()).option(metadata.as_ref(), |canon, metadata| {
                    canon.content(metadata.as_bytes());
                });
            }
            EventBody::Deleted { target } => {
                canon.seq(*target);
            }
            EventBody::Invited { user } | EventBody::Kicked { user } | EventBody::Uninvited { user } => {
                canon.user(user);
            }
            EventBody::Updated { title, expires_at, may_send, public } => {
                canon.content(title.as_bytes());
                canon.option(*expires_at, |canon, at| {
                    canon.time(at);
                });
                canon.u8(may_send.number()).bool(*public);
            }
            EventBody::Reopened { expires_at } => {
                canon.option(*expires_at, |canon, at| {
                    canon.time(at);
                });
            }
            EventBody::Joined | EventBody::Left | EventBody::Ended | EventBody::Expired => {}
        }
    }
}

fn write_content(canon: &mut Canon, content: &Content) {
    canon.content(content.body.as_bytes()).text(&content.message_type).content(content.metadata.as_bytes());
    canon.option(content.reply_to, |canon, seq| {
        canon.seq(seq);
    });
    canon.content(&content.data);
}

pub(crate) fn write_history(canon: &mut Canon, history: HistoryBound) {
    canon.u64(history.events).u64(history.age_ms);
}

impl UserEvent {
    pub(crate) fn write(&self, canon: &mut Canon) {
        canon.seq(self.seq).time(self.at).u8(self.body.number());
        match &self.body {
            UserEventBody::Room { room, kind, change, room_seq, by } => {
                canon.uuid(room.0).u8(kind.number()).u8(change.number()).seq(*room_seq);
                canon.option(by.as_ref(), |canon, by| {
                    canon.user(by);
                });
            }
            UserEventBody::Block { user, .. } => {
                canon.user(user);
            }
            UserEventBody::Preferences => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::actors::room::tests::support::user;
    use crate::ids::{MessageNo, Seq, Timestamp};
    use uuid::Uuid;

    fn message(body: &str, actor: &str) -> Event {
        let content = Content { body: body.into(), message_type: "text".into(), ..Content::default() };
        Event {
            seq: Seq(1),
            at: Timestamp(2),
            id: Uuid::from_u128(3),
            actor: Some(user(actor)),
            client_id: None,
            body: EventBody::Message { no: MessageNo(1), content, redacted: false },
        }
    }

    #[test]
    fn the_chain_depends_on_place_order_and_outcome() {
        let chain = |steps: &[(u64, u64)]| {
            steps.iter().fold(Chain::START, |chain, (offset, digest)| chain.next(Offset(*offset), *digest)).0
        };
        let values = [
            chain(&[]),
            chain(&[(0, 7)]),
            chain(&[(1, 7)]),
            chain(&[(0, 8)]),
            chain(&[(0, 7), (1, 8)]),
            chain(&[(0, 8), (1, 7)]),
        ];
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), values.len());
    }

    #[test]
    fn outcomes_that_differ_have_different_digests() {
        let accepted = |event: Event| Outcome::Accepted(Arc::new(event));
        let (seq, at, id) = (Seq(1), Timestamp(2), Uuid::from_u128(3));
        let event = |body| accepted(Event { body, ..message("a", "ann") });
        let digests = [
            accepted(message("a", "ann")).digest(),
            accepted(message("b", "ann")).digest(),
            accepted(message("a", "bob")).digest(),
            accepted(Event { seq: Seq(2), ..message("a", "ann") }).digest(),
            accepted(Event { at: Timestamp(3), ..message("a", "ann") }).digest(),
            accepted(Event { actor: None, ..message("a", "ann") }).digest(),
            event(EventBody::Joined).digest(),
            event(EventBody::Left).digest(),
            event(EventBody::Invited { user: user("bob") }).digest(),
            event(EventBody::Kicked { user: user("bob") }).digest(),
            event(EventBody::Uninvited { user: user("bob") }).digest(),
            event(EventBody::Deleted { target: Seq(1) }).digest(),
            event(EventBody::Edited { target: Seq(1), body: String::new(), metadata: None }).digest(),
            event(EventBody::Edited { target: Seq(1), body: String::new(), metadata: Some(String::new()) }).digest(),
            event(EventBody::Reopened { expires_at: None }).digest(),
            event(EventBody::Reopened { expires_at: Some(Timestamp(0)) }).digest(),
            Outcome::Duplicate { seq, id, at }.digest(),
            Outcome::Rejected(Reject::Ended).digest(),
            Outcome::Rejected(Reject::Expired).digest(),
            Outcome::Noted.digest(),
            Outcome::Ignored.digest(),
            UserOutcome::Unchanged.digest(),
            UserOutcome::Rejected(Reject::Ended).digest(),
            control_digest(2000, None),
            control_digest(2001, Some(Reject::Invalid)),
        ];
        assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len());
    }
}
