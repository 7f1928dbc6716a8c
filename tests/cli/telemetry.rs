//! Export to an OpenTelemetry collector: a small one of the test, which takes what comes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::Signal;

use crate::running::{Running, code_and_error, kervan};

/// What came to a collector: the line of each request, and its body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let send = send.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                while let Some(request) = request(&mut stream) {
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    if send.send(request).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, receive)
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    if stream.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let (first, mut length) = (line.trim().to_owned(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// Makes a room of the development user.
fn make_a_room(server: &Running) {
    let token = server.banner.lines().find(|line| line.starts_with("eyJ")).unwrap();
    let body = r#"{"kind":"group","title":"hidden words"}"#;
    let mut stream = TcpStream::connect(&server.public).unwrap();
    write!(
        stream,
        "POST /api/chats HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_way_of_a_command_comes_to_the_collector_without_what_it_says() {
    let (address, came) = collector();
    let dir = tempfile::tempdir().unwrap();
    let mut command = kervan(dir.path());
    command.args(["--port", "0"]).envs([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_SERVICE_NAME", "chat-of-the-test".to_owned()),
        ("OTEL_TRACES_SAMPLER", "always_on".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ]);
    let server = Running::start_with(command, Stdio::null());
    make_a_room(&server);
    let mut all = Vec::new();
    while !["room.create", "appended", "verified", "folded", "acknowledged", "delivered", "kervan.seq"]
        .iter()
        .all(|text| holds(&all, text))
    {
        // Pauses: the bound of a wait for an event.
        let (line, body) = came.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(line, "POST /v1/traces HTTP/1.1");
        all.extend(body);
    }
    assert!(holds(&all, "chat-of-the-test"));
    assert!(!holds(&all, "hidden"));
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn what_is_not_sent_yet_is_sent_at_the_end() {
    let (address, came) = collector();
    let dir = tempfile::tempdir().unwrap();
    let mut command = kervan(dir.path());
    command.args(["--port", "0"]).envs([
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{address}/mine")),
        ("OTEL_TRACES_SAMPLER", "traceidratio".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000".to_owned()),
    ]);
    let server = Running::start_with(command, Stdio::null());
    make_a_room(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    // Pauses: the bound of a wait for an event.
    let (line, body) = came.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(line, "POST /mine HTTP/1.1");
    assert!(holds(&body, "room.create") && holds(&body, "kervan"));
}

#[test]
fn a_collector_that_is_not_there_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = kervan(dir.path());
    command
        .args(["--port", "0"])
        .envs([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_TRACES_SAMPLER", "always_on")]);
    let server = Running::start_with(command, Stdio::null());
    make_a_room(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn variables_that_can_not_be_kept_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address"),
    ] {
        let mut command = kervan(dir.path());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        command.args(["--port", "0"]).envs([endpoint, (name, value)]);
        let (code, error) = code_and_error(&command.output().unwrap());
        assert!(code == 2 && error.contains(name.trim_end_matches("ENDPOINT")), "{code} {error}");
    }
    assert!(!dir.path().join("data").exists());
}
