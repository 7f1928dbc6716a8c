//! How long sends and deliveries stood still, for each fault: from when a message was to be sent until its acknowledgement,
//! however often it was sent again, and until each client had it.

use std::collections::{HashMap, HashSet};

use super::inflict::Inflicted;
use crate::history::{Body, Entry, Op, Sub, What};

/// What one fault did, in milliseconds.
#[derive(Default)]
pub(crate) struct Stalls {
    pub sends: Vec<u64>,
    pub deliveries: Vec<u64>,
    /// The longest of each room whose leader was lost.
    pub leaderless: Vec<u64>,
}

/// What makes sends one message: room, sender, client id.
type Message<'a> = (&'a str, &'a str, &'a str);

/// The stalls of each fault. What began before a fault and ended after it, or in the middle, is counted to it.
pub(crate) fn measure(
    entries: &[Entry],
    moments_ms: &[u64],
    resumed: &HashSet<Sub>,
    faults: &[Inflicted],
) -> Vec<Stalls> {
    let mut stalls: Vec<Stalls> = faults.iter().map(|_| Stalls::default()).collect();
    let mut rooms: Vec<HashMap<&str, u64>> = faults.iter().map(|_| HashMap::new()).collect();
    let meets = |from_ms: u64, to_ms: u64| {
        let met = move |(_, fault): &(usize, &Inflicted)| from_ms <= fault.end_ms && to_ms >= fault.begin_ms;
        faults.iter().enumerate().filter(met).map(|(at, _)| at)
    };
    let mut sends: HashMap<Op, Message<'_>> = HashMap::new();
    let mut due_ms: HashMap<Message<'_>, u64> = HashMap::new();
    let mut acknowledged: HashSet<Message<'_>> = HashSet::new();
    // The room, and from when on a message must have been due to be counted.
    let mut subs: HashMap<Sub, (&str, u64)> = HashMap::new();
    for (entry, now_ms) in entries.iter().zip(moments_ms.iter().copied()) {
        match entry {
            Entry::Invoke { op, room, user, what: What::Send { client_id, .. } } => {
                let message = (room.as_str(), user.as_str(), client_id.as_str());
                sends.insert(*op, message);
                due_ms.entry(message).or_insert(now_ms);
            }
            Entry::Ok { op, .. } => {
                let Some(message) = sends.get(op).filter(|message| acknowledged.insert(**message)) else { continue };
                for at in meets(due_ms[message], now_ms) {
                    let stall_ms = now_ms - due_ms[message];
                    stalls[at].sends.push(stall_ms);
                    if faults[at].leaderless.iter().any(|room| room == message.0) {
                        let longest = rooms[at].entry(message.0).or_default();
                        *longest = stall_ms.max(*longest);
                    }
                }
            }
            Entry::Subscribing { sub, room, .. } => {
                // Who comes back after being cut off has waited for what is older; who comes by wish has not.
                let from_ms = if resumed.contains(sub) { 0 } else { now_ms };
                subs.insert(*sub, (room, from_ms));
            }
            Entry::Delivered { sub, event } => {
                let (Some((room, from_ms)), Some(actor)) = (subs.get(sub), &event.actor) else { continue };
                let Body::Message { client_id: Some(client_id), .. } = &event.body else { continue };
                let Some(due) = due_ms.get(&(*room, actor.as_str(), client_id.as_str())) else { continue };
                if due >= from_ms {
                    meets(*due, now_ms).for_each(|at| stalls[at].deliveries.push(now_ms - due));
                }
            }
            _ => {}
        }
    }
    for (stalls, rooms) in stalls.iter_mut().zip(rooms) {
        stalls.leaderless = rooms.into_values().collect();
    }
    stalls
}
