//! What else could hold the journal, beside it in one run: `journals [DIR] [SECONDS] [APPENDERS]`.
//!
//! Each gets the same records and the same group commit in front (one thread takes all that wait and commits them
//! together), so that what is compared is the making durable alone. `docs/decisions/0001` says what was made of it.

mod sinks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use kervan::env::Env;
use kervan::ids::Partition;
use kervan::storage::journal::Journal;
use kervan::storage::journal::embedded::{EmbeddedJournal, Options};
use kervan_loadtest::bare::{self, Layout};
use kervan_loadtest::group::GroupAppender;
use kervan_loadtest::measure::{Run, measure, median};

const RECORD: usize = 300;
const ROUNDS: usize = 5;

/// Whatever appends.
enum Appender {
    Embedded(EmbeddedJournal),
    Grouped(GroupAppender),
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = args.first().map_or_else(|| std::env::temp_dir().join("kervan-journals"), PathBuf::from);
    let seconds: f64 = args.get(1).map_or(Ok(2.0), |text| text.parse()).context("SECONDS is a number")?;
    let appenders: usize = args.get(2).map_or(Ok(64), |text| text.parse()).context("APPENDERS is a number")?;
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(compare(&dir, appenders, Duration::from_secs_f64(seconds)));
    std::fs::remove_dir_all(&dir)?;
    done
}

async fn compare(dir: &Path, appenders: usize, duration: Duration) -> Result<()> {
    let grouped = |sink: Result<GroupAppender>| sink.map(Appender::Grouped);
    let (journal, _) = EmbeddedJournal::open(&dir.join("embedded"), Options::new(Env::system()))?;
    let all = [
        ("bare appender", grouped(bare::create(&dir.join("bare"), Layout::Growing))?),
        ("embedded", Appender::Embedded(journal)),
        ("okaywal", grouped(sinks::okaywal(&dir.join("okaywal")))?),
        ("SQLite", grouped(sinks::sqlite(&dir.join("sqlite.db")))?),
        ("fjall", grouped(sinks::fjall(&dir.join("fjall")))?),
        ("redb", grouped(sinks::redb(&dir.join("redb.db")))?),
    ]
    .map(|(name, appender)| (name, Arc::new(appender)));
    let mut runs: Vec<Vec<Run>> = all.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for turn in 0..all.len() {
            let which = (round + turn) % all.len();
            runs[which].push(one(&all[which].1, appenders, duration).await?);
        }
    }
    println!("{appenders} appenders of {RECORD} bytes, {ROUNDS} rounds of {duration:?}, medians");
    println!("what           appends/s      p50      p99  CPU-us/append");
    for ((name, _), runs) in all.iter().zip(runs) {
        let Run { per_second, p50, p99, cpu_micros } = median(runs);
        println!("{name:<14} {per_second:>9.0} {p50:>8.0?} {p99:>8.0?} {cpu_micros:>14.1}");
    }
    Ok(())
}

async fn one(appender: &Arc<Appender>, appenders: usize, duration: Duration) -> Result<Run> {
    let record: Bytes = (0..RECORD).map(|n| n as u8).collect::<Vec<_>>().into();
    measure(appenders, duration, |n| {
        let (appender, record) = (Arc::clone(appender), record.clone());
        let partition = Partition::new((n * 37 % 256) as u16).expect("below 256");
        move || {
            let (appender, record) = (Arc::clone(&appender), record.clone());
            async move {
                match &*appender {
                    Appender::Embedded(journal) => Ok(journal.append(partition, vec![record]).await.map(drop)?),
                    Appender::Grouped(group) => group.append(record).await.then_some(()).context("it failed"),
                }
            }
        }
    })
    .await
}
