//! Tests of the room's fold.

mod asleep;
mod life;
mod members;
mod messages;
mod model;
mod props;
mod repeats;
mod steps;
pub(crate) mod support;
