//! A hash of a room's whole state: equal prefixes give equal hashes.

use super::state::RoomState;
use super::window::WindowEntry;
use crate::actors::canon::Canon;
use crate::actors::chain::write_history;

impl RoomState {
    /// xxh3-64 over the canonical encoding of everything that the fold needs. Fixed for life. Walks the whole state: for
    /// checkpoints and tests, not for every record.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut canon = Canon::new();
        self.write_meta(&mut canon);
        canon.len(self.members.present.len());
        for (user, member) in &self.members.present {
            canon.user(user).seq(member.joined).u64(member.sent_no.0);
        }
        canon.len(self.members.invited.len());
        for (user, invitation) in &self.members.invited {
            canon.user(user).seq(invitation.seq).user(&invitation.by);
        }
        canon.len(self.members.kicked.len());
        for (user, seq) in &self.members.kicked {
            canon.user(user).seq(*seq);
        }
        canon.len(self.blocks.len());
        for user in &self.blocks {
            canon.user(user);
        }
        canon.len(self.sources.len());
        for (partition, offset) in &self.sources {
            canon.u64(u64::from(partition.get())).u64(offset.0);
        }
        canon.len(self.window.entries().len());
        for entry in self.window.entries() {
            write_entry(&mut canon, entry);
        }
        canon.finish()
    }

    fn write_meta(&self, canon: &mut Canon) {
        let meta = &self.meta;
        canon.uuid(meta.room.0).u8(meta.kind.map_or(0, |kind| kind.number())).u8(meta.status.number());
        canon.content(meta.title.as_bytes()).text(&meta.channel);
        canon.option(meta.creator.as_ref(), |canon, user| {
            canon.user(user);
        });
        for mark in [meta.opened, meta.closed] {
            canon.seq(mark.seq).time(mark.at).uuid(mark.id);
        }
        canon.seq(meta.head).u64(meta.last_no.0);
        for at in [meta.last_message_at, meta.expires_at] {
            canon.option(at, |canon, at| {
                canon.time(at);
            });
        }
        canon.u64(u64::from(meta.generation.0)).seq(meta.floor);
        write_history(canon, meta.history);
        canon.u8(meta.may_send.number()).bool(meta.public).u64(u64::from(meta.max_members));
        canon.seq(meta.window_from).time(meta.evicted_until);
    }
}

fn write_entry(canon: &mut Canon, entry: &WindowEntry) {
    canon.seq(entry.seq).time(entry.at).uuid(entry.id);
    canon.option(entry.actor.as_ref(), |canon, user| {
        canon.user(user);
    });
    canon.option(entry.client_id.as_ref(), |canon, id| {
        canon.text(id.as_str());
    });
    canon.u64(entry.no.0).bool(entry.message);
    canon.option(entry.deleted, |canon, seq| {
        canon.seq(seq);
    });
}
