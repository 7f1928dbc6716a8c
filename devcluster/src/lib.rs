//! The engines that Kervan works on, as real servers on the loopback interface: for development (`make cluster`) and for
//! the tests of everything that speaks to one of them.
//!
//! They are child processes, and they end with the program that started them, also if that is killed. Nothing here may
//! listen on another interface, or touch a process that it did not start.
//!
//! - [`kafka::Brokers`]: three Apache Kafka brokers.
//! - [`redis::Cluster`]: a Redis Cluster of six.
//! - [`postgres::Server`]: a PostgreSQL.
//! - [`Engine`]: what can be done to each: kill, pause, start again.
//! - [`settings`]: how each is set up, as data.
//! - [`needs`]: what has to be installed.
//! - [`process`], [`ports`], [`random`]: what they are made of.

mod engine;
pub mod kafka;
pub mod needs;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod random;
pub mod redis;
pub mod settings;

pub use engine::Engine;
