//! What the golden files of the present version are made of. Once a file is written its scenario is not changed: see
//! `main.rs`.

use bytes::Bytes;
use kervan::actors::fold;
use kervan::actors::moment::FoldVersion;
use kervan::actors::room::commands::{
    Block, Command, Create, Delete, Edit, End, Expire, Invite, Join, Kick, Leave, OpenChannel, React, Reaction,
    RoomCommand, Send, Uninvite, Update,
};
use kervan::actors::user::commands::{self, RoomFact, UserCommand, UserCommandBody};
use kervan::actors::wire::{Content, HistoryBound, MaySend, ReadPoint, RoomChange, RoomKind};
use kervan::actors::{room, user};
use kervan::ids::{ClientId, DeviceId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use kervan::limits;
use kervan::storage::journal::record::Envelope;
use uuid::Uuid;

use crate::file::Log;

const T0: u64 = 1_800_000_000_000;

/// Name and log of each scenario.
pub(crate) fn all() -> Vec<(&'static str, Log)> {
    vec![
        ("group", group()),
        ("public", public()),
        ("invitations", invitations()),
        ("broadcast", broadcast()),
        ("direct", direct()),
        ("open", open()),
        ("user", someone()),
        ("pushes", pushed()),
        ("notifications", noticed()),
        ("odd", odd()),
        ("reactions", reactions()),
        ("repeats", repeats()),
    ]
}

/// Writes a log.
struct Writer {
    log: Log,
    now: u64,
    room: RoomId,
    user: UserId,
}

impl Writer {
    fn new(room: RoomId) -> Self {
        Self { log: Vec::new(), now: T0, room, user: id("ann") }
    }

    fn next_id(&self) -> Uuid {
        Uuid::from_u64_pair(0x018f_0000_0000_7000, 0x8000_0000_0000_0000 | (self.log.len() as u64 + 1))
    }

    fn push(&mut self, envelope: &Envelope) -> &mut Self {
        self.log.push((Timestamp(self.now), envelope.encode_record()));
        self
    }

    fn ask(&mut self, body: RoomCommand) -> &mut Self {
        self.ask_within(0, body)
    }

    fn ask_within(&mut self, ttl_ms: u64, body: RoomCommand) -> &mut Self {
        let issued_at = Timestamp(self.now - 5);
        let command = Command { room: self.room, id: self.next_id(), issued_at, ttl_ms, body };
        self.push(&envelope(&room::payload::encode(command)).placed(Timestamp(self.now - 2), 3))
    }

    fn tell(&mut self, body: UserCommandBody) -> &mut Self {
        let issued_at = Timestamp(self.now - 5);
        let command = UserCommand { user: self.user.clone(), id: self.next_id(), issued_at, ttl_ms: 60_000, body };
        self.push(&envelope(&user::payload::encode(command)).placed(Timestamp(self.now - 2), 3))
    }

    /// The record that so many others came after stands in the log again.
    fn repeat(&mut self, back: usize) -> &mut Self {
        let (_, record) = self.log[self.log.len() - 1 - back].clone();
        self.log.push((Timestamp(self.now), record));
        self
    }

    fn later(&mut self, ms: u64) -> &mut Self {
        self.now += ms;
        self
    }

    fn done(&mut self) -> Log {
        std::mem::take(&mut self.log)
    }
}

fn id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn create(kind: RoomKind, creator: &str, members: &[&str]) -> Create {
    Create {
        kind,
        creator: id(creator),
        members: members.iter().map(|name| id(name)).collect(),
        title: "Çay".into(),
        channel: String::new(),
        ttl_ms: 0,
        public: false,
        may_send: MaySend::Members,
        max_members: 3,
        history: HistoryBound::default(),
    }
}

fn message(sender: &str, client_id: &str) -> Send {
    Send {
        sender: id(sender),
        client_id: ClientId::new(client_id).ok(),
        device: DeviceId::new("phone").ok(),
        prev: None,
        content: Content {
            body: "merhaba".into(),
            message_type: "text".into(),
            metadata: r#"{"a":1}"#.into(),
            reply_to: None,
            data: Bytes::new(),
        },
        open: None,
    }
}

fn send(sender: &str, client_id: &str) -> RoomCommand {
    RoomCommand::Send(message(sender, client_id))
}

fn edit(by: &str, target: u64) -> RoomCommand {
    RoomCommand::Edit(Edit { by: id(by), target: Seq(target), body: "selam".into(), metadata: Some(String::new()) })
}

fn react(by: &str, target: u64, emoji: &str, remove: bool, client_id: Option<&str>) -> RoomCommand {
    let client_id = client_id.map(|text| ClientId::new(text).unwrap());
    let reaction = Reaction { client_id, emoji: emoji.into(), remove };
    RoomCommand::React(React { by: id(by), target: Seq(target), reaction, author: None })
}

fn reactions() -> Log {
    let mut log = Writer::new(RoomId(Uuid::from_u128(0x77)));
    log.ask(RoomCommand::Create(create(RoomKind::Group, "ann", &["bob"])));
    log.ask(send("ann", "m-1")).ask(react("bob", 2, "👍", false, Some("r-1")));
    log.ask(react("bob", 2, "👍", false, Some("r-1"))).ask(react("bob", 2, "👍", true, None));
    log.ask(react("cat", 2, "👍", false, None))
        .ask(react("bob", 1, "👍", false, None))
        .ask(react("bob", 2, "", false, None));
    log.ask(delete("ann", 2, None)).ask(react("bob", 2, "🎉", false, None));
    log.done()
}

/// Whatever is repeated is answered as it was.
fn repeats() -> Log {
    let mut log = Writer::new(RoomId(Uuid::from_u128(0x78)));
    log.ask(RoomCommand::Create(create(RoomKind::Group, "ann", &["bob"]))).repeat(0);
    log.ask(send("ann", "m-1")).ask(join("cat")).ask(invite("ann", "cat"));
    log.later(90_000).repeat(0).repeat(2).repeat(4);
    log.ask(join("bob")).ask(leave("bob")).repeat(1);
    let block = |name: &str| UserCommandBody::Block(commands::Block { user: id(name) });
    let unblock = UserCommandBody::Unblock(commands::Unblock { user: id("bob") });
    log.tell(block("bob")).tell(unblock).repeat(1).tell(block("ann")).repeat(0);
    log.tell(UserCommandBody::Preferences(commands::Preferences { json: String::new() })).repeat(0);
    log.done()
}

fn delete(by: &str, target: u64, author: Option<&str>) -> RoomCommand {
    RoomCommand::Delete(Delete { by: id(by), target: Seq(target), author: author.map(id) })
}

fn join(name: &str) -> RoomCommand {
    RoomCommand::Join(Join { user: id(name) })
}

fn leave(name: &str) -> RoomCommand {
    RoomCommand::Leave(Leave { user: id(name) })
}

fn invite(by: &str, name: &str) -> RoomCommand {
    RoomCommand::Invite(Invite { by: id(by), user: id(name) })
}

fn kick(by: &str, name: &str) -> RoomCommand {
    RoomCommand::Kick(Kick { by: id(by), user: id(name) })
}

fn uninvite(by: &str, inviter: &str, name: &str) -> RoomCommand {
    RoomCommand::Uninvite(Uninvite { by: id(by), inviter: id(inviter), user: id(name) })
}

fn end(by: &str) -> RoomCommand {
    RoomCommand::End(End { by: id(by) })
}

fn block(by: &str, blocked: bool, offset: u64) -> RoomCommand {
    let source = Partition::of(by.as_bytes());
    RoomCommand::Block(Block { by: id(by), blocked, source, source_offset: Offset(offset) })
}

fn update(by: &str) -> Update {
    Update { by: id(by), title: None, ttl_ms: None, may_send: None, public: None }
}

fn group() -> Log {
    let mut log = Writer::new(RoomId::group(&id("ann"), &ClientId::new("g-1").unwrap()));
    let answer = Send { prev: ClientId::new("m-1").ok(), ..message("bob", "m-2") };
    let answer = Send { content: Content { reply_to: Some(Seq(2)), ..answer.content.clone() }, ..answer };
    let early = "018f0000-0000-7000-8000-000000000001";
    log.ask(send("ann", "m-0"));
    log.ask(RoomCommand::Create(create(RoomKind::Group, "ann", &["bob", "ann"])));
    log.ask(RoomCommand::Create(create(RoomKind::Group, "ann", &["bob"])));
    log.ask(RoomCommand::Create(create(RoomKind::Group, "bob", &[])));
    log.ask(RoomCommand::Send(answer.clone())).later(10);
    log.ask(send("bob", "m-1")).ask(RoomCommand::Send(answer.clone())).later(10);
    log.ask(send("bob", "m-1")).ask(send("bob", early)).ask(send("eve", "m-1"));
    log.ask_within(4, send("ann", "m-3"));
    log.ask(edit("bob", 2)).ask(edit("ann", 2)).ask(edit("ann", 1));
    log.ask(delete("ann", 2, None)).ask(delete("bob", 2, None)).ask(delete("bob", 2, None)).ask(edit("bob", 2));
    // The journal's clock goes back; fold time does not.
    log.now -= 15;
    log.ask(join("cat")).ask(invite("bob", "cat")).ask(invite("ann", "cat")).ask(join("cat")).ask(join("cat"));
    log.later(20).ask(invite("ann", "dan")).ask(join("dan")).ask(kick("bob", "cat")).ask(kick("ann", "cat"));
    log.ask(send("cat", "m-1")).ask(join("cat")).ask(kick("ann", "ann")).ask(leave("cat"));
    log.ask(leave("dan")).ask(join("dan"));
    let large = Content { body: "x".repeat(limits::BODY_BYTES + 1), ..Content::default() };
    log.ask(RoomCommand::Send(Send { content: large, ..message("ann", "m-4") }));
    log.ask(RoomCommand::Update(Update { title: Some("Kahve".into()), ttl_ms: Some(60_000), ..update("ann") }));
    log.ask(RoomCommand::Update(Update { may_send: Some(MaySend::Creator), public: Some(true), ..update("ann") }));
    log.ask(send("bob", "m-5")).ask(send("ann", "m-5")).ask(RoomCommand::Expire(Expire));
    log.later(limits::DEDUPE_WINDOW_MS + 1).ask(send("ann", "m-6"));
    log.ask(RoomCommand::Expire(Expire)).ask(RoomCommand::Expire(Expire)).ask(end("ann"));
    log.ask(edit("bob", 3)).ask(delete("bob", 3, Some("bob"))).ask(delete("bob", 3, None));
    log.ask(leave("ann")).ask(leave("bob")).ask(leave("bob"));
    log.done()
}

fn invitations() -> Log {
    let mut log = Writer::new(RoomId::group(&id("ann"), &ClientId::new("g-3").unwrap()));
    log.ask(RoomCommand::Create(create(RoomKind::Group, "ann", &["bob", "cat"])));
    log.ask(invite("bob", "dan")).ask(invite("bob", "eve")).ask(invite("bob", "fay")).ask(invite("cat", "gus"));
    log.ask(uninvite("cat", "bob", "dan")).ask(uninvite("cat", "cat", "dan")).ask(uninvite("bob", "bob", "dan"));
    log.ask(uninvite("eve", "bob", "eve")).ask(join("eve")).ask(leave("bob")).ask(uninvite("bob", "bob", "fay"));
    log.ask(invite("cat", "hal")).ask(uninvite("ann", "cat", "hal")).ask(uninvite("ann", "ann", "bob"));
    // One stays unanswered: the state says whose it is.
    log.done()
}

fn public() -> Log {
    let mut log = Writer::new(RoomId::group(&id("ann"), &ClientId::new("g-2").unwrap()));
    log.ask(RoomCommand::Create(Create { public: true, ..create(RoomKind::Group, "ann", &[]) }));
    log.ask(join("anon:1")).ask(join("bob")).ask(join("cat")).ask(join("dan"));
    log.ask(leave("ann")).ask(leave("cat")).ask(leave("bob")).ask(join("dan"));
    log.ask(RoomCommand::Update(Update { public: Some(false), ..update("dan") })).ask(leave("dan")).ask(join("dan"));
    log.done()
}

fn broadcast() -> Log {
    let mut log = Writer::new(RoomId::group(&id("ann"), &ClientId::new("b-1").unwrap()));
    log.ask(RoomCommand::Create(create(RoomKind::Broadcast, "ann", &["bob"])));
    log.ask(send("bob", "m-1")).ask(send("ann", "m-1"));
    log.ask(RoomCommand::Update(Update { may_send: Some(MaySend::Members), ..update("ann") }));
    log.ask(end("bob")).ask(end("ann")).ask(end("ann")).ask(send("ann", "m-2"));
    log.done()
}

fn direct() -> Log {
    let mut log = Writer::new(RoomId::direct(&id("ann"), &id("bob")));
    let made = |creator: &str, other: &str, ttl_ms| {
        RoomCommand::Create(Create { ttl_ms, title: String::new(), ..create(RoomKind::Direct, creator, &[other]) })
    };
    log.ask(block("ann", true, 7)).ask(made("ann", "bob", 0)).ask(block("ann", false, 8));
    log.ask(made("ann", "cat", 0)).ask(made("bob", "ann", 1000)).ask(made("ann", "bob", 0));
    log.ask(send("ann", "m-1")).ask(join("ann")).ask(send("cat", "m-1"));
    log.ask(block("bob", true, 3)).ask(block("bob", true, 3)).ask(send("ann", "m-2")).ask(edit("ann", 2));
    log.ask(block("bob", false, 4)).ask(RoomCommand::Expire(Expire)).later(1000).ask(send("ann", "m-2"));
    log.ask(made("ann", "bob", 5000)).ask(send("ann", "m-2")).ask(end("bob")).ask(send("ann", "m-3"));
    log.ask(made("ann", "bob", 500)).later(500).ask(RoomCommand::Expire(Expire)).ask(delete("ann", 2, None));
    log.done()
}

fn open() -> Log {
    let mut log = Writer::new(RoomId::open("news"));
    let publish = |sender: &str, client_id: &str, data: &'static [u8], events, age_ms| {
        let content = Content { data: Bytes::from_static(data), ..Content::default() };
        let open = Some(OpenChannel { channel: "news".into(), history: HistoryBound { events, age_ms } });
        RoomCommand::Send(Send { content, open, ..message(sender, client_id) })
    };
    log.ask(send("ann", "m-1")).ask(publish("anon:7", "", b"{\"n\":1}", 3, 0));
    log.ask(publish("anon:7", "m-1", &[0, 255, 254], 3, 0)).ask(publish("anon:7", "m-1", b"", 3, 0)).later(100);
    log.ask(publish("ann", "m-1", b"x", 3, 0)).ask(publish("ann", "m-2", b"y", 3, 0)).later(100);
    log.ask(publish("ann", "m-3", b"z", 0, 50)).ask(send("bob", "m-1"));
    log.ask(edit("ann", 5)).ask(edit("bob", 5)).ask(delete("anon:7", 1, None)).ask(join("ann")).ask(end("ann"));
    log.ask(RoomCommand::Expire(Expire)).ask(block("ann", true, 1));
    log.done()
}

fn someone() -> Log {
    let mut log = Writer::new(RoomId::open("unused"));
    let at = |room: &str, seq, no| {
        UserCommandBody::Read(commands::Read {
            room: RoomId::open(room),
            to: ReadPoint { seq: Seq(seq), no: MessageNo(no) },
        })
    };
    let device = |name: &str, push_token: &str| {
        UserCommandBody::Device(commands::Device {
            device: DeviceId::new(name).unwrap(),
            platform: "android".into(),
            push_token: push_token.into(),
        })
    };
    let fact = |offset: u64, kind, change, by: Option<&str>| {
        UserCommandBody::RoomFact(RoomFact {
            source: RoomId::open("a").partition(),
            source_offset: Offset(offset),
            room: RoomId::open("a"),
            kind,
            seq: Seq(offset + 1),
            by: by.map(id),
            change,
        })
    };
    log.tell(at("a", 5, 3)).tell(at("a", 4, 9)).tell(at("a", 6, 1)).tell(at("b", 1, 1));
    for name in ["bob", "bob", "cat", "ann"] {
        log.tell(UserCommandBody::Block(commands::Block { user: id(name) }));
    }
    log.tell(UserCommandBody::Unblock(commands::Unblock { user: id("bob") }))
        .tell(UserCommandBody::Unblock(commands::Unblock { user: id("bob") }));
    log.tell(device("phone", "token-1")).later(10).tell(device("tablet", "")).tell(device("phone", "token-2"));
    let forget = UserCommandBody::DeviceRemove(commands::DeviceRemove { device: DeviceId::new("tablet").unwrap() });
    log.tell(forget.clone()).tell(forget);
    for json in ["{}", "{}", r#"{"mute":["a"]}"#] {
        log.tell(UserCommandBody::Preferences(commands::Preferences { json: json.into() }));
    }
    log.tell(UserCommandBody::Preferences(commands::Preferences { json: "x".repeat(limits::PREFERENCES_BYTES + 1) }));
    let changes = [RoomChange::Invited, RoomChange::Joined, RoomChange::Kicked, RoomChange::Left];
    for (offset, change) in (0..).zip(changes) {
        log.tell(fact(offset, RoomKind::Group, change, Some("bob")));
    }
    log.tell(fact(2, RoomKind::Group, RoomChange::Joined, None));
    log.tell(fact(9, RoomKind::Direct, RoomChange::Ended, None)).tell(fact(
        11,
        RoomKind::Direct,
        RoomChange::Reopened,
        None,
    ));
    log.user = id("anon:1");
    log.tell(at("a", 5, 3));
    log.done()
}

fn envelope(record: &Bytes) -> Envelope {
    Envelope::decode_record(record).unwrap()
}

/// What decides who is pushed what: tokens that lead nowhere, devices that are forgotten, rooms that are muted.
fn pushed() -> Log {
    let mut log = Writer::new(RoomId::open("unused"));
    let device = |name: &str| DeviceId::new(name).unwrap();
    let named = |name: &str, push_token: &str| {
        let (platform, push_token) = ("android".into(), push_token.into());
        UserCommandBody::Device(commands::Device { device: device(name), platform, push_token })
    };
    let gone = |name: &str, push_token: &str| {
        UserCommandBody::PushGone(commands::PushGone { device: device(name), push_token: push_token.into() })
    };
    let muted = |until: u64| UserCommandBody::Mute(commands::Mute { room: RoomId::open("a"), until: Timestamp(until) });
    log.tell(named("phone", "token-1")).tell(gone("phone", "token-0")).tell(gone("phone", "token-1"));
    log.tell(gone("phone", "token-1")).tell(gone("tablet", "token-2"));
    log.tell(muted(T0 + 5_000));
    log.tell(UserCommandBody::RoomFact(RoomFact {
        source: RoomId::open("a").partition(),
        source_offset: Offset(0),
        room: RoomId::open("a"),
        kind: RoomKind::Group,
        seq: Seq(1),
        by: Some(id("bob")),
        change: RoomChange::Joined,
    }));
    log.tell(muted(T0 + 5_000)).tell(muted(T0 + 5_000)).tell(muted(u64::MAX)).tell(muted(0)).tell(muted(0));
    let forget = UserCommandBody::DevicesForget(commands::DevicesForget);
    log.tell(named("tablet", "token-3")).tell(forget.clone()).tell(forget);
    log.done()
}

/// What was read of notifications.
fn noticed() -> Log {
    let mut log = Writer::new(RoomId::open("unused"));
    let at = |time: u64, n: u8| uuid::Builder::from_unix_timestamp_millis(time, &[n; 10]).into_uuid();
    let read = |up_to, ids: &[Uuid]| {
        UserCommandBody::NotificationRead(commands::NotificationRead { up_to, ids: ids.to_vec() })
    };
    let none = Uuid::nil();
    log.tell(read(none, &[])).tell(read(at(T0 - 500, 1), &[])).tell(read(at(T0 - 600, 1), &[at(T0 - 500, 1)]));
    log.tell(read(none, &[at(T0 - 100, 2), at(T0 - 200, 1), at(T0 - 100, 2), Uuid::from_u128(u128::MAX)]));
    log.tell(read(at(T0 - 150, 1), &[at(T0 - 200, 1), at(T0 + 5, 3)]));
    log.tell(read(Uuid::max(), &[])).tell(read(Uuid::max(), &[])).later(10).tell(read(Uuid::max(), &[]));
    log.tell(read(none, &vec![at(T0 + 900, 1); limits::NOTIFICATION_IDS + 1]));
    log.done()
}

/// Records that belong to nobody, and valid envelopes with invalid payloads.
fn odd() -> Log {
    let mut log = Writer::new(RoomId::open("odd"));
    let good = Command {
        room: log.room,
        id: Uuid::from_u128(1),
        issued_at: Timestamp(T0),
        ttl_ms: 0,
        body: send("ann", "m-1"),
    };
    let good = envelope(&room::payload::encode(good));
    log.log.push((Timestamp(T0), fold::barrier(Uuid::from_u128(9), Timestamp(T0))));
    log.log.push((Timestamp(T0), fold::version_barrier(Uuid::from_u128(10), Timestamp(T0), FoldVersion::FIRST)));
    for kind in [0, 999, 1999, 2001, 2002, u32::MAX, 1, 1000] {
        log.push(&Envelope { kind, ..good.clone() });
    }
    for key in [&b"short"[..], &[7; 17], b""] {
        log.push(&Envelope { key: Bytes::from_static(key), ..good.clone() });
    }
    for payload in [&b""[..], b"\xff\xff", b"\x0a\x02\xc3\x28", b"\x0a\x00", b"\x0a\x03ann\x12\x01\x07"] {
        log.push(&Envelope { payload: Bytes::from_static(payload), ..good.clone() });
    }
    log.push(&Envelope { command_id: Bytes::from_static(b"no uuid"), ..good.clone() });
    let key = Bytes::from_static(b"ann");
    for (kind, payload) in [(1000, &b"\x0a\x01x"[..]), (1006, b"\x08\x80\x02"), (1007, b"")] {
        log.push(&Envelope { kind, key: key.clone(), payload: Bytes::from_static(payload), ..good.clone() });
    }
    log.push(&Envelope { kind: 1001, key: Bytes::from_static(b"\xff"), ..good });
    log.done()
}
