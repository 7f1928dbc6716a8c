//! Workers: they read the journal behind the owner and make rows of it, and tell other partitions what they must know.
//!
//! | module | holds |
//! |---|---|
//! | [`persistence`] | the projector: the same fold from its own rows, rows and watermark in one transaction |
//! | [`marks`] | stands in for the projector where another process makes the rows: asks how far they are |
//! | [`notification`] | who is told of messages that no device has acknowledged, and the providers that tell them |
//! | [`prefix`] | how far each partition is verified, for those that stand alone beside the owners |
//! | [`relay`] | the outbox that the projector fills, appended to other partitions; expiry of cold rooms |
//!
//! Each is a pure core, which the simulation drives, and a shell that reads and writes. A worker never talks to an actor
//! and never drops what it could not do: it waits and does it again.

mod back_off;
pub(crate) mod marks;
pub(crate) mod notification;
pub mod persistence;
pub(crate) mod prefix;
pub mod relay;
mod row_id;
mod running;

use back_off::back_off;
use row_id::row_id;
pub use running::Running;
pub(crate) use running::{LOOK, pause};
