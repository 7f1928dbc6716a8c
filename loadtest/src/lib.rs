//! What the measurements share: closed loops with latencies, CPU time and memory, and the bare group-commit appender.

#![allow(clippy::print_stderr, reason = "a tool that tells what went wrong")]

pub mod bare;
pub mod group;
pub mod measure;
