//! What clients do when nobody tells them: they write, edit, delete, come, go, ask each other in and throw each other out.

use super::event::{Up, What, Wish};
use super::world::World;
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::{Delete, Edit, End, Invite, Join, Kick, Leave, React, Reaction, Uninvite, Update};
use crate::actors::user::commands;
use crate::actors::user::commands::UserCommandBody;
use crate::actors::wire::{Entity, ReadPoint, RoomKind};
use crate::ids::{Seq, UserId};

impl World<'_> {
    /// The rooms are made, each by its creator's first device.
    pub(crate) fn make_rooms(&mut self) {
        for room in self.cast.rooms.iter().filter(|room| room.kind != RoomKind::Open) {
            self.ask(2 * room.creator, Wish::Room(room.id, RoomCommand::Create(room.create.clone())));
        }
    }

    /// A client's turn.
    pub(crate) fn act(&mut self, client: usize) {
        let every = if self.healing { 400 } else { self.plan.act_every_ms };
        self.after(every, What::Act { client });
        if self.clients[client].link.is_none() {
            if self.healing || self.rng.chance(600) {
                let up: Vec<_> = self.nodes.iter().filter(|node| node.up).map(|node| node.id).collect();
                if !up.is_empty() {
                    let node = self.rng.pick(&up);
                    self.connect(client, node);
                }
            }
            return;
        }
        for n in 0..self.clients[client].streams.len() {
            if self.healing && !self.clients[client].streams[n].wanted && self.may_listen(client, n) {
                self.clients[client].streams[n].wanted = true;
            }
            self.subscribe(client, n);
        }
        self.resend(client);
        if !self.healing {
            self.act_at_random(client);
        }
    }

    /// Whether the client's user may listen to what stands in its `n`th place, by the truth.
    pub(crate) fn may_listen(&self, client: usize, n: usize) -> bool {
        let Some(room) = self.cast.rooms.get(n) else { return true };
        let user = &self.cast.users[self.clients[client].user];
        room.kind == RoomKind::Open || self.truth.stream(&Entity::Room(room.id)).is_member(user)
    }

    fn act_at_random(&mut self, client: usize) {
        let rooms = self.cast.rooms.len();
        let mut n = self.rng.index(rooms);
        if self.rng.chance(850) {
            let mine: Vec<usize> = (0..rooms).filter(|n| self.may_listen(client, *n)).collect();
            if !mine.is_empty() {
                n = self.rng.pick(&mine);
            }
        }
        let by = self.cast.users[self.clients[client].user].clone();
        let other = self.cast.users[self.rng.index(self.cast.users.len())].clone();
        let at = self.clients[client].streams[n].at.as_ref().map_or(Seq::ZERO, |(_, at)| *at);
        let body = match self.rng.below(1_000) {
            0..=539 => return self.write(client, n),
            540..=559 => RoomCommand::React(React {
                by,
                target: Seq(1 + self.rng.below(at.0)),
                reaction: Reaction {
                    client_id: None,
                    emoji: ["👍", "🎉"][self.rng.index(2)].to_owned(),
                    remove: self.rng.chance(300),
                },
                author: None,
            }),
            560..=609 => RoomCommand::Edit(Edit {
                by,
                target: Seq(1 + self.rng.below(at.0)),
                body: "edited".to_owned(),
                metadata: self.rng.chance(300).then(|| "{}".to_owned()),
            }),
            610..=639 => RoomCommand::Delete(Delete { by, target: Seq(1 + self.rng.below(at.0)), author: None }),
            640..=699 => return self.come_or_go(client, n, by),
            700..=739 => RoomCommand::Invite(Invite { by, user: other }),
            740..=759 => RoomCommand::Kick(Kick { by, user: other }),
            760..=769 => RoomCommand::Uninvite(Uninvite { inviter: by.clone(), by, user: other }),
            770..=784 => RoomCommand::Update(Update {
                by,
                title: Some(format!("title {}", at.0)),
                ttl_ms: self.rng.chance(200).then_some(20_000),
                may_send: None,
                public: None,
            }),
            785..=794 if self.cast.rooms[n].kind == RoomKind::Direct || self.rng.chance(200) => {
                RoomCommand::End(End { by })
            }
            785..=814 => {
                let direct = self.rng.index(2);
                let mut create = self.cast.rooms[direct].create.clone();
                create.creator = by;
                return self.ask(client, Wish::Room(self.cast.rooms[direct].id, RoomCommand::Create(create)));
            }
            815..=854 => return self.block(client),
            855..=894 => {
                let to = ReadPoint { seq: at, no: self.clients[client].streams[n].no };
                return self.ask(
                    client,
                    Wish::User(UserCommandBody::Read(commands::Read { room: self.cast.rooms[n].id, to })),
                );
            }
            895..=914 => {
                let room = self.cast.rooms[n].id;
                if let Some(link) = self.clients[client].link {
                    self.send_in_order(link, Up::Typing(room));
                }
                return;
            }
            915..=934 => return self.unsubscribe(client, n),
            935..=964 => {
                self.clients[client].streams.iter_mut().for_each(|listening| listening.wanted = true);
                return;
            }
            965..=984 => return self.disconnect(client),
            _ => {
                let up: Vec<_> = self.nodes.iter().filter(|node| node.up).map(|node| node.id).collect();
                if !up.is_empty() {
                    let node = self.rng.pick(&up);
                    self.connect(client, node);
                }
                return;
            }
        };
        self.ask(client, Wish::Room(self.cast.rooms[n].id, body));
    }

    fn come_or_go(&mut self, client: usize, n: usize, user: UserId) {
        let room = self.cast.rooms[n].id;
        let inside = self.may_listen(client, n);
        // Two in five go; all others come, to whatever room.
        if inside && self.rng.chance(400) {
            return self.ask(client, Wish::Room(room, RoomCommand::Leave(Leave { user })));
        }
        let anywhere = self.cast.rooms[self.rng.index(self.cast.rooms.len())].id;
        self.ask(client, Wish::Room(anywhere, RoomCommand::Join(Join { user })));
    }

    /// Mostly between the two sides of a direct chat, and mostly taken back.
    fn block(&mut self, client: usize) {
        let own = self.clients[client].user;
        // What a block concerns is the direct chat of the two, which may be none of the cast's and never made.
        let others = self.cast.neighbours(own);
        if others.is_empty() {
            return;
        }
        let other = if own < 4 && self.rng.chance(700) { own ^ 1 } else { self.rng.pick(&others) };
        let user = self.cast.users[other].clone();
        let body = match self.rng.chance(350) {
            true => UserCommandBody::Block(commands::Block { user }),
            false => UserCommandBody::Unblock(commands::Unblock { user }),
        };
        self.ask(client, Wish::User(body));
    }
}
