//! How far a user's devices have acknowledged each room, for notification workers in other processes: a hash under
//! `{user}:ack`, from room to seq. Whoever finds nothing takes it that no device has the message, and the user is notified.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::redis_client::{Command, Redis};
use crate::ids::{RoomId, Seq, UserId, millis};
use crate::limits;

/// How often a user's acknowledgements are written, at most.
const EVERY: Duration = Duration::from_secs(1);

/// Moves the rooms of a hash forward, never back; a hash with too many rooms is dropped. ARGV: milliseconds that it is kept, the
/// most rooms, and then room and seq in turn.
const ADVANCE: &str = "\
for at = 3, #ARGV, 2 do
  local known = tonumber(redis.call('HGET', KEYS[1], ARGV[at]))
  if not known or known < tonumber(ARGV[at + 1]) then redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1";

/// See the module.
pub(crate) struct Acknowledgements {
    redis: Arc<Redis>,
    /// No message that is older notifies anybody.
    kept: Duration,
    noted: Mutex<Noted>,
}

/// What is to be written with the next turn.
#[derive(Default)]
struct Noted {
    users: HashMap<UserId, HashMap<RoomId, Seq>>,
    pairs: usize,
}

impl Acknowledgements {
    /// Hints that are kept for so long behind a user's last one: what is older than that notifies nobody.
    pub(crate) fn new(redis: Arc<Redis>, kept: Duration) -> Self {
        Self { redis, kept, noted: Mutex::default() }
    }

    /// A device of the user's has the room up to `seq`. Waits for nothing; what is too much until the next turn is forgotten.
    pub(crate) fn note(&self, user: &UserId, room: RoomId, seq: Seq) {
        let mut noted = self.noted();
        if noted.pairs >= limits::ACKNOWLEDGEMENTS {
            return;
        }
        let rooms = noted.users.entry(user.clone()).or_default();
        let before = rooms.len();
        let known = rooms.entry(room).or_default();
        *known = seq.max(*known);
        let new = rooms.len() - before;
        noted.pairs += new;
    }

    /// Writes what was noted, once a second.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut turns = tokio::time::interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.write().await;
        }
    }

    /// Writes what was noted. What Redis does not take now is forgotten.
    pub(super) async fn write(&self) {
        let noted = std::mem::take(&mut *self.noted()).users;
        let commands = noted.iter().map(|(user, rooms)| self.advance(user, rooms));
        let _: Vec<Option<u64>> = self.redis.ask(commands.collect()).await;
    }

    fn advance(&self, user: &UserId, rooms: &HashMap<RoomId, Seq>) -> Command {
        let (kept, most) = (millis(self.kept).to_string(), limits::ACKNOWLEDGED_ROOMS.to_string());
        let head = ["EVAL".to_owned(), ADVANCE.to_owned(), "1".to_owned(), key(user), kept, most];
        head.into_iter().chain(rooms.iter().flat_map(|(room, seq)| [room.0.to_string(), seq.0.to_string()])).collect()
    }

    /// How far each of these users has a room, as far as Redis says so now.
    pub(crate) async fn of(&self, room: RoomId, users: &[UserId]) -> HashMap<UserId, Seq> {
        let ask = |user: &UserId| vec!["HGET".to_owned(), key(user), room.0.to_string()];
        let answers: Vec<Option<Option<u64>>> = self.redis.ask(users.iter().map(ask).collect()).await;
        let known = users.iter().zip(answers).filter_map(|(user, seq)| Some((user.clone(), Seq(seq??))));
        known.collect()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of a user's keys are in one slot.
pub(super) fn key(user: &UserId) -> String {
    format!("{{{user}}}:ack")
}
