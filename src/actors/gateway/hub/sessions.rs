//! The connections of this node, by user.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use uuid::Uuid;

use super::Place;
use crate::actors::gateway::order::Order;
use crate::actors::gateway::outbox::Outbox;
use crate::ids::{Timestamp, UserId};

/// Pauses of a farewell to everybody, in each of which as many are sent away.
const PAUSES: usize = 64;

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
#[derive(Default)]
pub struct Sessions(DashMap<UserId, Vec<Arc<Connection>>>);

impl Sessions {
    /// A connection has authenticated.
    pub fn add(&self, connection: &Arc<Connection>) {
        let mut connections = self.0.entry(connection.user.clone()).or_insert_with(|| Vec::with_capacity(1));
        connections.push(connection.clone());
    }

    /// A connection is over.
    pub fn remove(&self, connection: &Arc<Connection>) {
        self.0.remove_if_mut(&connection.user, |_, connections| {
            connections.retain(|other| !Arc::ptr_eq(other, connection));
            connections.is_empty()
        });
    }

    /// The connections of a user on this node.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Vec<Arc<Connection>> {
        self.0.get(user).map(|connections| connections.clone()).unwrap_or_default()
    }

    /// Whether a user has a connection on this node.
    #[must_use]
    pub(crate) fn is_online(&self, user: &UserId) -> bool {
        self.0.contains_key(user)
    }

    /// Looks at each connection of this node, in no order. Holds up who comes or goes: `look` must be quick.
    pub fn each(&self, mut look: impl FnMut(&Arc<Connection>)) {
        self.0.iter().for_each(|connections| connections.iter().for_each(&mut look));
    }

    /// The connection with this id. Looks at all of them: for operators.
    #[must_use]
    pub fn find(&self, client: Uuid) -> Option<Arc<Connection>> {
        self.0.iter().find_map(|of| of.iter().find(|connection| connection.client == client).cloned())
    }

    /// Connections of this node.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|connections| connections.len()).sum()
    }

    /// Users with a connection of this node.
    #[must_use]
    pub fn users(&self) -> usize {
        self.0.len()
    }

    /// Closes all connections of a user with this code. Returns how many there were.
    pub fn disconnect(&self, user: &UserId, code: u16) -> usize {
        self.disconnect_where(user, code, |_| true)
    }

    /// Closes those connections of a user that are meant. Returns how many there were.
    pub(crate) fn disconnect_where(&self, user: &UserId, code: u16, meant: impl Fn(&Connection) -> bool) -> usize {
        let mut connections = self.of(user);
        connections.retain(|connection| meant(connection));
        for connection in &connections {
            connection.outbox.order(Order::close(code));
        }
        connections.len()
    }

    /// Closes all connections with this code, spread over `time` so that they do not come back all at once.
    pub(crate) async fn disconnect_all(&self, code: u16, time: Duration) {
        let mut connections = Vec::new();
        self.each(|connection| connections.push(Arc::clone(connection)));
        for some in connections.chunks(connections.len().div_ceil(PAUSES).max(1)) {
            for connection in some {
                connection.outbox.order(Order::close(code));
            }
            tokio::time::sleep(time / PAUSES as u32).await;
        }
    }
}
