//! Schema changes, numbered and embedded in the program: `migrations/sqlite` and `migrations/postgres`.
//!
//! A migration that was applied anywhere is never edited: a new one follows it. Never downwards: a schema that is newer
//! than the program is an error that says so.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};

use super::{Route, classify};
use crate::config::Database;
use crate::storage::store::StoreError;

/// The migrations in order, each in both dialects. Listed here and not by sqlx's macro, which would build sqlx and SQLite a
/// second time for the compiler.
macro_rules! migrations {
    ($dialect:literal) => {
        migrations!($dialect: "0001_core", "0002_accounts", "0003_uploads", "0004_notifications", "0005_lists",
            "0006_last_names", "0007_invitations", "0008_windows", "0009_decisions", "0010_report", "0011_notification_outbox",
            "0012_last_record", "0013_mutes", "0014_notification_reads")
    };
    ($dialect:literal: $($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../../migrations/", $dialect, "/", $name, ".sql")))),*]
    };
}

static SQLITE: &[(&str, &str)] = migrations!("sqlite");
static POSTGRES: &[(&str, &str)] = migrations!("postgres");

/// One migrates at a time.
const STAND_IN_LINE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('kervan migrations', 0))";

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
            let mut connection = super::postgres::connect(url, Route::Direct).await?;
            let done = postgres(&mut connection, Route::Direct).await;
            let closed = connection.close().await.map_err(classify);
            done.and_then(|version| closed.map(|()| version))
        }
    }
}

/// Migrates an open SQLite connection.
pub(in crate::storage) async fn sqlite(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let migrator = migrator(SQLITE);
    migrator.run(connection).await.map_err(|error| explain(&migrator, error))?;
    Ok(version(&migrator))
}

/// Migrates an open PostgreSQL connection: all that is missing, or nothing.
pub(super) async fn postgres(connection: &mut PgConnection, route: Route) -> Result<i64, StoreError> {
    let mut migrator = migrator(POSTGRES);
    if route == Route::Pooled {
        return must_be_up_to_date(connection, route, &migrator).await;
    }
    // Several programs may start at once: they stand in line by a lock of the transaction, which ends whatever becomes of us.
    migrator.set_locking(false);
    let mut transaction = connection.begin().await.map_err(classify)?;
    sqlx::query(STAND_IN_LINE).execute(&mut *transaction).await.map_err(classify)?;
    migrator.run(&mut *transaction).await.map_err(|error| explain(&migrator, error))?;
    transaction.commit().await.map_err(classify)?;
    Ok(version(&migrator))
}

/// The migrator prepares statements, which a pooler does not bear: it changes nothing behind one.
async fn must_be_up_to_date(
    connection: &mut PgConnection,
    route: Route,
    migrator: &Migrator,
) -> Result<i64, StoreError> {
    let mut snapshot = connection.begin_with(route.begin_reading()).await.map_err(classify)?;
    let has_schema = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").persistent(false);
    let has_schema: bool = has_schema.fetch_one(&mut *snapshot).await.map_err(classify)?;
    let applied: Vec<(i64, Vec<u8>)> = match has_schema {
        true => {
            let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version");
            applied.persistent(false).fetch_all(&mut *snapshot).await.map_err(classify)?
        }
        false => Vec::new(),
    };
    snapshot.commit().await.map_err(classify)?;
    let known = version(migrator);
    let fits = migrator.iter().map(|migration| (migration.version, &*migration.checksum));
    if fits.eq(applied.iter().map(|(version, checksum)| (*version, checksum.as_slice()))) {
        return Ok(known);
    }
    let found = applied.last().map_or(0, |(version, _)| *version);
    Err(StoreError::Incompatible(format!(
        "its schema has version {found}, this program has {known}, and nothing is changed through a pooler: `kervan migrate \
         --database-url` with the address of the server behind it"
    )))
}

/// The version that this program brings a PostgreSQL to.
pub(super) fn newest_of_postgres() -> i64 {
    version(&migrator(POSTGRES))
}

/// The same of a SQLite file.
pub(super) fn newest_of_sqlite() -> i64 {
    version(&migrator(SQLITE))
}

/// Numbered by their places in the list: `every_migration_is_in_the_list` holds their names to it.
fn migrator(list: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        // As sqlx writes it into the database: what follows the number, in words.
        let words = name.split_once('_').map_or("", |(_, words)| words).replace('_', " ");
        Migration::new(version, words.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(list).map(migration).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_in_the_list() {
        for (dialect, list) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let listed: Vec<_> = list.iter().map(|(name, _)| format!("{name}.sql")).collect();
            assert_eq!(files, listed, "{dialect}");
            for (number, (name, _)) in (1..).zip(list) {
                assert_eq!(name.split('_').next().unwrap().parse(), Ok(number), "{name}");
            }
        }
    }
}
