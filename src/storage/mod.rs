//! Durable bytes ([`journal`]) and durable rows ([`store`]), and copies of both together ([`backup`]). Knows no room: what a
//! record means is the folds' matter.

pub mod accounts;
pub(crate) mod analytics;
pub mod backup;
pub mod disk;
pub mod journal;
pub mod lock;
pub mod notifications;
pub(crate) mod retention;
pub mod same_log;
pub mod sql;
pub mod store;
pub mod uploads;
