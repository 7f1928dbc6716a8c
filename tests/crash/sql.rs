//! Reads the rows of rooms from the database, as `migrations` describes it: from the SQLite file, or from a PostgreSQL by
//! `psql`. Reads only.

use std::path::Path;

use kervan_devcluster::postgres;
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

/// A room's rows in PostgreSQL, as one JSON text.
const ROWS: &str = "SELECT json_build_object('head', c.head_seq, 'messages_head', c.last_message_no, 'events', \
    (SELECT coalesce(json_agg(json_build_object('seq', e.seq, 'kind', e.kind, 'actor', coalesce(e.actor, m.sender)) \
    ORDER BY e.seq), '[]') FROM room_events e LEFT JOIN messages m ON m.chat = e.chat AND m.seq = e.seq \
    WHERE e.chat = c.uuid), 'messages', (SELECT coalesce(json_agg(json_build_object('seq', seq, 'no', message_no, \
    'id', uuid, 'sender', sender, 'client_id', client_message_id, 'body', body, 'data', convert_from(data, 'UTF8')) \
    ORDER BY seq), '[]') FROM messages WHERE chat = c.uuid)) FROM chats c WHERE c.uuid = ";

/// Where the rows are.
pub(crate) enum Database<'a> {
    Sqlite(SqlitePool),
    Postgres(&'a postgres::Server),
}

impl Database<'_> {
    /// The file in the data folder.
    pub(crate) async fn open(data: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new().filename(data.join("kervan.db")).read_only(true);
        Ok(Self::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?))
    }

    /// The uuid of an open channel's room.
    pub(crate) async fn open_channel(&self, channel: &str) -> anyhow::Result<Option<Uuid>> {
        match self {
            Self::Sqlite(pool) => {
                let row = query("SELECT uuid FROM chats WHERE channel = ?").bind(channel).fetch_optional(pool).await?;
                Ok(row.map(|row| uuid(&row, "uuid")))
            }
            Self::Postgres(server) => {
                let said = server.query(&format!("SELECT uuid FROM chats WHERE channel = '{channel}'"))?;
                Ok(if said.is_empty() { None } else { Some(said.parse()?) })
            }
        }
    }

    /// The head seq of a room as the rows know it, 0 if they know no such room.
    pub(crate) async fn head(&self, room: Uuid) -> anyhow::Result<u64> {
        match self {
            Self::Sqlite(pool) => {
                let row = query("SELECT head_seq FROM chats WHERE uuid = ?").bind(room.as_bytes().as_slice());
                Ok(row.fetch_optional(pool).await?.map_or(0, |row| number(&row, "head_seq")))
            }
            Self::Postgres(server) => {
                let said = server.query(&format!("SELECT head_seq FROM chats WHERE uuid = '{room}'"))?;
                Ok(if said.is_empty() { 0 } else { said.parse()? })
            }
        }
    }

    /// All rows of a room.
    pub(crate) async fn rows(&self, room: Uuid) -> anyhow::Result<Rows> {
        match self {
            Self::Sqlite(pool) => Ok(of_sqlite(pool, room).await?),
            Self::Postgres(server) => match server.query(&format!("{ROWS}'{room}'"))? {
                said if said.is_empty() => Ok(Rows::default()),
                said => Ok(of_postgres(&serde_json::from_str(&said)?)),
            },
        }
    }
}

async fn of_sqlite(pool: &SqlitePool, room: Uuid) -> sqlx::Result<Rows> {
    let key = room.as_bytes().as_slice();
    let chat = query("SELECT head_seq, last_message_no FROM chats WHERE uuid = ?").bind(key);
    let Some(chat) = chat.fetch_optional(pool).await? else { return Ok(Rows::default()) };
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
        events: events.bind(key).fetch_all(pool).await?.iter().map(event).collect(),
        messages: messages.bind(key).fetch_all(pool).await?.iter().map(message).collect(),
    })
}

fn of_postgres(said: &Value) -> Rows {
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let event = |row: &Value| EventRow {
        seq: number(row, "seq"),
        kind: kind(number(row, "kind") as usize),
        actor: text(row, "actor"),
    };
    let message = |row: &Value| {
        let published = published(row["data"].as_str().map(str::as_bytes));
        MessageRow {
            seq: number(row, "seq"),
            no: number(row, "no"),
            id: text(row, "id").unwrap(),
            sender: text(row, "sender").unwrap_or_default(),
            client_id: text(&published, "client_id").or_else(|| text(row, "client_id")),
            text: text(&published, "text").unwrap_or_else(|| text(row, "body").unwrap()),
        }
    };
    Rows {
        head: number(said, "head"),
        messages_head: number(said, "messages_head"),
        events: said["events"].as_array().unwrap().iter().map(event).collect(),
        messages: said["messages"].as_array().unwrap().iter().map(message).collect(),
    }
}

fn kind(number: usize) -> String {
    KINDS.get(number.wrapping_sub(1)).map_or_else(|| format!("kind {number}"), |kind| (*kind).to_owned())
}

/// An open channel's data stands as it was published: here an object that this test wrote.
fn published(data: Option<&[u8]>) -> Value {
    data.and_then(|data| serde_json::from_slice(data).ok()).unwrap_or(Value::Null)
}

fn number(row: &SqliteRow, column: &str) -> u64 {
    u64::try_from(row.get::<i64, _>(column)).unwrap()
}

fn uuid(row: &SqliteRow, column: &str) -> Uuid {
    Uuid::from_slice(&row.get::<Vec<u8>, _>(column)).unwrap()
}

fn event(row: &SqliteRow) -> EventRow {
    EventRow { seq: number(row, "seq"), kind: kind(number(row, "kind") as usize), actor: row.get("actor") }
}

fn message(row: &SqliteRow) -> MessageRow {
    let data = published(row.get::<Option<Vec<u8>>, _>("data").as_deref());
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
