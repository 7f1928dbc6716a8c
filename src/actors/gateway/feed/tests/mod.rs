//! The feed against single frames, and against a model under random schedules.

mod cases;
pub(in crate::actors::gateway) mod model;
mod schedules;
mod storm;
