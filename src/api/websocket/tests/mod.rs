//! Real sockets against a whole node over the memory journal and the memory store.

mod bad_input;
mod channels;
mod crowd;
mod rig;
mod slow;
mod tokens;
