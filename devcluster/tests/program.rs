//! The program as a developer has it: it starts everything, says what runs, brings back what dies, ends all that it started,
//! and goes on with what was there.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(240);

/// The program, running. Killed when dropped, and with it all that it started.
struct Running {
    child: Child,
    data: PathBuf,
    said: PathBuf,
}

impl Running {
    fn start(dir: &Path) -> Self {
        let said = dir.join("said");
        let file = File::create(&said).unwrap();
        let data = dir.join("cluster");
        let child = command(&data).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut running = Self { child, data, said };
        until("it is ready", || {
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", running.said());
            running.said().contains("  Stop ")
        });
        running
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.data.join("cluster.json")).unwrap()).unwrap()
    }

    /// All process ids of the record.
    fn pids(&self) -> Vec<Pid> {
        let record = self.record();
        let lists =
            ["nodes", "workers", "brokers", "redis"].into_iter().flat_map(|kind| record[kind].as_array().unwrap());
        let pids = lists.chain([&record["postgres"]]).map(|server| pid(&server["pid"]));
        let pids: Vec<_> = pids.collect();
        assert_eq!(pids.len(), 1 + 3 + 3 + 6 + 1, "{record:#}");
        pids
    }

    fn query(&self, statement: &str) -> String {
        let port = self.record()["postgres"]["port"].to_string();
        let password = std::fs::read_to_string(self.data.join("postgres/password")).unwrap();
        let mut psql = Command::new("psql");
        psql.args(["-XAt", "-h", "127.0.0.1", "-p", &port, "-U", "kervan", "-d", "kervan", "-c", statement]);
        let run = psql.env("PGPASSWORD", password).output().unwrap();
        String::from_utf8(run.stdout).unwrap().trim().to_owned()
    }

    fn stop(mut self) {
        let pids = self.pids();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.said());
        assert!(!pids.into_iter().any(exists), "all that it started has ended: {}", self.said());
        assert!(!self.data.join("cluster.json").exists());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_kervan-devcluster"));
    assert!(program.with_file_name("kervan").exists(), "cargo build --workspace --bins comes first");
    let mut command = Command::new(program);
    command.arg("--data").arg(data).args(["--port", "18300", "--kafka-port", "18310"]);
    command.args(["--redis-port", "18320", "--postgres-port", "18330"]);
    // Where there is no configuration of somebody's own.
    command.current_dir(data.parent().unwrap()).env_remove("PORT").stdin(Stdio::null());
    // What somebody says of other engines does not count.
    command.env("KERVAN_STORE__DATABASE_URL", "postgres://nobody@127.0.0.1:1/none").env("KAFKA_BROKERS", "127.0.0.1:1");
    command
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let since = Instant::now();
    while !look() {
        assert!(since.elapsed() < PATIENCE, "not after {} s: {what}", PATIENCE.as_secs());
        // Pauses: between looks at other processes, within a bound.
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn pid(value: &Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap()).unwrap()
}

fn exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists()
}

fn ask(port: &Value, method: &str, path: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let length = body.len();
    let head = format!("host: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}");
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(port: &Value, path: &str) -> String {
    ask(port, "GET", path, "", "")
}

fn try_post(port: &Value, path: &str, token: &str, body: &Value) -> Result<Value, String> {
    let head = format!("content-type: application/json\r\nauthorization: Bearer {token}\r\n");
    let answer = ask(port, "POST", path, &head, &body.to_string());
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 20") => Ok(serde_json::from_str(body).unwrap()),
        _ => Err(answer),
    }
}

fn post(port: &Value, path: &str, token: &str, body: &Value) -> Value {
    try_post(port, path, token, body).unwrap()
}

/// What Alice says to Bob.
struct Conversation {
    port: Value,
    token: String,
    path: String,
}

impl Conversation {
    fn begin(port: &Value) -> Self {
        let signed_in = post(port, "/api/auth/development", "", &json!({ "user": "alice" }));
        let token = signed_in["access_token"].as_str().unwrap().to_owned();
        let chat = post(port, "/api/chats", &token, &json!({ "kind": "direct", "user": "bob" }));
        let path = format!("/api/chats/{}/messages", chat["room"].as_str().unwrap());
        Self { port: port.clone(), token, path }
    }

    /// Says it until it is acknowledged. It counts once, however often it is sent.
    fn say(&self, words: &str) {
        let message = json!({ "client_id": words, "body": words });
        until("it is acknowledged", || match try_post(&self.port, &self.path, &self.token, &message) {
            Ok(_) => true,
            Err(answer) => {
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                false
            }
        });
    }
}

/// PostgreSQL's folder, if the program had to put it elsewhere.
struct Elsewhere(PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Ok(folder) = std::fs::read_link(&self.0) {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn a_cluster_starts_with_one_command_heals_stops_whole_and_goes_on_with_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    let _elsewhere = Elsewhere(running.data.join("postgres"));
    let record = running.record();
    let workers = record["workers"].as_array().unwrap();
    let kinds: Vec<_> = workers.iter().map(|worker| worker["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["persistence", "realtime", "notification"]);
    assert!(workers.iter().all(|worker| get(&worker["port"], "/readyz").starts_with("HTTP/1.1 200 ")));
    assert!(get(&workers[0]["admin"], "/metrics").contains("kervan_projector_lag_records "));
    let node = &record["nodes"][0];
    assert_eq!(
        (&node["name"], node["admin"].as_i64()),
        (&Value::from("node1"), node["port"].as_i64().map(|port| port + 1))
    );
    assert!(get(&node["port"], "/api/health").starts_with("HTTP/1.1 200 "));
    assert!(get(&node["admin"], "/metrics").contains("kervan_build_info{"));

    // A second one does not get into the first one's way.
    let second = command(&running.data).output().unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{error}");
    assert!(error.contains("another program runs the cluster in"), "{error}");

    // The database dies under a conversation, and then a broker.
    let said = "SELECT string_agg(message, ' ' ORDER BY created_at) FROM report.messages WHERE length(message) < 10";
    let alice = Conversation::begin(&node["port"]);
    alice.say("before");
    kill_process(pid(&record["postgres"]["pid"]), Signal::KILL).unwrap();
    alice.say("meanwhile");
    until("the database is back, and has all", || running.query(said) == "before meanwhile");
    assert_ne!(running.record()["postgres"]["pid"], record["postgres"]["pid"]);
    kill_process(pid(&record["brokers"][0]["pid"]), Signal::KILL).unwrap();
    alice.say("always");
    until("all of it is a row", || running.query(said) == "before meanwhile always");
    until("the broker is started again", || running.record()["brokers"][0]["pid"] != record["brokers"][0]["pid"]);
    // And then each worker.
    for (n, word) in ["row", "told"].into_iter().enumerate() {
        kill_process(pid(&workers[n]["pid"]), Signal::KILL).unwrap();
        alice.say(word);
        until("the worker is started again", || running.record()["workers"][n]["pid"] != workers[n]["pid"]);
    }
    until("all of it is a row again", || running.query(said) == "before meanwhile always row told");
    let cluster = std::fs::read(running.data.join("kafka/cluster.id")).unwrap();
    running.stop();

    let mut running = Running::start(dir.path());
    Conversation::begin(&running.record()["nodes"][0]["port"]).say("again");
    until("it goes on with what was there", || running.query(said) == "before meanwhile always row told again");
    assert_eq!(std::fs::read(running.data.join("kafka/cluster.id")).unwrap(), cluster);
    let log = std::fs::read_to_string(running.data.join("kafka/n1/log")).unwrap();
    assert_eq!(log.matches("Formatting").count(), 1, "the brokers go on with what they had");

    // Nothing outlives it, whatever happens to it.
    let pids = running.pids();
    running.child.kill().unwrap();
    until("all that it started has ended", || !pids.iter().any(|pid| exists(*pid)));
}

#[test]
fn a_configuration_that_the_node_would_refuse_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cluster.toml"), "[server]\nprt = 4000\n").unwrap();
    let data = dir.path().join("cluster");
    let run = command(&data).output().unwrap();
    let error = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{error}");
    assert_eq!(error, "error: cluster.toml:2: server.prt: unknown key, did you mean port?\n");
    assert!(!data.exists());
}
