//! `kervan room`, `user`, `sessions`, `partitions`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Server, encoded, json as write_json, show};
use super::table::{As, Column};
use super::{Asking, Output, Run};
use crate::cli::print;

/// A page of a list.
#[derive(Args)]
struct Page {
    /// Lines at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Go on after this, as the page before said.
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

impl Page {
    fn show(&self, path: &str, after: &str, columns: &[Column]) -> anyhow::Result<()> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut path = format!("{path}{sign}limit={}", self.limit);
        if let Some(cursor) = &self.after {
            path.push_str(&format!("&{after}={}", encoded(cursor)));
        }
        show(&self.asking, &Server::of(&self.asking.settings)?.get(&path)?, columns)
    }
}

/// One, by its id.
#[derive(Args)]
struct One {
    /// Its id.
    id: String,
    #[command(flatten)]
    asking: Asking,
}

impl One {
    /// What there is to say of it: figures above, then what is in lists.
    fn show(&self, family: &str) -> anyhow::Result<()> {
        let found = Server::of(&self.asking.settings)?.get(&format!("{family}/{}", encoded(&self.id)))?;
        if self.asking.output == Output::Json {
            return write_json(&found);
        }
        let Value::Object(fields) = found else { return write_json(&found) };
        let line = |(name, value): (&String, &Value)| match value {
            Value::Object(_) => format!("{name:<18} {value}\n"),
            other => format!("{name:<18} {}\n", super::table::text(other, of_name(name))),
        };
        print(&fields.iter().map(line).collect::<String>())
    }
}

impl One {
    /// Has something done with a user.
    fn act(&self, act: &str, done: &str) -> anyhow::Result<()> {
        let path = format!("users/{}/{act}", encoded(&self.id));
        let answer = Server::of(&self.asking.settings)?.post(&path, &Value::Null)?;
        match self.asking.output {
            Output::Json => write_json(&answer),
            Output::Table => print(&format!("{} is {done}; {} connections closed\n", self.id, answer["closed"])),
        }
    }
}

fn of_name(name: &str) -> As {
    match name {
        "since" => As::Date,
        name if name.ends_with("_at") => As::Date,
        name if name.ends_with("_ms") => As::Span,
        _ => As::Plain,
    }
}

/// Look at rooms.
#[derive(Args)]
pub(crate) struct Room {
    #[command(subcommand)]
    what: RoomWhat,
}

#[derive(Subcommand)]
enum RoomWhat {
    /// All rooms, by id.
    List(Page),
    /// One room with its first members.
    Show(One),
    /// Messages, the newest first, without what they say.
    Messages {
        /// The room's id.
        id: String,
        /// Also what they say; that is written into the audit log.
        #[arg(long)]
        bodies: bool,
        #[command(flatten)]
        page: Page,
    },
}

const ROOMS: [Column; 7] = [
    ("id", "/id", As::Plain),
    ("kind", "/kind", As::Plain),
    ("status", "/status", As::Plain),
    ("head", "/head", As::Plain),
    ("messages", "/messages", As::Plain),
    ("last message", "/last_message_at", As::Date),
    ("title", "/title", As::Plain),
];
const MESSAGES: [Column; 7] = [
    ("seq", "/seq", As::Plain),
    ("at", "/created_at", As::Date),
    ("sender", "/sender", As::Plain),
    ("type", "/message_type", As::Plain),
    ("bytes", "/body_bytes", As::Plain),
    ("deleted", "/deleted", As::Plain),
    ("body", "/body", As::Plain),
];

impl Run for Room {
    fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            RoomWhat::List(page) => page.show("rooms", "after", &ROOMS)?,
            RoomWhat::Show(one) => one.show("rooms")?,
            RoomWhat::Messages { id, bodies, page } => {
                let columns = if *bodies { &MESSAGES[..] } else { &MESSAGES[..MESSAGES.len() - 1] };
                page.show(&format!("rooms/{}/messages?bodies={bodies}", encoded(id)), "before", columns)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Look at users, and send them away.
#[derive(Args)]
pub(crate) struct User {
    #[command(subcommand)]
    what: UserWhat,
}

#[derive(Subcommand)]
enum UserWhat {
    /// All users that the journal ever named, by id.
    List(Page),
    /// One user.
    Show(One),
    /// Refuse all tokens of a user, and close the connections.
    Ban(One),
    /// Take a ban back.
    Unban(One),
    /// Close a user's connections.
    Disconnect {
        /// The user's id.
        id: String,
        /// Tell the clients not to come back by themselves.
        #[arg(long)]
        stay_away: bool,
        #[command(flatten)]
        asking: Asking,
    },
}

const USERS: [Column; 6] = [
    ("id", "/id", As::Plain),
    ("sessions", "/sessions", As::Plain),
    ("banned", "/banned", As::Plain),
    ("resident", "/resident", As::Plain),
    ("partition", "/partition", As::Plain),
    ("changed", "/updated_at", As::Date),
];

impl Run for User {
    fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            UserWhat::List(page) => page.show("users", "after", &USERS)?,
            UserWhat::Show(one) => one.show("users")?,
            UserWhat::Ban(one) => one.act("ban", "banned")?,
            UserWhat::Unban(one) => one.act("unban", "not banned any more")?,
            UserWhat::Disconnect { id, stay_away, asking } => {
                let server = Server::of(&asking.settings)?;
                let path = format!("users/{}/disconnect", encoded(id));
                let done = server.post(&path, &json!({ "stay_away": stay_away }))?;
                match asking.output {
                    Output::Json => write_json(&done)?,
                    Output::Table => print(&format!("{} connections closed\n", done["closed"]))?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
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
}

/// How far each partition is.
#[derive(Args)]
pub(crate) struct Partitions {
    /// This one only.
    number: Option<u16>,
    #[command(flatten)]
    asking: Asking,
}

const PARTITIONS: [Column; 11] = [
    ("partition", "/partition", As::Plain),
    ("slots", "/slots", As::Plain),
    ("owner", "/owner", As::Plain),
    ("state", "/state", As::Plain),
    ("head", "/head", As::Plain),
    ("verified", "/verified", As::Plain),
    ("applied", "/applied", As::Plain),
    ("watermark", "/watermark", As::Plain),
    ("lag", "/lag", As::Plain),
    ("residents", "/residents", As::Plain),
    ("halted", "/halted", As::Plain),
];

impl Run for Partitions {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let server = Server::of(&self.asking.settings)?;
        let found = match self.number {
            Some(number) => json!({ "items": [server.get(&format!("partitions/{number}"))?] }),
            None => server.get("partitions")?,
        };
        show(&self.asking, &found, &PARTITIONS)?;
        Ok(ExitCode::SUCCESS)
    }
}
