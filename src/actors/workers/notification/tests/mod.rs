//! The worker over a journal and real rows.

mod examples;
mod killed;
mod support;
