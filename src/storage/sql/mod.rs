//! SQL for two databases, once: the rows of the store, accounts, uploads, notifications and events are written and read
//! through this layer, whichever database holds them.
//!
//! A statement is one text for both databases, with a plain `?` for each parameter. The few differences lie in the
//! dialects: [`sqlite`] and [`postgres`] open connections, begin transactions, bind [`value::Value`]s and hand out columns.
//! Nothing above this module names a type of either database, and no statement is written twice.
//!
//! What a caller may rely on, with either database:
//!
//! 1. *One moment.* All reads of one [`Pool::snapshot`] see the same rows.
//! 2. *All or nothing.* A [`Transaction`] that is dropped is rolled back.
//! 3. *Bounded waiting.* No call waits for a connection or a lock longer than [`crate::limits::SQL_WAIT`].
//! 4. *Plain values.* Texts come back as they were written; one that holds a NUL, which PostgreSQL can't keep, is refused
//!    by both. Texts are compared byte by byte. There is no unsigned 64-bit number: ids and times stop at `i64::MAX`.
//! 5. *Errors that say what to do.* A full disk, a busy file, a lost connection, a deadlock are
//!    [`StoreError::Unavailable`](crate::storage::store::StoreError::Unavailable): trying again may help.

mod arrays;
mod bulk;
mod columns;
mod connections;
pub mod copy;
mod error;
pub mod facts;
mod guarded_pool;
pub mod migrate;
pub(in crate::storage) mod postgres;
mod replica;
mod route;
mod session;
pub(in crate::storage) mod sqlite;
#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;
mod value;

pub(in crate::storage) use bulk::Bulk;
pub(in crate::storage) use columns::Columns;
pub use connections::Connections;
pub(in crate::storage) use connections::{Pool, WriterGuard};
pub(in crate::storage) use error::{classify, damaged};
pub(in crate::storage) use route::Route;
pub(in crate::storage) use session::{Session, Taken, Transaction};
pub(in crate::storage) use value::Binder;
