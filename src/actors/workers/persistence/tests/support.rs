//! A log of random commands, folded by an owner of its own, to compare with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::actors::digest::RunningHash;
use crate::actors::fold::{self, EntityOutcome, EntityState, FoldClock};
use crate::actors::room::commands::{
    Command, Create, Delete, Edit, End, Expire, Invite, Join, Kick, Leave, OpenChannel, RoomCommand, Send, Uninvite,
    Update,
};
use crate::actors::room::{self, Outcome};
use crate::actors::user::commands;
use crate::actors::user::commands::RoomFact;
use crate::actors::user::{self, UserCommand, UserCommandBody, UserOutcome};
use crate::actors::wire::{
    Content, Entity, EventBody, HistoryBound, MaySend, ReadPoint, RoomChange, RoomKind, StreamEvent,
};
use crate::ids::{ClientId, DeviceId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, Prefix};
use crate::storage::store::contract::uuid;

use super::super::rows::event;
use crate::storage::store::SeqRange;
use crate::storage::store::memory::Core;

pub(super) const USERS: [&str; 6] = ["ann", "bob", "cem", "dan", "eve", "fay"];

pub(super) fn user_id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub(super) fn one<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize].clone()
    }
}

/// Logs, and what a fold makes of them.
pub(super) struct World {
    pub(super) logs: BTreeMap<Partition, Vec<StoredRecord>>,
    pub(super) states: BTreeMap<Entity, EntityState>,
    pub(super) events: BTreeMap<Entity, Vec<StreamEvent>>,
    pub(super) prefixes: BTreeMap<Partition, Prefix>,
    clocks: BTreeMap<Partition, FoldClock>,
    now: u64,
    next_id: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            logs: BTreeMap::new(),
            states: BTreeMap::new(),
            events: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            clocks: BTreeMap::new(),
            now: 1_800_000_000_000,
            next_id: 0,
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    pub(super) fn room(&mut self, room: RoomId, body: RoomCommand) -> EntityOutcome {
        self.next_id += 1;
        let (id, issued_at) = (uuid(self.next_id), Timestamp(self.now));
        let addressed = room::payload::address(Command { room, id, issued_at, ttl_ms: 60_000, body });
        self.append(addressed.partition, addressed.record).unwrap()
    }

    pub(super) fn user(&mut self, name: &str, body: UserCommandBody) -> EntityOutcome {
        self.next_id += 1;
        let (id, issued_at) = (uuid(self.next_id), Timestamp(self.now));
        let command = UserCommand { user: user_id(name), id, issued_at, ttl_ms: 0, body };
        let addressed = user::payload::address(command);
        self.append(addressed.partition, addressed.record).unwrap()
    }

    /// Appends a record and folds it; `None` if it belongs to nobody.
    pub(super) fn append(&mut self, partition: Partition, bytes: Bytes) -> Option<EntityOutcome> {
        let log = self.logs.entry(partition).or_default();
        let (offset, time) = (Offset(log.len() as u64), Timestamp(self.now));
        let record = StoredRecord { offset, time, bytes: bytes.clone() };
        let prefix = self.prefixes.entry(partition).or_default();
        *prefix = RunningHash::new(*prefix).push(&record);
        log.push(record);
        let envelope = Envelope::decode_record(&bytes).unwrap();
        let now = self.clocks.entry(partition).or_default().advance(offset, time, &envelope).unwrap();
        let entity = fold::entity_in(partition, &envelope);
        entity.map(|entity| {
            let state = self.states.entry(entity.clone()).or_insert_with(|| EntityState::absent(&entity));
            let outcome = state.fold(now, &envelope);
            let events = self.events.entry(entity).or_default();
            match &outcome {
                EntityOutcome::Room(Outcome::Accepted(event)) => events.push(StreamEvent::Room(event.clone())),
                EntityOutcome::User(UserOutcome::Event(event)) => events.push(StreamEvent::User(event.clone())),
                _ => {}
            }
            outcome
        })
    }

    /// `steps` random commands of all kinds to a few rooms and users, sensible and not.
    pub(super) fn random(seed: u64, steps: u64) -> Self {
        let (mut world, mut dice) = (Self::new(), Dice::new(seed));
        for _ in 0..steps {
            match dice.below(30) {
                0 => world.pass(40_000_000),
                1..=9 => world.pass(dice.below(90_000)),
                _ => {}
            }
            if dice.below(5) == 0 {
                world.random_user(&mut dice);
            } else {
                world.random_room(&mut dice);
            }
            if dice.below(12) == 0 {
                world.repeat(&mut dice);
            }
            if dice.below(40) == 0 {
                let envelope = Envelope { kind: dice.one(&[2, 2000, 777, 1003]), ..Envelope::default() };
                world.append(Partition::FIRST, envelope.encode_record());
            }
        }
        world
    }

    /// A producer appends one of the last records of a partition once more.
    fn repeat(&mut self, dice: &mut Dice) {
        let partitions: Vec<Partition> = self.logs.keys().copied().collect();
        let partition = dice.one(&partitions);
        let back = dice.below(10) as usize;
        let record = self.logs[&partition].iter().rev().nth(back).map(|record| record.bytes.clone());
        if let Some(record) = record {
            self.append(partition, record);
        }
    }

    fn random_user(&mut self, dice: &mut Dice) {
        let (me, other) = (dice.one(&USERS), user_id(dice.one(&USERS)));
        let room = self.any_room(dice);
        let body = match dice.below(13) {
            0 | 1 => {
                let (seq, no) = (Seq(dice.below(30)), MessageNo(dice.below(20)));
                UserCommandBody::Read(commands::Read { room, to: ReadPoint { seq, no } })
            }
            2 => UserCommandBody::Block(commands::Block { user: other }),
            3 => UserCommandBody::Unblock(commands::Unblock { user: other }),
            4 => UserCommandBody::Device(commands::Device {
                device: DeviceId::new(&format!("d{}", dice.below(40))).unwrap(),
                platform: "web".to_owned(),
                push_token: dice.one(&["", "token"]).to_owned(),
            }),
            5 => UserCommandBody::DeviceRemove(commands::DeviceRemove {
                device: DeviceId::new(&format!("d{}", dice.below(40))).unwrap(),
            }),
            6 => UserCommandBody::PushGone(commands::PushGone {
                device: DeviceId::new(&format!("d{}", dice.below(40))).unwrap(),
                push_token: "token".to_owned(),
            }),
            7 => UserCommandBody::DevicesForget(commands::DevicesForget),
            10 | 11 => UserCommandBody::Mute(commands::Mute { room, until: Timestamp(dice.below(2) << 60) }),
            8 | 9 => UserCommandBody::RoomFact(RoomFact {
                source: Partition::new(dice.below(3) as u16).unwrap(),
                source_offset: Offset(self.next_id - dice.below(self.next_id.min(9) + 1)),
                room,
                kind: RoomKind::Group,
                seq: Seq(dice.below(50)),
                by: (dice.below(2) == 0).then_some(other),
                change: RoomChange::from_number(1 + dice.below(6) as u8).unwrap(),
            }),
            _ => UserCommandBody::Preferences(commands::Preferences { json: format!("{{\"n\":{}}}", dice.below(3)) }),
        };
        self.user(me, body);
    }

    fn any_room(&self, dice: &mut Dice) -> RoomId {
        match dice.below(3) {
            0 => RoomId::direct(&user_id("ann"), &user_id(dice.one(&["bob", "cem"]))),
            1 => RoomId::group(&user_id("ann"), &ClientId::new(dice.one(&["g1", "g2", "g3", "g4"])).unwrap()),
            _ => RoomId::open(dice.one(&["news", "talk"])),
        }
    }

    fn random_room(&mut self, dice: &mut Dice) {
        let room = self.any_room(dice);
        let (me, other) = (user_id(dice.one(&USERS)), user_id(dice.one(&USERS)));
        let head = self.states.get(&Entity::Room(room)).map_or(0, |state| state.head().0);
        let target = Seq(head.saturating_sub(dice.below(12)));
        let channel = ["news", "talk"].into_iter().find(|name| RoomId::open(name) == room);
        let body = match dice.below(24) {
            0 | 1 => RoomCommand::Create(self.random_create(room, dice)),
            2 => RoomCommand::Edit(Edit {
                by: me,
                target,
                body: format!("edit {}", dice.below(99)),
                metadata: (dice.below(2) == 0).then(|| "{\"e\":1}".to_owned()),
            }),
            3 => RoomCommand::Delete(Delete { by: me, target, author: None }),
            4 => RoomCommand::Join(Join { user: me }),
            5 => RoomCommand::Leave(Leave { user: me }),
            6 => RoomCommand::Invite(Invite { by: me, user: other }),
            7 => RoomCommand::Kick(Kick { by: dice.one(&[me, user_id("ann")]), user: other }),
            8 => RoomCommand::Update(Update {
                by: me,
                title: (dice.below(2) == 0).then(|| "title \"é\"".to_owned()),
                ttl_ms: (dice.below(2) == 0).then(|| dice.below(2) * 900_000),
                may_send: None,
                public: None,
            }),
            9 if dice.below(6) == 0 => RoomCommand::End(End { by: me }),
            10 => RoomCommand::Expire(Expire),
            11 => RoomCommand::Uninvite(Uninvite {
                by: me.clone(),
                inviter: dice.one(&[me, user_id("ann")]),
                user: other,
            }),
            _ => RoomCommand::Send(Send {
                sender: me,
                client_id: (dice.below(4) > 0).then(|| ClientId::new(&format!("c{}", dice.below(4_000))).unwrap()),
                device: None,
                prev: None,
                content: Content {
                    body: format!("message {}", dice.below(1_000)),
                    message_type: "text".to_owned(),
                    metadata: dice.one(&["", "{}"]).to_owned(),
                    reply_to: (dice.below(5) == 0).then_some(target),
                    data: Bytes::copy_from_slice(&dice.below(1 << 40).to_le_bytes()),
                },
                open: channel.map(|channel| OpenChannel {
                    channel: channel.to_owned(),
                    history: HistoryBound { events: 5, age_ms: 600_000 },
                }),
            }),
        };
        self.room(room, body);
    }

    fn random_create(&self, room: RoomId, dice: &mut Dice) -> Create {
        let ann = user_id("ann");
        let direct = ["bob", "cem"].into_iter().find(|other| RoomId::direct(&ann, &user_id(other)) == room);
        let (kind, members) = match direct {
            Some(other) => (RoomKind::Direct, vec![user_id(other)]),
            None => {
                (dice.one(&[RoomKind::Group, RoomKind::Group, RoomKind::Broadcast]), vec![user_id(dice.one(&USERS))])
            }
        };
        Create {
            kind,
            creator: ann,
            members,
            title: "t".to_owned(),
            channel: String::new(),
            ttl_ms: dice.below(2) * 3_000_000,
            public: dice.below(2) == 0,
            may_send: MaySend::Members,
            max_members: 0,
            history: HistoryBound { events: dice.one(&[0, 0, 130]), age_ms: 0 },
        }
    }

    /// The rooms that exist.
    pub(super) fn rooms(&self) -> Vec<RoomId> {
        let existing = |state: &EntityState| matches!(state, EntityState::Room(room) if room.exists());
        let rooms = self.states.iter().filter(|(_, state)| existing(state));
        rooms.filter_map(|(entity, _)| if let Entity::Room(room) = entity { Some(*room) } else { None }).collect()
    }

    /// Compares the rows with what this world folded.
    pub(super) fn check(&self, store: &Core) {
        for (partition, log) in &self.logs {
            let row = store.watermark(*partition);
            assert_eq!(row.next_offset, Offset(log.len() as u64), "partition {partition}");
            assert_eq!(row.log_hash, self.prefixes[partition].hash);
            assert_eq!(row.last_record, self.logs[partition].last().map(StoredRecord::digest));
            assert_eq!(row.fold_time, self.clocks[partition].last());
        }
        for (entity, state) in &self.states {
            match (entity, state) {
                (Entity::Room(id), EntityState::Room(room)) => {
                    let found = super::super::rows::room_state(*id, store.room(*id)).unwrap();
                    assert_eq!(found.snapshot(), room.snapshot());
                    assert_eq!(found.hash(), room.hash());
                    self.check_events(entity, room.floor(), store);
                }
                (Entity::User(id), EntityState::User(user)) => {
                    let found = super::super::rows::user_state(id, store.user(id)).unwrap();
                    assert_eq!(found.snapshot(), user.snapshot());
                    let rows = store.user_events(id, SeqRange::all(), usize::MAX);
                    let found: Vec<_> =
                        rows.into_iter().map(|row| super::super::rows::user_event(row).unwrap()).collect();
                    let events = self.events.get(entity).into_iter().flatten();
                    let expected = events.map(|event| match event {
                        StreamEvent::User(event) => (**event).clone(),
                        StreamEvent::Room(_) => unreachable!(),
                    });
                    assert_eq!(found, expected.collect::<Vec<_>>());
                }
                _ => unreachable!(),
            }
        }
    }

    /// The events from the floor on, as they happened, but without what was deleted since.
    fn check_events(&self, entity: &Entity, floor: Seq, store: &Core) {
        let Entity::Room(id) = entity else { unreachable!() };
        let mut expected: Vec<_> = self.events[entity]
            .iter()
            .map(|event| match event {
                StreamEvent::Room(event) => (**event).clone(),
                StreamEvent::User(_) => unreachable!(),
            })
            .collect();
        let redacted: BTreeSet<Seq> = expected.iter().filter_map(|event| event.redacts()).collect();
        for event in &mut expected {
            if redacted.iter().any(|target| event.carries(*target)) {
                event.redact();
            }
        }
        expected.retain(|event| event.seq >= floor);
        let rows = store.events(*id, SeqRange { from: floor, ..SeqRange::all() }, usize::MAX);
        let found: Vec<_> = rows.into_iter().map(|row| event(row).unwrap()).collect();
        assert_eq!(found, expected);
        self.check_messages(entity, floor, store);
    }

    /// The messages as they are now: with the last body that an edit gave them, and without any once they are deleted.
    fn check_messages(&self, entity: &Entity, floor: Seq, store: &Core) {
        let Entity::Room(id) = entity else { unreachable!() };
        let mut expected = BTreeMap::new();
        for event in &self.events[entity] {
            let StreamEvent::Room(event) = event else { unreachable!() };
            match &event.body {
                EventBody::Message { content, .. } => {
                    expected.insert(event.seq, (content.body.clone(), None, false));
                }
                EventBody::Edited { target, body, .. } => {
                    if let Some(message) = expected.get_mut(target).filter(|(_, _, deleted)| !deleted) {
                        *message = (body.clone(), Some(event.at), false);
                    }
                }
                EventBody::Deleted { target } => {
                    if let Some(message) = expected.get_mut(target) {
                        *message = (String::new(), None, true);
                    }
                }
                _ => {}
            }
        }
        expected.retain(|seq, _| *seq >= floor);
        let rows = store.messages(*id, SeqRange { from: floor, ..SeqRange::all() }, usize::MAX);
        let found = rows.into_iter().map(|row| (row.seq, (row.message.body, row.edited_at, row.message.deleted)));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    }
}
