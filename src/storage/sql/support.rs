//! Databases for tests, and suites that hold on each of them.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::{Connections, migrate};
use crate::config::Database;

pub(crate) mod million;
pub(crate) mod outage;
pub(crate) mod pooler;
pub(crate) mod report;
pub(crate) mod server;

/// A check of a suite: takes an empty database and panics where the contract is broken.
pub(crate) type Check = for<'a> fn(&'a Connections) -> BoxFuture<'a, ()>;

/// An empty database, and what must live as long as it does.
pub(crate) struct Fresh {
    pub connections: Connections,
    pub keep: Box<dyn Any + Send>,
}

/// A file in a folder of its own, whose name would be something else in an address.
pub(crate) async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let file = Database::Sqlite(folder.path().join("store ?#%.db"));
    Fresh { connections: Connections::open(&file).await.unwrap(), keep: Box::new(folder) }
}

/// A bare connection to an empty database with this program's schema.
pub(crate) async fn migrated_in_memory() -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrate::sqlite(&mut connection).await.unwrap();
    connection
}

/// A PostgreSQL server with as many empty databases as are wanted.
pub(crate) struct Postgres {
    server: server::Server,
    made: AtomicUsize,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let postgres = Self { server: server::Server::start(), made: AtomicUsize::new(0) };
        postgres.run("CREATE DATABASE pattern").await;
        migrate::migrate(&postgres.database("pattern")).await.unwrap();
        postgres
    }

    async fn run(&self, text: &str) {
        let mut connection = PgConnection::connect(&self.server.url).await.unwrap();
        sqlx::query(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn database(&self, name: &str) -> Database {
        Database::Postgres(self.server.url.replace("/postgres?", &format!("/{name}?")))
    }

    /// An empty database with this program's schema.
    pub(crate) async fn fresh(&self) -> Database {
        self.made_from("pattern").await
    }

    /// One without any.
    pub(crate) async fn empty(&self) -> Database {
        self.made_from("template0").await
    }

    async fn made_from(&self, template: &str) -> Database {
        let name = format!("fresh_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.run(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        self.database(&name)
    }
}

/// Makes a test of each check on a SQLite file, and a list of all for other databases. The checks are async functions that
/// take [`Connections`].
macro_rules! sql_suite {
    ($($check:ident)*) => {
        pub(crate) const CHECKS: &[(&str, $crate::storage::sql::support::Check)] =
            &[$((stringify!($check), |connections| Box::pin($check(connections)))),*];

        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let fresh = $crate::storage::sql::support::sqlite().await;
                    super::$check(&fresh.connections).await;
                    drop(fresh.keep);
                }
            )*
        }
    };
}
pub(crate) use sql_suite;

/// Removes all rows that are derived from the journal, and takes the watermarks back: what building them anew begins with.
pub(crate) async fn forget_what_is_derived(connections: &Connections) {
    const STATEMENTS: [&str; 23] = [
        "DELETE FROM users",
        "DELETE FROM devices",
        "DELETE FROM blocks",
        "DELETE FROM user_rooms",
        "DELETE FROM user_events",
        "DELETE FROM read_marks",
        "DELETE FROM chats",
        "DELETE FROM members",
        "DELETE FROM room_blocks",
        "DELETE FROM room_events",
        "DELETE FROM messages",
        "DELETE FROM reactions",
        "DELETE FROM room_sources",
        "DELETE FROM user_sources",
        "DELETE FROM room_decisions",
        "DELETE FROM room_windows",
        "DELETE FROM relay_outbox",
        "DELETE FROM dead_letters",
        "UPDATE watermarks SET next_offset = 0",
        "UPDATE watermarks SET log_hash = 0",
        "UPDATE watermarks SET fold_time = 0",
        "UPDATE watermarks SET fold_version = 1",
        "UPDATE watermarks SET last_record = NULL",
    ];
    for text in STATEMENTS {
        connections.direct().execute(text, |_| ()).await.unwrap();
    }
}

/// As [`forget_what_is_derived`], and of notifications nothing is decided: what a backup from the beginning holds.
pub(crate) async fn forget_everything(connections: &Connections) {
    forget_what_is_derived(connections).await;
    for text in [
        "DELETE FROM notifications",
        "DELETE FROM notification_outbox",
        "UPDATE notification_cursors SET next_offset = 0",
        "UPDATE notification_cursors SET latest = 0",
    ] {
        connections.direct().execute(text, |_| ()).await.unwrap();
    }
}
