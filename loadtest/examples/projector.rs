//! How fast records become rows: the projector's pure core and the SQLite store, without journal, actors and sockets.
//!
//! `cargo run --release -p kervan-loadtest --example projector [messages]`

#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kervan::actors::room::commands::{Command, Create, RoomCommand, Send};
use kervan::actors::room::payload;
use kervan::actors::wire::{Content, Entity, HistoryBound, MaySend, RoomKind};
use kervan::actors::workers::persistence::projector::Projector;
use kervan::ids::{ClientId, Offset, Partition, RoomId, Timestamp, UserId};
use kervan::limits;
use kervan::storage::journal::StoredRecord;
use kervan::storage::store::Store as _;
use kervan::storage::store::sql::SqlStore;
use uuid::Uuid;

const USERS: u64 = 20;
const BODY: usize = 200;

fn main() -> Result<()> {
    let messages = std::env::args().nth(1).map_or(Ok(200_000), |n| n.parse()).context("messages: a number")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!(
        "{messages} messages of {BODY} bytes, {USERS} members a room, up to {} a commit",
        limits::PROJECTOR_BATCH_RECORDS
    );
    println!("rooms   wall msg/s   CPU us/msg   fold us/msg   commit us/msg (wall)   file bytes/msg");
    for rooms in [1, 500, 5_000] {
        runtime.block_on(run(rooms, messages))?;
    }
    Ok(())
}

/// User and system time of this process so far.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn record(logs: &mut [Vec<StoredRecord>], n: u64, room: RoomId, body: RoomCommand) {
    let time = Timestamp(1_800_000_000_000 + n);
    let id = Uuid::from_u64_pair((time.0 << 16) | 0x7000, 0x8000_0000_0000_0000 | n);
    let addressed = payload::address(Command { room, id, issued_at: time, ttl_ms: 60_000, body });
    let log = &mut logs[addressed.partition.index()];
    let offset = Offset(log.len() as u64);
    log.push(StoredRecord { offset, time, bytes: addressed.record });
}

/// The logs, and how much of each only makes the rooms.
fn logs(rooms: u64, messages: u64) -> Result<(Vec<Vec<StoredRecord>>, Vec<usize>)> {
    let mut logs: Vec<Vec<StoredRecord>> = Partition::all().map(|_| Vec::new()).collect();
    let users: Vec<UserId> = (0..USERS).map(|n| UserId::new(&format!("user-{n:08}"))).collect::<Result<_, _>>()?;
    let ids = (0..rooms).map(|n| Ok(RoomId::group(&users[0], &ClientId::new(&format!("room-{n}"))?)));
    let ids: Vec<RoomId> = ids.collect::<Result<_>>()?;
    for (n, room) in ids.iter().enumerate() {
        let create = Create {
            kind: RoomKind::Group,
            creator: users[0].clone(),
            members: users.clone(),
            title: format!("Room {n}"),
            channel: String::new(),
            ttl_ms: 0,
            public: false,
            may_send: MaySend::Members,
            max_members: 0,
            history: HistoryBound::default(),
        };
        record(&mut logs, n as u64, *room, RoomCommand::Create(create));
    }
    let made = logs.iter().map(Vec::len).collect();
    for n in 0..messages {
        // Rooms and senders in an order that repeats late.
        let room = ids[(n.wrapping_mul(7_919) % rooms) as usize];
        let send = Send {
            sender: users[(n.wrapping_mul(31) % USERS) as usize].clone(),
            client_id: Some(ClientId::new(&format!("0190f5d2-{n:020}"))?),
            device: None,
            prev: None,
            content: Content { body: "x".repeat(BODY), message_type: "text".to_owned(), ..Content::default() },
            open: None,
        };
        record(&mut logs, rooms + n, room, RoomCommand::Send(send));
    }
    Ok((logs, made))
}

/// Time spent in the two halves of the work.
#[derive(Default)]
struct Spent {
    folding: Duration,
    committing: Duration,
}

/// Projects each log up to its `ends`, in rounds that take a share of every partition, as a node's journal gives them.
async fn project(
    store: &SqlStore,
    projector: &mut Projector,
    logs: &[Vec<StoredRecord>],
    ends: &[usize],
) -> Result<Spent> {
    let mut spent = Spent::default();
    loop {
        let at = |partition: Partition, projector: &Projector| {
            projector.next_offset(partition).map_or(usize::MAX, |next| next.0 as usize)
        };
        let open: Vec<Partition> = Partition::all().filter(|p| at(*p, projector) < ends[p.index()]).collect();
        if open.is_empty() {
            return Ok(spent);
        }
        let share = (limits::PROJECTOR_BATCH_RECORDS / open.len()).max(1);
        for partition in open {
            let from = at(partition, projector);
            let to = (from + share).min(ends[partition.index()]);
            projector.push(partition, logs[partition.index()][from..to].to_vec());
        }
        let begin = Instant::now();
        for entity in projector.missing() {
            match &entity {
                Entity::Room(room) => projector.hydrate_room(*room, store.room(*room).await?)?,
                Entity::User(user) => projector.hydrate_user(user, store.user(user).await?)?,
            }
        }
        let commit = projector.fold().context("nothing to commit")?;
        spent.folding += begin.elapsed();
        let begin = Instant::now();
        store.commit(commit).await?;
        spent.committing += begin.elapsed();
        projector.committed();
    }
}

async fn run(rooms: u64, messages: u64) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("kervan-projector-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("store.db");
    let store = SqlStore::open_file(&path).await?;
    let (logs, made) = logs(rooms, messages)?;
    let mut projector = Projector::new(store.watermarks().await?, limits::PROJECTOR_CACHE_BYTES);
    project(&store, &mut projector, &logs, &made).await?;
    let ends: Vec<usize> = logs.iter().map(Vec::len).collect();
    let (since, before) = (Instant::now(), cpu()?);
    let spent = project(&store, &mut projector, &logs, &ends).await?;
    let (wall, used) = (since.elapsed(), cpu()?.saturating_sub(before));
    let each = |time: Duration| time.as_secs_f64() * 1e6 / messages as f64;
    store.close().await;
    println!(
        "{rooms:5} {:12.0} {:12.2} {:13.2} {:15.2} {:20}",
        messages as f64 / wall.as_secs_f64(),
        each(used),
        each(spent.folding),
        each(spent.committing),
        std::fs::metadata(&path)?.len() / messages
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
