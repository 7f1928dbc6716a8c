//! The order of what a device sends without naming what it sent before (P5).
//!
//! On a link that holds, messages reach the owner in the order in which they were sent, and the owner keeps it: the log has
//! them in the order in which they came, and what came behind one that is refused is refused with it. What a device sent
//! again has lost its place, and is not looked at, also where a restore has made owners forget that it came before; nor is
//! what came from another node, where frames overtake each other.

use std::collections::{BTreeMap, HashMap};

use super::event::OwnerId;
use super::oracle::{Truth, number};
use crate::actors::room::commands::{Command, RoomCommand};
use crate::actors::room::payload;
use crate::actors::wire::{Entity, NodeId, RequestId};
use crate::ids::{DeviceId, RoomId};
use crate::storage::journal::record::Envelope;

type Message = (RoomId, DeviceId, u64);
/// A gateway and its number for the command.
type Asker = (NodeId, RequestId);

#[derive(Clone, Copy)]
struct Arrival {
    owner: OwnerId,
    asker: Asker,
    at: u64,
    /// When the owner said that it is not written.
    refused_at: Option<u64>,
}

impl Arrival {
    /// The gateway is on the owner's node.
    fn is_inside(&self) -> bool {
        self.asker.0 == self.owner.node
    }
}

/// When which message came to which owner.
#[derive(Default)]
pub(crate) struct Arrivals {
    came: BTreeMap<Message, Vec<Arrival>>,
    asked: HashMap<Asker, Message>,
    /// How often its device sent each message.
    sent: BTreeMap<Message, u32>,
    count: u64,
}

impl Arrivals {
    /// A backup is restored: what came to owners belongs to the history that is gone. Devices still know what they sent.
    pub(crate) fn restored(&mut self) {
        (self.came, self.asked) = (BTreeMap::new(), HashMap::new());
    }

    /// A device sends a message, perhaps once more.
    pub(crate) fn sent(&mut self, room: RoomId, device: &DeviceId, number: u64) {
        *self.sent.entry((room, device.clone(), number)).or_default() += 1;
    }

    /// A command came to an owner.
    pub(crate) fn came(&mut self, owner: OwnerId, asker: Asker, envelope: &Envelope) {
        let Ok(Command { room, body: RoomCommand::Send(send), .. }) = payload::decode(envelope) else { return };
        let (Some(device), Some(number)) = (&send.device, number(&send.content)) else { return };
        let message = (room, device.clone(), number);
        self.count += 1;
        let arrival = Arrival { owner, asker, at: self.count, refused_at: None };
        self.came.entry(message.clone()).or_default().push(arrival);
        self.asked.insert(asker, message);
    }

    /// An owner says that a command is not written.
    pub(crate) fn refused(&mut self, asker: Asker) {
        self.count += 1;
        let arrivals = self.asked.get(&asker).and_then(|message| self.came.get_mut(message));
        for arrival in arrivals.into_iter().flatten().filter(|arrival| arrival.asker == asker) {
            arrival.refused_at.get_or_insert(self.count);
        }
    }

    /// What is in the log stands there in the order in which it came.
    pub(crate) fn check(&self, truth: &Truth) -> Result<(), String> {
        for (entity, stream) in truth.streams() {
            let Entity::Room(room) = entity else { continue };
            for (device, numbers) in &stream.numbers {
                self.check_device(*room, device, numbers, truth)?;
            }
        }
        Ok(())
    }

    fn check_device(&self, room: RoomId, device: &DeviceId, numbers: &[u64], truth: &Truth) -> Result<(), String> {
        let arrivals = |number: u64| self.came.get(&(room, device.clone(), number)).map_or(&[][..], Vec::as_slice);
        let mut last: BTreeMap<OwnerId, (u64, u64)> = BTreeMap::new();
        for number in numbers {
            let [once] = arrivals(*number) else { continue };
            // What was given up, or refused for good, was perhaps still under way.
            let key = (room, device.clone(), *number);
            let again = self.sent.get(&key).is_some_and(|times| *times > 1);
            if again || !once.is_inside() || truth.forgiven.contains(&(device.clone(), room, *number)) {
                continue;
            }
            if let Some((at, before)) = last.insert(once.owner, (once.at, *number))
                && at > once.at
            {
                return Err(format!(
                    "P5: {device} sent {number} before {before} to {room:?}, where it stands after it"
                ));
            }
            // Messages before it that waited at the same owner, and were refused while it waited, too.
            let waited = self.came.range((room, device.clone(), 0)..(room, device.clone(), *number));
            for ((.., earlier), came) in waited {
                let overtaken = came.iter().any(|arrival| {
                    arrival.is_inside()
                        && arrival.owner == once.owner
                        && arrival.at < once.at
                        && arrival.refused_at.is_some_and(|refused_at| refused_at > once.at)
                });
                if overtaken {
                    return Err(format!("P5: {number} of {device} in {room:?} was taken, {earlier} before it refused"));
                }
            }
        }
        Ok(())
    }
}
