//! Real sockets against a whole node over the memory journal and the memory store.

mod ages;
mod bad_input;
mod channels;
mod crowd;
mod expiry;
mod hostile;
mod protobuf;
mod slow;
mod stuck;
mod support;
mod tokens;
