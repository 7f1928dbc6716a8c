//! Pages and single things, as all of these commands show them; and `kervan sessions`, `kervan partitions`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::admin_client::{Server, Shown, encoded, json as write_json, page};
use super::csv;
use super::table::{As, Column, details};
use super::watch::Watch;
use super::{Asking, Output, Run};
use crate::cli::print;

/// A page of a list.
#[derive(Args, Clone)]
pub(super) struct Page {
    /// Lines at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Go on after this, as the page before said.
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    pub asking: Asking,
}

impl Page {
    pub(crate) fn show(&self, path: &str, after: &str, columns: &'static [Column]) -> anyhow::Result<()> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut path = format!("{path}{sign}limit={}", self.limit);
        if let Some(cursor) = &self.after {
            path.push_str(&format!("&{after}={}", encoded(cursor)));
        }
        let asking = self.asking.clone();
        self.watch.show(move || page(&asking, &Server::of(&asking)?.get(&path)?, columns))
    }
}

/// One, by its id.
#[derive(Args)]
pub(super) struct One {
    /// Its id.
    pub id: String,
    #[command(flatten)]
    pub asking: Asking,
}

impl One {
    /// What there is to say of it: values above, then what is in lists.
    pub(crate) fn show(&self, family: &str) -> anyhow::Result<()> {
        let found = Server::of(&self.asking)?.get(&format!("{family}/{}", encoded(&self.id)))?;
        match self.asking.output() {
            Output::Csv => print(&csv::one(&found)),
            Output::Json => write_json(&found),
            Output::Names => print(&format!("{}\n", self.id)),
            Output::Table => print(&details(&found, self.asking.colours())),
        }
    }
}

/// Authenticated connections of the running server.
#[derive(Args)]
pub(crate) struct Sessions {
    /// Of this user only.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    #[command(flatten)]
    page: Page,
}

const SESSIONS: [Column; 7] = [
    ("client", "/client", As::Plain),
    ("user", "/user", As::Plain),
    ("format", "/format", As::Plain),
    ("age", "/age_ms", As::Span),
    ("commands", "/commands", As::Plain),
    ("waiting", "/outbox_items", As::Plain),
    ("bytes", "/outbox_bytes", As::Plain),
];

impl Run for Sessions {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let of = self.user.as_ref().map_or(String::new(), |user| format!("?user={}", encoded(user)));
        self.page.show(&format!("sessions{of}"), "after", &SESSIONS)?;
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        self.page.asking.output()
    }
}

/// How far each partition is.
#[derive(Args, Clone)]
pub(crate) struct Partitions {
    /// This one only.
    number: Option<u16>,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    asking: Asking,
}

const PARTITIONS: [Column; 14] = [
    ("partition", "/partition", As::Plain),
    ("slots", "/slots", As::Range),
    ("owner", "/owner", As::Plain),
    ("state", "/state", As::State),
    ("start", "/start", As::Plain),
    ("head", "/head", As::Plain),
    ("verified", "/verified", As::Plain),
    ("applied", "/applied", As::Plain),
    ("watermark", "/watermark", As::Plain),
    ("lag", "/lag", As::Plain),
    ("mark", "/mark", As::Plain),
    ("held_by", "/held_by", As::Plain),
    ("residents", "/residents", As::Plain),
    ("halted", "/halted", As::Plain),
];

impl Run for Partitions {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let asked = self.clone();
        self.watch.show(move || asked.ask())?;
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        self.asking.output()
    }
}

impl Partitions {
    fn ask(&self) -> anyhow::Result<Shown> {
        let server = Server::of(&self.asking)?;
        let found = match self.number {
            Some(number) => json!({ "items": [server.get(&format!("partitions/{number}"))?] }),
            None => server.get("partitions")?,
        };
        page(&self.asking, &found, &PARTITIONS)
    }
}
