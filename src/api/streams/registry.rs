//! The open streams by session id. A client sends its commands in requests beside the stream, and names the stream by this
//! secret id.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Frames that wait for a session that is busy; the requests that bring more wait with them.
const FRAMES: usize = 4;

type Inboxes = DashMap<Box<str>, mpsc::Sender<Bytes>>;

/// See the module.
#[derive(Default)]
pub(super) struct Registry(Arc<Inboxes>);

/// A stream's place in it; given up when it is dropped.
pub(super) struct Entry {
    registry: Arc<Inboxes>,
    /// Nobody else can guess it: who knows it speaks for the client.
    pub name: Box<str>,
    /// What the client sends.
    pub inbox: mpsc::Receiver<Bytes>,
}

impl Registry {
    /// A place for a new stream.
    pub(crate) fn enter(&self) -> Entry {
        let name: Box<str> = Uuid::new_v4().to_string().into();
        let (sender, inbox) = mpsc::channel(FRAMES);
        self.0.insert(name.clone(), sender);
        Entry { registry: Arc::clone(&self.0), name, inbox }
    }

    /// Where the stream of this name hears, if it is one of this node.
    pub(crate) fn find(&self, name: &str) -> Option<mpsc::Sender<Bytes>> {
        Some(self.0.get(name)?.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.remove(&self.name);
    }
}
