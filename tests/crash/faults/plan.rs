//! Which faults there are, and in which order a run inflicts them: the seed decides, nothing else.

use std::fmt;

use crate::rng::Rng;

/// What can be killed and paused alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Node,
    Broker,
    Redis,
    Postgres,
    Persistence,
    Realtime,
}

/// Something that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// SIGKILL, and started again.
    Killed(Part),
    /// SIGSTOP, and SIGCONT after so many milliseconds.
    Paused(Part, u64),
    /// SIGKILL of the broker that leads the partition of one of the run's rooms.
    LeaderKilled,
    TwoBrokersKilled,
    AllBrokersKilled,
    /// SIGKILL, and started again after a minute.
    PostgresAway,
    /// All nodes of the Redis Cluster are killed.
    RedisGone,
    /// No byte can be written where a broker keeps its records.
    DiskFull,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |part: Part| match part {
            Part::Node => "the node",
            Part::Broker => "a broker",
            Part::Redis => "a Redis node",
            Part::Postgres => "PostgreSQL",
            Part::Persistence => "a persistence worker",
            Part::Realtime => "a realtime worker",
        };
        match self {
            Self::Killed(part) => write!(f, "{} killed", name(*part)),
            Self::Paused(part, ms) => write!(f, "{} paused for {} s", name(*part), *ms as f64 / 1000.0),
            Self::LeaderKilled => f.write_str("leader of a busy partition killed"),
            Self::TwoBrokersKilled => f.write_str("two brokers killed"),
            Self::AllBrokersKilled => f.write_str("all brokers killed"),
            Self::PostgresAway => f.write_str("PostgreSQL killed and away for 60 s"),
            Self::RedisGone => f.write_str("all Redis nodes killed"),
            Self::DiskFull => f.write_str("disk of a broker full"),
        }
    }
}

/// How often each fault is in a deck of cards. The next deck begins when one is through, so that each kind comes up.
pub(crate) type Deck = &'static [(Fault, usize)];

/// Four minutes: the kinds that are over soon, once each.
pub(crate) const SHORT: Deck = &[
    (Fault::Killed(Part::Node), 1),
    (Fault::Killed(Part::Postgres), 1),
    (Fault::Killed(Part::Persistence), 1),
    (Fault::Killed(Part::Realtime), 1),
    (Fault::Paused(Part::Persistence, 5_000), 1),
    (Fault::Paused(Part::Realtime, 5_000), 1),
    (Fault::Paused(Part::Node, 500), 1),
    (Fault::Paused(Part::Broker, 5_000), 1),
    (Fault::Paused(Part::Postgres, 500), 1),
    (Fault::LeaderKilled, 1),
    (Fault::TwoBrokersKilled, 1),
    (Fault::AllBrokersKilled, 1),
    (Fault::RedisGone, 1),
    (Fault::DiskFull, 1),
];

/// Half an hour for some two hundred, two decks and a half.
pub(crate) const LONG: Deck = &[
    (Fault::Killed(Part::Node), 10),
    (Fault::Killed(Part::Broker), 4),
    (Fault::Killed(Part::Postgres), 6),
    (Fault::Killed(Part::Redis), 4),
    (Fault::Killed(Part::Persistence), 6),
    (Fault::Paused(Part::Persistence, 500), 2),
    (Fault::Paused(Part::Persistence, 5_000), 2),
    (Fault::Paused(Part::Persistence, 30_000), 1),
    (Fault::Killed(Part::Realtime), 4),
    (Fault::Paused(Part::Realtime, 500), 1),
    (Fault::Paused(Part::Realtime, 5_000), 1),
    (Fault::Paused(Part::Realtime, 30_000), 1),
    (Fault::Paused(Part::Node, 500), 5),
    (Fault::Paused(Part::Node, 5_000), 3),
    (Fault::Paused(Part::Node, 30_000), 1),
    (Fault::Paused(Part::Broker, 500), 6),
    (Fault::Paused(Part::Broker, 5_000), 4),
    (Fault::Paused(Part::Broker, 30_000), 1),
    (Fault::Paused(Part::Postgres, 500), 5),
    (Fault::Paused(Part::Postgres, 5_000), 3),
    (Fault::Paused(Part::Postgres, 30_000), 1),
    (Fault::Paused(Part::Redis, 500), 4),
    (Fault::Paused(Part::Redis, 5_000), 2),
    (Fault::Paused(Part::Redis, 30_000), 1),
    (Fault::LeaderKilled, 10),
    (Fault::TwoBrokersKilled, 3),
    (Fault::AllBrokersKilled, 3),
    (Fault::PostgresAway, 1),
    (Fault::RedisGone, 3),
    (Fault::DiskFull, 2),
];

/// The first `count` faults of shuffled decks.
pub(crate) fn draw(deck: Deck, count: usize, rng: &mut Rng) -> Vec<Fault> {
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let mut cards: Vec<Fault> =
            deck.iter().flat_map(|(fault, times)| std::iter::repeat_n(*fault, *times)).collect();
        while !cards.is_empty() {
            drawn.push(cards.swap_remove(rng.range(0, cards.len() as u64) as usize));
        }
    }
    drawn.truncate(count);
    drawn
}

#[test]
fn the_seed_alone_decides_and_each_kind_comes_up() {
    let count = LONG.iter().map(|(_, times)| times).sum();
    let drawn = draw(LONG, count, &mut Rng::new(7));
    assert_eq!(drawn, draw(LONG, count, &mut Rng::new(7)));
    assert_ne!(drawn, draw(LONG, count, &mut Rng::new(8)));
    for (fault, times) in LONG {
        assert_eq!(drawn.iter().filter(|drawn| *drawn == fault).count(), *times, "{fault}");
    }
}
