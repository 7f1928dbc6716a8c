//! `kervan-loadtest activation [ROOMS] [TOUCHES]`: how long a command takes to a cold room, which is made from the store
//! first, and to the same room right after. The whole engine is in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kervan::actors::room::commands::RoomCommand;
use kervan::actors::wire::Answer;
use kervan::env::Env;
use kervan::ids::{Partition, RoomId};
use kervan::server::Engine;

use crate::acks::{self, BODY};
use crate::measure::percentiles;
use crate::sockets::number;

/// Messages that each room has before.
const MESSAGES: usize = 5;
/// Commands under way while the rooms are made.
const MAKERS: usize = 64;
/// Commands under way while it is measured.
const TOUCHERS: [usize; 2] = [1, 16];
/// Coprime to any number of rooms that is no multiple of it: each room comes once, neighbours do not come together.
const STRIDE: usize = 7_919;
/// For the store to have everything, and the rooms to leave.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, I/O, or a command that is not accepted.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let (rooms, touches) = (number(args, 0, 10_000)?, number(args, 1, 2_000)?);
    ensure!(touches <= rooms && rooms % STRIDE != 0, "at most as many TOUCHES as ROOMS; ROOMS no multiple of {STRIDE}");
    let dir = std::env::temp_dir().join(format!("kervan-loadtest-activation-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(&dir, rooms, touches));
    std::fs::remove_dir_all(&dir)?;
    done
}

async fn run(dir: &Path, rooms: usize, touches: usize) -> Result<()> {
    let world = Arc::new(World { env: Env::system(), engine: acks::engine(dir).await? });
    let made = Arc::clone(&world);
    let rooms = each(MAKERS, rooms, move |n| {
        let world = Arc::clone(&made);
        async move { world.make(n).await }
    })
    .await?;
    let rooms = Arc::new(rooms);
    println!(
        "{} rooms of 10 members with {MESSAGES} messages each; {touches} of them get one while cold and one right after",
        rooms.len()
    );
    println!("under way  room      p50      p99");
    for touchers in TOUCHERS {
        world.cool_down().await?;
        let (touched, all) = (Arc::clone(&world), Arc::clone(&rooms));
        let times = each(touchers, touches, move |n| {
            let (world, at) = (Arc::clone(&touched), n * STRIDE % all.len());
            let room = all[at];
            async move { Ok((world.send(room, at).await?, world.send(room, at).await?)) }
        })
        .await?;
        let warm = world.residents().await;
        ensure!(
            warm >= touches,
            "{touches} rooms were touched, and {warm} are in memory: the rest was let go meanwhile"
        );
        let (mut cold, mut hot): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        for (name, times) in [("cold", &mut cold), ("hot", &mut hot)] {
            let (p50, p99) = percentiles(times);
            println!("{touchers:>9}  {name:<4} {p50:>8.1?} {p99:>8.1?}");
        }
    }
    let world = Arc::into_inner(world).context("the engine is still in use")?;
    world.engine.drain().await?;
    Ok(())
}

struct World {
    env: Env,
    engine: Engine,
}

impl World {
    /// Makes room `n`, with its messages.
    async fn make(&self, n: usize) -> Result<RoomId> {
        let (room, create) = acks::group(n)?;
        self.accepted(room, RoomCommand::Create(create)).await?;
        for _ in 0..MESSAGES {
            self.send(room, n).await?;
        }
        Ok(room)
    }

    /// Sends a message into room `n` and gives the time until its acknowledgement.
    async fn send(&self, room: RoomId, n: usize) -> Result<Duration> {
        let message = acks::message(&self.env, acks::user(n)?, "x".repeat(BODY))?;
        let sent = Instant::now();
        self.accepted(room, RoomCommand::Send(message)).await?;
        Ok(sent.elapsed())
    }

    async fn accepted(&self, room: RoomId, body: RoomCommand) -> Result<()> {
        match self.engine.node().router().command(room.partition(), acks::record(&self.env, room, body)).get().await {
            Answer::Accepted { .. } => Ok(()),
            other => bail!("not accepted: {other:?}"),
        }
    }

    /// Rooms and users in memory.
    async fn residents(&self) -> usize {
        let mut sum = 0;
        for partition in Partition::all() {
            sum += self.engine.node().residents(partition).await;
        }
        sum
    }

    /// Until none is: each leaves once the store has what it applied.
    async fn cool_down(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.engine.node().passivate_all();
            let left = self.residents().await;
            if left == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{left} rooms and users do not leave");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What `work` gives for each of `0..count`, so many at a time.
async fn each<T, F>(
    at_a_time: usize,
    count: usize,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let tasks: Vec<_> = (0..at_a_time)
        .map(|first| {
            let work = work.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for n in (first..count).step_by(at_a_time) {
                    done.push((n, work(n).await?));
                }
                anyhow::Ok(done)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(count);
    for task in tasks {
        all.extend(task.await??);
    }
    all.sort_unstable_by_key(|(n, _)| *n);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}
