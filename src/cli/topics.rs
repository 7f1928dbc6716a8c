//! `kervan topics`: the topics of Kafka that a server with its journal there needs.

use std::process::ExitCode;

use crate::storage::journal::kafka::{Options, topics};
use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{Refused, Settings, print, sources};

#[derive(Args)]
pub(super) struct Request {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum What {
    /// List the topics, and how they are.
    Ls,
    /// Make those that are not there.
    Create,
    /// Check that they are as they must be: exit code 1 if not.
    Check,
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    let loaded = sources::load(&request.settings)?;
    let Some(options) = Options::of(&loaded.config.journal) else {
        let hint = "KAFKA_BROKERS=host:9092 kervan topics ls";
        return Err(Refused(format!("no brokers are named (journal.kafka_brokers): {hint}")).into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the async runtime")?;
    runtime.block_on(async {
        if matches!(request.what, What::Create) {
            for name in topics::create(&options).await? {
                print(&format!("made {name}\n"))?;
            }
        }
        let is_good = show(&options).await?;
        Ok(if is_good || matches!(request.what, What::Ls) { ExitCode::SUCCESS } else { ExitCode::from(1) })
    })
}

/// A line for each topic, and one for each thing that is wrong with it. Whether all are as they must be.
async fn show(options: &Options) -> anyhow::Result<bool> {
    let mut is_good = true;
    for topic in options.topics() {
        let found = topics::look(options, &topic).await?;
        let line = match &found {
            Some(found) => format!("{} partitions, {} copies each", found.partitions, found.replicas),
            None => "is not there: `kervan topics create` makes it".to_owned(),
        };
        print(&format!("{:<24} {line} ({})\n", topic.name, topic.holds))?;
        for wrong in found.iter().flat_map(|found| &found.wrong) {
            print(&format!("{:<24}   wrong: {wrong}\n", ""))?;
        }
        is_good &= found.is_some_and(|found| found.wrong.is_empty());
    }
    Ok(is_good)
}
