//! A real PostgreSQL: what it holds outlives it, its password is asked for, its settings are those of the table.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use kervan_devcluster::Engine as _;
use kervan_devcluster::postgres::Server;
use kervan_devcluster::settings::POSTGRES;

#[test]
fn a_server_keeps_its_rows_when_it_is_killed_and_when_it_is_started_again() {
    let dir = folder();
    let mut server = Server::start(dir.path(), None).unwrap();
    for (name, value) in POSTGRES {
        assert_eq!(server.query(&format!("SHOW {name}")).unwrap(), *value, "{name}");
    }
    server.query("CREATE TABLE kept (word text)").unwrap();
    server.query("INSERT INTO kept VALUES ('before')").unwrap();
    assert_ne!(server.query("SELECT count(*) FROM pg_stat_statements").unwrap(), "0");

    server.kill(1).unwrap();
    assert!(server.query("SELECT 1").is_err());
    server.start_again(1).unwrap();
    assert_eq!(server.query("SELECT word FROM kept").unwrap(), "before");

    assert!(server.stop().unwrap());
    drop(server);
    let server = Server::start(dir.path(), None).unwrap();
    assert_eq!(server.query("SELECT word FROM kept").unwrap(), "before");

    let wrong = server.url().replacen(&server.url()[18..50], "wrong", 1);
    let run = Command::new("psql").args([&wrong, "-c", "SELECT 1"]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("password authentication failed"), "{said}");
}

#[test]
fn a_paused_server_stands_still_with_all_its_processes_until_it_is_resumed() {
    let dir = folder();
    let mut server = Server::start(dir.path(), None).unwrap();
    let pid = server.pid(1);
    server.pause(1).unwrap();
    let stands_still = |pid: &str| match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // Or it has ended, and nobody looks.
        Ok(state) => state.contains(") T ") || state.contains(") Z "),
        Err(_) => panic!("it has ended: {pid}"),
    };
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert!(children.split_whitespace().count() > 3, "{children}");
    let all = || children.split_whitespace().all(stands_still) && stands_still(&pid.to_string());
    server.processes_mut()[0].until("stood still", Duration::from_secs(60), |_| Ok(all())).unwrap();
    server.resume(1).unwrap();
    assert_eq!(server.query("SELECT 'goes on'").unwrap(), "goes on");
}

/// A folder whose content the server's own user can reach.
fn folder() -> tempfile::TempDir {
    let everybody = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("kervan-dev").permissions(everybody).tempdir_in("/tmp").unwrap()
}
