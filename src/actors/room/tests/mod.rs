//! Tests of the room's fold.

pub(crate) mod kit;
mod life;
mod members;
mod messages;
mod model;
mod props;
mod steps;
