//! `kervan notifications`: what no provider took, and having it tried again; and the end of them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::confirm::Confirm;
use super::lists::Page;
use super::table::{As, Column};
use super::{Asking, Output, Run};

/// Look at notifications that could not be sent, or end them.
#[derive(Args)]
pub(crate) struct Notifications {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Notifications that were given up.
    Dead {
        #[command(subcommand)]
        what: Dead,
    },
    /// Forget how far they were decided, once no worker notifies any more: the journal is kept for none then.
    End {
        #[command(flatten)]
        confirm: Confirm,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Subcommand)]
enum Dead {
    /// List them, the oldest first, with why they failed.
    Ls(Page),
    /// Have them tried again from the beginning.
    Replay {
        /// Their ids, as `kervan notifications dead ls` shows them.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        confirm: Confirm,
        #[command(flatten)]
        asking: Asking,
    },
}

const DEAD: [Column; 8] = [
    ("id", "/id", As::Plain),
    ("channel", "/channel", As::Plain),
    ("user", "/user", As::Plain),
    ("room", "/room", As::Plain),
    ("seq", "/seq", As::Plain),
    ("attempts", "/attempts", As::Plain),
    ("since", "/dead_at", As::Date),
    ("reason", "/reason", As::Plain),
];

impl Run for Notifications {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let what = match &self.what {
            What::Dead { what } => what,
            What::End { confirm, asking } => {
                confirm.act(
                    asking,
                    "End notifications? Who has not been told of a message by now never is.",
                    |server| server.post("notifications/end", &json!({})),
                    |done| {
                        format!(
                            "{} partitions are let go of, {} notifications given up",
                            done["partitions"], done["waiting"]
                        )
                    },
                )?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        match what {
            Dead::Ls(page) => page.show("notifications/dead", "after", &DEAD)?,
            Dead::Replay { ids, all, confirm, asking } => {
                let (which, wanted) = match all {
                    true => ("all dead notifications".to_owned(), json!({ "all": true })),
                    false => (format!("{} dead notifications", ids.len()), json!({ "ids": ids })),
                };
                confirm.act(
                    asking,
                    &format!("Try {which} again?"),
                    |server| server.post("notifications/dead/replay", &wanted),
                    |done| format!("{} are tried again", done["replayed"]),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        match &self.what {
            What::Dead { what: Dead::Ls(page) } => page.asking.output(),
            What::Dead { what: Dead::Replay { asking, .. } } | What::End { asking, .. } => asking.output(),
        }
    }
}
