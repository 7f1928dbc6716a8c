//! A hash of a user's whole state: equal prefixes give equal hashes.

use super::state::UserState;
use crate::actors::canon::Canon;

impl UserState {
    /// xxh3-64 over the canonical encoding of everything that the fold needs. Fixed for life. Walks the whole state.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut canon = Canon::new();
        canon.user(&self.meta.user).seq(self.meta.head).content(self.meta.preferences.as_bytes());
        canon.len(self.rooms.len());
        for (room, listed) in &self.rooms {
            canon.uuid(room.0).u8(listed.kind.number()).u8(listed.change.number()).seq(listed.since);
        }
        canon.len(self.reads.len());
        for (room, mark) in &self.reads {
            canon.uuid(room.0).seq(mark.seq).u64(mark.no.0);
        }
        canon.len(self.blocks.len());
        for (user, since) in &self.blocks {
            canon.user(user).time(*since);
        }
        canon.len(self.devices.len());
        for (id, device) in &self.devices {
            canon.text(id.as_str()).text(&device.platform).content(device.push_token.as_bytes()).time(device.seen);
        }
        canon.len(self.sources.len());
        for (partition, offset) in &self.sources {
            canon.u64(u64::from(partition.get())).u64(offset.0);
        }
        canon.finish()
    }
}
