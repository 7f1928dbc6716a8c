//! The connections to one database, by what they are for.
//!
//! What the engine itself reads (cold rooms, the workers) has connections of its own: no number of lists and pages that
//! clients ask for makes it wait. So has what is written directly.

use std::path::Path;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Connection as _, Postgres, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

use super::guarded_pool::GuardedPool;
use super::replica::Replica;
use super::{Binder, Columns, Route, Session, Transaction, classify, migrate, postgres, sqlite};
use crate::config::{Database, Store as Settings};
use crate::storage::store::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// The connections to a database whose schema is this program's. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    clients: Pool,
    engine: Pool,
    direct: Pool,
    writer: Writer,
    replica: Option<Replica>,
}

#[expect(clippy::large_enum_variant, reason = "there is one for each open database")]
enum Writer {
    Sqlite { options: SqliteConnectOptions, connection: Mutex<sqlite::WriteConnection> },
    Postgres(GuardedPool),
}

impl Connections {
    /// Opens the database and brings its schema up to date. A SQLite file is made if there is none.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] if a newer program made it, or the address is none; [`StoreError::Unavailable`] if it
    /// does not answer within [`limits::SQL_WAIT`]: the text then names the server.
    pub async fn open(database: &Database) -> Result<Self> {
        Self::with(database, &Settings::default()).await
    }

    /// The same with connections as configured. A replica that does not answer now is asked again later.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn with(database: &Database, settings: &Settings) -> Result<Self> {
        let inner = match database {
            Database::Sqlite(path) => {
                let options = sqlite::options(path)?;
                let mut connection = sqlite::writer(&options).await?;
                migrate::sqlite(&mut connection).await?;
                Inner {
                    clients: Pool::Sqlite(sqlite::client_readers(&options)),
                    engine: Pool::Sqlite(sqlite::engine_readers(&options)),
                    direct: Pool::Sqlite(sqlite::direct(&options)),
                    writer: Writer::Sqlite {
                        options,
                        connection: Mutex::new(sqlite::WriteConnection::Open(connection)),
                    },
                    replica: None,
                }
            }
            Database::Postgres(url) => {
                let route = Route::of(settings.pooler);
                let mut connection = postgres::connect(url, route).await?;
                migrate::postgres(&mut connection, route).await?;
                connection.close().await.map_err(classify)?;
                let options = postgres::options(url, route)?;
                let guarded = |most| GuardedPool::new(postgres::pool(&options, most), route);
                let replica = match &settings.replica_url {
                    Some(Database::Postgres(url)) => {
                        let pool = postgres::pool(&postgres::options(url, route)?, settings.client_connections);
                        Some(Replica::new(Pool::Postgres(GuardedPool::new(pool, route))))
                    }
                    _ => None,
                };
                Inner {
                    clients: Pool::Postgres(guarded(settings.client_connections)),
                    engine: Pool::Postgres(guarded(settings.engine_connections)),
                    direct: Pool::Postgres(guarded(settings.direct_connections)),
                    writer: Writer::Postgres(guarded(settings.writer_connections)),
                    replica,
                }
            }
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Those that read for clients.
    pub(in crate::storage) fn clients(&self) -> &Pool {
        &self.0.clients
    }

    /// A replica, if there is one: for pages that may lag behind.
    pub(in crate::storage) fn replica(&self) -> Option<&Replica> {
        self.0.replica.as_ref()
    }

    /// Those that read for the engine: rooms and users that are made from rows, and the workers.
    pub(in crate::storage) fn engine(&self) -> &Pool {
        &self.0.engine
    }

    /// Those that write rows which no journal could bring again: what they commit is on disk when it is answered.
    pub(in crate::storage) fn direct(&self) -> &Pool {
        &self.0.direct
    }

    /// The connection that writes for the projector and the relay. Of a SQLite file there is one; whoever comes waits.
    pub(in crate::storage) async fn writer(&self) -> Result<WriterGuard<'_>> {
        Ok(match &self.0.writer {
            Writer::Sqlite { options, connection } => WriterGuard::Sqlite(options, connection.lock().await),
            Writer::Postgres(pool) => WriterGuard::Postgres(pool.connection().await?, pool.route),
        })
    }

    /// Makes what was committed durable, against a power cut, too.
    pub(in crate::storage) async fn flush(&self) -> Result<()> {
        match &self.0.writer {
            Writer::Sqlite { options, .. } => sqlite::flush(options).await,
            // Each commit is.
            Writer::Postgres(_) => Ok(()),
        }
    }

    /// Writes a consistent copy to the file `path`, which must not exist. Returns what `text` finds in it. Of a PostgreSQL
    /// nothing is written, and what it finds is of now: who runs it copies it, by tools of its own.
    pub(in crate::storage) async fn copy<T>(
        &self,
        path: &Path,
        text: &'static str,
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Writer::Sqlite { options, .. } = &self.0.writer else {
            return self.0.engine.list(text, |_| (), read).await;
        };
        let mut copy = sqlite::copy(options, path).await?;
        let found = Session::Sqlite(&mut copy).list(text, |_| (), read).await;
        copy.close().await.map_err(classify)?;
        found
    }

    /// As if the writer's thread had died.
    #[cfg(test)]
    pub(super) async fn lose_writer(&self) {
        if let Writer::Sqlite { connection, .. } = &self.0.writer {
            *connection.lock().await = sqlite::WriteConnection::Lost;
        }
    }

    #[cfg(test)]
    pub(super) async fn has_writer(&self) -> bool {
        match &self.0.writer {
            Writer::Sqlite { connection, .. } => matches!(*connection.lock().await, sqlite::WriteConnection::Open(_)),
            Writer::Postgres(_) => true,
        }
    }

    /// Closes all of them; what is under way ends first. Later calls are refused.
    pub(in crate::storage) async fn close(&self) {
        let replica = self.replica().map(Replica::pool);
        for pool in [&self.0.clients, &self.0.engine, &self.0.direct].into_iter().chain(replica) {
            match pool {
                Pool::Sqlite(pool) => pool.close().await,
                Pool::Postgres(pool) => pool.close().await,
            }
        }
        match &self.0.writer {
            Writer::Sqlite { connection, .. } => connection.lock().await.close().await,
            Writer::Postgres(pool) => pool.close().await,
        }
    }
}

/// The connection that writes, for as long as one needs it.
pub(in crate::storage) enum WriterGuard<'a> {
    Sqlite(&'a SqliteConnectOptions, MutexGuard<'a, sqlite::WriteConnection>),
    Postgres(PoolConnection<Postgres>, Route),
}

impl WriterGuard<'_> {
    /// Begins a transaction.
    pub(in crate::storage) async fn begin(&mut self) -> Result<Transaction<'_>> {
        match self {
            Self::Sqlite(options, writer) => {
                let begun = writer.open(options).await?.begin_with(sqlite::BEGIN_WRITING).await;
                begun.map(Transaction::Sqlite)
            }
            Self::Postgres(connection, route) => {
                let begun = connection.begin_with(route.begin_writing()).await;
                begun.map(|transaction| Transaction::Postgres(transaction, *route))
            }
        }
        .map_err(classify)
    }

    /// Gives the connection back, with what came of its use: after a failure it is looked at.
    pub(in crate::storage) async fn done<T>(mut self, done: Result<T>) -> Result<T> {
        if let (Err(_), Self::Sqlite(_, writer)) = (&done, &mut self) {
            writer.look_after_failure().await;
        }
        done
    }

    /// Whether rows would be taken: a full disk, a file that is gone or a standby show here. Writes nothing.
    pub(in crate::storage) async fn takes_rows(&mut self) -> Result<()> {
        let mut transaction = self.begin().await?;
        if let mut session @ Session::Postgres(..) = transaction.session()
            && session.one(postgres::READ_ONLY, |_| (), |c| c.text()).await?.as_deref() != Some("off")
        {
            return Err(StoreError::Unavailable("the PostgreSQL server only reads".to_owned()));
        }
        transaction.rollback().await
    }
}

/// Connections for one use.
pub(in crate::storage) enum Pool {
    Sqlite(SqlitePool),
    Postgres(GuardedPool),
}

/// One of a pool's connections.
pub(in crate::storage) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
    /// Behind a pooler no statement goes alone.
    Within(Transaction<'static>),
}

impl Connection {
    pub(in crate::storage) fn session(&mut self) -> Session<'_> {
        match self {
            Self::Sqlite(connection) => Session::Sqlite(connection),
            Self::Postgres(connection) => Session::Postgres(connection, Route::Direct),
            Self::Within(transaction) => transaction.session(),
        }
    }

    /// What was done by it counts.
    async fn done(self) -> Result<()> {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) => Ok(()),
            Self::Within(transaction) => transaction.commit().await,
        }
    }
}

impl Pool {
    /// One of them, for as long as the caller keeps it.
    pub(in crate::storage) async fn connection(&self) -> Result<Connection> {
        match self {
            Self::Sqlite(pool) => pool.acquire().await.map(Connection::Sqlite).map_err(classify),
            Self::Postgres(pool) if pool.route.keeps_statements() => pool.connection().await.map(Connection::Postgres),
            Self::Postgres(_) => self.change().await.map(Connection::Within),
        }
    }

    /// A transaction that only reads: everything read in it is of one moment.
    pub(in crate::storage) async fn snapshot(&self) -> Result<Transaction<'static>> {
        self.begin(sqlite::BEGIN_READING, Route::begin_reading).await
    }

    /// A transaction that writes.
    pub(in crate::storage) async fn change(&self) -> Result<Transaction<'static>> {
        self.begin(sqlite::BEGIN_WRITING, Route::begin_writing).await
    }

    async fn begin(&self, sqlite: &'static str, postgres: fn(Route) -> &'static str) -> Result<Transaction<'static>> {
        match self {
            Self::Sqlite(pool) => pool.begin_with(sqlite).await.map(Transaction::Sqlite).map_err(classify),
            Self::Postgres(pool) => {
                let begun = pool.begin(postgres(pool.route)).await?;
                Ok(Transaction::Postgres(begun, pool.route))
            }
        }
    }

    /// A transaction that writes; of those with the same `name` one after the other.
    pub(in crate::storage) async fn change_in_line(&self, name: &str) -> Result<Transaction<'static>> {
        let mut transaction = self.change().await?;
        if let mut session @ Session::Postgres(..) = transaction.session() {
            session.execute(postgres::STAND_IN_LINE, |b| _ = b.text(name)).await?;
        }
        Ok(transaction)
    }

    /// See [`Session::execute`].
    pub(in crate::storage) async fn execute(&self, text: &'static str, bind: impl FnOnce(&mut Binder)) -> Result<u64> {
        let mut connection = self.connection().await?;
        let done = connection.session().execute(text, bind).await?;
        connection.done().await.map(|()| done)
    }

    /// See [`Session::execute_unique`].
    pub(in crate::storage) async fn execute_unique(
        &self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
    ) -> Result<std::result::Result<u64, super::Taken>> {
        let mut connection = self.connection().await?;
        let done = connection.session().execute_unique(text, bind).await?;
        connection.done().await.map(|()| done)
    }

    /// See [`Session::list`].
    pub(in crate::storage) async fn list<T>(
        &self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut connection = self.connection().await?;
        let done = connection.session().list(text, bind, read).await?;
        connection.done().await.map(|()| done)
    }

    /// See [`Session::one`].
    pub(in crate::storage) async fn one<T>(
        &self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut connection = self.connection().await?;
        let done = connection.session().one(text, bind, read).await?;
        connection.done().await.map(|()| done)
    }
}
