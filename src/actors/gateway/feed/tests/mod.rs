//! The feed against single frames, and against a model under random schedules.

mod examples;
mod schedules;
mod storm;
pub(in crate::actors::gateway) mod support;
