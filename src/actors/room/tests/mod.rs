//! Tests of the room's fold.

mod life;
mod members;
mod messages;
mod model;
mod props;
mod steps;
pub(crate) mod support;
