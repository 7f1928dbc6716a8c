//! `kervan room`: looking at rooms, and the few things that an operator does in one.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin_client::encoded;
use super::confirm::Confirm;
use super::lists::{One, Page};
use super::table::{As, Column};
use super::{Asking, Output, Run};

/// Look at rooms, and act in one.
#[derive(Args)]
pub(crate) struct Room {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// All rooms, by id.
    List(Page),
    /// One room with its first members.
    Show(One),
    /// Messages, the newest first, without what they say.
    Messages {
        /// The room's id.
        id: String,
        /// Also what they say; each look is written into the audit log, so it can't be watched.
        #[arg(long, conflicts_with = "watch")]
        bodies: bool,
        #[command(flatten)]
        page: Page,
    },
    /// End a room for good: nobody writes into it any more.
    End {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Send a member away: it sees nothing from then on, and comes back only if it is invited.
    Kick {
        /// The room's id.
        id: String,
        /// The user's id.
        user: String,
        #[command(flatten)]
        confirm: Confirm,
        #[command(flatten)]
        asking: Asking,
    },
    /// Delete a message of somebody who is in the room: its body is gone for everybody.
    DeleteMessage {
        /// The room's id.
        id: String,
        /// The message's seq, as `kervan room messages` shows it.
        seq: u64,
        #[command(flatten)]
        confirm: Confirm,
        #[command(flatten)]
        asking: Asking,
    },
}

const ROOMS: [Column; 7] = [
    ("id", "/id", As::Plain),
    ("kind", "/kind", As::Plain),
    ("status", "/status", As::State),
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
            What::List(page) => page.show("rooms", "after", &ROOMS)?,
            What::Show(one) => one.show("rooms")?,
            What::Messages { id, bodies, page } => {
                let columns = if *bodies { &MESSAGES[..] } else { &MESSAGES[..MESSAGES.len() - 1] };
                page.show(&format!("rooms/{}/messages?bodies={bodies}", encoded(id)), "before", columns)?;
            }
            What::End { one, confirm } => confirm.act(
                &one.asking,
                &format!("End room {} for all of its members?", one.id),
                |server| server.post(&format!("rooms/{}/end", encoded(&one.id)), &json!({})),
                |_| format!("room {} has ended", one.id),
            )?,
            What::Kick { id, user, confirm, asking } => confirm.act(
                asking,
                &format!("Send {user} away from room {id}?"),
                |server| server.post(&format!("rooms/{}/kick", encoded(id)), &json!({ "user": user })),
                |_| format!("{user} is not in room {id} any more"),
            )?,
            What::DeleteMessage { id, seq, confirm, asking } => confirm.act(
                asking,
                &format!("Delete message {seq} of room {id}?"),
                |server| server.delete(&format!("rooms/{}/messages/{seq}", encoded(id))),
                |_| format!("message {seq} is deleted"),
            )?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        match &self.what {
            What::List(page) | What::Messages { page, .. } => page.asking.output(),
            What::Show(one) | What::End { one, .. } => one.asking.output(),
            What::Kick { asking, .. } | What::DeleteMessage { asking, .. } => asking.output(),
        }
    }
}
