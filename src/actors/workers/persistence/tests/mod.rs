//! The projector beside a folder of its own: whatever the batches, the cache, the failures and the rivals were, the rows
//! tell the same as the fold.

mod busy;
mod equal;
mod examples;
mod records;
mod support;
mod worker;
