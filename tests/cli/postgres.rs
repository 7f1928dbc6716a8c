//! The server on a real PostgreSQL: what it says of it, and what it says if it can't work with it.

#[path = "../../src/storage/sql/support/server.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use server::Server;

use crate::running::{Running, code_and_error, kervan, stdout};

fn serve(dir: &Path, url: &str) -> Command {
    let mut command = kervan(dir);
    command.args(["serve", "--port", "0"]).env("DATABASE_URL", url);
    command
}

fn migrated(dir: &Path, url: &str) -> Output {
    kervan(dir).args(["migrate", "--database-url", url]).output().unwrap()
}

/// The rooms that the operator sees: rows, which come after what they say was acknowledged.
fn rooms(dir: &Path, url: &str) -> Vec<String> {
    let listed = kervan(dir).args(["room", "list", "-o", "json"]).env("DATABASE_URL", url).output().unwrap();
    let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap_or_else(|_| panic!("{listed:?}"));
    listed["items"].as_array().unwrap().iter().map(|room| room["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_server_on_postgresql_says_so_and_goes_on_with_its_rows() {
    let (dir, postgres) = (tempfile::tempdir().unwrap(), Server::start());
    let server = Running::start_with(serve(dir.path(), &postgres.url), Stdio::null());
    let said = "data, the journal; rows are in PostgreSQL, \"postgres://***@localhost/postgres\" (environment variable \
                DATABASE_URL)\n";
    assert!(server.banner.contains(said) && server.banner.lines().count() <= 10, "{}", server.banner);
    let before = rooms(dir.path(), &postgres.url);
    assert!(!before.is_empty(), "the development mode's room");
    assert!(!dir.path().join("data/kervan.db").exists());
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    let again = Running::start_with(serve(dir.path(), &postgres.url), Stdio::null());
    assert_eq!(rooms(dir.path(), &postgres.url), before);
    drop(again);

    // Another journal: its offsets may fit by chance, its rows do not.
    let other = tempfile::tempdir().unwrap();
    let (code, error) = code_and_error(&serve(other.path(), &postgres.url).output().unwrap());
    assert!(code == 2 && error.contains("it is made from the journal"), "{code} {error}");
    assert!(error.contains("to keep rows in the data folder: DATABASE_URL= kervan"), "{error}");
}

#[test]
fn a_database_that_can_not_be_used_names_where_it_was_said_and_how_to_do_without() {
    let (dir, postgres) = (tempfile::tempdir().unwrap(), Server::start());
    let way_out = "store.database_url is what environment variable DATABASE_URL says; to keep rows in the data folder: \
                   DATABASE_URL= kervan";
    let locked = postgres.url.replace("kervan@", "locked:hunter2@");
    let missing = postgres.url.replace("/postgres?", "/nowhere?");
    let silent = "postgres://u:hunter2@127.0.0.1:1/k".to_owned();
    for (url, exit, why) in [
        (&locked, 1, "password authentication failed for user \"locked\""),
        (&missing, 2, "database \"nowhere\" does not exist"),
        (&silent, 1, "\"postgres://***@127.0.0.1:1/k\""),
    ] {
        let (code, error) = code_and_error(&serve(dir.path(), url).output().unwrap());
        assert_eq!(code, exit, "{error}");
        assert!(error.contains(why) && error.contains(way_out) && !error.contains("hunter2"), "{error}");
    }

    assert_eq!(stdout(&migrated(dir.path(), &postgres.url)), stdout(&migrated(dir.path(), &postgres.url)));
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'from the future', true, '', 0)";
    let written = Command::new("psql").args([&postgres.url, "-qc", newer]).status().unwrap();
    assert!(written.success());
    std::fs::write(dir.path().join(".env"), format!("# mine\nDATABASE_URL={}\n", postgres.url)).unwrap();
    let (code, error) = code_and_error(&kervan(dir.path()).args(["serve", "--port", "0"]).output().unwrap());
    assert!(code == 2 && error.contains("version 999"), "{code} {error}");
    assert!(error.contains("is what .env:2: DATABASE_URL says"), "{error}");
    let (code, error) = code_and_error(&migrated(dir.path(), &missing));
    assert!(code == 2 && error.contains("is what flag --database-url says"), "{code} {error}");
}

#[test]
fn doctor_and_backup_say_what_is_in_postgresql() {
    let (dir, postgres) = (tempfile::tempdir().unwrap(), Server::start());
    let command =
        |arguments: &[&str]| kervan(dir.path()).args(arguments).env("DATABASE_URL", &postgres.url).output().unwrap();
    let line = || {
        let said = stdout(&command(&["doctor", "--port", "0"]));
        said.lines().find(|line| line.contains(" database ")).unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    let before = line();
    assert!(before.starts_with("ok") && before.contains("PostgreSQL 1") && before.contains("next start"), "{before}");
    let server = Running::start_with(serve(dir.path(), &postgres.url), Stdio::null());
    let during = line();
    assert!(
        during.contains("schema 1") && during.contains("its clock is ") && !during.contains("next start"),
        "{during}"
    );
    let made = stdout(&command(&["backup", "copy"]));
    assert!(made.contains("the rows are in PostgreSQL and not in it"), "{made}");
    assert!(!dir.path().join("copy/store.db").exists());
    drop(server);
    let made = stdout(&command(&["backup", "again"]));
    assert!(made.contains("the rows are in PostgreSQL and not in it"), "{made}");

    let (code, error) =
        code_and_error(&kervan(dir.path()).args(["restore", "again", "--data-dir", "new"]).output().unwrap());
    assert!(code == 2 && error.contains("the rows of this backup are in PostgreSQL"), "{code} {error}");
    let restored = command(&["restore", "again", "--data-dir", "new"]);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    let mut again = serve(dir.path(), &postgres.url);
    again.args(["--data-dir", "new"]);
    let again = Running::start_with(again, Stdio::null());
    drop(again);
    // The folder from before is another history now.
    let (code, error) = code_and_error(&serve(dir.path(), &postgres.url).output().unwrap());
    assert!(code == 2 && error.contains("it is made from the journal"), "{code} {error}");

    // A server that is away is a line, too.
    drop(postgres);
    let mut away = kervan(dir.path());
    away.args(["doctor", "--port", "0"]).env("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/k");
    let said = stdout(&away.output().unwrap());
    let line = said.lines().find(|line| line.contains(" database ")).unwrap();
    assert!(line.starts_with("fail") && line.contains("DATABASE_URL= kervan") && !line.contains("hunter2"), "{line}");
}
