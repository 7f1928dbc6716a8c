//! A naive room, written apart from the real one: it keeps every event in a list, and to answer anything it reads the list
//! from the start. Slow, and easy to believe.

mod lists;
mod window;

use std::sync::Arc;

use self::lists::{drop_from, seq_in};
use crate::actors::room::Outcome;
use crate::actors::room::commands::{
    Block, Command, Create, End, Expire, Invite, Join, Kick, Leave, React, Reaction, RoomCommand, Send, Uninvite,
};
use crate::actors::room::window::WindowBounds;
use crate::actors::wire::{Event, EventBody, HistoryBound, MaySend, Reject, RoomKind, RoomStatus};
use crate::ids::{ClientId, MessageNo, RoomId, Seq, Timestamp, UserId};

pub(crate) struct Model {
    room: RoomId,
    bounds: WindowBounds,
    pub events: Vec<Event>,
    histories: Vec<HistoryBound>,
    facts: Vec<Block>,
    create: Option<Create>,
    channel: Option<String>,
    /// What was decided on each command that left no event.
    decided: Vec<(uuid::Uuid, Timestamp, Outcome)>,
}

/// What the events say, read from the start.
#[derive(Default)]
pub(crate) struct View {
    pub members: Vec<(UserId, Seq)>,
    pub invited: Vec<(UserId, Seq)>,
    pub kicked: Vec<(UserId, Seq)>,
    /// Kicked and then asked in again.
    pub pardoned: Vec<(UserId, Seq)>,
    pub creator: Option<UserId>,
    pub status: RoomStatus,
    pub title: String,
    pub expires_at: Option<Timestamp>,
    creator_sends: bool,
    public: bool,
    opened: u64,
    closed: u64,
    pub messages: u64,
}

impl View {
    fn has(&self, user: &UserId) -> bool {
        seq_in(&self.members, user).is_some()
    }

    /// The user's invitation is over without having been used: a kick before it counts again.
    fn uninvited(&mut self, user: &UserId) {
        drop_from(&mut self.invited, user);
        self.kicked.extend(self.pardoned.extract_if(.., |(pardoned, _)| pardoned == user));
    }

    fn at(&self, now: Timestamp) -> RoomStatus {
        match (self.status, self.expires_at) {
            (RoomStatus::Active, Some(end)) if now >= end => RoomStatus::Expired,
            (status, _) => status,
        }
    }

    fn read(&mut self, event: &Event) {
        match &event.body {
            EventBody::Created { title, members, expires_at, may_send, public, .. } => {
                self.members = members.iter().map(|user| (user.clone(), event.seq)).collect();
                self.creator = event.actor.clone();
                self.title = title.clone();
                self.expires_at = *expires_at;
                self.creator_sends = *may_send == MaySend::Creator;
                self.public = *public;
                self.opened = event.seq.0;
            }
            EventBody::Message { .. } => self.messages += 1,
            EventBody::Edited { .. } | EventBody::Deleted { .. } | EventBody::Reacted { .. } => {}
            EventBody::Joined => {
                let user = event.actor.clone().unwrap();
                drop_from(&mut self.invited, &user);
                drop_from(&mut self.kicked, &user);
                drop_from(&mut self.pardoned, &user);
                if self.creator.is_none() {
                    self.creator = Some(user.clone());
                }
                self.members.push((user, event.seq));
            }
            EventBody::Left => {
                let user = event.actor.clone().unwrap();
                let was_member = self.has(&user);
                self.uninvited(&user);
                drop_from(&mut self.members, &user);
                if self.creator.as_ref() == Some(&user) {
                    let mut rest = self.members.clone();
                    rest.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
                    self.creator = rest.first().map(|(user, _)| user.clone());
                }
                if was_member && self.members.is_empty() && !self.public && self.at(event.at) == RoomStatus::Active {
                    self.status = RoomStatus::Ended;
                    self.closed = event.seq.0;
                }
            }
            EventBody::Invited { user } => {
                self.pardoned.extend(self.kicked.extract_if(.., |(kicked, _)| kicked == user));
                self.invited.push((user.clone(), event.seq));
            }
            EventBody::Uninvited { user } => self.uninvited(user),
            EventBody::Kicked { user } => {
                drop_from(&mut self.members, user);
                drop_from(&mut self.invited, user);
                drop_from(&mut self.pardoned, user);
                self.kicked.push((user.clone(), event.seq));
            }
            EventBody::Updated { title, expires_at, may_send, public } => {
                self.title = title.clone();
                self.expires_at = *expires_at;
                self.creator_sends = *may_send == MaySend::Creator;
                self.public = *public;
            }
            EventBody::Reopened { expires_at } => {
                self.status = RoomStatus::Active;
                self.expires_at = *expires_at;
                self.opened = event.seq.0;
            }
            EventBody::Ended => {
                self.status = RoomStatus::Ended;
                self.closed = event.seq.0;
            }
            EventBody::Expired => self.status = RoomStatus::Expired,
        }
    }
}

enum Verdict {
    Happens(Option<UserId>, Option<ClientId>, EventBody),
    Already(Seq),
    Fact,
    Nothing,
}

type Judgement = Result<Verdict, Reject>;

fn ensure(fine: bool, reject: Reject) -> Result<(), Reject> {
    if fine { Ok(()) } else { Err(reject) }
}

fn by(user: &UserId, body: EventBody) -> Judgement {
    Ok(Verdict::Happens(Some(user.clone()), None, body))
}

impl Model {
    pub(crate) fn new(room: RoomId, bounds: WindowBounds) -> Self {
        Self {
            room,
            bounds,
            events: Vec::new(),
            histories: Vec::new(),
            facts: Vec::new(),
            create: None,
            channel: None,
            decided: Vec::new(),
        }
    }

    pub(crate) fn view(&self) -> View {
        let mut view = View::default();
        self.events.iter().for_each(|event| view.read(event));
        view
    }

    fn kind(&self) -> Option<RoomKind> {
        self.create.as_ref().map(|create| create.kind).or(self.channel.as_ref().map(|_| RoomKind::Open))
    }

    fn at(&self, seq: Seq) -> Option<&Event> {
        self.events.iter().find(|event| event.seq == seq)
    }

    fn blocking(&self) -> Vec<UserId> {
        let mut list: Vec<UserId> = Vec::new();
        for fact in &self.facts {
            list.retain(|user| *user != fact.by);
            if fact.blocked {
                list.push(fact.by.clone());
            }
        }
        match &self.create {
            Some(create) if create.kind == RoomKind::Direct => {
                list.retain(|user| *user == create.creator || create.members.contains(user));
            }
            Some(_) => list.clear(),
            None if self.channel.is_some() => list.clear(),
            None => {}
        }
        list
    }

    pub(crate) fn floor(&self) -> Seq {
        let mut floor = 1;
        for (index, event) in self.events.iter().enumerate() {
            let HistoryBound { events, age_ms } = self.histories[index];
            let head = event.seq.0;
            let oldest = (head + 1).saturating_sub(self.bounds.events as u64).max(1);
            if events > 0 && head > events {
                floor = floor.max(head - events + 1);
            }
            if age_ms > 0 && age_ms <= self.bounds.age_ms {
                let first = (oldest..=head).find(|seq| self.events[*seq as usize - 1].at.0 + age_ms >= event.at.0);
                floor = floor.max(first.unwrap());
            }
        }
        Seq(floor)
    }

    fn decide(&mut self, now: Timestamp, command: &Command) -> Outcome {
        match self.judge(now, command) {
            Err(reject) => Outcome::Rejected(reject),
            Ok(Verdict::Nothing) => Outcome::Ignored,
            Ok(Verdict::Already(seq)) => match self.at(seq) {
                // What made or closed the room is remembered for ever, a message as long as it is held, the rest for a day.
                Some(event) if self.in_window(now, event) || self.is_known(&command.body) => {
                    Outcome::Duplicate { seq, id: event.id, at: event.at }
                }
                _ => Outcome::Duplicate { seq, id: uuid::Uuid::nil(), at: Timestamp(0) },
            },
            Ok(Verdict::Fact) => {
                let RoomCommand::Block(block) = &command.body else { unreachable!() };
                self.facts.push(block.clone());
                Outcome::Noted
            }
            Ok(Verdict::Happens(actor, client_id, body)) => {
                self.learn(&command.body);
                let seq = Seq(self.events.len() as u64 + 1);
                let event = Event { seq, at: now, id: command.id, actor, client_id, body };
                self.events.push(event.clone());
                Outcome::Accepted(Arc::new(event))
            }
        }
    }

    fn judge(&self, now: Timestamp, command: &Command) -> Judgement {
        match &command.body {
            RoomCommand::Create(create) => self.judge_create(now, create),
            RoomCommand::Send(send) => self.judge_send(now, send),
            RoomCommand::Block(block) => Ok(self.judge_block(block)),
            RoomCommand::Expire(Expire) => {
                let view = self.view();
                let due = view.status == RoomStatus::Active && view.at(now) == RoomStatus::Expired;
                Ok(if due { Verdict::Happens(None, None, EventBody::Expired) } else { Verdict::Nothing })
            }
            other => self.judge_other(now, other),
        }
    }

    fn judge_create(&self, now: Timestamp, create: &Create) -> Judgement {
        ensure(create.kind != RoomKind::Open, Reject::Invalid)?;
        let mut members = create.members.clone();
        members.push(create.creator.clone());
        members.sort();
        members.dedup();
        ensure(!members.iter().any(UserId::is_anonymous), Reject::NotAllowed)?;
        let direct = create.kind == RoomKind::Direct;
        if direct {
            let pair = members.len() == 2 && RoomId::direct(&members[0], &members[1]) == self.room;
            ensure(pair, Reject::Invalid)?;
        }
        let view = self.view();
        if let Some(old) = self.kind() {
            ensure(old == create.kind, Reject::Exists)?;
            if !direct {
                ensure(view.creator.as_ref() == Some(&create.creator), Reject::Exists)?;
            }
            if !direct || view.at(now) == RoomStatus::Active {
                return Ok(Verdict::Already(Seq(view.opened)));
            }
        }
        let expires_at = if create.ttl_ms == 0 { None } else { Some(Timestamp(now.0 + create.ttl_ms)) };
        if direct {
            ensure(!self.blocking().iter().any(|user| members.contains(user)), Reject::Blocked)?;
            if self.kind().is_some() {
                return by(&create.creator, EventBody::Reopened { expires_at });
            }
        } else {
            ensure(create.max_members == 0 || members.len() <= create.max_members as usize, Reject::Full)?;
        }
        let may_send = match create.kind {
            RoomKind::Direct => MaySend::Members,
            RoomKind::Broadcast => MaySend::Creator,
            _ => create.may_send,
        };
        by(
            &create.creator,
            EventBody::Created {
                kind: create.kind,
                title: create.title.clone(),
                members,
                expires_at,
                may_send,
                public: create.public && !direct,
                history: create.history,
            },
        )
    }

    fn judge_send(&self, now: Timestamp, send: &Send) -> Judgement {
        let view = self.view();
        if let Some(first) = send.client_id.as_ref().and_then(|id| self.sent(&send.sender, id)) {
            return Ok(Verdict::Already(first.seq));
        }
        match self.kind() {
            None => {
                let open = send.open.as_ref().ok_or(Reject::NoRoom)?;
                ensure(RoomId::open(&open.channel) == self.room, Reject::Invalid)?;
            }
            Some(RoomKind::Open) => {
                let open = send.open.as_ref().ok_or(Reject::NoRoom)?;
                ensure(Some(&open.channel) == self.channel.as_ref(), Reject::Invalid)?;
            }
            Some(_) => {
                ensure(send.open.is_none(), Reject::WrongKind)?;
                ensure(!send.sender.is_anonymous(), Reject::NotAllowed)?;
                ensure(view.has(&send.sender), Reject::NotMember)?;
                self.ensure_alive(now, &view)?;
                ensure(!view.creator_sends || view.creator.as_ref() == Some(&send.sender), Reject::NotAllowed)?;
                ensure(self.blocking().is_empty(), Reject::Blocked)?;
            }
        }
        ensure(!send.client_id.as_ref().is_some_and(|id| self.too_old(id)), Reject::TooOld)?;
        if let Some(prev) = &send.prev {
            let fine = self.sent(&send.sender, prev).is_some() || self.too_old(prev);
            ensure(fine, Reject::NeedPrev)?;
        }
        if let Some(seq) = send.content.reply_to {
            ensure(self.at(seq).is_some(), Reject::NoMessage)?;
        }
        let no = MessageNo(view.messages + 1);
        let body = EventBody::Message { no, content: send.content.clone(), redacted: false };
        Ok(Verdict::Happens(Some(send.sender.clone()), send.client_id.clone(), body))
    }

    fn ensure_alive(&self, now: Timestamp, view: &View) -> Result<(), Reject> {
        ensure(view.at(now) != RoomStatus::Ended, Reject::Ended)?;
        ensure(view.at(now) != RoomStatus::Expired, Reject::Expired)
    }

    fn judge_block(&self, block: &Block) -> Verdict {
        let newer = |old: &Block| old.source == block.source && old.source_offset >= block.source_offset;
        let blocking = self.blocking();
        let concerned = match &self.create {
            None => self.channel.is_none() && (blocking.contains(&block.by) || blocking.len() < 2),
            Some(create) if create.kind == RoomKind::Direct => self.view().has(&block.by),
            Some(_) => false,
        };
        if concerned && !self.facts.iter().any(newer) { Verdict::Fact } else { Verdict::Nothing }
    }

    fn judge_other(&self, now: Timestamp, body: &RoomCommand) -> Judgement {
        let kind = self.kind().ok_or(Reject::NoRoom)?;
        let view = self.view();
        let crowd = matches!(kind, RoomKind::Group | RoomKind::Broadcast);
        match body {
            RoomCommand::Join(Join { user }) => {
                ensure(crowd, Reject::WrongKind)?;
                ensure(!user.is_anonymous(), Reject::NotAllowed)?;
                if let Some(seq) = seq_in(&view.members, user) {
                    return Ok(Verdict::Already(seq));
                }
                let asked = seq_in(&view.invited, user).is_some();
                let thrown_out = seq_in(&view.kicked, user).is_some();
                ensure(asked || view.public && !thrown_out, Reject::NotInvited)?;
                self.ensure_alive(now, &view)?;
                let most = self.create.as_ref().map_or(0, |create| create.max_members) as usize;
                ensure(most == 0 || view.members.len() < most, Reject::Full)?;
                by(user, EventBody::Joined)
            }
            RoomCommand::Leave(Leave { user }) => {
                ensure(crowd, Reject::WrongKind)?;
                ensure(view.has(user) || seq_in(&view.invited, user).is_some(), Reject::NotMember)?;
                by(user, EventBody::Left)
            }
            RoomCommand::Invite(Invite { by: host, user }) => {
                ensure(crowd, Reject::WrongKind)?;
                ensure(view.has(host), Reject::NotMember)?;
                ensure(!user.is_anonymous(), Reject::NotAllowed)?;
                if let Some(seq) = seq_in(&view.members, user).or(seq_in(&view.invited, user)) {
                    return Ok(Verdict::Already(seq));
                }
                self.ensure_alive(now, &view)?;
                by(host, EventBody::Invited { user: user.clone() })
            }
            RoomCommand::Kick(Kick { by: host, user }) => {
                ensure(crowd, Reject::WrongKind)?;
                ensure(view.has(host), Reject::NotMember)?;
                ensure(view.creator.as_ref() == Some(host), Reject::NotAllowed)?;
                ensure(host != user, Reject::WrongKind)?;
                if let Some(seq) = seq_in(&view.kicked, user) {
                    return Ok(Verdict::Already(seq));
                }
                ensure(view.has(user) || seq_in(&view.invited, user).is_some(), Reject::NotMember)?;
                self.ensure_alive(now, &view)?;
                by(host, EventBody::Kicked { user: user.clone() })
            }
            RoomCommand::Uninvite(Uninvite { by: who, inviter, user }) => {
                ensure(crowd, Reject::WrongKind)?;
                let asked = seq_in(&view.invited, user).and_then(|seq| self.events.get(seq.0 as usize - 1));
                ensure(asked.is_some_and(|event| event.actor.as_ref() == Some(inviter)), Reject::NotMember)?;
                if who == user {
                    return by(user, EventBody::Left);
                }
                ensure(who == inviter || view.has(who), Reject::NotMember)?;
                ensure(who == inviter || view.creator.as_ref() == Some(who), Reject::NotAllowed)?;
                by(who, EventBody::Uninvited { user: user.clone() })
            }
            RoomCommand::Update(update) => {
                ensure(kind != RoomKind::Open, Reject::WrongKind)?;
                ensure(view.has(&update.by), Reject::NotMember)?;
                ensure(view.creator.as_ref() == Some(&update.by), Reject::NotAllowed)?;
                let odd = match kind {
                    RoomKind::Direct => update.may_send.is_some() || update.public.is_some(),
                    RoomKind::Broadcast => update.may_send == Some(MaySend::Members),
                    _ => false,
                };
                ensure(!odd, Reject::WrongKind)?;
                self.ensure_alive(now, &view)?;
                ensure(self.blocking().is_empty(), Reject::Blocked)?;
                let may_send = if view.creator_sends { MaySend::Creator } else { MaySend::Members };
                let body = EventBody::Updated {
                    title: update.title.clone().unwrap_or(view.title),
                    expires_at: match update.ttl_ms {
                        None => view.expires_at,
                        Some(0) => None,
                        Some(ttl) => Some(Timestamp(now.0 + ttl)),
                    },
                    may_send: update.may_send.unwrap_or(may_send),
                    public: update.public.unwrap_or(view.public),
                };
                by(&update.by, body)
            }
            RoomCommand::End(End { by: host }) => {
                ensure(kind != RoomKind::Open, Reject::WrongKind)?;
                ensure(view.has(host), Reject::NotMember)?;
                ensure(!crowd || view.creator.as_ref() == Some(host), Reject::NotAllowed)?;
                if view.at(now) == RoomStatus::Ended {
                    return Ok(Verdict::Already(Seq(view.closed)));
                }
                self.ensure_alive(now, &view)?;
                let blocking = self.blocking();
                ensure(blocking.is_empty() || blocking.contains(host), Reject::Blocked)?;
                by(host, EventBody::Ended)
            }
            RoomCommand::Edit(edit) => {
                ensure(kind == RoomKind::Open || view.has(&edit.by), Reject::NotMember)?;
                self.ensure_alive(now, &view)?;
                let target = self.at(edit.target).ok_or(Reject::NoMessage)?;
                ensure(self.in_window(now, target), Reject::EditTooLate)?;
                ensure(matches!(target.body, EventBody::Message { .. }), Reject::NoMessage)?;
                ensure(target.actor.as_ref() == Some(&edit.by), Reject::NotAuthor)?;
                ensure(self.deletion(edit.target).is_none(), Reject::Deleted)?;
                ensure(self.blocking().is_empty(), Reject::Blocked)?;
                let (body, metadata) = (edit.body.clone(), edit.metadata.clone());
                by(&edit.by, EventBody::Edited { target: edit.target, body, metadata })
            }
            RoomCommand::React(React { by: who, target: seq, reaction, author, .. }) => {
                ensure(kind != RoomKind::Open, Reject::WrongKind)?;
                ensure(view.has(who), Reject::NotMember)?;
                self.ensure_alive(now, &view)?;
                ensure(self.blocking().is_empty(), Reject::Blocked)?;
                let target = self.at(*seq).ok_or(Reject::NoMessage)?;
                let (known, is_message) =
                    (self.in_window(now, target), matches!(target.body, EventBody::Message { .. }));
                ensure(if known { is_message } else { author.is_some() }, Reject::NoMessage)?;
                ensure(!known || self.deletion(*seq).is_none(), Reject::Deleted)?;
                let Reaction { emoji, remove: removed, .. } = reaction.clone();
                by(who, EventBody::Reacted { target: *seq, emoji, removed })
            }
            RoomCommand::Delete(delete) => {
                ensure(kind == RoomKind::Open || view.has(&delete.by), Reject::NotMember)?;
                let target = self.at(delete.target).ok_or(Reject::NoMessage)?;
                let known = self.in_window(now, target);
                ensure(!known || matches!(target.body, EventBody::Message { .. }), Reject::NoMessage)?;
                let author = if known { target.actor.as_ref() } else { delete.author.as_ref() };
                ensure(author.is_some(), Reject::NoMessage)?;
                ensure(author == Some(&delete.by), Reject::NotAuthor)?;
                match self.deletion(delete.target) {
                    Some(seq) if known => Ok(Verdict::Already(seq)),
                    _ => by(&delete.by, EventBody::Deleted { target: delete.target }),
                }
            }
            _ => unreachable!("judged elsewhere"),
        }
    }

    fn deletion(&self, target: Seq) -> Option<Seq> {
        self.events.iter().find(|event| event.redacts() == Some(target)).map(|event| event.seq)
    }
}
