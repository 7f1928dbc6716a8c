//! All rows of one database, carried over into another and compared: SQLite into PostgreSQL.
//!
//! Which tables there are, and what their columns hold, is read from the database that takes them; a table that only one of
//! the two has is an error. A table is there whole or not at all: it is emptied and filled in one transaction. Two tables are
//! compared by the number of their rows and the sum of the rows' digests, whatever their order.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _};
use xxhash_rust::xxh3::xxh3_128;

use super::value::Value;
use super::{Binder, Bulk, Columns, Connections, Route, Session, classify, damaged, postgres};
use crate::config::{Database, Store as Settings};
use crate::limits;
use crate::storage::store::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Bytes of rows that one statement takes.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Int,
    Flag,
    Text,
    Blob,
    Uuid,
}

/// A table with its columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    /// Its name.
    pub name: String,
    columns: Vec<(String, Kind)>,
}

/// What a table holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Content {
    /// Rows.
    pub rows: u64,
    /// Sum of their digests.
    digests: u128,
}

/// What stands in a database that may take the rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowsThere {
    /// The journal that its rows are made from, as it says.
    pub journal: Option<String>,
    /// It has rows of something.
    pub has_rows: bool,
    /// It takes none.
    pub reads_only: bool,
}

/// A note of the old database that is not carried over: the backup that it tells of is one of a data folder, which no topic
/// can be restored from. Nothing must be trimmed behind it.
const LEFT_BEHIND: &str = "key <> 'backup'";

/// The tables of a SQLite file.
const NAMES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' \
                     AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

impl Table {
    /// Which of its rows count.
    fn wanted(&self) -> String {
        if self.name == "meta" { format!(" WHERE {LEFT_BEHIND}") } else { String::new() }
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn select(&self) -> String {
        format!("SELECT {} FROM {}{}", self.names(), self.name, self.wanted())
    }

    fn read(&self, columns: &mut Columns<'_>) -> Result<Vec<Value>> {
        self.columns.iter().map(|(_, kind)| kind.read(columns)).collect()
    }
}

impl Kind {
    /// That of a PostgreSQL's type.
    fn of(data_type: &str) -> Option<Self> {
        Some(match data_type {
            "smallint" | "integer" | "bigint" => Self::Int,
            "boolean" => Self::Flag,
            "text" => Self::Text,
            "bytea" => Self::Blob,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    fn read(self, columns: &mut Columns<'_>) -> Result<Value> {
        Ok(match self {
            Self::Int => Value::Int(columns.opt_number()?),
            Self::Flag => Value::Flag(columns.flag()?),
            Self::Text => Value::Text(columns.opt_text()?),
            Self::Blob => Value::Blob(columns.opt_slice()?.map(<[u8]>::to_vec)),
            Self::Uuid => Value::Uuid(columns.opt_uuid()?),
        })
    }
}

/// A value's bytes behind their kind and length: no two rows have the same ones.
fn encode(value: &Value, out: &mut Vec<u8>) {
    let mut put = |kind: u8, bytes: Option<&[u8]>| {
        out.push(kind);
        out.push(u8::from(bytes.is_some()));
        out.extend_from_slice(&(bytes.map_or(0, <[u8]>::len) as u64).to_le_bytes());
        out.extend_from_slice(bytes.unwrap_or_default());
    };
    match value {
        Value::Int(number) => put(1, number.map(i64::to_le_bytes).as_ref().map(|bytes| &bytes[..])),
        Value::Flag(flag) => put(2, Some(&[u8::from(*flag)])),
        Value::Text(text) => put(3, text.as_ref().map(String::as_bytes)),
        Value::Blob(bytes) => put(4, bytes.as_deref()),
        Value::Uuid(id) => put(5, id.as_ref().map(|id| &id.as_bytes()[..])),
    }
}

/// The names of the tables of a SQLite file.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn names(of: &Connections) -> Result<Vec<String>> {
    of.engine().list(NAMES, |_| (), |c| c.text()).await
}

/// The tables of a SQLite file, as the database that takes their rows has them.
///
/// # Errors
/// Both must be of this program's schema, and one is not; a database does not answer.
pub(crate) async fn tables(from: &Connections, to: &Connections) -> Result<Vec<Table>> {
    const COLUMNS: &str = "SELECT c.table_name::text, c.column_name::text, c.data_type::text \
                           FROM information_schema.columns c JOIN information_schema.tables t \
                           ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
                           WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' \
                           AND c.table_name <> '_sqlx_migrations' ORDER BY c.table_name, c.ordinal_position";
    let columns = to.engine().list(COLUMNS, |_| (), |c| Ok((c.text()?, c.text()?, c.text()?))).await?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, column, data_type) in columns {
        let kind = Kind::of(&data_type).ok_or_else(|| damaged("a column's type is not known", &data_type))?;
        match tables.last_mut().filter(|last| last.name == table) {
            Some(last) => last.columns.push((column, kind)),
            None => tables.push(Table { name: table, columns: vec![(column, kind)] }),
        }
    }
    let there: BTreeSet<String> = names(from).await?.into_iter().collect();
    // What else is in there is somebody else's.
    tables.retain(|table| there.contains(&table.name));
    match there.iter().find(|name| !tables.iter().any(|table| table.name == **name)) {
        None => Ok(tables),
        Some(table) => Err(StoreError::Incompatible(format!("the database has no table {table}"))),
    }
}

/// What a table of a database holds.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn content(of: &Connections, table: &Table) -> Result<Content> {
    let mut snapshot = of.engine().snapshot().await?;
    let mut content = Content::default();
    let mut bytes = Vec::new();
    {
        let mut session = snapshot.session();
        let mut rows = session.rows(AssertSqlSafe(table.select()), |columns| table.read(columns));
        while let Some(row) = rows.try_next().await? {
            bytes.clear();
            row.iter().for_each(|value| encode(value, &mut bytes));
            content.rows += 1;
            content.digests = content.digests.wrapping_add(xxh3_128(&bytes));
        }
    }
    snapshot.rollback().await?;
    Ok(content)
}

/// How many rows each table of a SQLite file has, the largest first; empty ones are left out.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn counts(of: &Connections) -> Result<Vec<(String, u64)>> {
    let mut counts = Vec::new();
    for name in names(of).await? {
        let mut snapshot = of.engine().snapshot().await?;
        let text = format!("SELECT COUNT(*) FROM {name}");
        let counted = snapshot.session().rows(AssertSqlSafe(text), |c| c.number()).try_next().await?;
        snapshot.rollback().await?;
        counts.push((name, counted.unwrap_or_default()));
    }
    counts.retain(|(_, rows)| *rows > 0);
    counts.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    Ok(counts)
}

/// Fills a table with the rows of another database, in the place of what it holds.
///
/// # Errors
/// A database does not answer, or does not take a row: then nothing is changed.
pub(crate) async fn copy(from: &Connections, to: &Connections, table: &Table) -> Result<()> {
    let mut source = from.engine().snapshot().await?;
    let mut change = to.engine().change().await?;
    change
        .session()
        .run(AssertSqlSafe(format!("DELETE FROM {}", table.name)), Binder::default())
        .await
        .map_err(classify)?;
    let insert = Bulk::insert(&table.name, &table.names());
    {
        let mut reading = source.session();
        let mut rows = reading.rows(AssertSqlSafe(table.select()), |columns| table.read(columns));
        let (mut piece, mut bytes) = (Vec::new(), 0);
        loop {
            let row = rows.try_next().await?;
            let is_end = row.is_none();
            if let Some(row) = row {
                bytes += row.iter().map(size).sum::<usize>();
                piece.push(row);
            }
            if is_end || bytes > PIECE_BYTES || piece.len() == limits::SQL_BULK_ROWS {
                write(&mut change.session(), &insert, std::mem::take(&mut piece)).await?;
                bytes = 0;
            }
            if is_end {
                break;
            }
        }
    }
    source.rollback().await?;
    change.commit().await
}

fn size(value: &Value) -> usize {
    16 + match value {
        Value::Text(Some(text)) => text.len(),
        Value::Blob(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

async fn write(session: &mut Session<'_>, insert: &Bulk, rows: Vec<Vec<Value>>) -> Result<()> {
    let bind = |binder: &mut Binder, row: Vec<Value>| row.into_iter().for_each(|value| _ = binder.bind(value));
    session.bulk(insert, rows, bind).await.map(drop)
}

/// Looks at these tables of a database that may take rows, and changes nothing: its schema may not be there yet.
///
/// # Errors
/// It is no PostgreSQL, or does not answer.
pub(crate) async fn look(database: &Database, settings: &Settings, tables: &[String]) -> Result<RowsThere> {
    let Database::Postgres(url) = database else {
        return Err(StoreError::Incompatible("rows are moved into a PostgreSQL, and none is named".to_owned()));
    };
    let route = Route::of(settings.pooler);
    let mut connection = postgres::connect(url, route).await?;
    let mut snapshot = connection.begin_with(route.begin_reading()).await.map_err(classify)?;
    let found = look_by(&mut Session::Postgres(&mut snapshot, route), tables).await;
    snapshot.rollback().await.map_err(classify)?;
    connection.close().await.map_err(classify)?;
    found
}

async fn look_by(session: &mut Session<'_>, tables: &[String]) -> Result<RowsThere> {
    const READS_ONLY: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 'on' \
                              ELSE current_setting('default_transaction_read_only') END";
    const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()";
    let mut found = RowsThere {
        reads_only: session.one(READS_ONLY, |_| (), |c| c.text()).await?.as_deref() != Some("off"),
        ..RowsThere::default()
    };
    let there = session.list(TABLES, |_| (), |c| c.text()).await?;
    for table in there.into_iter().filter(|table| tables.contains(table)) {
        let text = match table.as_str() {
            "meta" => {
                let journal = session.one("SELECT value FROM meta WHERE key = 'journal'", |_| (), |c| c.text()).await?;
                found.journal = journal;
                continue;
            }
            "watermarks" => "SELECT 1 FROM watermarks WHERE next_offset > 0 LIMIT 1".to_owned(),
            other => format!("SELECT 1 FROM {other} LIMIT 1"),
        };
        found.has_rows |= session.rows(AssertSqlSafe(text), |c| c.number::<i64>()).try_next().await?.is_some();
    }
    Ok(found)
}

/// The rooms that have rows, and then the users.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn rooms_and_users(of: &Connections) -> Result<(Vec<crate::ids::RoomId>, Vec<crate::ids::UserId>)> {
    let rooms = of.engine().list("SELECT uuid FROM chats", |_| (), |c| c.room()).await?;
    let users = of.engine().list("SELECT id FROM users", |_| (), |c| c.user()).await?;
    Ok((rooms, users))
}
