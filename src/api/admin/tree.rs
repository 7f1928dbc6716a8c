//! The names of actors, and the walk over what the directory and the hub publish.
//!
//! ```text
//! node                              the root of the tree
//! partitions                        a family; its children are partitions/0 … partitions/255
//! partitions/17/room:<uuid>         a resident room of partition 17
//! partitions/17/user:<id>           a resident user
//! workers, workers/projector …      what follows the journal
//! hub                               what hands events to sessions
//! sessions, sessions/<client>       authenticated connections
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering::Relaxed;

use uuid::Uuid;

use super::Live;
use crate::actors::gateway::hub::Connection;
use crate::actors::inspect::{Figures, Part, State};
use crate::actors::wire::Entity;
use crate::env::Env;
use crate::ids::{Partition, RoomId, UserId};

/// An actor, or what stands for a family of them. In the order of lists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum ActorId {
    Node,
    Hub,
    Partitions,
    Sessions,
    Workers,
    Worker(Part),
    Partition(Partition),
    Room(RoomId),
    User(UserId),
    Session(Uuid),
}

/// What kinds there are.
pub(super) const KINDS: [&str; 8] = ["node", "family", "partition", "room", "user", "worker", "hub", "session"];

impl ActorId {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Hub => "hub",
            Self::Partitions | Self::Sessions => "family",
            Self::Workers | Self::Worker(_) => "worker",
            Self::Partition(_) => "partition",
            Self::Room(_) => "room",
            Self::User(_) => "user",
            Self::Session(_) => "session",
        }
    }

    /// What can be done with it.
    pub(crate) fn acts(&self) -> &'static [&'static str] {
        match self {
            Self::Node | Self::Hub | Self::Sessions | Self::Worker(_) => &[],
            Self::Partitions => &["passivate"],
            Self::Partition(_) => &["restart", "passivate"],
            Self::Workers => &["restart"],
            Self::Room(_) | Self::User(_) => &["stop", "restart", "passivate"],
            Self::Session(_) => &["stop"],
        }
    }

    /// The room or user that it is.
    pub(crate) fn entity(&self) -> Option<Entity> {
        match self {
            Self::Room(room) => Some(Entity::Room(*room)),
            Self::User(user) => Some(Entity::User(user.clone())),
            _ => None,
        }
    }

    fn of(entity: &Entity) -> Self {
        match entity {
            Entity::Room(room) => Self::Room(*room),
            Entity::User(user) => Self::User(user.clone()),
        }
    }
}

fn worker(part: Part) -> &'static str {
    match part {
        Part::Root => "root",
        Part::Hub => "hub",
        Part::Workers => "workers",
        Part::Projector => "projector",
        Part::Relay => "relay",
        Part::Expiry => "expiry",
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Hub => f.write_str("hub"),
            Self::Partitions => f.write_str("partitions"),
            Self::Sessions => f.write_str("sessions"),
            Self::Workers => f.write_str("workers"),
            Self::Worker(part) => write!(f, "workers/{}", worker(*part)),
            Self::Partition(partition) => write!(f, "partitions/{partition}"),
            Self::Room(room) => write!(f, "partitions/{}/room:{room}", room.partition()),
            Self::User(user) => write!(f, "partitions/{}/user:{user}", user.partition()),
            Self::Session(client) => write!(f, "sessions/{client}"),
        }
    }
}

/// A text that is the path of no actor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPath;

impl FromStr for ActorId {
    type Err = NoPath;

    fn from_str(path: &str) -> Result<Self, NoPath> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let id = match (first, rest) {
            ("node", None) => Self::Node,
            ("hub", None) => Self::Hub,
            ("partitions", None) => Self::Partitions,
            ("sessions", None) => Self::Sessions,
            ("workers", None) => Self::Workers,
            ("workers", Some("projector")) => Self::Worker(Part::Projector),
            ("workers", Some("relay")) => Self::Worker(Part::Relay),
            ("workers", Some("expiry")) => Self::Worker(Part::Expiry),
            ("sessions", Some(client)) => Self::Session(client.parse().map_err(|_| NoPath)?),
            ("partitions", Some(rest)) => in_partition(rest).ok_or(NoPath)?,
            _ => return Err(NoPath),
        };
        Ok(id)
    }
}

fn in_partition(rest: &str) -> Option<ActorId> {
    let (number, resident) = rest.split_once('/').map_or((rest, None), |(number, rest)| (number, Some(rest)));
    let partition = Partition::new(number.parse().ok()?)?;
    let Some(resident) = resident else { return Some(ActorId::Partition(partition)) };
    let id = match resident.split_once(':')? {
        ("room", room) => ActorId::Room(RoomId(room.parse().ok()?)),
        ("user", user) => ActorId::User(UserId::new(user).ok()?),
        _ => return None,
    };
    // A room or user has one place only.
    (id.entity()?.partition() == partition).then_some(id)
}

/// An actor that the walk came by.
pub(super) struct VisitedActor {
    pub id: ActorId,
    pub figures: Figures,
    /// How many stand directly below it.
    pub children: usize,
    /// What stands anywhere below it adds up to: depth, thousandths of a message in a second.
    pub below: (u64, u64),
    /// The partition that a room or user is resident in.
    pub home: Option<Partition>,
}

/// What a walk shows.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Below this one.
    pub parent: &'a ActorId,
    /// So many levels; the children are the first.
    pub depth: usize,
}

/// Shows everything in the scope, parents before children. Rates are those of the last sample.
pub(super) fn walk(live: &Live, env: &Env, scope: Scope<'_>, see: &mut dyn FnMut(VisitedActor)) {
    let Some(depth) = scope.depth.checked_sub(1) else { return };
    let show = |seen: VisitedActor, see: &mut dyn FnMut(VisitedActor)| {
        let parent = seen.id.clone();
        see(seen);
        walk(live, env, Scope { parent: &parent, depth }, see);
    };
    match scope.parent {
        ActorId::Node => {
            for seen in [of_hub(live), of_partitions(live), of_sessions(live), of_workers(live)] {
                show(seen, see);
            }
        }
        ActorId::Partitions => {
            live.node.router().owned().iter().for_each(|partition| show(of_partition(live, partition), see))
        }
        ActorId::Workers => {
            for part in live.node.workers() {
                see(of_part(live, *part, ActorId::Worker(*part)));
            }
        }
        ActorId::Partition(partition) => {
            live.node.directory().each(*partition, |entity, figures| {
                see(VisitedActor { home: Some(*partition), ..leaf(ActorId::of(entity), figures) });
            });
        }
        ActorId::Sessions => live.hub.sessions().each(|connection| see(of_session(env, connection))),
        ActorId::Hub | ActorId::Worker(_) | ActorId::Room(_) | ActorId::User(_) | ActorId::Session(_) => {}
    }
}

/// Looks at one. `None` if it is not there: a room that is not resident, a connection that is over.
pub(super) fn look(live: &Live, env: &Env, id: &ActorId) -> Option<VisitedActor> {
    Some(match id {
        ActorId::Node => of_node(live),
        ActorId::Hub => of_hub(live),
        ActorId::Partitions => of_partitions(live),
        ActorId::Sessions => of_sessions(live),
        ActorId::Workers => of_workers(live),
        ActorId::Worker(part) if !live.node.workers().contains(part) => return None,
        ActorId::Worker(part) => of_part(live, *part, id.clone()),
        ActorId::Partition(partition) => of_partition(live, *partition),
        ActorId::Room(_) | ActorId::User(_) => leaf(id.clone(), live.node.directory().resident(&id.entity()?)?),
        ActorId::Session(client) => of_session(env, &*live.hub.sessions().find(*client)?),
    })
}

fn leaf(id: ActorId, figures: Figures) -> VisitedActor {
    VisitedActor { id, figures, children: 0, below: (0, 0), home: None }
}

fn of_part(live: &Live, part: Part, id: ActorId) -> VisitedActor {
    let directory = live.node.directory();
    leaf(id, directory.part(part).figures(directory.now()))
}

fn of_node(live: &Live) -> VisitedActor {
    let below = added(&[of_hub(live), of_partitions(live), of_sessions(live), of_workers(live)]);
    VisitedActor { children: 4, below, ..of_part(live, Part::Root, ActorId::Node) }
}

fn of_workers(live: &Live) -> VisitedActor {
    let parts = live.node.workers();
    let each: Vec<_> = parts.iter().map(|part| of_part(live, *part, ActorId::Worker(*part))).collect();
    VisitedActor { children: parts.len(), below: added(&each), ..of_part(live, Part::Workers, ActorId::Workers) }
}

fn of_partition(live: &Live, partition: Partition) -> VisitedActor {
    let directory = live.node.directory();
    let sums = directory.sums(partition);
    let mut figures = directory.partition(partition).figures(directory.now());
    // A projector halts one, too, and its owner goes on.
    if live.node.halted().is(partition) {
        figures.state = State::Halted;
    }
    VisitedActor {
        id: ActorId::Partition(partition),
        figures,
        children: directory.residents(partition),
        below: (sums.depth, sums.rate_milli),
        home: None,
    }
}

fn of_partitions(live: &Live) -> VisitedActor {
    let partitions: Vec<VisitedActor> =
        live.node.router().owned().iter().map(|partition| of_partition(live, partition)).collect();
    VisitedActor { children: partitions.len(), below: added(&partitions), ..leaf(ActorId::Partitions, family(live)) }
}

fn of_sessions(live: &Live) -> VisitedActor {
    let mut waiting = 0;
    let mut children = 0;
    live.hub.sessions().each(|connection| {
        waiting += connection.outbox.waits().0 as u64;
        children += 1;
    });
    VisitedActor { children, below: (waiting, 0), ..leaf(ActorId::Sessions, family(live)) }
}

/// The hub is no actor of its own: it works in the tasks of those who call it, and has no mailbox. What it handles are
/// deliveries.
fn of_hub(live: &Live) -> VisitedActor {
    let directory = live.node.directory();
    let Figures { handled, rate_milli, quiet_s, .. } = directory.part(Part::Hub).figures(directory.now());
    leaf(ActorId::Hub, Figures { handled, rate_milli, quiet_s, ..family(live) })
}

/// What has no figures of its own.
fn family(live: &Live) -> Figures {
    let directory = live.node.directory();
    let age_s = directory.part(Part::Root).figures(directory.now()).age_s;
    Figures { state: State::Running, depth: 0, handled: 0, rate_milli: 0, quiet_s: 0, age_s, restarts: 0 }
}

fn of_session(env: &Env, connection: &Connection) -> VisitedActor {
    let figures = Figures {
        state: State::Running,
        depth: u32::try_from(connection.outbox.waits().0).unwrap_or(u32::MAX),
        handled: u64::from(connection.commands.load(Relaxed)),
        rate_milli: 0,
        quiet_s: 0,
        age_s: u32::try_from(env.now().since(connection.since) / 1_000).unwrap_or(u32::MAX),
        restarts: 0,
    };
    leaf(ActorId::Session(connection.client), figures)
}

fn added(seen: &[VisitedActor]) -> (u64, u64) {
    let add = |(depth, rate): (u64, u64), one: &VisitedActor| {
        (depth + u64::from(one.figures.depth) + one.below.0, rate + u64::from(one.figures.rate_milli) + one.below.1)
    };
    seen.iter().fold((0, 0), add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_actor_and_back() {
        let user = UserId::new("a/b:c d").unwrap();
        let room = RoomId(Uuid::from_u128(7));
        for path in [
            "node".to_owned(),
            "hub".to_owned(),
            "partitions".to_owned(),
            "partitions/255".to_owned(),
            "workers/relay".to_owned(),
            format!("sessions/{}", Uuid::from_u128(9)),
            format!("partitions/{}/room:{room}", room.partition()),
            format!("partitions/{}/user:{user}", user.partition()),
        ] {
            assert_eq!(path.parse::<ActorId>().map(|id| id.to_string()), Ok(path));
        }
        let elsewhere = (user.partition().get() + 1) % 256;
        for path in ["", "nodes", "partitions/256", "partitions/x", "partitions/1/", "workers/root", "sessions/1"] {
            assert_eq!(path.parse::<ActorId>(), Err(NoPath), "{path}");
        }
        assert_eq!(format!("partitions/{elsewhere}/user:{user}").parse::<ActorId>(), Err(NoPath));
    }
}
