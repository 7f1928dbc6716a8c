//! The routes over a real admin listener and a real engine.

mod actions;
mod actors;
mod clocks;
mod rooms;
mod settings;
mod support;
