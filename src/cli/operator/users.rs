//! `kervan user`: looking at users, sending them away, and their accounts.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::{Server, done, encoded};
use super::confirm::{Confirm, password};
use super::lists::{One, Page};
use super::table::{As, Column};
use super::{Asking, Output, Run};

/// Look at users, send them away, and see to their accounts.
#[derive(Args)]
pub(crate) struct User {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// All users that the journal ever named or that have an account, by id.
    List(Page),
    /// One user.
    Show(One),
    /// Refuse all tokens of a user, and close the connections.
    Ban {
        #[command(flatten)]
        one: One,
        /// Also a user of whom nothing is known yet.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Take a ban back.
    Unban {
        #[command(flatten)]
        one: One,
        /// Also of a user of whom nothing is known.
        #[arg(long)]
        force: bool,
    },
    /// Close a user's connections.
    Disconnect {
        #[command(flatten)]
        one: One,
        /// Tell the clients not to come back by themselves.
        #[arg(long)]
        stay_away: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// End all sign-ins of a user, refuse all tokens made until now, and close the connections. The user may sign in again.
    SignOut {
        #[command(flatten)]
        one: One,
        /// Also a user of whom nothing is known: a back end may have made tokens.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Take back all invitations of a user that are not answered.
    Uninvite {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Make an account. The password is asked for, or is the first line of stdin.
    Create {
        /// What the user signs in with.
        username: String,
        /// An e-mail address to sign in with, too.
        #[arg(long)]
        email: Option<String>,
        /// What others are shown.
        #[arg(long, default_value = "", hide_default_value = true)]
        first_name: String,
        /// Likewise.
        #[arg(long, default_value = "", hide_default_value = true)]
        last_name: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Give an account another password, and end its sign-ins. It is asked for, or is the first line of stdin.
    Passwd(One),
    /// Remove an account: name, address, password and profile. What the user wrote stays, under the user's id.
    Delete {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        confirm: Confirm,
    },
}

const USERS: [Column; 7] = [
    ("id", "/id", As::Plain),
    ("name", "/name", As::Plain),
    ("sessions", "/sessions", As::Plain),
    ("banned", "/banned", As::Plain),
    ("resident", "/resident", As::Plain),
    ("partition", "/partition", As::Plain),
    ("changed", "/updated_at", As::Date),
];

impl Run for User {
    fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            What::List(page) => page.show("users", "after", &USERS)?,
            What::Show(one) => one.show("users")?,
            What::Ban { one, force, confirm } => {
                one.act(confirm, "Ban", "ban", &json!({ "force": force }), |closed| {
                    format!("{} is banned; {closed} connections closed", one.id)
                })?;
            }
            What::Unban { one, force } => {
                let (path, body) = (format!("users/{}/unban", encoded(&one.id)), json!({ "force": force }));
                let answer = Server::of(&one.asking)?.post(&path, &body)?;
                done(&one.asking, &answer, &format!("{} is not banned any more", one.id))?;
            }
            What::Disconnect { one, stay_away, confirm } => {
                let body = json!({ "stay_away": stay_away });
                one.act(confirm, "Close all connections of", "disconnect", &body, |closed| {
                    format!("{closed} connections closed")
                })?;
            }
            What::SignOut { one, force, confirm } => {
                one.act(confirm, "Sign out", "sign-out", &json!({ "force": force }), |closed| {
                    format!("{} is signed out everywhere; {closed} connections closed", one.id)
                })?;
            }
            What::Uninvite { one, confirm } => confirm.act(
                &one.asking,
                &format!("Take back all unanswered invitations of {}?", one.id),
                |server| server.delete(&format!("users/{}/invitations", encoded(&one.id))),
                |answer| {
                    let more = if answer["more"] == true { "; there are more: give the command again" } else { "" };
                    format!("{} invitations are taken back{more}", answer["taken"])
                },
            )?,
            What::Create { username, email, first_name, last_name, asking } => {
                let server = Server::of(asking)?;
                let (names, password) = ((username, email), password()?);
                let body = json!({ "username": names.0, "email": names.1, "first_name": first_name,
                    "last_name": last_name, "password": password });
                let answer = server.post("users", &body)?;
                let id = answer["id"].as_str().unwrap_or_default();
                let name = answer["username"].as_str().unwrap_or_default();
                done(asking, &answer, &format!("{name} has an account, with the user id {id}"))?;
            }
            What::Passwd(one) => {
                let server = Server::of(&one.asking)?;
                let body = json!({ "password": password()? });
                let answer = server.post(&format!("users/{}/password", encoded(&one.id)), &body)?;
                let ended = &answer["ended"];
                done(&one.asking, &answer, &format!("{} has another password; {ended} sign-ins ended", one.id))?;
            }
            What::Delete { one, confirm } => confirm.act(
                &one.asking,
                &format!("Remove the account of {}, with its name, password and profile?", one.id),
                |server| server.delete(&format!("users/{}", encoded(&one.id))),
                |_| format!("{} has no account any more", one.id),
            )?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        match &self.what {
            What::List(page) => page.asking.output(),
            What::Show(one) | What::Passwd(one) => one.asking.output(),
            What::Ban { one, .. }
            | What::Unban { one, .. }
            | What::Disconnect { one, .. }
            | What::SignOut { one, .. }
            | What::Uninvite { one, .. }
            | What::Delete { one, .. } => one.asking.output(),
            What::Create { asking, .. } => asking.output(),
        }
    }
}

impl One {
    /// Has something done with a user that closes connections, after asking.
    fn act(
        &self,
        confirm: &Confirm,
        question: &str,
        act: &str,
        body: &Value,
        sentence: impl Fn(&Value) -> String,
    ) -> anyhow::Result<()> {
        confirm.act(
            &self.asking,
            &format!("{question} {}?", self.id),
            |server| server.post(&format!("users/{}/{act}", encoded(&self.id)), body),
            |answer| sentence(&answer["closed"]),
        )
    }
}
