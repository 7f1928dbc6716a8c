//! A naive user, written apart from the real one: keeps every accepted command and reads the list from the start.

use std::sync::Arc;

use uuid::Uuid;

use super::support::notification;

use crate::actors::user::commands::{self, RoomFact, UserCommand, UserCommandBody};
use crate::actors::user::outcome::Quiet;
use crate::actors::user::outcome::UserOutcome;
use crate::actors::wire::{ReadPoint, Reject, RoomChange, UserEvent, UserEventBody};
use crate::ids::{DeviceId, RoomId, Seq, Timestamp, UserId};
use crate::limits;

#[derive(Default)]
pub(crate) struct Model {
    done: Vec<(Timestamp, UserCommandBody)>,
    seq: u64,
    /// What was decided on each command that does not bear repetition by itself.
    decided: Vec<(Uuid, UserOutcome)>,
}

/// Whether a user has the room no more.
fn is_gone(change: RoomChange) -> bool {
    [RoomChange::Left, RoomChange::Kicked, RoomChange::Ended].contains(&change)
}

impl Model {
    fn bodies(&self) -> impl DoubleEndedIterator<Item = &UserCommandBody> {
        self.done.iter().map(|(_, body)| body)
    }

    pub(crate) fn mark(&self, room: RoomId) -> ReadPoint {
        self.bodies().fold(ReadPoint::default(), |high, body| match body {
            UserCommandBody::Read(commands::Read { room: other, to }) if *other == room => {
                ReadPoint { seq: high.seq.max(to.seq), no: high.no.max(to.no) }
            }
            UserCommandBody::RoomFact(fact) if fact.room == room && is_gone(fact.change) => ReadPoint::default(),
            _ => high,
        })
    }

    /// Until when a room is muted; `None` if it is not on the list.
    pub(crate) fn muted(&self, room: RoomId) -> Option<Timestamp> {
        self.done.iter().fold(None, |muted, (now, body)| match body {
            UserCommandBody::RoomFact(fact) if fact.room == room => {
                (!is_gone(fact.change)).then_some(muted.unwrap_or(Timestamp::ZERO))
            }
            UserCommandBody::Mute(mute) if mute.room == room => muted
                .map(|_| if mute.until > *now { mute.until.min(commands::Mute::FOR_EVER) } else { Timestamp::ZERO }),
            _ => muted,
        })
    }

    pub(crate) fn blocks(&self, user: &UserId) -> bool {
        let last = self.bodies().rev().find_map(|body| match body {
            UserCommandBody::Block(commands::Block { user: other }) if other == user => Some(true),
            UserCommandBody::Unblock(commands::Unblock { user: other }) if other == user => Some(false),
            _ => None,
        });
        last.unwrap_or(false)
    }

    pub(crate) fn has_device(&self, device: &DeviceId) -> bool {
        self.push_token(device).is_some()
    }

    /// Where pushes for a device go; `None` if it is not known.
    pub(crate) fn push_token(&self, device: &DeviceId) -> Option<&str> {
        self.bodies().fold(None, |token, body| match body {
            UserCommandBody::Device(commands::Device { device: other, push_token, .. }) if other == device => {
                Some(push_token)
            }
            UserCommandBody::DeviceRemove(commands::DeviceRemove { device: other }) if other == device => None,
            UserCommandBody::DevicesForget(_) => None,
            UserCommandBody::PushGone(gone) if gone.device == *device && token == Some(gone.push_token.as_str()) => {
                Some("")
            }
            _ => token,
        })
    }

    /// The devices that are known, by id.
    fn devices(&self) -> Vec<DeviceId> {
        let named = self.bodies().filter_map(|body| match body {
            UserCommandBody::Device(commands::Device { device, .. }) => Some(device.clone()),
            _ => None,
        });
        let named: std::collections::BTreeSet<DeviceId> = named.collect();
        named.into_iter().filter(|device| self.has_device(device)).collect()
    }

    fn preferences(&self) -> &str {
        let last = self.bodies().rev().find_map(|body| match body {
            UserCommandBody::Preferences(commands::Preferences { json }) => Some(json.as_str()),
            _ => None,
        });
        last.unwrap_or("")
    }

    /// Up to which notification all are read.
    pub(crate) fn notifications_read(&self) -> Uuid {
        let marks = self.done.iter().filter_map(|(now, body)| match body {
            UserCommandBody::NotificationRead(read) => Some(read.up_to.min(notification(now.0, u8::MAX))),
            _ => None,
        });
        marks.max().unwrap_or_default()
    }

    fn facts(&self) -> impl DoubleEndedIterator<Item = &RoomFact> {
        self.bodies().filter_map(|body| match body {
            UserCommandBody::RoomFact(fact) => Some(fact),
            _ => None,
        })
    }

    pub(crate) fn listed(&self, room: RoomId) -> Option<(RoomChange, Seq)> {
        let last = self.facts().rev().find(|fact| fact.room == room)?;
        (!is_gone(last.change)).then_some((last.change, last.seq))
    }

    pub(crate) fn fold(&mut self, now: Timestamp, command: &UserCommand) -> UserOutcome {
        if let Some((_, decided)) = self.decided.iter().find(|(id, _)| *id == command.id) {
            return match decided {
                UserOutcome::Event(event) => UserOutcome::Duplicate { seq: event.seq, at: event.at },
                UserOutcome::Rejected(reject) => UserOutcome::Rejected(*reject),
                _ => UserOutcome::Duplicate { seq: Seq(0), at: Timestamp(0) },
            };
        }
        let outcome = self.judge(now, command);
        if !matches!(command.body, UserCommandBody::Read(_) | UserCommandBody::RoomFact(_)) {
            self.decided.push((command.id, outcome.clone()));
        }
        if let UserOutcome::Event(_) | UserOutcome::Quiet(_) = outcome {
            self.done.push((now, command.body.clone()));
        }
        if let UserOutcome::Event(_) = outcome {
            self.seq += 1;
        }
        outcome
    }

    fn judge(&self, now: Timestamp, command: &UserCommand) -> UserOutcome {
        let event = |body| UserOutcome::Event(Arc::new(UserEvent { seq: Seq(self.seq + 1), at: now, body }));
        match &command.body {
            UserCommandBody::Read(commands::Read { room, to }) => {
                let mark = self.mark(*room);
                if to.seq <= mark.seq {
                    return UserOutcome::Unchanged;
                }
                let to = ReadPoint { seq: to.seq, no: to.no.max(mark.no) };
                UserOutcome::Quiet(Quiet::Read { room: *room, to })
            }
            UserCommandBody::Block(commands::Block { user }) if *user == command.user => {
                UserOutcome::Rejected(Reject::Invalid)
            }
            UserCommandBody::Block(commands::Block { user }) if self.blocks(user) => UserOutcome::Unchanged,
            UserCommandBody::Block(commands::Block { user }) => {
                event(UserEventBody::Block { user: user.clone(), blocked: true })
            }
            UserCommandBody::Unblock(commands::Unblock { user }) if !self.blocks(user) => UserOutcome::Unchanged,
            UserCommandBody::Unblock(commands::Unblock { user }) => {
                event(UserEventBody::Block { user: user.clone(), blocked: false })
            }
            UserCommandBody::Device(commands::Device { push_token, .. })
                if push_token.len() > limits::PUSH_TOKEN_BYTES =>
            {
                UserOutcome::Rejected(Reject::TooLarge)
            }
            UserCommandBody::DeviceRemove(commands::DeviceRemove { device }) if !self.has_device(device) => {
                UserOutcome::Unchanged
            }
            UserCommandBody::Device(device) => UserOutcome::Quiet(Quiet::Device(device.clone())),
            UserCommandBody::DeviceRemove(commands::DeviceRemove { device }) => {
                UserOutcome::Quiet(Quiet::DeviceRemoved(device.clone()))
            }
            UserCommandBody::Mute(commands::Mute { room, until }) => {
                let Some(muted) = self.muted(*room) else { return UserOutcome::Rejected(Reject::NotMember) };
                let until = if *until > now { (*until).min(commands::Mute::FOR_EVER) } else { Timestamp::ZERO };
                if muted == until {
                    return UserOutcome::Unchanged;
                }
                UserOutcome::Quiet(Quiet::Muted { room: *room, until })
            }
            UserCommandBody::DevicesForget(_) => match self.devices() {
                none if none.is_empty() => UserOutcome::Unchanged,
                devices => UserOutcome::Quiet(Quiet::DevicesForgotten(devices)),
            },
            UserCommandBody::PushGone(commands::PushGone { push_token, .. })
                if push_token.len() > limits::PUSH_TOKEN_BYTES =>
            {
                UserOutcome::Rejected(Reject::TooLarge)
            }
            UserCommandBody::PushGone(commands::PushGone { device, push_token }) => match self.push_token(device) {
                Some(token) if token == push_token && !token.is_empty() => {
                    UserOutcome::Quiet(Quiet::Device(commands::Device {
                        device: device.clone(),
                        platform: "web".into(),
                        push_token: String::new(),
                    }))
                }
                _ => UserOutcome::Unchanged,
            },
            UserCommandBody::NotificationRead(read) if read.ids.len() > limits::NOTIFICATION_IDS => {
                UserOutcome::Rejected(Reject::TooLarge)
            }
            UserCommandBody::NotificationRead(commands::NotificationRead { up_to, ids }) => {
                let known = self.notifications_read();
                let up_to = (*up_to).min(notification(now.0, u8::MAX));
                let up_to = (up_to > known).then_some(up_to);
                let unread = ids.iter().copied().filter(|id| *id > up_to.unwrap_or(known) && id.get_version_num() == 7);
                let ids: Vec<Uuid> = unread.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
                if up_to.is_none() && ids.is_empty() {
                    return UserOutcome::Unchanged;
                }
                event(UserEventBody::NotificationsRead { up_to, ids })
            }
            UserCommandBody::Preferences(commands::Preferences { json }) if json.len() > limits::PREFERENCES_BYTES => {
                UserOutcome::Rejected(Reject::TooLarge)
            }
            UserCommandBody::Preferences(commands::Preferences { json }) if json == self.preferences() => {
                UserOutcome::Unchanged
            }
            UserCommandBody::Preferences(_) => event(UserEventBody::Preferences),
            UserCommandBody::RoomFact(fact) => {
                let newer = |old: &RoomFact| old.source == fact.source && old.source_offset >= fact.source_offset;
                if self.facts().any(newer) {
                    return UserOutcome::Unchanged;
                }
                event(UserEventBody::Room {
                    room: fact.room,
                    kind: fact.kind,
                    change: fact.change,
                    room_seq: fact.seq,
                    by: fact.by.clone(),
                })
            }
        }
    }
}
