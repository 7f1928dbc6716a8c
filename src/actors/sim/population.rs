//! Who takes part: users, rooms and the few partitions that they all lie in. The same for every seed.

use crate::actors::room::commands::{Create, OpenChannel};
use crate::actors::wire::{Entity, HistoryBound, MaySend, RoomKind};
use crate::ids::{ClientId, Partition, RoomId, UserId};

/// Users; each has two devices.
pub(crate) const USERS: usize = 10;
/// Clients.
pub(crate) const CLIENTS: usize = 2 * USERS;
/// Partitions that everything lies in.
const PARTITIONS: [u16; 3] = [10, 77, 201];

/// A room as its makers mean it.
#[derive(Clone, Debug)]
pub(crate) struct RoomCast {
    /// Its id.
    pub id: RoomId,
    /// Its kind.
    pub kind: RoomKind,
    /// Whose it is; an index of users.
    pub creator: usize,
    /// Who is in from the beginning.
    pub members: Vec<usize>,
    /// An open channel's name.
    pub channel: String,
    /// How it is made.
    pub create: Create,
}

/// See the module.
pub(crate) struct Cast {
    /// By index.
    pub users: Vec<UserId>,
    /// By index.
    pub rooms: Vec<RoomCast>,
    /// All partitions in use.
    pub partitions: Vec<Partition>,
}

impl Default for Cast {
    fn default() -> Self {
        Self::new()
    }
}

impl Cast {
    /// Finds names that lie in the few partitions.
    pub(crate) fn new() -> Self {
        let partitions: Vec<_> = PARTITIONS.into_iter().filter_map(Partition::new).collect();
        let mut cast = Self { users: Vec::new(), rooms: Vec::new(), partitions };
        let mut n = 0;
        while cast.users.len() < USERS {
            let user = user(n);
            n += 1;
            // The second and the fourth one have a direct chat with the one before.
            let fits = match cast.users.len() {
                1 | 3 => cast.has(RoomId::direct(&cast.users[cast.users.len() - 1], &user).partition()),
                _ => true,
            };
            if fits && cast.has(user.partition()) {
                cast.users.push(user);
            }
        }
        cast.direct(0, 1, 9_000);
        cast.direct(2, 3, 0);
        cast.group(RoomKind::Group, 0, &[0, 1, 2, 3, 4, 5, 6, 7], false, 0);
        cast.group(RoomKind::Group, 4, &[4, 5], true, 0);
        cast.group(RoomKind::Group, 2, &[2, 6, 7, 8], false, 15_000);
        cast.group(RoomKind::Broadcast, 1, &[0, 1, 2, 3, 8, 9], false, 0);
        cast.open(HistoryBound { events: 5, age_ms: 0 });
        cast.open(HistoryBound { events: 0, age_ms: 4_000 });
        cast
    }

    fn has(&self, partition: Partition) -> bool {
        self.partitions.contains(&partition)
    }

    /// Every room and user.
    pub(crate) fn entities(&self) -> impl Iterator<Item = Entity> + '_ {
        let rooms = self.rooms.iter().map(|room| Entity::Room(room.id));
        rooms.chain(self.users.iter().cloned().map(Entity::User))
    }

    /// Users whose direct chat with this one lies in the partitions of the cast.
    pub(crate) fn neighbours(&self, user: usize) -> Vec<usize> {
        let others = (0..self.users.len()).filter(|other| *other != user);
        others.filter(|other| self.has(RoomId::direct(&self.users[user], &self.users[*other]).partition())).collect()
    }

    /// The room's place in the cast.
    pub(crate) fn room(&self, id: RoomId) -> Option<&RoomCast> {
        self.rooms.iter().find(|room| room.id == id)
    }

    fn direct(&mut self, one: usize, other: usize, ttl_ms: u64) {
        let id = RoomId::direct(&self.users[one], &self.users[other]);
        self.push(id, RoomKind::Direct, one, &[one, other], String::new(), false, ttl_ms, HistoryBound::default());
    }

    fn group(&mut self, kind: RoomKind, creator: usize, members: &[usize], public: bool, ttl_ms: u64) {
        let named = (0..).map(|n| RoomId::group(&self.users[creator], &client_id(n)));
        let known = |id: &RoomId| self.room(*id).is_some();
        let id = named.filter(|id| !known(id)).find(|id| self.has(id.partition()));
        let id = id.expect("one name in a hundred fits");
        self.push(id, kind, creator, members, String::new(), public, ttl_ms, HistoryBound::default());
    }

    fn open(&mut self, history: HistoryBound) {
        let named = (0..).map(|n| format!("open{n}"));
        let known = |name: &String| self.room(RoomId::open(name)).is_some();
        let name = named.filter(|name| !known(name)).find(|name| self.has(RoomId::open(name).partition()));
        let name = name.expect("one name in a hundred fits");
        self.push(RoomId::open(&name), RoomKind::Open, 0, &[], name, true, 0, history);
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        id: RoomId,
        kind: RoomKind,
        creator: usize,
        members: &[usize],
        channel: String,
        public: bool,
        ttl_ms: u64,
        history: HistoryBound,
    ) {
        let create = Create {
            kind,
            creator: self.users[creator].clone(),
            members: members.iter().map(|index| self.users[*index].clone()).collect(),
            title: String::new(),
            channel: String::new(),
            ttl_ms,
            public,
            may_send: if kind == RoomKind::Broadcast { MaySend::Creator } else { MaySend::Members },
            max_members: 0,
            history,
        };
        self.rooms.push(RoomCast { id, kind, creator, members: members.to_vec(), channel, create });
    }
}

impl RoomCast {
    /// What a publish says of the channel.
    pub(crate) fn open_channel(&self) -> Option<OpenChannel> {
        (self.kind == RoomKind::Open)
            .then(|| OpenChannel { channel: self.channel.clone(), history: self.create.history })
    }
}

fn user(n: u32) -> UserId {
    UserId::new(&format!("u{n}")).expect("short and plain")
}

fn client_id(n: u32) -> ClientId {
    ClientId::new(&format!("room{n}")).expect("short and plain")
}
