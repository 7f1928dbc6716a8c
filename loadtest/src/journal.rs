//! `kervan-loadtest journal [DIR] [SECONDS] [APPENDERS]`: durable appends a second of the embedded journal and of the bare
//! group-commit appender, in one run and turn by turn, at 1, 64 and 1,000 appenders of 300 bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use kervan::env::Env;
use kervan::ids::Partition;
use kervan::storage::journal::Journal;
use kervan::storage::journal::embedded::{EmbeddedJournal, Options};

use crate::bare::{self, Layout};
use crate::group::GroupAppender;
use crate::measure::{Run, measure, median};

const RECORD: usize = 300;
const APPENDERS: [usize; 3] = [1, 64, 1_000];
const ROUNDS: usize = 9;

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, or I/O.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let dir = args.first().map_or_else(|| std::env::temp_dir().join("kervan-loadtest-journal"), PathBuf::from);
    let seconds: f64 = args.get(1).map_or(Ok(2.0), |s| s.parse()).context("SECONDS is a number")?;
    std::fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
    let only: Option<usize> = args.get(2).map(|n| n.parse()).transpose().context("APPENDERS is a number")?;
    let duration = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{RECORD} bytes, {ROUNDS} rounds of {seconds} s, medians, {}", dir.display());
    println!("appenders  what            appends/s      p50      p99  CPU-us/append  of the bare one");
    for appenders in APPENDERS.into_iter().filter(|n| only.is_none_or(|only| only == *n)) {
        let runs = runtime.block_on(compare(&dir, appenders, duration))?;
        let bare = runs[0].per_second;
        for (name, run) in NAMES.iter().zip(&runs) {
            let Run { per_second, p50, p99, cpu_micros } = run;
            let percent = 100.0 * per_second / bare;
            println!(
                "{appenders:>9}  {name:<14} {per_second:>10.0} {p50:>8.0?} {p99:>8.0?} {cpu_micros:>14.1} {percent:>15.0} %"
            );
        }
    }
    Ok(())
}

const NAMES: [&str; 3] = ["bare", "bare, in place", "embedded"];

/// The medians of [`ROUNDS`] rounds, in each of which every one has its turn.
async fn compare(dir: &Path, appenders: usize, duration: Duration) -> Result<Vec<Run>> {
    let paths = ["bare.dat", "in-place.dat", "embedded"].map(|name| dir.join(name));
    let growing = Arc::new(bare::create(&paths[0], Layout::Growing)?);
    let in_place = Arc::new(bare::create(&paths[1], Layout::Written(64 << 20))?);
    let (journal, _) = EmbeddedJournal::open(&paths[2], Options::new(Env::system()))?;
    let journal = Arc::new(journal);
    let mut runs: [Vec<Run>; 3] = Default::default();
    for round in 0..ROUNDS {
        for turn in 0..3 {
            let which = (round + turn) % 3;
            runs[which].push(match which {
                0 => bare(&growing, appenders, duration).await?,
                1 => bare(&in_place, appenders, duration).await?,
                _ => embedded(&journal, appenders, duration).await?,
            });
        }
    }
    journal.close().await?;
    drop((growing, in_place, journal));
    std::fs::remove_file(&paths[0])?;
    std::fs::remove_file(&paths[1])?;
    std::fs::remove_dir_all(&paths[2])?;
    Ok(runs.into_iter().map(median).collect())
}

async fn bare(bare: &Arc<GroupAppender>, appenders: usize, duration: Duration) -> Result<Run> {
    let record = record();
    measure(appenders, duration, |_| {
        let (bare, record) = (bare.clone(), record.clone());
        move || {
            let record = record.clone();
            let bare = bare.clone();
            async move { bare.append(record).await.then_some(()).context("the bare appender failed") }
        }
    })
    .await
}

async fn embedded(journal: &Arc<EmbeddedJournal>, appenders: usize, duration: Duration) -> Result<Run> {
    let record = record();
    measure(appenders, duration, |n| {
        let (journal, record) = (journal.clone(), record.clone());
        let partition = Partition::new((n * 37 % 256) as u16).expect("below 256");
        move || {
            let (journal, record) = (journal.clone(), record.clone());
            async move { Ok(journal.append(partition, vec![record]).await.map(drop)?) }
        }
    })
    .await
}

fn record() -> Bytes {
    (0..RECORD).map(|n| n as u8).collect::<Vec<_>>().into()
}
