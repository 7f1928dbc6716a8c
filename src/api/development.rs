//! Who and what is there in development mode, so that a stranger has somebody to talk to: alice and bob, a room of theirs,
//! and something in it. It is said by the same commands as everything else, with fixed client ids, before the accounts
//! are made: cut short, it is said again and nothing is doubled.

use serde_json::json;

use crate::api::accounts::{Accounts, Refusal};
use crate::api::operations::{self, Caller, Handlers, Method};
use crate::ids::UserId;

/// Users that one may sign in as without a password.
pub const USERS: [&str; 2] = ["alice", "bob"];

/// What they have said.
const LINES: [(&str, &str); 5] = [
    ("alice", "Welcome to Kervan! This room was made for you to try things out."),
    ("bob", "Open this page in a second tab, be the other one of us, and write."),
    (
        "alice",
        "Messages are acknowledged when they are on disk. Kill the server with kill -9 while you write, start it again: nothing is missing, doubled or out of order.",
    ),
    ("bob", "You can edit and delete what you wrote, send pictures, make groups, and scroll up as far as you like."),
    ("alice", "What an operator sees of all this is on the admin port."),
];

/// It could not be made now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMade {
    /// The room or a line.
    #[error(transparent)]
    Chat(#[from] operations::Error),
    /// An account.
    #[error(transparent)]
    Account(#[from] Refusal),
    /// A name that is none.
    #[error("{0}")]
    Name(String),
}

/// Makes what is not there.
pub(crate) async fn provide(accounts: &Accounts, handlers: &Handlers) -> Result<(), NotMade> {
    let user = |name: &str| UserId::new(name).map_err(|why| NotMade::Name(why.to_string()));
    let [alice, bob] = [user(USERS[0])?, user(USERS[1])?];
    if accounts.account(&bob).await?.is_some() {
        return Ok(());
    }
    let caller = |user: &UserId| Caller::in_the_name_of(user.clone());
    let group = json!({ "kind": "group", "title": "Welcome", "members": USERS, "client_id": "development" });
    let made = handlers.run(&caller(&alice), Method::RoomCreate, group.to_string().as_bytes()).await?;
    let made: serde_json::Value = serde_json::from_slice(&made).map_err(|why| NotMade::Name(why.to_string()))?;
    for (index, (name, body)) in LINES.iter().enumerate() {
        let message = json!({ "room": made["room"], "client_id": format!("development-{index}"), "body": body });
        let sender = if *name == USERS[0] { &alice } else { &bob };
        handlers.run(&caller(sender), Method::MessageSend, message.to_string().as_bytes()).await?;
    }
    accounts.provide(&alice, "Alice").await?;
    accounts.provide(&bob, "Bob").await?;
    Ok(())
}
