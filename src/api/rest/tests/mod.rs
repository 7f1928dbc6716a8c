//! REST over a real listener and a whole engine.

mod attack;
mod backend;
mod chat;
mod document;
mod limits;
mod notifications;
pub mod rig;
mod sign_in;
mod uploads;
