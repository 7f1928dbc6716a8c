//! Random histories of a room: who asks for what, and when.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::support::{T0, block, client_id, create, publish, send, timed, user};
use crate::actors::room::RoomState;
use crate::actors::room::commands::{
    Command, Delete, Edit, End, Expire, Invite, Join, Kick, Leave, OpenChannel, React, Reaction, RoomCommand, Send,
    Uninvite, Update,
};
use crate::actors::wire::{HistoryBound, MaySend, RoomKind};
use crate::ids::{ClientId, RoomId, Seq, Timestamp};

const HOUR: u64 = 3_600_000;
pub(crate) const NAMES: [&str; 5] = ["ann", "bob", "cat", "dan", "anon:1"];
pub(crate) const CHANNEL: &str = "news";

/// Which room a history is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scene {
    Group,
    Broadcast,
    Direct,
    Open,
}

impl Scene {
    pub(crate) fn room(self) -> RoomId {
        match self {
            Self::Group | Self::Broadcast => RoomId(Uuid::from_u128(7)),
            Self::Direct => RoomId::direct(&user("ann"), &user("bob")),
            Self::Open => RoomId::open(CHANNEL),
        }
    }
}

pub(crate) fn scene() -> impl Strategy<Value = Scene> {
    prop_oneof![Just(Scene::Group), Just(Scene::Broadcast), Just(Scene::Direct), Just(Scene::Open)]
}

/// A client id: one of a few without a time, or with a time that is so far from the present one.
#[derive(Clone, Debug)]
enum Id {
    Plain(u8),
    Timed(i64),
}

impl Id {
    fn at(&self, now: u64) -> ClientId {
        match self {
            Self::Plain(n) => client_id(&format!("m{n}")),
            Self::Timed(offset) => timed(now.saturating_add_signed(*offset), 1),
        }
    }
}

fn id() -> impl Strategy<Value = Id> {
    let hour = HOUR as i64;
    let offsets = vec![0, -1, 30_000, 60_000, 60_001, 2 * hour, -hour, -13 * hour, -24 * hour, -25 * hour];
    prop_oneof![3 => (0..4u8).prop_map(Id::Plain), 2 => proptest::sample::select(offsets).prop_map(Id::Timed)]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just("ann"), 4 => Just("bob"), 2 => Just("cat"), 1 => Just("dan"), 1 => Just("anon:1")]
}

/// One record, with times relative to the one before.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Milliseconds since the record before.
    dt: u64,
    /// How long before its append it was admitted.
    delay: u64,
    ttl_ms: u64,
    wish: Wish,
}

#[derive(Clone, Debug)]
enum Wish {
    Fixed(RoomCommand),
    Send(Send, Option<Id>, Option<Id>),
    Again(u8),
    /// A producer repeats the so-many-th record before the last.
    Repeat(u8),
    /// Somebody turns to his own message, the so-many-th before the last: edits or deletes it.
    Own(bool, u8),
    /// The creator throws the so-manyth other member out.
    Kick(u8),
    /// The so-manyth of those who were thrown out tries to come back.
    Return(u8),
    /// The so-manyth invitation is taken back by whose it is.
    Uninvite(u8),
    /// The creator goes.
    Abdicate,
}

fn bound() -> impl Strategy<Value = HistoryBound> {
    let ages = vec![0, 0, 1000, 2 * HOUR, 24 * HOUR, 48 * HOUR];
    (0..5u64, proptest::sample::select(ages)).prop_map(|(events, age_ms)| HistoryBound { events, age_ms })
}

fn ttl() -> impl Strategy<Value = u64> {
    proptest::sample::select(vec![0, 0, 1, 2 * HOUR, 24 * HOUR])
}

fn making(scene: Scene) -> BoxedStrategy<Wish> {
    let kind = match scene {
        Scene::Open => {
            return (name(), bound(), option::of(id()))
                .prop_map(|(who, history, id)| Wish::Send(publish(who, CHANNEL, history), id, None))
                .boxed();
        }
        Scene::Group => prop_oneof![9 => Just(RoomKind::Group), 1 => Just(RoomKind::Broadcast)].boxed(),
        Scene::Broadcast => Just(RoomKind::Broadcast).boxed(),
        Scene::Direct => prop_oneof![9 => Just(RoomKind::Direct), 1 => Just(RoomKind::Group)].boxed(),
    };
    let direct = matches!(scene, Scene::Direct);
    (kind, name(), vec(name(), 0..3), ttl(), any::<bool>(), any::<bool>(), 0..5u32, bound())
        .prop_map(move |(kind, who, members, ttl_ms, public, quiet, max_members, history)| {
            let (who, members) = match who {
                "ann" | "cat" if direct => ("ann", vec!["bob"]),
                "bob" if direct => ("bob", vec!["ann"]),
                _ => (who, members),
            };
            let may_send = if quiet { MaySend::Creator } else { MaySend::Members };
            let plain = create(kind, who, &members);
            Wish::Fixed(RoomCommand::Create(crate::actors::room::commands::Create {
                ttl_ms,
                public,
                may_send,
                max_members,
                history,
                ..plain
            }))
        })
        .boxed()
}

fn sending() -> impl Strategy<Value = Wish> {
    let open = prop_oneof![9 => Just(None), 1 => Just(Some(CHANNEL)), 1 => Just(Some("other"))];
    (name(), option::of(id()), option::weighted(0.3, id()), option::weighted(0.2, 1..12u64), open).prop_map(
        |(who, id, prev, reply_to, open)| {
            let mut message = send(who, None);
            message.content.reply_to = reply_to.map(Seq);
            message.open = open
                .map(|channel| OpenChannel { channel: channel.into(), history: HistoryBound { events: 3, age_ms: 0 } });
            Wish::Send(message, id, prev)
        },
    )
}

fn other() -> impl Strategy<Value = RoomCommand> {
    let may_send = prop_oneof![Just(MaySend::Members), Just(MaySend::Creator)];
    prop_oneof![
        2 => (name(), 0..9u64, option::of(Just("{}".to_owned()))).prop_map(|(by, target, metadata)| {
            RoomCommand::Edit(Edit { by: user(by), target: Seq(target), body: "new".into(), metadata })
        }),
        2 => (name(), 0..9u64, option::of(name())).prop_map(|(by, target, author)| {
            RoomCommand::Delete(Delete { by: user(by), target: Seq(target), author: author.map(user) })
        }),
        2 => (name(), 0..9u64, any::<bool>(), option::of(name())).prop_map(|(by, target, remove, author)| {
            let reaction = Reaction { client_id: None, emoji: "👍".into(), remove };
            let author = author.map(user);
            RoomCommand::React(React { by: user(by), target: Seq(target), reaction, author })
        }),
        3 => name().prop_map(|who| RoomCommand::Join(Join { user: user(who) })),
        2 => name().prop_map(|who| RoomCommand::Leave(Leave { user: user(who) })),
        3 => (name(), name()).prop_map(|(by, who)| RoomCommand::Invite(Invite { by: user(by), user: user(who) })),
        2 => (name(), name()).prop_map(|(by, who)| RoomCommand::Kick(Kick { by: user(by), user: user(who) })),
        2 => (name(), name(), name()).prop_map(|(by, inviter, who)| {
            RoomCommand::Uninvite(Uninvite { by: user(by), inviter: user(inviter), user: user(who) })
        }),
        2 => (name(), option::of(Just("title".to_owned())), option::of(ttl()), option::of(may_send), option::of(any::<bool>()))
            .prop_map(|(by, title, ttl_ms, may_send, public)| {
                RoomCommand::Update(Update { by: user(by), title, ttl_ms, may_send, public })
            }),
        1 => name().prop_map(|by| RoomCommand::End(End { by: user(by) })),
        2 => Just(RoomCommand::Expire(Expire)),
        2 => (name(), any::<bool>(), 0..3u16, 0..6u64)
            .prop_map(|(by, blocked, source, offset)| block(by, blocked, source, offset)),
    ]
}

fn step(scene: Scene) -> impl Strategy<Value = Step> {
    let wish = prop_oneof![
        2 => making(scene),
        5 => sending(),
        6 => other().prop_map(Wish::Fixed),
        1 => any::<u8>().prop_map(Wish::Again),
        2 => any::<u8>().prop_map(Wish::Repeat),
        2 => (any::<bool>(), 0..5u8).prop_map(|(delete, back)| Wish::Own(delete, back)),
        1 => (0..2u8).prop_map(Wish::Kick),
        1 => (0..2u8).prop_map(Wish::Return),
        1 => (0..2u8).prop_map(Wish::Uninvite),
        1 => Just(Wish::Abdicate),
    ];
    let dt = prop_oneof![
        4 => Just(0u64), 4 => Just(1u64), 3 => 1000..5000u64, 2 => Just(HOUR), 1 => Just(13 * HOUR), 1 => Just(24 * HOUR),
    ];
    let times =
        prop_oneof![5 => Just((0u64, 0u64)), 1 => Just((20, 10)), 1 => Just((10, 10)), 1 => Just((90_000, 60_000))];
    (dt, times, wish).prop_map(|(dt, (delay, ttl_ms), wish)| Step { dt, delay, ttl_ms, wish })
}

/// A history: the commands with their fold times.
pub(crate) type History = Vec<(Timestamp, Command)>;

pub(crate) fn history(scene: Scene) -> impl Strategy<Value = History> {
    (making(scene), vec(step(scene), 1..60)).prop_map(move |(first, steps)| {
        let first = Step { dt: 0, delay: 0, ttl_ms: 0, wish: first };
        lay_out(scene.room(), std::iter::once(first).chain(steps))
    })
}

pub(crate) fn any_history() -> impl Strategy<Value = (Scene, History)> {
    scene().prop_flat_map(|scene| history(scene).prop_map(move |history| (scene, history)))
}

fn lay_out(room: RoomId, steps: impl Iterator<Item = Step>) -> History {
    let mut now = T0;
    let mut history: History = Vec::new();
    // Only to know whose message is where; what is asked may be refused all the same.
    let mut guide = RoomState::absent(room);
    for (index, step) in steps.enumerate() {
        now += step.dt;
        let mut id = Uuid::from_u128(index as u128 + 1);
        let body = match step.wish {
            Wish::Fixed(body) => body,
            Wish::Send(message, id, prev) => {
                let (client_id, prev) = (id.map(|id| id.at(now)), prev.map(|id| id.at(now)));
                RoomCommand::Send(Send { client_id, prev, ..message })
            }
            Wish::Again(back) => {
                let Some((_, earlier)) = history.iter().rev().nth(usize::from(back % 16)) else { continue };
                earlier.body.clone()
            }
            Wish::Repeat(back) => {
                let Some((_, earlier)) = history.iter().rev().nth(usize::from(back % 16)) else { continue };
                id = earlier.id;
                earlier.body.clone()
            }
            Wish::Kick(n) => {
                let by = guide.creator().cloned();
                let mut others = guide.members().map(|(user, _)| user).filter(|user| Some(*user) != by.as_ref());
                let (Some(user), Some(by)) = (others.nth(usize::from(n)).cloned(), by) else { continue };
                RoomCommand::Kick(Kick { by, user })
            }
            Wish::Abdicate => {
                let Some(user) = guide.creator().cloned() else { continue };
                RoomCommand::Leave(Leave { user })
            }
            Wish::Uninvite(n) => {
                let Some((user, invitation)) = guide.invited().nth(usize::from(n)) else { continue };
                let (by, inviter) = (invitation.by.clone(), invitation.by.clone());
                RoomCommand::Uninvite(Uninvite { by, inviter, user: user.clone() })
            }
            Wish::Return(n) => {
                let Some((user, _)) = guide.kicked().nth(usize::from(n)) else { continue };
                RoomCommand::Join(Join { user: user.clone() })
            }
            Wish::Own(deletes, back) => {
                let messages = (1..=guide.head().0).rev().map(Seq).filter_map(|seq| Some((seq, guide.author_of(seq)?)));
                let Some((target, by)) = messages.map(|(seq, by)| (seq, by.clone())).nth(usize::from(back)) else {
                    continue;
                };
                if deletes {
                    RoomCommand::Delete(Delete { by, target, author: None })
                } else {
                    RoomCommand::Edit(Edit { by, target, body: "better".into(), metadata: None })
                }
            }
        };
        let issued_at = Timestamp(now - step.delay);
        let command = Command { room, id, issued_at, ttl_ms: step.ttl_ms, body };
        guide.fold(Timestamp(now), command.clone());
        history.push((Timestamp(now), command));
    }
    history
}
