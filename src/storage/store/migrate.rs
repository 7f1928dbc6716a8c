//! Schema changes, numbered and embedded in the program: `migrations/sqlite` and `migrations/postgres`.
//!
//! A migration that was applied anywhere is never edited: a new one follows it. Never downwards: a schema that is newer
//! than the program is an error that says so.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use super::StoreError;

/// The migrations of the SQLite dialect.
pub(super) static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
/// The migrations of the PostgreSQL dialect.
pub(super) static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Brings the database at `url` (`sqlite:<path>`, `postgres://…`) to this program's schema; makes a SQLite file if there
/// is none. Returns the schema's version.
///
/// # Errors
/// [`StoreError::Incompatible`] for an unknown kind of URL, a newer schema, or a migration that is not what was applied;
/// [`StoreError::Unavailable`] if the database does not answer. The URL's password is never part of an error.
pub async fn migrate(url: &str) -> Result<i64, StoreError> {
    if url.starts_with("sqlite:") {
        let mut conn = super::sql::connect_writer(url).await?;
        let done = sqlite(&mut conn).await;
        let closed = conn.close().await.map_err(|error| StoreError::Unavailable(error.to_string()));
        done.and_then(|version| closed.map(|()| version))
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let mut conn = PgConnection::connect(url).await.map_err(postgres_error)?;
        let done = POSTGRES.run(&mut conn).await.map_err(|error| explain(&POSTGRES, error, postgres_error));
        let closed = conn.close().await.map_err(|error| StoreError::Unavailable(error.to_string()));
        done.and(closed).map(|()| version(&POSTGRES))
    } else {
        let scheme = url.split(':').next().unwrap_or_default();
        Err(StoreError::Incompatible(format!("`{scheme}:` names no store; there are sqlite: and postgres:")))
    }
}

/// Migrates an open SQLite connection.
pub(super) async fn sqlite(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    SQLITE.run(conn).await.map_err(|error| explain(&SQLITE, error, super::sql::classify))?;
    Ok(version(&SQLITE))
}

fn version(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// SQLSTATE classes that trying again may cure: connection, rollback, resources, operator, system, read-only.
const TRANSIENT_CLASSES: [&str; 6] = ["08", "40", "53", "57", "58", "25"];

fn postgres_error(error: sqlx::Error) -> StoreError {
    let text = format!("postgres: {error}");
    match error {
        sqlx::Error::Database(db) => match db.code() {
            Some(code) if !TRANSIENT_CLASSES.iter().any(|class| code.starts_with(class)) => StoreError::Damaged(text),
            _ => StoreError::Unavailable(text),
        },
        _ => StoreError::Unavailable(text),
    }
}

fn explain(migrator: &Migrator, error: MigrateError, classify: fn(sqlx::Error) -> StoreError) -> StoreError {
    let known = version(migrator);
    match error {
        MigrateError::VersionMissing(found) if found > known => StoreError::Incompatible(format!(
            "its schema has version {found}, this program knows versions up to {known}: a newer program made it"
        )),
        MigrateError::VersionMissing(found) => {
            StoreError::Incompatible(format!("its schema has a version {found} that this program does not know"))
        }
        MigrateError::VersionMismatch(found) => {
            StoreError::Incompatible(format!("migration {found} is not the one that was applied to it"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => classify(error),
        other => StoreError::Incompatible(other.to_string()),
    }
}
