//! Schema changes, numbered and embedded in the program: `migrations/sqlite` and `migrations/postgres`.
//!
//! A migration that was applied anywhere is never edited: a new one follows it. Never downwards: a schema that is newer
//! than the program is an error that says so.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use super::classify;
use crate::config::Database;
use crate::storage::store::StoreError;

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Brings a database to this program's schema; makes a SQLite file if there is none. Returns the schema's version.
///
/// # Errors
/// [`StoreError::Incompatible`] for a newer schema, or a migration that is not what was applied;
/// [`StoreError::Unavailable`] if the database does not answer. The address's password is never part of an error.
pub async fn migrate(database: &Database) -> Result<i64, StoreError> {
    match database {
        Database::Sqlite(path) => {
            let mut connection = super::sqlite::writer(&super::sqlite::options(path)?).await?;
            let done = sqlite(&mut connection).await;
            let closed = connection.close().await.map_err(classify);
            done.and_then(|version| closed.map(|()| version))
        }
        Database::Postgres(url) => {
            let mut connection = super::postgres::connect(url).await?;
            let done = postgres(&mut connection).await;
            let closed = connection.close().await.map_err(classify);
            done.and_then(|version| closed.map(|()| version))
        }
    }
}

/// Migrates an open SQLite connection.
pub(in crate::storage) async fn sqlite(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    SQLITE.run(connection).await.map_err(|error| explain(&SQLITE, error))?;
    Ok(version(&SQLITE))
}

/// Migrates an open PostgreSQL connection.
pub(super) async fn postgres(connection: &mut PgConnection) -> Result<i64, StoreError> {
    POSTGRES.run(connection).await.map_err(|error| explain(&POSTGRES, error))?;
    Ok(version(&POSTGRES))
}

fn version(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn explain(migrator: &Migrator, error: MigrateError) -> StoreError {
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
