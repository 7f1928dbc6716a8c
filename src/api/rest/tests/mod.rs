//! REST over a real listener and a whole engine.

mod attack;
mod backend;
mod chat;
mod document;
mod limits;
mod notifications;
mod sign_in;
pub(crate) mod support;
mod uploads;
