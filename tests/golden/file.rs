//! The text form of a golden partition, and the fold that makes one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bytes::Bytes;
use kervan::actors::digest::RunningHash;
use kervan::actors::fold::{EntityOutcome, EntityState, FoldClock, entity_of, is_valid_control};
use kervan::actors::room::Outcome;
use kervan::actors::user::UserOutcome;
use kervan::actors::user::outcome::Quiet;
use kervan::actors::wire::Entity;
use kervan::ids::{Offset, Timestamp};
use kervan::storage::journal::StoredRecord;
use kervan::storage::journal::record::{Envelope, Prefix};

/// A partition's log: records with their append times.
pub(crate) type Log = Vec<(Timestamp, Bytes)>;

/// A line of a golden file.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    /// A record and its append time.
    Record(Timestamp, Bytes),
    /// What was decided, in words, and the entity's chain after it; of a control record only words.
    Outcome(String),
    /// The hash of an entity's state at the end.
    State(String, String),
    /// The running hash of the records at the end.
    Log(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(at, bytes) => write!(f, "record {at} {}", hex(bytes)),
            Self::Outcome(words) => write!(f, "-> {words}"),
            Self::State(entity, hash) => write!(f, "state {entity} {hash}"),
            Self::Log(hash) => write!(f, "log {hash}"),
        }
    }
}

/// A golden file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Golden {
    /// The file's name.
    pub name: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl fmt::Display for Golden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Golden {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, lines: text.lines().map(parse).collect() }
    }

    /// The log in it.
    pub(crate) fn records(&self) -> Log {
        let records = self.lines.iter().filter_map(|line| match line {
            Line::Record(at, bytes) => Some((*at, bytes.clone())),
            _ => None,
        });
        records.collect()
    }
}

fn parse(line: &str) -> Line {
    let (first, rest) = line.split_once(' ').unwrap();
    let last = |text: &str| {
        let (words, digest) = text.rsplit_once(' ').unwrap();
        (words.to_owned(), digest.to_owned())
    };
    match first {
        "record" => {
            let (at, bytes) = rest.split_once(' ').unwrap();
            Line::Record(Timestamp(at.parse().unwrap()), unhex(bytes))
        }
        "->" => Line::Outcome(rest.to_owned()),
        "state" => {
            let (entity, hash) = last(rest);
            Line::State(entity, hash)
        }
        "log" => Line::Log(rest.to_owned()),
        other => panic!("a golden file has no lines of {other:?}"),
    }
}

/// Folds a log as an owner or a projector does.
pub(crate) fn fold(log: &Log) -> Golden {
    let (mut clock, mut hash, mut prefix) =
        (FoldClock::default(), RunningHash::new(Prefix::default()), Prefix::default());
    let mut states: BTreeMap<Entity, EntityState> = BTreeMap::new();
    let mut golden = Golden::default();
    for (index, (at, record)) in log.iter().enumerate() {
        let envelope = Envelope::decode_record(record).unwrap();
        let stored = StoredRecord { offset: Offset(index as u64), time: *at, bytes: record.clone() };
        let now = clock.advance(stored.offset, *at, &envelope).unwrap();
        prefix = hash.push(&stored);
        let words = match entity_of(&envelope) {
            Some(entity) => {
                let state = states.entry(entity.clone()).or_insert_with(|| EntityState::absent(&entity));
                let outcome = state.fold(now, &envelope);
                format!("{} {:016x}", in_words(&outcome), state.chain().0)
            }
            None if is_valid_control(&envelope) => "control".to_owned(),
            None => "invalid".to_owned(),
        };
        golden.lines.push(Line::Record(*at, record.clone()));
        golden.lines.push(Line::Outcome(words));
    }
    for (entity, state) in &states {
        let name = match entity {
            Entity::Room(room) => room.to_string(),
            Entity::User(user) => user.to_string(),
        };
        golden.lines.push(Line::State(name, format!("{:016x}", state.hash())));
    }
    golden.lines.push(Line::Log(format!("{:016x}", prefix.hash)));
    golden
}

fn in_words(outcome: &EntityOutcome) -> String {
    match outcome {
        EntityOutcome::Room(outcome) => match outcome {
            Outcome::Accepted(event) => format!("accepted {} as event {}", event.seq, event.body.number()),
            Outcome::Duplicate { seq, id, at } => format!("duplicate of {seq} {id} {at}"),
            Outcome::Rejected(reject) => format!("rejected {reject:?}"),
            Outcome::Noted => "noted".to_owned(),
            Outcome::Ignored => "ignored".to_owned(),
        },
        EntityOutcome::User(outcome) => match outcome {
            UserOutcome::Event(event) => format!("event {} of kind {}", event.seq, event.body.number()),
            UserOutcome::Quiet(Quiet::Read { to, .. }) => format!("quiet read to {} {}", to.seq, to.no),
            UserOutcome::Quiet(Quiet::Muted { until, .. }) => format!("quiet muted until {until}"),
            UserOutcome::Quiet(Quiet::Device(_) | Quiet::DeviceRemoved(_) | Quiet::DevicesForgotten(_)) => {
                "quiet device".to_owned()
            }
            UserOutcome::Unchanged => "unchanged".to_owned(),
            UserOutcome::Duplicate { seq, at } => format!("duplicate of {seq} {at}"),
            UserOutcome::Rejected(reject) => format!("rejected {reject:?}"),
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}
