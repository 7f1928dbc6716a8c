//! The connections of this node, by user.

use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::{Place, lock};
use crate::actors::gateway::order::Order;
use crate::actors::gateway::outbox::Outbox;
use crate::ids::{Timestamp, UserId};

const SHARDS: usize = 64;

/// The wire formats that there are. The api says what they mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Wire {
    /// Lines of JSON.
    Json = 0,
    /// Length-delimited protobuf.
    Protobuf = 1,
}

/// How many.
pub(super) const WIRES: usize = 2;

/// An authenticated connection, as the gateway knows it.
#[derive(Debug)]
pub struct Connection {
    /// Its id.
    pub client: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// How it speaks.
    pub wire: Wire,
    /// What others see of its user, JSON text.
    pub info: Option<Bytes>,
    /// What waits for its socket.
    pub outbox: Outbox<Place>,
    /// Since when it is authenticated.
    pub since: Timestamp,
    /// The sign-in that its token belongs to, if it is one of Kervan's own.
    pub sign_in: Option<Uuid>,
    /// Commands that it has given.
    pub commands: AtomicU32,
}

/// See the module.
pub struct Sessions {
    shards: [Mutex<HashMap<UserId, Vec<Arc<Connection>>>>; SHARDS],
}

impl Default for Sessions {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Sessions {
    /// A connection has authenticated.
    pub fn add(&self, connection: &Arc<Connection>) {
        let mut shard = lock(self.shard(&connection.user));
        let connections = shard.entry(connection.user.clone()).or_insert_with(|| Vec::with_capacity(1));
        connections.push(connection.clone());
    }

    /// A connection is over.
    pub fn remove(&self, connection: &Arc<Connection>) {
        let mut shard = lock(self.shard(&connection.user));
        if let Some(connections) = shard.get_mut(&connection.user) {
            connections.retain(|other| !Arc::ptr_eq(other, connection));
            if connections.is_empty() {
                shard.remove(&connection.user);
            }
        }
    }

    /// The connections of a user on this node.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Vec<Arc<Connection>> {
        lock(self.shard(user)).get(user).cloned().unwrap_or_default()
    }

    /// Whether a user has a connection on this node.
    #[must_use]
    pub fn is_online(&self, user: &UserId) -> bool {
        lock(self.shard(user)).contains_key(user)
    }

    /// Looks at each connection of this node, in no order. Holds up who comes or goes: `look` must be quick.
    pub fn each(&self, mut look: impl FnMut(&Arc<Connection>)) {
        for shard in &self.shards {
            lock(shard).values().flatten().for_each(&mut look);
        }
    }

    /// The connection with this id. Looks at all of them: for operators.
    #[must_use]
    pub fn find(&self, client: Uuid) -> Option<Arc<Connection>> {
        let of = |shard: &Mutex<HashMap<UserId, Vec<Arc<Connection>>>>| {
            lock(shard).values().flatten().find(|connection| connection.client == client).cloned()
        };
        self.shards.iter().find_map(of)
    }

    /// Connections of this node.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).values().map(Vec::len).sum::<usize>()).sum()
    }

    /// Users with a connection of this node.
    #[must_use]
    pub fn users(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Closes all connections of a user with this code. Returns how many there were.
    pub fn disconnect(&self, user: &UserId, code: u16) -> usize {
        self.disconnect_where(user, code, |_| true)
    }

    /// Closes those connections of a user that are meant. Returns how many there were.
    pub fn disconnect_where(&self, user: &UserId, code: u16, meant: impl Fn(&Connection) -> bool) -> usize {
        let mut connections = self.of(user);
        connections.retain(|connection| meant(connection));
        for connection in &connections {
            connection.outbox.order(Order::close(code));
        }
        connections.len()
    }

    /// Closes all connections with this code, spread over `time` so that they do not come back all at once.
    pub async fn disconnect_all(&self, code: u16, time: Duration) {
        let pause = time / SHARDS as u32;
        for shard in &self.shards {
            let connections: Vec<_> = lock(shard).values().flatten().cloned().collect();
            if connections.is_empty() {
                continue;
            }
            for connection in connections {
                connection.outbox.order(Order::close(code));
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn shard(&self, user: &UserId) -> &Mutex<HashMap<UserId, Vec<Arc<Connection>>>> {
        &self.shards[(xxh3_64(user.as_str().as_bytes()) % SHARDS as u64) as usize]
    }
}
