//! Short ways to say what a room is asked.

use uuid::Uuid;

use crate::actors::fold::FoldClock;
use crate::actors::room::commands::{
    Block, Command, Create, Delete, Edit, End, Invite, Join, Kick, Leave, OpenChannel, RoomCommand, Send, Uninvite,
    Update,
};
use crate::actors::room::{Outcome, RoomSnapshot, RoomState};
use crate::actors::wire::{Content, Event, HistoryBound, MaySend, Reject, RoomKind};
use crate::ids::{ClientId, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::storage::journal::record::Envelope;
use std::sync::Arc;

/// A time long after the first day of the epoch, so that windows do not begin before it.
pub(crate) const T0: u64 = 1_800_000_000_000;

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn client_id(text: &str) -> ClientId {
    ClientId::new(text).unwrap()
}

/// A client id with a time in it.
pub(crate) fn timed(at: u64, n: u16) -> ClientId {
    let id = (u128::from(at) << 80) | (7 << 76) | (2 << 62) | u128::from(n);
    client_id(&Uuid::from_u128(id).to_string())
}

pub(crate) fn create(kind: RoomKind, creator: &str, members: &[&str]) -> Create {
    Create {
        kind,
        creator: user(creator),
        members: members.iter().map(|name| user(name)).collect(),
        title: String::new(),
        channel: String::new(),
        ttl_ms: 0,
        public: false,
        may_send: MaySend::Members,
        max_members: 0,
        history: HistoryBound::default(),
    }
}

pub(crate) fn send(sender: &str, client_id: Option<ClientId>) -> Send {
    Send {
        sender: user(sender),
        client_id,
        device: None,
        prev: None,
        content: Content { body: "hello".into(), message_type: "text".into(), ..Content::default() },
        open: None,
    }
}

pub(crate) fn publish(sender: &str, channel: &str, history: HistoryBound) -> Send {
    Send { open: Some(OpenChannel { channel: channel.into(), history }), ..send(sender, None) }
}

pub(crate) fn join(name: &str) -> RoomCommand {
    RoomCommand::Join(Join { user: user(name) })
}

pub(crate) fn leave(name: &str) -> RoomCommand {
    RoomCommand::Leave(Leave { user: user(name) })
}

pub(crate) fn invite(by: &str, name: &str) -> RoomCommand {
    RoomCommand::Invite(Invite { by: user(by), user: user(name) })
}

pub(crate) fn kick(by: &str, name: &str) -> RoomCommand {
    RoomCommand::Kick(Kick { by: user(by), user: user(name) })
}

pub(crate) fn uninvite(by: &str, inviter: &str, name: &str) -> RoomCommand {
    RoomCommand::Uninvite(Uninvite { by: user(by), inviter: user(inviter), user: user(name) })
}

pub(crate) fn end(by: &str) -> RoomCommand {
    RoomCommand::End(End { by: user(by) })
}

pub(crate) fn edit(by: &str, target: u64, body: &str) -> RoomCommand {
    RoomCommand::Edit(Edit { by: user(by), target: Seq(target), body: body.into(), metadata: None })
}

pub(crate) fn delete(by: &str, target: u64) -> RoomCommand {
    RoomCommand::Delete(Delete { by: user(by), target: Seq(target), author: None })
}

pub(crate) fn update(by: &str) -> Update {
    Update { by: user(by), title: None, ttl_ms: None, may_send: None, public: None }
}

pub(crate) fn block(by: &str, blocked: bool, source: u16, offset: u64) -> RoomCommand {
    let source = Partition::new(source).unwrap();
    RoomCommand::Block(Block { by: user(by), blocked, source, source_offset: Offset(offset) })
}

/// A room and the clock of its partition.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub state: RoomState,
    pub now: u64,
    ids: u64,
    clock: FoldClock,
}

impl Room {
    pub(crate) fn of(state: RoomState) -> Self {
        Self { state, now: T0, ids: 0, clock: FoldClock::default() }
    }

    pub(crate) fn absent() -> Self {
        Self::of(RoomState::absent(RoomId(Uuid::from_u128(7))))
    }

    /// A group of the creator and others.
    pub(crate) fn group(creator: &str, members: &[&str]) -> Self {
        let mut room = Self::absent();
        room.accepted(RoomCommand::Create(create(RoomKind::Group, creator, members)));
        room
    }

    /// A direct chat, not made yet.
    pub(crate) fn pair(one: &str, other: &str) -> Self {
        Self::of(RoomState::absent(RoomId::direct(&user(one), &user(other))))
    }

    /// A direct chat.
    pub(crate) fn direct(one: &str, other: &str) -> Self {
        let mut room = Self::pair(one, other);
        room.accepted(RoomCommand::Create(create(RoomKind::Direct, one, &[other])));
        room
    }

    /// An open channel, not made yet.
    pub(crate) fn channel(name: &str) -> Self {
        Self::of(RoomState::absent(RoomId::open(name)))
    }

    pub(crate) fn command(&mut self, body: RoomCommand) -> Command {
        self.ids += 1;
        let id = Uuid::from_u128(u128::from(self.ids));
        Command { room: self.state.room(), id, issued_at: Timestamp(self.now), ttl_ms: 0, body }
    }

    pub(crate) fn fold(&mut self, body: RoomCommand) -> Outcome {
        let command = self.command(body);
        self.state.fold(Timestamp(self.now), command.clone())
    }

    /// Folds a record that the journal appended at `append` by its own clock, wherever that stands.
    pub(crate) fn fold_at(&mut self, append: u64, body: RoomCommand) -> Outcome {
        let command = self.command(body);
        let now = self.clock.advance(Offset(0), Timestamp(append), &Envelope::default()).unwrap();
        self.state.fold(now, command.clone())
    }

    pub(crate) fn say(&mut self, sender: &str, id: &str) -> Outcome {
        self.fold(RoomCommand::Send(send(sender, Some(client_id(id)))))
    }

    /// The state, but for what was decided on commands that changed nothing.
    pub(crate) fn snapshot(&self) -> RoomSnapshot {
        RoomSnapshot { decisions: Vec::new(), ..self.state.snapshot() }
    }

    #[track_caller]
    pub(crate) fn accepted(&mut self, body: RoomCommand) -> Arc<Event> {
        match self.fold(body) {
            Outcome::Accepted(event) => event,
            other => panic!("not accepted: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn rejected(&mut self, body: RoomCommand) -> Reject {
        let before = self.snapshot();
        let outcome = self.fold(body);
        assert_eq!(self.snapshot(), before, "a rejected command changed the state");
        match outcome {
            Outcome::Rejected(reject) => reject,
            other => panic!("not rejected: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn duplicate(&mut self, body: RoomCommand) -> Seq {
        let before = self.snapshot();
        let outcome = self.fold(body);
        assert_eq!(self.snapshot(), before, "a duplicate changed the state");
        match outcome {
            Outcome::Duplicate { seq, .. } => seq,
            other => panic!("not a duplicate: {other:?}"),
        }
    }
}
