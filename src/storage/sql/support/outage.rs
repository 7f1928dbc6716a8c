//! What happens to a database server: it dies and comes back, its rows fall back to a backup, a replica follows it. And its
//! rows as texts, to compare.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query_scalar};

use super::Postgres;
use super::server::{Server, ServerFolder};
use crate::config::Database;

/// Tables that differ after a replay: how far the workers came, what they have still to tell, and of which journal.
const WORK: [&str; 4] = ["watermarks", "relay_outbox", "meta", "_sqlx_migrations"];

impl Server {
    /// SIGKILL, as the kernel does it to whoever takes too much memory.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts what lies there. Sessions of the server before may still be ending: until then the new one does not start.
    pub(crate) fn start_again(&mut self) {
        self.child = self.place.run();
        self.wait_until_it_answers();
    }

    /// A backup of one database, as `pg_dump` takes it while it is in use.
    fn dump(&self, name: &str, to: &Path) {
        let folder = self.place.folder();
        let dumped = self.place.command("pg_dump").args(["-Fc", "-U", "kervan", "-h"]).arg(folder).arg(name).output();
        let dumped = dumped.unwrap();
        assert!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr));
        std::fs::write(to, dumped.stdout).unwrap();
    }

    fn restore(&self, name: &str, from: &Path) {
        let mut command = self.place.command("pg_restore");
        command.args(["--exit-on-error", "-U", "kervan", "-d", name, "-h"]).arg(self.place.folder());
        let restored = command.stdin(std::fs::File::open(from).unwrap()).output().unwrap();
        assert!(restored.status.success(), "pg_restore: {}", String::from_utf8_lossy(&restored.stderr));
    }
}

/// A streaming replica.
pub(crate) struct Standby(Server);

impl Standby {
    /// The same database there.
    pub(crate) fn same(&self, database: &Database) -> Database {
        Database::Postgres(self.0.url.replace("/postgres?", &format!("/{}?", name(database))))
    }

    async fn connection(&self, database: &Database) -> PgConnection {
        let Database::Postgres(url) = self.same(database) else { unreachable!("a server's") };
        PgConnection::connect(&url).await.unwrap()
    }

    /// How many messages it has.
    pub(crate) async fn messages(&self, database: &Database) -> i64 {
        let mut connection = self.connection(database).await;
        query_scalar("SELECT count(*) FROM messages").fetch_one(&mut connection).await.unwrap()
    }

    /// It follows no more, and takes rows: then `change` is made.
    pub(crate) async fn promote(&self, database: &Database, change: &'static str) {
        let mut connection = self.connection(database).await;
        let done: bool = query_scalar("SELECT pg_promote()").fetch_one(&mut connection).await.unwrap();
        assert!(done);
        connection.close().await.unwrap();
        let mut connection = self.connection(database).await;
        sqlx::query(change).execute(&mut connection).await.unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }
}

/// The name of a database of a server.
pub(super) fn name(database: &Database) -> &str {
    let Database::Postgres(url) = database else { panic!("{database:?} is on no server") };
    url.split_once("localhost/").unwrap().1.split('?').next().unwrap()
}

impl Postgres {
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    pub(crate) fn start_again(&mut self) {
        self.server.start_again();
    }

    /// A replica of it, which follows.
    pub(crate) fn replica(&self) -> Standby {
        let place = ServerFolder::new();
        let mut command = place.command("pg_basebackup");
        command.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-U", "kervan", "-h"]);
        let copied = command.arg(self.server.place.folder()).arg("-D").arg(place.data()).output().unwrap();
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        Standby(Server::at(place))
    }

    /// The process of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.server.child.id()
    }

    /// See [`Server::dump`].
    pub(crate) fn dump(&self, database: &Database, to: &Path) {
        self.server.dump(name(database), to);
    }

    /// A new database with what a dump holds.
    pub(crate) async fn restored(&self, from: &Path) -> Database {
        let database = self.empty().await;
        self.server.restore(name(&database), from);
        database
    }

    /// Each table's rows as texts, in an order that is the same everywhere.
    pub(crate) async fn rows(&self, database: &Database) -> BTreeMap<String, Vec<String>> {
        let Database::Postgres(url) = database else { panic!("{database:?} is on no server") };
        let mut connection = PgConnection::connect(url).await.unwrap();
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        let names: Vec<String> = query_scalar(tables).fetch_all(&mut connection).await.unwrap();
        let mut found = BTreeMap::new();
        for name in names.into_iter().filter(|name| !WORK.contains(&name.as_str())) {
            let text = format!("SELECT t::text FROM {name} t ORDER BY t::text COLLATE \"C\"");
            let rows = query_scalar(AssertSqlSafe(text)).fetch_all(&mut connection).await.unwrap();
            found.insert(name, rows);
        }
        connection.close().await.unwrap();
        found
    }
}
