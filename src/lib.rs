//! Kervan is a chat messaging engine: each chat room and each connected user is an actor, sharded by the 16384 Redis
//! Cluster slots; a journal holds every durable fact; workers consume the journal to persist and to relay.
//!
//! # The map
//!
//! | module | holds | may import |
//! |---|---|---|
//! | [`ids`], [`epoch`], [`limits`], [`env`], [`config`] | names and numbers; histories; every bound with its reason; clock and ids injected; configuration (and `ttl`: how clients say a time to live) | nothing of the rest |
//! | [`shutdown`], [`health`], [`metrics`], [`http_client`] | the wish to drain; whether the node is ready; what it counts; how it asks other servers | the same |
//! | [`storage`] | durable bytes ([`storage::journal`]) and rows ([`storage::store`]); knows no room | the above |
//! | [`actors`] | everything that lives and is supervised; the pure folds, partitions, rooms, users, gateway, workers | the above |
//! | [`api`] | socket, protocol, tokens, REST, admin | the above |
//! | [`server`] | the composition root: which journal, which store; start and drain | the above |
//! | [`cli`] | the command line: its words and exit codes; signals, logs to the terminal | the above |
//!
//! Imports go one way, downwards in the table's right column; `tests/imports.rs` checks it.
//!
//! # The way of a message
//!
//! socket -> session -> permit -> router -> partition: append to the journal, verified prefix -> room: fold ->
//! outcome -> reply to the sender and events to the hub -> outboxes -> sockets. `docs/architecture.md` tells it in full.

pub mod actors;
pub mod api;
pub mod cli;
pub mod config;
pub mod env;
pub mod epoch;
pub mod health;
pub mod http_client;
pub mod ids;
pub mod limits;
pub mod metrics;
mod safe_debug;
pub mod server;
pub mod shutdown;
pub mod storage;
#[cfg(test)]
mod testing;
mod ttl;
