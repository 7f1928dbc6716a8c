//! `kervan-loadtest restart [MESSAGES] [PROGRAM]`: how long it takes from the start of the process until a client has
//! connected and has the newest page of a room, on a data folder of a million messages.
//!
//! Twice: with a store that has no row yet (the journal alone is left, and all of it is folded), and after kill -9 while
//! messages are written. Each time the page must have the last message that was acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kervan::actors::room::commands::RoomCommand;
use kervan::env::Env;
use kervan::ids::{PARTITIONS, Partition, RoomId};
use kervan::server::JOURNAL_DIR;
use kervan::storage::journal::Journal as _;
use kervan::storage::journal::embedded::{EmbeddedJournal, Options};

use crate::acks::{BODY, group, message, record, user};
use crate::server::{Server, token};
use crate::socket::Socket;

const PROGRAM: &str = "target/release/kervan";
const ROOMS: usize = 1_000;
/// Records of one append while the folder is filled.
const BATCH: usize = 1_000;
/// How often the server is killed.
const KILLS: usize = 3;
/// Who writes meanwhile.
const WRITERS: usize = 16;
const WRITING: Duration = Duration::from_secs(2);
/// What a start may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, I/O, a server that does not start or has lost something.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let messages: usize = args.first().map_or(Ok(1_000_000), |n| n.parse()).context("MESSAGES is a number")?;
    let program = args.get(1).map_or(PROGRAM, String::as_str);
    let dir = std::env::temp_dir().join(format!("kervan-loadtest-restart-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(program, &dir, messages));
    std::fs::remove_dir_all(&dir)?;
    done
}

async fn run(program: &str, dir: &Path, messages: usize) -> Result<()> {
    let rooms = fill(&dir.join(JOURNAL_DIR), messages).await?;
    println!(
        "{messages} messages of {BODY} bytes in {ROOMS} rooms; from the start of the process to a page of history"
    );
    let mut head = 1 + messages.div_ceil(ROOMS) as u64;
    let (mut server, took) = served(program, dir, rooms[0], head).await?;
    let begun = Instant::now();
    caught_up(&server).await?;
    let later = begun.elapsed().as_secs_f64();
    println!("  the store is empty, all is folded   {:>6} ms; it has all rows {later:.1} s later", took.as_millis());
    for _ in 0..KILLS {
        head = killed_while_written(server, &rooms).await?;
        let took;
        (server, took) = served(program, dir, rooms[0], head).await?;
        println!("  killed while messages were written  {:>6} ms", took.as_millis());
        caught_up(&server).await?;
    }
    Ok(())
}

/// Real records: the rooms, and messages in all of them in turn.
async fn fill(dir: &Path, messages: usize) -> Result<Vec<RoomId>> {
    let env = Env::system();
    let (journal, _) = EmbeddedJournal::open(dir, Options::new(env.clone()))?;
    let mut waiting: Vec<Vec<Bytes>> = vec![Vec::new(); PARTITIONS.into()];
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        let (room, create) = group(n)?;
        waiting[room.partition().index()].push(record(&env, room, RoomCommand::Create(create)));
        rooms.push(room);
    }
    for n in 0..messages {
        let room = rooms[n % ROOMS];
        let send = message(&env, user(n % ROOMS)?, format!("{n:0>BODY$}"))?;
        let batch = &mut waiting[room.partition().index()];
        batch.push(record(&env, room, RoomCommand::Send(send)));
        if batch.len() >= BATCH {
            journal.append(room.partition(), std::mem::take(batch)).await?;
        }
    }
    for (partition, batch) in Partition::all().zip(waiting) {
        journal.append(partition, batch).await?;
    }
    journal.close().await?;
    Ok(rooms)
}

/// Starts the program and waits until the room's creator has its newest page, whose last seq is at least `head`.
async fn served(program: &str, dir: &Path, room: RoomId, head: u64) -> Result<(Server, Duration)> {
    let begun = Instant::now();
    let server = Server::spawn(program, dir)?;
    let answered = async {
        // The port is open before anything is served: a connection waits for its handshake.
        while tokio::net::TcpStream::connect(&server.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut socket = Socket::connect(&server.address, &token("user0")?).await?;
        socket.rpc(2, "message.history", &format!(r#"{{"room":"{room}","limit":50}}"#)).await
    };
    let page = tokio::time::timeout(PATIENCE, answered).await.context("the server does not answer")??;
    let took = begun.elapsed();
    let last = page.rmatch_indices("\"seq\":").next().and_then(|(at, name)| digits(&page[at + name.len()..]));
    ensure!(last >= Some(head), "the page ends at {last:?}, and {head} was acknowledged: {page}");
    Ok((server, took))
}

fn digits(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The list waits for the store, and is refused while that is behind.
async fn caught_up(server: &Server) -> Result<()> {
    let mut socket = Socket::connect(&server.address, &token("user0")?).await?;
    let begun = Instant::now();
    while let Err(error) = socket.rpc(2, "room.list", "{}").await {
        ensure!(begun.elapsed() < PATIENCE, "the store does not catch up: {error:#}");
    }
    Ok(())
}

/// Lets several connections write and kills the server while they do. Gives the last seq that was acknowledged in the
/// first room.
async fn killed_while_written(server: Server, rooms: &[RoomId]) -> Result<u64> {
    let mut writers = Vec::new();
    for (n, room) in rooms.iter().copied().take(WRITERS).enumerate() {
        let mut socket = Socket::connect(&server.address, &token(&format!("user{n}"))?).await?;
        writers.push(tokio::spawn(async move {
            let (ids, mut last) = (Env::system().ids, None);
            for id in 2.. {
                let data = format!(r#"{{"room":"{room}","client_id":"{}","body":"hello"}}"#, ids.next());
                // The server is gone, as it is meant to be.
                let Ok(reply) = socket.rpc(id, "message.send", &data).await else { break };
                last = reply.split_once("\"seq\":").and_then(|(_, rest)| digits(rest));
            }
            last
        }));
    }
    tokio::time::sleep(WRITING).await;
    drop(server); // kill -9
    let first = writers.swap_remove(0).await?;
    for writer in writers {
        writer.await?.context("nothing was acknowledged")?;
    }
    first.context("nothing was acknowledged")
}
