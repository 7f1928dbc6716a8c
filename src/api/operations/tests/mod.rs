//! From requests to results. `input` and `sending` need no node; the rest runs whole nodes over the memory journal and
//! SQLite in a folder of its own, with a gate before the store.

mod blocks;
mod clocks;
mod history;
mod input;
mod invitations;
mod limits;
mod lists;
mod marks;
mod refusals;
mod rooms;
mod sending;
mod store;
mod support;
