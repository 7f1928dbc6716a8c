//! Short ways to say what a user is asked.

use uuid::Uuid;

use crate::actors::room::tests::support::{T0, user};
use crate::actors::user::commands::{self, RoomFact, UserCommand, UserCommandBody};
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::wire::{ReadPoint, RoomChange, RoomKind};
use crate::ids::{DeviceId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp};

pub(crate) fn room(n: u8) -> RoomId {
    RoomId(Uuid::from_u128(u128::from(n)))
}

pub(crate) fn read(n: u8, seq: u64, no: u64) -> UserCommandBody {
    UserCommandBody::Read(commands::Read { room: room(n), to: ReadPoint { seq: Seq(seq), no: MessageNo(no) } })
}

pub(crate) fn block(name: &str) -> UserCommandBody {
    UserCommandBody::Block(commands::Block { user: user(name) })
}

pub(crate) fn unblock(name: &str) -> UserCommandBody {
    UserCommandBody::Unblock(commands::Unblock { user: user(name) })
}

pub(crate) fn device(id: &str, push_token: &str) -> UserCommandBody {
    let device = DeviceId::new(id).unwrap();
    UserCommandBody::Device(commands::Device { device, platform: "web".into(), push_token: push_token.into() })
}

pub(crate) fn forget(id: &str) -> UserCommandBody {
    UserCommandBody::DeviceRemove(commands::DeviceRemove { device: DeviceId::new(id).unwrap() })
}

pub(crate) fn push_gone(id: &str, push_token: &str) -> UserCommandBody {
    let device = DeviceId::new(id).unwrap();
    UserCommandBody::PushGone(commands::PushGone { device, push_token: push_token.into() })
}

pub(crate) fn forget_all() -> UserCommandBody {
    UserCommandBody::DevicesForget(commands::DevicesForget)
}

pub(crate) fn mute(n: u8, until: u64) -> UserCommandBody {
    UserCommandBody::Mute(commands::Mute { room: room(n), until: Timestamp(until) })
}

pub(crate) fn notifications_read(up_to: Uuid, ids: &[Uuid]) -> UserCommandBody {
    UserCommandBody::NotificationRead(commands::NotificationRead { up_to, ids: ids.to_vec() })
}

/// The id of a notification of this time.
pub(crate) fn notification(at: u64, n: u8) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(at, &[n; 10]).into_uuid()
}

pub(crate) fn preferences(json: &str) -> UserCommandBody {
    UserCommandBody::Preferences(commands::Preferences { json: json.into() })
}

pub(crate) fn fact(source: u16, offset: u64, n: u8, change: RoomChange) -> UserCommandBody {
    UserCommandBody::RoomFact(RoomFact {
        source: Partition::new(source).unwrap(),
        source_offset: Offset(offset),
        room: room(n),
        kind: RoomKind::Group,
        seq: Seq(offset + 1),
        by: Some(user("bob")),
        change,
    })
}

/// A user and the clock of his partition.
pub(crate) struct Someone {
    pub state: UserState,
    pub now: u64,
    commands: u64,
}

impl Someone {
    pub(crate) fn new(name: &str) -> Self {
        Self { state: UserState::new(user(name)), now: T0, commands: 0 }
    }

    pub(crate) fn command(&mut self, body: UserCommandBody) -> UserCommand {
        self.commands += 1;
        let (user, id) = (self.state.user().clone(), Uuid::from_u128(u128::from(self.commands)));
        UserCommand { user, id, issued_at: Timestamp(self.now), ttl_ms: 0, body }
    }

    pub(crate) fn fold(&mut self, body: UserCommandBody) -> UserOutcome {
        let command = self.command(body);
        self.state.fold(Timestamp(self.now), command.clone())
    }

    /// The seq of the event that it makes.
    #[track_caller]
    pub(crate) fn event(&mut self, body: UserCommandBody) -> u64 {
        match self.fold(body) {
            UserOutcome::Event(event) => event.seq.0,
            other => panic!("no event: {other:?}"),
        }
    }
}
