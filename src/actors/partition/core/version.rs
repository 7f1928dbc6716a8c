//! How a version of the fold begins: by a record that a program which does not know the version stops before.

use bytes::Bytes;

use super::{Action, Core, Queued};
use crate::ids::Timestamp;
use crate::storage::journal::record::Envelope;

impl Core {
    /// Appends a version barrier ([`crate::actors::fold::version_barrier`] says who may want that, and when).
    pub(crate) fn begin_version(&mut self, barrier: Bytes, now: Timestamp, out: &mut Vec<Action>) {
        if let Ok(envelope) = Envelope::decode_record(&barrier)
            && !self.halted
        {
            self.queue.push_back(Queued::new(barrier, &envelope, now));
            self.pump(out);
        }
    }
}
