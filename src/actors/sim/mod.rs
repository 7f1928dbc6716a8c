//! A seeded simulation: the pure cores of several nodes over one journal and one store, on one thread, with everything that
//! can go wrong. Tests only.
//!
//! What is driven is the product's own code: partition and entity cores, hydration, feeds, sessions, folds, the rounds of projector
//! and relay, and the frames between gateway and owner: all that decides. What carries decisions out (mailboxes, links, journal,
//! store, clients) is simulated time and chance. A seed decides everything; the same seed gives the same run.
//!
//! `scripts/sim 2000` runs so many seeds, `KERVAN_SIM_SEED=7 scripts/sim` runs one; `scripts/mutants` shows which mistakes in the
//! product it finds.
//!
//! | file | holds |
//! |---|---|
//! | [`world`], `node` | the state of it all, the queue, the clocks; a node's own |
//! | `population`, `fault_plan`, `rng`, `event`, `stats` | who takes part, what may go wrong, chance, what happens, how often |
//! | `owner`, `resident`, `journal` | what carries out a partition's decisions, its residents and its journal |
//! | `tails` | the clients of brokers: what they have fetched, late and in pieces; a reader that owns nothing |
//! | `gateway`, `session`, `net` | the hub and its connections; frames that are lost, doubled and late |
//! | `client`, `actions` | what clients do, and that they get exact order |
//! | `projection` | projector, relay and expiry over the rows |
//! | `faults`, `disasters` | crashes, pauses, moves, and how all is mended; what happens to the journal and to all at once |
//! | `upgrade` | a rolling upgrade: nodes of two programs, and the barrier that only the newer one passes |
//! | `oracle`, `rights`, `answers` | the fold of the durable log, and what can be said of it without the fold |
//! | `check`, `present`, `order` | what must hold at each step and at the end; rows as they are read; who was before whom |

mod actions;
mod answers;
mod check;
mod client;
mod disasters;
mod event;
mod fault_plan;
mod faults;
mod gateway;
mod journal;
mod net;
mod node;
mod oracle;
mod order;
mod owner;
mod population;
mod present;
mod projection;
mod resident;
mod rights;
mod rng;
mod session;
mod stats;
mod tails;
#[cfg(test)]
mod tests;
mod upgrade;
pub(crate) mod world;

pub(crate) use population::Cast;
pub(crate) use stats::Stats;
pub(crate) use world::Trace;

use self::world::World;

/// A run that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {why} (again: KERVAN_SIM_SEED={seed} scripts/sim)")]
pub(crate) struct Failure {
    /// Which.
    pub seed: u64,
    /// When.
    pub step: u64,
    /// What.
    pub why: String,
}

/// Runs one seed.
///
/// # Errors
/// [`Failure`]: the product is wrong.
pub(crate) fn run(cast: &Cast, seed: u64) -> Result<(Trace, Stats), Failure> {
    start(&mut World::new(cast, seed), seed)
}

/// As [`run`], and tells all that happened, in words.
///
/// # Errors
/// As [`run`].
pub(crate) fn tell(cast: &Cast, seed: u64) -> (Result<(Trace, Stats), Failure>, Vec<String>) {
    let mut world = World::new(cast, seed);
    world.story = Some(Vec::new());
    let result = start(&mut world, seed);
    (result, world.story.unwrap_or_default())
}

fn start(world: &mut World<'_>, seed: u64) -> Result<(Trace, Stats), Failure> {
    world.run().map_err(|(step, why)| Failure { seed, step, why })
}
