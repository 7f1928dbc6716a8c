//! Requests over HTTP, each over a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::server::{self, Server};

/// Asks; gives the status and the body.
fn ask(server: &Server, head: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let url = server.url();
    let address = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let rest = format!("host: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n");
    write!(stream, "{head} HTTP/1.1\r\n{rest}").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

fn bearer(user: &str) -> String {
    format!("authorization: Bearer {}\r\n", server::token(user))
}

/// Posts JSON as nobody; gives the status.
pub(crate) fn post(server: &Server, path: &str, body: &Value) -> u16 {
    ask(server, &format!("POST {path}"), "content-type: application/json\r\n", body.to_string().as_bytes()).0
}

/// What a user gets.
pub(crate) fn get(server: &Server, user: &str, path: &str) -> (u16, Vec<u8>) {
    ask(server, &format!("GET {path}"), &bearer(user), b"")
}

/// Uploads a file; gives the address of its bytes.
pub(crate) fn upload(server: &Server, user: &str, room: &str, bytes: &[u8]) -> String {
    let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"");
    let before = format!("{}\r\n\r\n{room}\r\n{}; filename=\"a.bin\"\r\n\r\n", part("chat"), part("file"));
    let body = [before.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
    let headers = format!("{}content-type: multipart/form-data; boundary=b\r\n", bearer(user));
    let (status, answer) = ask(server, "POST /api/uploads", &headers, &body);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["url"].as_str().unwrap().to_owned()
}

/// An account's name and password.
pub(crate) fn account() -> Value {
    json!({ "username": "eva", "password": "correct horse battery staple" })
}
