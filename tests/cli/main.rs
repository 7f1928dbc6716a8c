//! The command as a user has it: exit codes, errors with their places, one process for a data folder, signals.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod drain;
mod operator;
mod postgres;
mod running;
mod shown;
mod telemetry;
mod tokens;

use std::process::{Command, Stdio};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use kervan::config::DEVELOPMENT_SECRET;
use rustix::process::Signal;

use running::{Running, code_and_error, get, kervan, run, stdout};

#[test]
fn a_start_without_configuration_serves_and_says_where_in_at_most_ten_lines() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    assert!(server.banner.lines().count() <= 10, "{}", server.banner);
    assert!(server.banner.contains("/connection/websocket\n"));
    let token = server.banner.lines().find(|line| line.starts_with("eyJ")).unwrap();
    assert_eq!(claims(token, DEVELOPMENT_SECRET)["sub"], "alice");
    assert!(server.banner.contains("DEVELOPMENT ONLY"));
    assert!(get(&server.public, "/readyz").starts_with("HTTP/1.1 200 "));
    assert!(get(&server.public, "/").contains("/connection/websocket"));
    assert!(server.banner.contains(&format!("http://{}/", server.public)), "{}", server.banner);
    assert!(get(&server.public, "/metrics").starts_with("HTTP/1.1 404 "));
    assert!(get(&server.admin, "/metrics").contains("kervan_build_info{"));
    assert!(dir.path().join("data/LOCK").exists());
}

#[test]
fn bad_usage_is_exit_code_2_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, hint) in [
        (&["serv"][..], "'serve'"),
        (&["serve", "--prot", "1"][..], "a similar argument exists: '--port'"),
        (&["config"][..], "Usage: kervan config <COMMAND>"),
    ] {
        let (code, error) = code_and_error(&run(dir.path(), arguments));
        assert_eq!(code, 2);
        assert!(error.contains(hint), "{error}");
    }
    assert!(!dir.path().join("data").exists(), "nothing was made");
}

#[test]
fn an_unknown_key_names_file_and_line_and_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cluster.toml"), "# mine\n[server]\nprt = 4000\n").unwrap();
    for arguments in [&[][..], &["serve"], &["config", "check"], &["config", "show"], &["health"]] {
        let (code, error) = code_and_error(&run(dir.path(), arguments));
        assert_eq!(code, 2, "{arguments:?}");
        assert_eq!(error, "error: cluster.toml:3: server.prt: unknown key, did you mean port?\n");
    }
}

#[test]
fn a_bad_value_names_its_variable_or_flag() {
    let dir = tempfile::tempdir().unwrap();
    let output = kervan(dir.path()).env("KERVAN_LIMITS__FRAME", "big").output().unwrap();
    let (code, error) = code_and_error(&output);
    assert_eq!(code, 2);
    assert!(error.starts_with("error: environment variable KERVAN_LIMITS__FRAME: limits.frame: expected a size"));
    let (code, error) = code_and_error(&run(dir.path(), &["--port", "http"]));
    assert_eq!(code, 2);
    assert!(error.starts_with("error: flag --port: server.port: expected a whole number"), "{error}");
    let (code, error) = code_and_error(&run(dir.path(), &["--config", "missing.toml"]));
    assert_eq!(code, 2);
    assert!(error.starts_with("error: missing.toml: "), "{error}");
}

#[test]
fn what_this_version_can_not_serve_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value, hint) in [
        ("KAFKA_BROKERS", "k:9092,", "KAFKA_BROKERS: journal.kafka_brokers: expected host:port"),
        ("DB_NAME", "chat", "a database's address takes DB_NAME and DB_USER"),
        ("REDIS_URL", "rediss://:hidden@r", "REDIS_URL: redis.url: TLS to Redis (rediss://) is not supported"),
        ("KERVAN_CLUSTER__NODE", "1", "comes with the cluster"),
        ("DATABASE_URL", "mysql://u:hidden@db/k", "expected sqlite:FILE, a file's path or postgres://"),
        ("KERVAN_SERVER__PRODUCTION", "true", "production needs a way to check tokens"),
        ("KERVAN_SERVER__HOST", "0.0.0.0", "development mode is for this machine only"),
    ] {
        let (code, error) = code_and_error(&kervan(dir.path()).env(name, value).output().unwrap());
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(hint) && !error.contains("hidden"), "{error}");
    }
    assert!(!dir.path().join("data").exists(), "nothing was made");
}

/// What is in a folder, itself among it, whose mode lets others in.
fn open_to_others(dir: &std::path::Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let facts = std::fs::symlink_metadata(&path).unwrap();
        if facts.mode() & 0o077 != 0 {
            found.push(format!("{} {:o}", path.display(), facts.mode()));
        }
        if facts.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn what_is_kept_is_its_users_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let server = Running::start(dir.path(), &["--port", "0"]);
    assert_eq!(open_to_others(&at("data")), [""; 0]);
    assert_eq!(run(dir.path(), &["backup", "backups/one"]).status.code(), Some(0));
    assert_eq!(open_to_others(&at("backups")), [""; 0]);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    let restored = run(dir.path(), &["restore", "backups/one", "--data-dir", "again"]);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert_eq!(open_to_others(&at("again")), [""; 0]);
}

#[test]
fn brokers_that_do_not_answer_are_named_with_the_way_to_do_without() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let brokers = format!("127.0.0.1:{port}");
    let (code, error) = code_and_error(&kervan(dir.path()).env("KAFKA_BROKERS", &brokers).output().unwrap());
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&format!("the journal in Kafka at {brokers}")), "{error}");
    let way_out = "journal.kafka_brokers is what environment variable KAFKA_BROKERS says; to keep the journal in the data \
                   folder: KAFKA_BROKERS= kervan";
    assert!(error.contains(way_out), "{error}");
}

#[test]
fn a_redis_that_does_not_answer_is_named_with_the_way_to_do_without() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = kervan(dir.path());
    command.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", port.to_string()).env("REDIS_PASSWORD", "hidden");
    let (code, error) = code_and_error(&command.output().unwrap());
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&format!("Redis at 127.0.0.1:{port}")) && !error.contains("hidden"), "{error}");
    let way_out = "redis.url is what environment variable REDIS_HOST, REDIS_PASSWORD, REDIS_PORT says; to do without: \
                   REDIS_HOST= REDIS_PASSWORD= REDIS_PORT= kervan";
    assert!(error.contains(way_out), "{error}");
}

#[test]
fn the_environment_of_a_node_system_gets_one_error_that_names_all_of_it_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let seed = "NODE_ENV=production\nPORT=0\nDATABASE_URL=chat.db\nKERVAN_CLUSTER__NODE=hidden\nMAX_FILE_SIZE=10mb\n\
                JWT_SECRET=0123456789abcdef0123456789abcdef\n";
    std::fs::write(dir.path().join(".env"), seed).unwrap();
    let (code, error) = code_and_error(&run(dir.path(), &[]));
    assert_eq!((code, error.lines().count()), (2, 2), "{error}");
    assert!(!error.contains("hidden") && !dir.path().join("data").exists(), "{error}");
    let way_out = error.lines().last().unwrap().strip_prefix("error: to run on one node without them: ").unwrap();
    let mut command = kervan(dir.path());
    for variable in way_out.strip_suffix(" kervan").unwrap().split(' ') {
        command.env(variable.strip_suffix('=').unwrap(), "");
    }
    let server = Running::start_with(command, Stdio::null());
    assert!(
        server.banner.starts_with(&format!("Kervan {}, production (.env:1: NODE_ENV)\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn whoever_asks_a_server_needs_none_of_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cluster.toml"), "[server]\nproduction = true\nhost = \"127.0.0.1\"\n").unwrap();
    let mut command = kervan(dir.path());
    command.args(["--port", "0"]).env("JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let server = Running::start_with(command, Stdio::null());
    let port = server.public.rsplit_once(':').unwrap().1;
    for arguments in [&["user", "list"][..], &["backup", "copy"], &["health", "--port", port]] {
        let output = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    assert_eq!(code_and_error(&run(dir.path(), &["config", "check"])).0, 2, "a start would need it");
    drop(server);
    assert_eq!(run(dir.path(), &["backup", "again"]).status.code(), Some(0), "nor without a server");
}

#[test]
fn a_worker_by_itself_names_what_it_lacks_and_so_does_a_server_that_leaves_the_rows_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let lacks = "error: a worker by itself needs the journal in Kafka (KAFKA_BROKERS=host:9092), and the rows in PostgreSQL \
                 (DATABASE_URL=postgres://…): without them `kervan serve` does all of it in one process\n";
    assert_eq!(code_and_error(&run(dir.path(), &["worker", "persistence"])), (2, lacks.to_owned()));
    let mut command = kervan(dir.path());
    command.args(["worker", "persistence"]).env("KAFKA_BROKERS", "127.0.0.1:1");
    let (code, error) = code_and_error(&command.output().unwrap());
    assert!(code == 2 && error.contains("needs the rows in PostgreSQL") && !error.contains("the journal"), "{error}");
    let (code, error) = code_and_error(&run(dir.path(), &["worker", "notification"]));
    assert!(code == 2 && error.contains("[notifications] names no way out"), "{error}");
    let (code, error) = code_and_error(&run(dir.path(), &["worker", "baking"]));
    assert!(code == 2 && error.contains("unrecognized subcommand"), "{error}");
    let (code, error) = code_and_error(&run(dir.path(), &["serve", "--role", "api"]));
    assert!(
        code == 2 && error.contains("--role: server.role: api leaves the rows to `kervan worker persistence`"),
        "{error}"
    );
    let (code, error) = code_and_error(&run(dir.path(), &["serve", "--role", "most"]));
    assert!(code == 2 && error.contains("expected one of all, api"), "{error}");
}

#[test]
fn the_version_is_said() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(stdout(&run(dir.path(), &["version"])), concat!("kervan ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_template_checks_and_shows_what_is_in_force_with_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    let template = run(dir.path(), &["config", "template"]);
    std::fs::write(dir.path().join("cluster.toml"), &template.stdout).unwrap();
    assert_eq!(run(dir.path(), &["config", "check"]).status.code(), Some(0));
    let output = kervan(dir.path())
        .args(["config", "show", "--origin", "--port", "4000"])
        .env("JWT_SECRET", "hidden")
        .output()
        .unwrap();
    let shown = stdout(&output);
    assert!(shown.contains("port = 4000  # flag --port\n"), "{shown}");
    assert!(shown.contains("hmac_secret = \"***\"  # environment variable JWT_SECRET\n") && !shown.contains("hidden"));
}

/// The claims of a token that `secret` has signed and that has not expired.
fn claims(token: &str, secret: &str) -> serde_json::Value {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.validate_aud = false;
    decode::<serde_json::Value>(token.trim(), &DecodingKey::from_secret(secret.as_bytes()), &rules).unwrap().claims
}

#[test]
fn a_token_is_signed_with_the_configured_secret_and_made_for_the_configured_audience() {
    let dir = tempfile::tempdir().unwrap();
    let output = kervan(dir.path())
        .args(["token", "--user", "bob", "--channel", "room:1", "--ttl", "1h"])
        .envs([("JWT_SECRET", "one of my own"), ("KERVAN_AUTH__AUDIENCE", "chat")])
        .output()
        .unwrap();
    let claims = claims(&stdout(&output), "one of my own");
    assert_eq!(claims["sub"], "bob");
    assert_eq!(claims["channel"], "room:1");
    assert_eq!(claims["aud"], "chat");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    for (arguments, hint) in [
        (&["token", "--user", ""][..], "--user: an id has 1 to 128 bytes"),
        (&["token", "--user", "anon:x"][..], "is the name of an anonymous user"),
        (&["token", "--user", "bob", "--ttl", "soon"][..], "expected a duration"),
        (&["token", "--user", "bob", "--ttl", "500ms"][..], "--ttl: at least 1s"),
        (&["token", "--user", "bob", "--channel", ""][..], "--channel: expected a channel"),
        (&["token"][..], "--user <ID>"),
    ] {
        let (code, error) = code_and_error(&run(dir.path(), arguments));
        assert!(code == 2 && error.contains(hint), "{error}");
    }
}

#[test]
fn a_second_start_on_the_same_folder_says_which_process_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    let (code, error) = code_and_error(&run(dir.path(), &["--port", "0"]));
    assert_eq!(code, 2);
    assert!(error.contains(&format!("is held by process {};", server.child.id())), "{error}");
    server.signal(Signal::KILL);
    assert_eq!(server.exit_code(), None);
    // The lock died with its process.
    Running::start(dir.path(), &["--port", "0"]);
}

#[test]
fn a_store_of_another_journal_is_refused_with_exit_code_2() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&own, &other] {
        let server = Running::start(dir.path(), &["--port", "0"]);
        server.signal(Signal::TERM);
        assert_eq!(server.exit_code(), Some(0));
    }
    std::fs::copy(other.path().join("data/kervan.db"), own.path().join("data/kervan.db")).unwrap();
    let (code, error) = code_and_error(&run(own.path(), &["--port", "0"]));
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("it is made from the journal"), "{error}");
}

#[test]
fn a_taken_port_is_named() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Running::start(one.path(), &["--port", "0"]);
    let port = server.public.rsplit_once(':').unwrap().1;
    let (code, error) = code_and_error(&run(two.path(), &["--port", port]));
    assert_eq!(code, 2);
    assert!(error.contains(&format!("port {port} is taken by another process")), "{error}");
}

#[test]
fn sigterm_and_ctrl_c_drain_and_exit_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let server = Running::start(dir.path(), &["serve", "--port", "0", "--data-dir", "elsewhere"]);
        assert!(dir.path().join("elsewhere/LOCK").exists());
        server.signal(signal);
        assert_eq!(server.exit_code(), Some(0));
    }
}

#[test]
fn migrate_makes_the_configured_database_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(dir.path(), &["migrate", "--data-dir", "elsewhere"]);
        let shown = stdout(&output);
        assert!(output.status.success() && shown.starts_with("the schema is at version "), "{output:?}");
    }
    assert!(dir.path().join("elsewhere/kervan.db").exists());
    assert!(run(dir.path(), &["migrate", "--database-url", "mine.db"]).status.success());
    assert!(dir.path().join("mine.db").exists());
    let (code, error) = code_and_error(&run(dir.path(), &["migrate", "--database-url", "mysql://u:hidden@h/d"]));
    assert_eq!(code, 2);
    assert!(error.starts_with("error: flag --database-url: store.database_url: expected sqlite:FILE"), "{error}");
    let unreachable = "postgres://u:hidden@127.0.0.1:1/d";
    let (code, error) = code_and_error(&run(dir.path(), &["migrate", "--database-url", unreachable]));
    assert!(code == 1 && !error.contains("hidden"), "{error}");
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("/bin/sh");
    command.current_dir(dir.path()).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    command.args(["-c", "ulimit -Sn 256; exec \"$0\" --port 0", env!("CARGO_BIN_EXE_kervan")]);
    let server = Running::start_with(command, Stdio::null());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let line: Vec<&str> =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(line[3], line[4], "soft and hard limit");
}

#[test]
fn log_lines_are_json_if_configured_and_the_banner_is_not_among_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut command = kervan(dir.path());
    command.args(["--port", "0"]).env("KERVAN_LOG__FORMAT", "json");
    let server = Running::start_with(command, log.into());
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["message"] == "drained" && line["level"] == "INFO"), "{log}");
    assert!(log.contains("published secret") && !log.contains(DEVELOPMENT_SECRET));
}

#[test]
fn health_tells_a_running_server_from_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    let port = server.public.rsplit_once(':').unwrap().1.to_owned();
    let output = run(dir.path(), &["health", "--port", &port]);
    assert_eq!((output.status.code(), stdout(&output).ends_with("ready\n")), (Some(0), true));
    drop(server);
    let output = run(dir.path(), &["health", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("no answer from http://127.0.0.1:"), "{}", stdout(&output));
}
