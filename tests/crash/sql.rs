//! Reads the rows of rooms from the SQLite file, as `migrations/sqlite` describes it. Reads only.

use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, query};
use uuid::Uuid;

use crate::history::{EventRow, MessageRow, Rows};

/// Names of `room_events.kind`, from 1.
const KINDS: [&str; 12] = [
    "created", "message", "edited", "deleted", "joined", "left", "invited", "kicked", "updated", "reopened", "ended",
    "expired",
];

/// The database in the data folder.
pub(crate) struct Database(SqlitePool);

impl Database {
    pub(crate) async fn open(data: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new().filename(data.join("kervan.db")).read_only(true);
        Ok(Self(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?))
    }

    /// The uuid of an open channel's room.
    pub(crate) async fn open_channel(&self, channel: &str) -> sqlx::Result<Option<Uuid>> {
        let row = query("SELECT uuid FROM chats WHERE channel = ?").bind(channel).fetch_optional(&self.0).await?;
        Ok(row.map(|row| uuid(&row, "uuid")))
    }

    /// The head seq of a room as the rows know it, 0 if they know no such room.
    pub(crate) async fn head(&self, room: Uuid) -> sqlx::Result<u64> {
        let row = query("SELECT head_seq FROM chats WHERE uuid = ?").bind(room.as_bytes().as_slice());
        Ok(row.fetch_optional(&self.0).await?.map_or(0, |row| number(&row, "head_seq")))
    }

    /// All rows of a room.
    pub(crate) async fn rows(&self, room: Uuid) -> sqlx::Result<Rows> {
        let key = room.as_bytes().as_slice();
        let chat = query("SELECT head_seq, last_message_no FROM chats WHERE uuid = ?").bind(key);
        let Some(chat) = chat.fetch_optional(&self.0).await? else { return Ok(Rows::default()) };
        let events = query(
            "SELECT e.seq, e.kind, COALESCE(e.actor, m.sender) AS actor FROM room_events e \
             LEFT JOIN messages m ON m.chat = e.chat AND m.seq = e.seq WHERE e.chat = ? ORDER BY e.seq",
        );
        let messages = query(
            "SELECT seq, uuid, message_no, sender, client_message_id, body, data FROM messages WHERE chat = ? ORDER BY seq",
        );
        Ok(Rows {
            head: number(&chat, "head_seq"),
            messages_head: number(&chat, "last_message_no"),
            events: events.bind(key).fetch_all(&self.0).await?.iter().map(event).collect(),
            messages: messages.bind(key).fetch_all(&self.0).await?.iter().map(message).collect(),
        })
    }
}

fn number(row: &SqliteRow, column: &str) -> u64 {
    u64::try_from(row.get::<i64, _>(column)).unwrap()
}

fn uuid(row: &SqliteRow, column: &str) -> Uuid {
    Uuid::from_slice(&row.get::<Vec<u8>, _>(column)).unwrap()
}

fn event(row: &SqliteRow) -> EventRow {
    let kind = number(row, "kind") as usize;
    let kind = KINDS.get(kind.wrapping_sub(1)).map_or_else(|| format!("kind {kind}"), |kind| (*kind).to_owned());
    EventRow { seq: number(row, "seq"), kind, actor: row.get("actor") }
}

fn message(row: &SqliteRow) -> MessageRow {
    // An open channel's data stands as it was published: here an object that this test wrote.
    let data: Option<Vec<u8>> = row.get("data");
    let data: Value = data.and_then(|data| serde_json::from_slice(&data).ok()).unwrap_or(Value::Null);
    let of_data = |key: &str| data.get(key).and_then(Value::as_str).map(str::to_owned);
    MessageRow {
        seq: number(row, "seq"),
        no: number(row, "message_no"),
        id: uuid(row, "uuid").to_string(),
        sender: row.get::<Option<String>, _>("sender").unwrap_or_default(),
        client_id: of_data("client_id").or_else(|| row.get("client_message_id")),
        text: of_data("text").unwrap_or_else(|| row.get("body")),
    }
}
