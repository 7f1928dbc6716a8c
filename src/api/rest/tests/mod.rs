//! REST over a real listener and a whole engine.

mod attack;
mod backend;
mod chat;
mod document;
pub mod rig;
mod notifications;
mod sign_in;
mod uploads;
