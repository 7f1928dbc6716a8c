//! What the outside speaks to: socket, protocol, tokens, REST, admin.

pub mod accounts;
pub mod admin;
pub mod audit;
pub mod auth;
pub mod development;
pub mod failures;
pub mod http;
pub mod operations;
pub mod protocol;
pub mod rest;
mod schema;
pub mod session;
pub mod streams;
pub mod uploads;
pub mod visible;
pub mod websocket;
