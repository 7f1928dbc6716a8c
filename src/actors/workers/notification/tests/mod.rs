//! The worker over a journal and real rows.

mod examples;
mod killed;
mod pushes;
mod rebuilt;
mod support;
