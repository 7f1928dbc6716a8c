//! Tests of the user's fold.

mod cases;
pub(crate) mod kit;
mod model;
mod props;
