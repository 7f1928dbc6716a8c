//! `kervan actors`: the tree, one actor, and what can be done with it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::{Server, Shown, encoded, encoded_path, json as write_json, page};
use super::confirm::Confirm;
use super::table::{As, Column, details};
use super::tree::tree;
use super::watch::Watch;
use super::{Asking, Output, Run};
use crate::cli::print;

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
    Stop(Act),
    /// Have a partition, room, user or the workers made anew.
    Restart(Act),
    /// Let a room or user, or all that are idle in a partition, leave memory.
    Passivate(Act),
}

#[derive(Args, Clone)]
struct Tree {
    /// Below this path.
    #[arg(default_value = "node")]
    path: String,
    /// So many levels; with a filter, all.
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// A table of paths, as with a filter or another order.
    #[arg(long)]
    flat: bool,
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
    watch: Watch,
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

#[derive(Args)]
struct Act {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

const COLUMNS: [Column; 9] = [
    ("path", "/path", As::Plain),
    ("kind", "/kind", As::Plain),
    ("state", "/state", As::State),
    ("depth", "/depth", As::Plain),
    ("handled", "/handled", As::Plain),
    ("rate", "/rate", As::Rate),
    ("quiet", "/quiet_ms", As::Span),
    ("restarts", "/restarts", As::Plain),
    ("children", "/children", As::Plain),
];

impl Run for Actors {
    fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            What::Tree(tree) => {
                let asked = tree.clone();
                tree.watch.show(move || asked.ask())?;
            }
            What::Show(one) => one.show()?,
            What::Stop(act) => act.run("stop", "Stop")?,
            What::Restart(act) => act.run("restart", "Restart")?,
            What::Passivate(act) => act.run("passivate", "Passivate")?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        match &self.what {
            What::Tree(tree) => tree.asking.output(),
            What::Show(one) => one.asking.output(),
            What::Stop(act) | What::Restart(act) | What::Passivate(act) => act.one.asking.output(),
        }
    }
}

impl Tree {
    fn ask(&self) -> anyhow::Result<Shown> {
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
        let server = Server::of(&self.asking)?;
        let mut found = server.get(&path)?;
        let filtered = texts.iter().any(|(_, value)| value.is_some()) || self.sort != "path";
        if self.asking.output() != Output::Table || self.flat || filtered {
            if self.asking.output() == Output::Table {
                found["items"].as_array_mut().into_iter().flatten().for_each(add_what_is_below);
            }
            return page(&self.asking, &found, &COLUMNS);
        }
        let root = server.get(&format!("actors/{}", encoded_path(&self.path)))?;
        let none = Vec::new();
        let lines = tree(&root["actor"], found["items"].as_array().unwrap_or(&none), self.asking.colours());
        let next = found["next"].as_str();
        let hint = next.map(|next| format!("there is more: --limit N shows more, --flat --after '{next}' goes on"));
        Ok(Shown { lines, hint })
    }
}

/// What waits and what is handled counts with what stands below, as the order does.
fn add_what_is_below(actor: &mut Value) {
    let sum = |name: &str| {
        let of = |at: String| actor.pointer(&at).and_then(Value::as_f64).unwrap_or(0.0);
        of(format!("/{name}")) + of(format!("/below/{name}"))
    };
    let (depth, rate) = (sum("depth"), sum("rate"));
    actor["depth"] = json!(depth as u64);
    actor["rate"] = json!(rate);
}

impl One {
    fn show(&self) -> anyhow::Result<()> {
        let found = Server::of(&self.asking)?.get(&format!("actors/{}", encoded_path(&self.path)))?;
        if self.asking.output() == Output::Json {
            return write_json(&found);
        }
        page(&self.asking, &json!({ "items": [found["actor"]] }), &COLUMNS)?.print()?;
        if self.asking.output() == Output::Table && found["summary"] != Value::Null {
            print(&format!("\n{}", details(&found["summary"], self.asking.colours())))?;
        }
        Ok(())
    }
}

impl Act {
    fn run(&self, act: &str, question: &str) -> anyhow::Result<()> {
        let One { path, asking } = &self.one;
        self.confirm.act(
            asking,
            &format!("{question} {path}?"),
            |server| server.post(&format!("actors/{}/{act}", encoded_path(path)), &Value::Null),
            |_| format!("{act}: {path}"),
        )
    }
}
