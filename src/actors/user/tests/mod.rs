//! Tests of the user's fold.

mod examples;
mod model;
mod props;
pub(crate) mod support;
