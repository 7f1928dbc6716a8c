//! A pgbouncer in transaction mode before a PostgreSQL: with fewer sessions than connections, so that transactions change
//! places.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Postgres;
use super::server::{PATIENCE, give_to, unprivileged};
use crate::config::Database;

/// See the module. Ended when dropped.
pub(crate) struct Pooler {
    child: Child,
    folder: tempfile::TempDir,
}

impl Pooler {
    pub(crate) fn start(postgres: &Postgres) -> Self {
        let folder = tempfile::Builder::new().prefix("kervan-pool").tempdir_in("/tmp").unwrap();
        let (place, server) = (folder.path().display(), postgres.server.place.folder().display());
        let settings = format!(
            "[databases]\n* = host={server} user=kervan\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\n\
             unix_socket_dir = {place}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n\
             ignore_startup_parameters = extra_float_digits\nlogfile = {place}/log\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let user = unprivileged();
        give_to(user, &[folder.path(), &file]);
        let mut command = Command::new("/usr/sbin/pgbouncer");
        super::server::run_as(&mut command, user);
        let child = command.arg(&file).current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = child.stderr(Stdio::null()).spawn();
        let child = child.expect("no pgbouncer in /usr/sbin: `apt-get install pgbouncer`, as `make test` does");
        let mut pooler = Self { child, folder };
        pooler.wait_until_it_listens();
        pooler
    }

    fn wait_until_it_listens(&mut self) {
        let (since, socket) = (Instant::now(), self.folder.path().join(".s.PGSQL.6432"));
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || since.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("pgbouncer does not listen ({ended:?}):\n{log}");
            }
            // Pauses: between looks at a program that starts, within a bound.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The way to a database of its server.
    pub(crate) fn to(&self, database: &Database) -> Database {
        let name = super::outage::name(database);
        let folder: &Path = self.folder.path();
        Database::Postgres(format!("postgres://kervan@localhost/{name}?host={}&port=6432", folder.display()))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
