//! `kervan actors`: the tree, one actor, and what can be done with it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Server, encoded, encoded_path, json as write_json, show};
use super::table::{As, Column};
use super::{Asking, Output, Run};

/// Look at the actors of the running server.
#[derive(Args)]
pub(crate) struct Actors {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What is below an actor.
    Tree(Tree),
    /// One actor, with a summary of what it holds.
    Show(One),
    /// Let a room or user leave memory, or close a session.
    Stop(One),
    /// Have a partition, room, user or the workers made anew.
    Restart(One),
    /// Let a room or user, or all that are idle in a partition, leave memory.
    Passivate(One),
}

#[derive(Args)]
struct Tree {
    /// Below this path.
    #[arg(default_value = "node")]
    path: String,
    /// So many levels; with a filter, all.
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// Only this kind: partition, room, user, worker, session …
    #[arg(long)]
    kind: Option<String>,
    /// Only these: running, restarting, halted …
    #[arg(long)]
    state: Option<String>,
    /// Only paths with this text.
    #[arg(long)]
    text: Option<String>,
    /// path, depth, handled, rate, quiet, age, restarts, children.
    #[arg(long, default_value = "path")]
    sort: String,
    /// Lines at most.
    #[arg(long, value_name = "N", default_value_t = 300)]
    limit: u32,
    /// Go on after this, as the page before said.
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
struct One {
    /// Its path, as the tree shows it: partitions/17, partitions/17/room:UUID, hub …
    path: String,
    #[command(flatten)]
    asking: Asking,
}

const COLUMNS: [Column; 9] = [
    ("path", "/path", As::Plain),
    ("kind", "/kind", As::Plain),
    ("state", "/state", As::Plain),
    ("depth", "/depth", As::Plain),
    ("handled", "/handled", As::Plain),
    ("rate", "/rate", As::Plain),
    ("quiet", "/quiet_ms", As::Span),
    ("restarts", "/restarts", As::Plain),
    ("children", "/children", As::Plain),
];

impl Run for Actors {
    fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            What::Tree(tree) => tree.run()?,
            What::Show(one) => one.show()?,
            What::Stop(one) => one.act("stop")?,
            What::Restart(one) => one.act("restart")?,
            What::Passivate(one) => one.act("passivate")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Tree {
    fn run(&self) -> anyhow::Result<()> {
        let mut path =
            format!("actors?parent={}&sort={}&limit={}", encoded(&self.path), encoded(&self.sort), self.limit);
        if let Some(depth) = self.depth {
            path.push_str(&format!("&depth={depth}"));
        }
        let texts = [("kind", &self.kind), ("state", &self.state), ("text", &self.text), ("after", &self.after)];
        for (name, value) in texts {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        show(&self.asking, &Server::of(&self.asking.settings)?.get(&path)?, &COLUMNS)
    }
}

impl One {
    fn show(&self) -> anyhow::Result<()> {
        let found = Server::of(&self.asking.settings)?.get(&format!("actors/{}", encoded_path(&self.path)))?;
        if self.asking.output == Output::Json {
            return write_json(&found);
        }
        show(&self.asking, &json!({ "items": [found["actor"]] }), &COLUMNS)?;
        if found["summary"] != Value::Null {
            write_json(&found["summary"])?;
        }
        Ok(())
    }

    fn act(&self, act: &str) -> anyhow::Result<()> {
        let path = format!("actors/{}/{act}", encoded_path(&self.path));
        Server::of(&self.asking.settings)?.post(&path, &Value::Null)?;
        crate::cli::print(&format!("{act}: {}\n", self.path))
    }
}
