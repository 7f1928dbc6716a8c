//! `kervan-loadtest storm [SUBSCRIBERS]`: everybody who listens to one room was cut off and comes back at once, from where
//! he was. The whole engine is in this process; the sockets are left out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context as Polled, Waker};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kervan::actors::gateway::feed::Position;
use kervan::actors::gateway::hub::{Connection, StreamKey, Subscription, Wire, Wishes};
use kervan::actors::gateway::outbox::{Outbox, OutboxItem, OutboxTake, Signal};
use kervan::actors::room::commands::{OpenChannel, RoomCommand};
use kervan::actors::wire::{Answer, Entity, HistoryBound};
use kervan::env::Env;
use kervan::epoch::Epoch;
use kervan::ids::{RoomId, Seq, Timestamp, UserId};
use kervan::server::Engine;

use crate::acks;
use crate::measure::cpu_time;
use crate::sockets::number;

const CHANNEL: &str = "storm";
/// Messages before the cut, and those that everybody missed.
const MESSAGES: (u64, u64) = (400, 40);
/// For the last one to be back.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, I/O, or somebody who does not come back.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let most = number(args, 0, 100_000)?;
    let dir = std::env::temp_dir().join(format!("kervan-loadtest-storm-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(&dir, most));
    std::fs::remove_dir_all(&dir)?;
    done
}

async fn run(dir: &Path, most: usize) -> Result<()> {
    let (env, engine) = (Env::system(), acks::engine(dir).await?);
    let room = RoomId::open(CHANNEL);
    for _ in 0..MESSAGES.0 + MESSAGES.1 {
        say(&engine, &env, room).await?;
    }
    println!("subscribers of one room come back, each lacks {} messages or some more", MESSAGES.1);
    println!("subscribers    CPU s   CPU us each   wall s");
    for subscribers in [most / 16, most / 4, most] {
        let (begun, before) = (Instant::now(), cpu_time(std::process::id())?);
        let all: Vec<_> = (0..subscribers).map(|n| come_back(&engine, room, n)).collect::<Result<_>>()?;
        for (connection, _) in &all {
            recovered(connection, begun).await?;
        }
        let cpu = (cpu_time(std::process::id())? - before).as_secs_f64();
        let (each, wall) = (cpu * 1e6 / subscribers as f64, begun.elapsed().as_secs_f64());
        println!("{subscribers:>11} {cpu:>8.2} {each:>13.1} {wall:>8.2}");
        all.iter().for_each(|(_, subscription)| subscription.end(engine.hub()));
    }
    Ok(engine.drain().await?)
}

async fn say(engine: &Engine, env: &Env, room: RoomId) -> Result<()> {
    let mut send = acks::message(env, UserId::new("writer")?, "x".repeat(acks::BODY))?;
    send.open = Some(OpenChannel { channel: CHANNEL.to_owned(), history: HistoryBound::default() });
    let record = acks::record(env, room, RoomCommand::Send(send));
    match engine.node().router().command(room.partition(), record).get().await {
        Answer::Accepted { .. } => Ok(()),
        other => bail!("not accepted: {other:?}"),
    }
}

fn come_back(engine: &Engine, room: RoomId, n: usize) -> Result<(Arc<Connection>, Subscription)> {
    let connection = Arc::new(Connection {
        client: uuid::Uuid::new_v4(),
        user: UserId::new(&format!("user-{n}"))?,
        wire: Wire::Json,
        info: None,
        outbox: Outbox::new(256 * 1024),
        since: Timestamp::ZERO,
        sign_in: None,
        commands: AtomicU32::new(0),
    });
    // Not all were cut off at the same message.
    let offset = Seq(MESSAGES.0 - n as u64 % 20);
    let wishes = Wishes { recover: Some(Position { epoch: Epoch::Unnamed, offset }), ..Wishes::default() };
    let key = StreamKey { stream: Entity::Room(room), open: true };
    let subscription = engine.hub().subscribe(key, CHANNEL, &connection, 1, wishes);
    Ok((connection, subscription))
}

/// Waits until he is told that he is back.
async fn recovered(connection: &Connection, begun: Instant) -> Result<()> {
    while begun.elapsed() < PATIENCE {
        if let OutboxTake::Items(items) = connection.outbox.take(0, &mut Polled::from_waker(Waker::noop())) {
            return match items.front().context("an item")? {
                OutboxItem::Signal(signal) => match &**signal {
                    Signal::Subscribed { reply, .. } if reply.recovered => Ok(()),
                    other => bail!("he is not back: {other:?}"),
                },
                other => bail!("he is not back: {other:?}"),
            };
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("somebody does not come back")
}
