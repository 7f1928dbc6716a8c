//! `kervan-loadtest fairness [PROGRAM] [SECONDS]`: what a bystander notices while one user does his worst. The server has no
//! limit of rates, so that what is measured is the machine behind it. One user makes rooms as fast as he can, on two sockets
//! with sixteen calls under way on each: first with 900 strangers in each, then with one. Beside him somebody sends, lists
//! his rooms, and asks a friend into a new one, who waits to be told.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::measure::percentiles;
use crate::server::{Server, token};
use crate::socket::Socket;
use crate::sockets::{number, program};

/// Sockets of the one who does his worst, and calls under way on each.
const SOCKETS: usize = 2;
const CALLS: u32 = 16;
/// Between two rounds of the bystander.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, or a server that does not do its part.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let duration = Duration::from_secs(number(args, 1, 10)? as u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(program(args), duration))
}

async fn run(program: &str, duration: Duration) -> Result<()> {
    println!("{duration:?} each; the bystander's send, room.list, and the time until his friend is told of a new room");
    println!("beside him             rooms made   refused  send p50      p99  list p50      p99  told p50      p99");
    for (what, names) in [("nobody", 0), ("rooms of 900 strangers", 900), ("rooms of two", 1)] {
        let server = Server::start(program)?;
        let end = Instant::now() + duration;
        let worst: Vec<_> = (0..SOCKETS)
            .filter(|_| names > 0)
            .map(|n| tokio::spawn(make(server.address.clone(), n, names, end)))
            .collect();
        let mut seen = bystander(&server, end).await?;
        let (mut made, mut refused) = (0, 0);
        for task in worst {
            let (some, not) = task.await??;
            (made, refused) = (made + some, refused + not);
        }
        let [send, list, told] = seen.each_mut().map(|times| percentiles(times));
        println!(
            "{what:<22} {made:>10} {refused:>9} {:>9.1?} {:>8.1?} {:>9.1?} {:>8.1?} {:>9.1?} {:>8.1?}",
            send.0, send.1, list.0, list.1, told.0, told.1
        );
    }
    Ok(())
}

/// Makes rooms, always so many under way. Says how many were made, and how many refused.
async fn make(address: String, socket: usize, names: usize, end: Instant) -> Result<(u64, u64)> {
    let mut mallory = Socket::connect(&address, &token("mallory")?).await?;
    let (mut made, mut refused, mut next) = (0, 0, 2);
    let mut under_way = 0;
    while Instant::now() < end {
        while under_way < CALLS {
            let strangers: Vec<String> = (0..names).map(|n| format!("\"s{}\"", strange(socket, next, n))).collect();
            let data = format!(r#"{{"kind":"group","members":[{}]}}"#, strangers.join(","));
            mallory.send(&format!(r#"{{"id":{next},"rpc":{{"method":"room.create","data":{data}}}}}"#)).await?;
            (next, under_way) = (next + 1, under_way + 1);
        }
        let frame = mallory.frame(|bytes| String::from_utf8_lossy(bytes).into_owned()).await?;
        if frame.trim() == "{}" {
            mallory.send("{}").await?;
        }
        // Replies of several calls may come in one frame.
        for line in frame.lines().filter(|line| line.contains("\"id\":")) {
            under_way -= 1;
            if line.contains("\"error\"") { refused += 1 } else { made += 1 }
        }
    }
    Ok((made, refused))
}

/// A stranger's number: not the same ones each time.
fn strange(socket: usize, call: u32, n: usize) -> usize {
    (socket * 7_919 + call as usize * 1_009 + n) % 100_000
}

/// Times of sends, lists and invitations.
async fn bystander(server: &Server, end: Instant) -> Result<[Vec<Duration>; 3]> {
    let mut ann = Socket::connect(&server.address, &token("ann")?).await?;
    let mut bob = Socket::connect(&server.address, &token("bob")?).await?;
    let room = uuid(&ann.rpc(2, "room.create", r#"{"kind":"group","members":["bob"]}"#).await?)?;
    let (mut seen, mut id) = ([const { Vec::new() }; 3], 3);
    while Instant::now() < end {
        let begun = Instant::now();
        ann.rpc(id, "message.send", &format!(r#"{{"room":"{room}","body":"hello"}}"#)).await?;
        seen[0].push(begun.elapsed());
        let begun = Instant::now();
        ann.rpc(id + 1, "room.list", "{}").await?;
        seen[1].push(begun.elapsed());
        let begun = Instant::now();
        let made = uuid(&ann.rpc(id + 2, "room.create", r#"{"kind":"group","members":["bob"]}"#).await?)?;
        bob.until(&made).await?;
        seen[2].push(begun.elapsed());
        id += 3;
        tokio::time::sleep(PAUSE).await;
    }
    if seen.iter().any(Vec::is_empty) {
        bail!("the bystander did not come to anything");
    }
    Ok(seen)
}

/// The room of an answer.
fn uuid(answer: &str) -> Result<String> {
    let uuid = answer.split("\"room\":\"").nth(1).and_then(|rest| rest.get(..36));
    uuid.map(str::to_owned).context("no room in the answer")
}
