//! Durable bytes ([`journal`]) and durable rows ([`store`]). Knows no room: what a record means is the folds' matter.

pub mod journal;
pub mod lock;
pub mod store;
