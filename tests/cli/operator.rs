//! The commands of an operator against a running server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::running::{Running, code_and_error, kervan, run, stdout};

fn json_of(dir: &Path, arguments: &[&str]) -> Value {
    let output = run(dir, &[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The answer's status to a request of anybody on this machine.
fn status(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn the_tree_is_shown_as_a_tree_as_a_table_and_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Running::start(dir.path(), &["--port", "0"]);
    let shown = stdout(&run(dir.path(), &["actors", "tree"]));
    assert!(shown.starts_with("node ") && shown.contains("\n├─ hub ") && shown.contains("\n└─ workers "), "{shown}");
    assert_eq!(shown.lines().count(), 5, "{shown}");
    let flat = stdout(&run(dir.path(), &["actors", "tree", "--flat"]));
    assert!(flat.starts_with("PATH ") && flat.lines().count() == 5, "{flat}");
    let names = stdout(&run(dir.path(), &["actors", "tree", "-o", "names"]));
    assert_eq!(names, "hub\npartitions\nsessions\nworkers\n");
    let page = json_of(dir.path(), &["actors", "tree", "partitions", "--limit", "2"]);
    let paths: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| &item["path"]).collect();
    assert_eq!(paths, ["partitions/0", "partitions/1"]);
    let after = page["next"].as_str().unwrap();
    let page = json_of(dir.path(), &["actors", "tree", "partitions", "--limit", "2", "--after", after]);
    assert_eq!(page["items"][0]["path"], "partitions/2");
    assert_eq!(json_of(dir.path(), &["actors", "show", "hub"])["summary"]["sessions"], 0);
    assert_eq!(json_of(dir.path(), &["partitions", "255"])["items"][0]["slots"], json!([16_320, 16_383]));
    assert_eq!(json_of(dir.path(), &["sessions"])["items"], json!([]));
    assert!(stdout(&run(dir.path(), &["sessions"])).starts_with("CLIENT  USER  FORMAT "));
    assert!(stdout(&run(dir.path(), &["partitions", "17"])).contains("1088-1151"));
    // The room that development begins with.
    let room = &json_of(dir.path(), &["room", "list"])["items"][0];
    assert_eq!(room["title"], "Welcome");
    let id = room["id"].as_str().unwrap();
    assert!(stdout(&run(dir.path(), &["room", "show", id])).contains("\ntitle              Welcome\n"));
    assert!(stdout(&run(dir.path(), &["room", "messages", id])).starts_with("SEQ "));
    let alice = stdout(&run(dir.path(), &["user", "show", "alice"]));
    assert!(alice.contains("alice") && alice.contains("\nROOMS (1)\nROOM "), "{alice}");
}

#[test]
fn an_act_is_done_and_stands_in_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    let (code, error) = code_and_error(&run(dir.path(), &["actors", "restart", "partitions/3"]));
    assert_eq!((code, error.as_str()), (2, "error: Restart partitions/3? There is nobody to ask: -y says yes\n"));
    assert_eq!(stdout(&run(dir.path(), &["actors", "restart", "partitions/3", "-y"])), "restart: partitions/3\n");
    let (code, error) = code_and_error(&run(dir.path(), &["actors", "restart", "hub", "-y"]));
    assert_eq!((code, error.as_str()), (2, "error: hub takes no restart; it takes: nothing\n"));
    assert_eq!(json_of(dir.path(), &["user", "disconnect", "a/b c", "-y"]), json!({ "closed": 0 }));
    let (code, error) = code_and_error(&run(dir.path(), &["user", "ban", "eve", "-y"]));
    assert!(code == 2 && error.contains("nothing is known of such a user"), "{error}");
    let (code, error) = code_and_error(&run(dir.path(), &["user", "ban", "eve", "-y", "-o", "json"]));
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, &error["error"]["code"]), (2, &json!("not_found")));
    let banned = stdout(&run(dir.path(), &["user", "ban", "eve", "--force", "--yes"]));
    assert_eq!(banned, "eve is banned; 0 connections closed\n");
    assert_eq!(json_of(dir.path(), &["user", "show", "eve"])["banned"], true);
    assert_eq!(json_of(dir.path(), &["user", "unban", "eve"]), json!({ "closed": 0 }));
    let audit = std::fs::read_to_string(dir.path().join("data/audit.jsonl")).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines.iter().map(|line| (&line["who"], &line["target"], &line["outcome"])).collect();
    let key = said[0].0.clone();
    assert!(key.as_str().is_some_and(|who| who.starts_with("key: ") && who.contains('@')), "{key}");
    let (key, said) = (&key, said.as_slice());
    assert_eq!(said[0], (key, &json!("partitions/3"), &json!("done")));
    assert_eq!(said[1], (key, &json!("hub"), &json!("not_possible")));
    assert_eq!(said[2], (key, &json!("a/b c"), &json!("done")));
    // What the command can do, a page of another origin can't.
    let path = "POST /admin/actors/partitions/3/restart HTTP/1.1";
    let foreign = format!("{path}\r\nhost: {}\r\nx-kervan-admin: 1\r\norigin: http://evil.test", server.admin);
    assert_eq!(status(&server.admin, &foreign), "403");
    assert_eq!(status(&server.admin, &format!("{path}\r\nhost: {}", server.admin)), "403");
    assert_eq!(status(&server.public, &format!("{path}\r\nhost: localhost\r\nx-kervan-admin: 1")), "404");
}

#[test]
fn bad_input_is_exit_code_2_and_no_server_is_exit_code_1_each_with_a_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    for (arguments, hint) in [
        (&["actors", "tree", "nobody"][..], "error: there is no such actor"),
        (&["actors", "tree", "--kind", "cow"], "error: kind: expected one of node, family, partition"),
        (&["actors", "tree", "--limit", "0"], "error: limit: expected 1 to 1000, found 0"),
        (&["actors", "tree", "--limit", "x"], "invalid value 'x' for '--limit <N>'"),
        (&["actors", "explode", "hub"], "unrecognized subcommand 'explode'"),
        (&["actors", "show", "-o", "yaml", "hub"], "possible values: csv, json, names, table"),
        (&["room", "show", "x"], "error: there is no such room"),
        (&["room", "messages", "00000000-0000-0000-0000-000000000001"], "error: there is no such room"),
        (&["user", "show", "nobody"], "error: there is no such user"),
        (&["partitions", "256"], "error: there is no such partition"),
        (&["completions", "basch"], "a similar value exists: 'bash'"),
        (&["bench"], "Usage: kervan bench"),
    ] {
        let (code, error) = code_and_error(&run(dir.path(), arguments));
        assert!(code == 2 && error.contains(hint), "{arguments:?}: {code} {error}");
    }
    server.signal(rustix::process::Signal::KILL);
    assert_eq!(server.exit_code(), None);
    let (code, error) = code_and_error(&run(dir.path(), &["sessions"]));
    assert!(code == 1 && error.contains("does not answer: is it running?"), "{error}");
    let (code, error) = code_and_error(&run(dir.path(), &["sessions", "--data-dir", "nowhere"]));
    assert_eq!(
        (code, error.as_str()),
        (1, "error: no server serves the data folder nowhere; --data-dir names another, --url a server elsewhere\n")
    );
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn accounts_are_made_changed_and_removed_with_passwords_from_stdin() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Running::start(dir.path(), &["--port", "0"]);
    let with_password = |arguments: &[&str], password: &str| {
        let mut command = kervan(dir.path());
        let mut child = command.args(arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let made = with_password(&["user", "create", "Carol", "-o", "json"], "correct horse\n");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["username"], "carol");
    let id = made["id"].as_str().unwrap();
    let (code, error) = code_and_error(&with_password(&["user", "create", "carol"], "correct horse\n"));
    assert!(code == 2 && error.starts_with("error: "), "{error}");
    let (code, error) = code_and_error(&with_password(&["user", "passwd", id], ""));
    assert!(code == 2 && error.contains("no password"), "{error}");
    let changed = stdout(&with_password(&["user", "passwd", id], "battery staple"));
    assert_eq!(changed, format!("{id} has another password; 0 sign-ins ended\n"));
    assert_eq!(code_and_error(&run(dir.path(), &["user", "delete", id])).0, 2, "nobody to ask");
    assert_eq!(stdout(&run(dir.path(), &["user", "delete", id, "-y"])), format!("{id} has no account any more\n"));
}

#[test]
fn an_operator_acts_in_a_room() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Running::start(dir.path(), &["--port", "0"]);
    let room = json_of(dir.path(), &["room", "list"])["items"][0]["id"].as_str().unwrap().to_owned();
    let messages = json_of(dir.path(), &["room", "messages", &room]);
    let seq = messages["items"][0]["seq"].to_string();
    let deleted = stdout(&run(dir.path(), &["room", "delete-message", &room, &seq, "-y"]));
    assert_eq!(deleted, format!("message {seq} is deleted\n"));
    assert_eq!(stdout(&run(dir.path(), &["room", "end", &room, "-y"])), format!("room {room} has ended\n"));
    assert_eq!(stdout(&run(dir.path(), &["user", "uninvite", "bob", "-y"])), "0 invitations are taken back\n");
    let (code, error) = code_and_error(&run(dir.path(), &["room", "kick", &room, "nobody", "-y"]));
    assert!(code == 2 && error.starts_with("error: "), "{error}");
}

#[test]
fn a_server_elsewhere_is_asked_by_its_url_and_token() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let token = "a token of the admin port, long enough";
    let mut command = kervan(dir.path());
    command.args(["--port", "0"]).env("KERVAN_ADMIN__TOKEN", token);
    let server = Running::start_with(command, std::process::Stdio::null());
    let url = format!("http://{}", server.admin);
    let list = |token: &str| {
        let mut command = kervan(elsewhere.path());
        command.args(["user", "list", "-o", "names"]).env("KERVAN_URL", &url).env("KERVAN_TOKEN", token);
        command.output().unwrap()
    };
    assert_eq!(stdout(&list(token)), "alice\nbob\n");
    let (code, error) = code_and_error(&list("another one"));
    assert!(code == 2 && error.contains("not the one of [admin] token"), "{error}");
    let (code, error) = code_and_error(&list(""));
    assert!(code == 2 && error.contains("KERVAN_TOKEN"), "{error}");
    let (code, error) =
        code_and_error(&run(dir.path(), &["user", "list", "--url", "http://192.0.2.1:3001", "--token", token]));
    assert!(code == 2 && error.contains("without TLS the token can be read") && !error.contains(token), "{error}");
}

#[test]
fn the_doctor_tells_what_is_well_and_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let verdicts = |arguments: &[&str], change: &dyn Fn(&mut std::process::Command)| {
        let mut command = kervan(dir.path());
        command.args([&["doctor", "-o", "json"], arguments].concat());
        change(&mut command);
        let output = command.output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let items = found["items"].as_array().unwrap().clone();
        let of = move |check: &str| {
            let item = items.iter().find(|item| item["check"] == check).unwrap();
            (item["verdict"].as_str().unwrap().to_owned(), item["message"].as_str().unwrap().to_owned())
        };
        (output.status.code().unwrap(), of)
    };
    let (code, of) = verdicts(&["--port", "0"], &|_| ());
    assert_eq!(code, 0);
    assert_eq!(of("server"), ("ok".to_owned(), "none runs with this data folder".to_owned()));
    assert!(of("data folder").1.contains("will be made by the first start") && of("keys").0 == "warn");
    for check in ["disk space", "fsync", "open files", "public port", "admin port", "clock", "store", "journal"] {
        assert_ne!(of(check).0, "fail", "{check}: {}", of(check).1);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
    std::fs::write(dir.path().join("file"), "").unwrap();
    for folder in ["file", "file/below"] {
        let (code, of) = verdicts(&["--port", "0", "--data-dir", folder], &|_| ());
        assert!(code == 1 && of("data folder").1.ends_with("file is no folder"), "{:?}", of("data folder"));
    }
    std::fs::remove_file(dir.path().join("file")).unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    let (code, of) = verdicts(&["--port", "0"], &|_| ());
    assert!(code == 0 && of("server").1.starts_with("ready, for "), "{}", of("server").1);
    let port = server.public.rsplit_once(':').unwrap().1.to_owned();
    let (code, of) = verdicts(&["--port", &port, "--data-dir", "elsewhere"], &|_| ());
    assert_eq!((code, of("public port").0.as_str()), (1, "fail"));
    drop(server);
    std::fs::write(dir.path().join("data/kervan.db"), "these are not the rows that you are looking for").unwrap();
    let (code, of) = verdicts(&["--port", "0"], &|_| ());
    assert_eq!((code, of("store").0.as_str()), (1, "fail"));
}

#[test]
fn a_quick_measurement_tells_figures_and_how_far_it_is_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["bench", "quick", "-o", "json"]);
    let (code, said) = code_and_error(&output);
    assert_eq!(code, 0, "{said}");
    // A line each five seconds, none on a machine that is done by then; a warning on one that does much else.
    let is_progress = |line: &str| line.starts_with("bench: ") && line.ends_with(" s");
    assert!(said.lines().all(|line| is_progress(line) || line.starts_with("warning: ")), "{said}");
    assert!(!said.contains('\r'), "{said}");
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    for name in ["fsync_us", "durable_acks_per_second", "ack_p50_us", "ack_p99_us", "deliveries_per_second"] {
        assert!(figures[name].as_f64() > Some(0.0), "{name} of {figures}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn shells_get_their_completions() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, sign) in [("bash", "_kervan()"), ("zsh", "#compdef kervan"), ("fish", "complete -c kervan")] {
        let script = stdout(&run(dir.path(), &["completions", shell]));
        assert!(script.contains(sign) && script.contains("passivate"), "{shell}: {script}");
    }
}

#[test]
fn no_log_line_has_a_body_a_title_a_password_or_a_token_and_a_backup_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut command = kervan(dir.path());
    let key = "hidden key of a back end, long enough";
    command.args(["--port", "0"]).env("KERVAN_LOG__FILTER", "trace").env("KERVAN_API__KEY", key);
    let server = Running::start_with(command, std::fs::File::create(&path).unwrap().into());
    let token = server.banner.lines().find(|line| line.starts_with("eyJ")).unwrap().to_owned();
    let post = |path: &str, kind: &str, body: &str| {
        let mut stream = TcpStream::connect(&server.public).unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close");
        let head = format!("{head}\r\nx-api-key: {key}\r\ncontent-type: {kind}");
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{path}: {answer}");
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let ask = |path: &str, body: &str| post(path, "application/json", body);
    let made = ask("/api/chats", r#"{"kind":"group","title":"hidden title"}"#);
    let room = made["room"].as_str().unwrap();
    ask(&format!("/api/chats/{room}/messages"), r#"{"client_id":"one","body":"hidden body"}"#);
    let published = ask("/api/publish", r#"{"channel":"news","data":"hidden data"}"#);
    assert_eq!(published["result"]["offset"], 1);
    let part =
        |name: &str, value: &str| format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n{value}\r\n");
    let form = part("chat", room) + &part("file; filename=hidden.txt", "hidden file") + "--b--\r\n";
    assert_eq!(post("/api/uploads", "multipart/form-data; boundary=b", &form)["name"], "hidden.txt");
    let new = r#"{"username":"carol","password":"hidden password","email":"hidden@example.com"}"#;
    let tokens = ask("/api/auth/register", new);
    ask("/api/auth/login", r#"{"username":"carol","password":"hidden password"}"#);
    ask("/api/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] }).to_string());
    let mut secrets = vec![token.clone()];
    secrets.extend(["access_token", "refresh_token"].map(|name| tokens[name].as_str().unwrap().to_owned()));
    let shown = stdout(&run(dir.path(), &["room", "messages", room, "--bodies"]));
    assert!(shown.contains("hidden body"), "{shown}");
    assert!(run(dir.path(), &["backup", "copy"]).status.success());
    let audit = std::fs::read_to_string(dir.path().join("data/audit.jsonl")).unwrap();
    assert!(audit.contains("room.bodies") && audit.contains("\"backup\"") && !audit.contains("hidden"), "{audit}");
    let mut stream = TcpStream::connect(&server.admin).unwrap();
    write!(stream, "GET /admin/log?limit=1000 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut tail = String::new();
    stream.read_to_string(&mut tail).unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    for text in [&tail, &log] {
        assert!(text.contains("the journal is open") && text.contains("an operator's act"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
}
