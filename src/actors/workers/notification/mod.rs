//! The notification worker: tells people who do not look of messages that they have not seen. It reads the journal behind the
//! owners, decides, writes `notifications`, and hands what it decided to providers. It never talks to an actor, never sends
//! before its decision is stored, and never reads what a message says.
//!
//! How a message becomes a notification, and why nothing is lost or doubled whoever is killed
//! (`docs/decisions/0029-notifications.md`):
//!
//! 1. The cursor of its partition reaches the record once the devices of the members have had their time (`after`) and the
//!    projector has stored what came of it. The cursor is a row of its own, not derived: a store that is built anew leaves it.
//! 2. Rows for the users, rows for the providers and the cursor change in one transaction, guarded by where the cursor was.
//!    Two workers at once decide each message once.
//! 3. A row for a provider has an id that follows from (channel, device, user, room, seq, kind), and is claimed before it is
//!    sent. Whoever is killed between sending and noting it leads to the same id being sent again: the provider's idempotency
//!    key.
//!
//! | file | holds |
//! |---|---|
//! | [`decide`] | pure: who is notified of a message, and the ids |
//! | [`pending`] | pure: which records are due |
//! | [`rounds`] | pure: what is read, asked and written in which order |
//! | [`worker`] | carries that out |
//! | [`attempts`] | pure: what follows from an attempt at a provider |
//! | [`sender`] | claims, sends, and notes what came of it |
//! | [`providers`] | the seam to the outside: the log, a webhook, pushes to devices |

pub(crate) mod attempts;
pub(crate) mod decide;
mod pending;
pub(crate) mod providers;
pub(crate) mod rounds;
pub(crate) mod sender;
#[cfg(test)]
mod tests;
pub(crate) mod worker;
