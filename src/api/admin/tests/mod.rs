//! The routes over a real admin listener and a real engine.

mod actors;
mod acts;
mod rig;
mod rooms;
mod settings;
