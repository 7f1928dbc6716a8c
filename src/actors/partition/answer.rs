//! Answers to queries: what a resident room or user says of its folded state. Pure.

use super::entity::EntityCore;
use crate::actors::fold::EntityState;
use crate::actors::room::RoomState;
use crate::actors::wire::{EntityFigures, FiguresOf, Query, QueryAnswer, ReadFacts, RoomFacts, RoomKind, RoomStanding};
use crate::ids::{Seq, Timestamp, UserId};

impl EntityCore {
    /// The answer to a query. `now` says what is over or too old without a record. What is asked of the wrong kind of
    /// entity is [`QueryAnswer::Unavailable`].
    pub(crate) fn answer(&self, query: &Query, now: Timestamp) -> QueryAnswer {
        match (query, self.state()) {
            (Query::Position, state) => {
                QueryAnswer::Position { generation: state.generation(), head: state.head(), floor: state.floor_at(now) }
            }
            (Query::Figures, state) => QueryAnswer::Figures(EntityFigures {
                head: state.head(),
                ring_bytes: self.ring_bytes(),
                of: figures(state),
            }),
            (Query::Room { user }, EntityState::Room(room)) => QueryAnswer::Room(Box::new(facts(room, user, now))),
            (Query::Recent { user, from }, EntityState::Room(room)) => {
                let room = Box::new(facts(room, user, now));
                let events = match room.standing {
                    Some(RoomStanding::Member(_) | RoomStanding::Invited(_)) => self.recent(*from),
                    Some(RoomStanding::Kicked(_)) | None => Vec::new(),
                };
                QueryAnswer::Recent { room, end: self.ring_end(), events: events.into() }
            }
            (Query::TakesMessage { user }, EntityState::Room(room)) => {
                QueryAnswer::TakesMessage(room.takes_from(now, user))
            }
            (Query::Members { user, after, limit }, EntityState::Room(room)) if room.is_member(user) => {
                let page = room.members_after(after.as_ref()).take(*limit);
                QueryAnswer::Members {
                    members: page.map(|(user, member)| (user.clone(), member.joined)).collect(),
                    total: room.members().len(),
                    creator: room.creator().cloned(),
                }
            }
            (Query::Reading { user, seq }, EntityState::Room(room)) => match reading(room, user, *seq) {
                Some(reading) => QueryAnswer::Reading(reading),
                None => QueryAnswer::NotMember,
            },
            (Query::Author { user, seq }, EntityState::Room(room)) if room.is_member(user) => QueryAnswer::Author {
                head: room.head(),
                author: room.author_of(*seq).cloned(),
                is_remembered: *seq >= room.meta().window_from,
            },
            (Query::Members { .. } | Query::Author { .. }, EntityState::Room(_)) => QueryAnswer::NotMember,
            (Query::ReadPoint { room }, EntityState::User(user)) => {
                QueryAnswer::ReadPoint(user.has_read(*room).then(|| user.read(*room)))
            }
            (Query::Blocks { other }, EntityState::User(user)) => QueryAnswer::Blocks(user.is_blocking(other)),
            (Query::Preferences, EntityState::User(user)) => QueryAnswer::Preferences(user.preferences().to_owned()),
            (Query::Mutes, EntityState::User(user)) => QueryAnswer::Mutes(user.mutes(now).collect()),
            (
                Query::Room { .. }
                | Query::Recent { .. }
                | Query::TakesMessage { .. }
                | Query::Members { .. }
                | Query::Reading { .. }
                | Query::Author { .. },
                EntityState::User(_),
            )
            | (
                Query::ReadPoint { .. } | Query::Blocks { .. } | Query::Preferences | Query::Mutes,
                EntityState::Room(_),
            ) => QueryAnswer::Unavailable,
        }
    }
}

fn facts(room: &RoomState, user: &UserId, now: Timestamp) -> RoomFacts {
    let peer = match room.kind() {
        Some(RoomKind::Direct) => room.members().map(|(other, _)| other).find(|other| *other != user).cloned(),
        Some(RoomKind::Group | RoomKind::Broadcast | RoomKind::Open) | None => None,
    };
    RoomFacts {
        kind: room.kind(),
        status: room.status(),
        title: room.title().to_owned(),
        creator: room.creator().cloned(),
        expires_at: room.expires_at(),
        public: room.is_public(),
        may_send: room.may_send(),
        members: room.members().len(),
        head: room.head(),
        floor: room.floor_at(now),
        last_no: room.last_no(),
        last_message_at: room.last_message_at(),
        opened_at: room.meta().opened.at,
        standing: room.standing(user),
        peer,
    }
}

fn reading(room: &RoomState, user: &UserId, seq: Seq) -> Option<ReadFacts> {
    let (seq, member) = (seq.min(room.head()), room.member(user)?);
    Some(ReadFacts { seq, no: room.no_at(seq), last_no: room.last_no(), member, joined_no: room.no_at(member.joined) })
}

fn figures(state: &EntityState) -> FiguresOf {
    match state {
        EntityState::Room(room) => FiguresOf::Room {
            kind: room.kind(),
            status: room.status(),
            members: room.members().len(),
            invited: room.invited().len(),
            floor: room.floor(),
            messages: room.last_no(),
            generation: room.generation(),
        },
        EntityState::User(user) => {
            FiguresOf::User { rooms: user.rooms().len(), devices: user.devices().len(), blocks: user.blocks().len() }
        }
    }
}
