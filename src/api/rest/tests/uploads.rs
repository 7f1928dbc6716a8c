//! Uploads over REST: what a member sees, what nobody else does, and what hostile files come to.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Answer, Rig};
use crate::config::ByteSize;
use crate::testing::{found, within};

const BOUNDARY: &str = "a-boundary-of-the-tests";

/// A form as a browser sends it.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9]));
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

impl Rig {
    async fn post_form(&self, user: &str, body: Vec<u8>) -> Answer {
        let token = format!("Bearer {}", self.token(user));
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.raw("POST", "/api/uploads", &[("authorization", &token), ("content-type", &kind)], body).await
    }

    async fn upload(&self, user: &str, chat: &str, name: &str, bytes: &[u8]) -> Answer {
        self.post_form(user, form(&[("chat", None, chat.as_bytes()), ("file", Some(name), bytes)])).await
    }

    async fn get(&self, user: &str, path: &str) -> Answer {
        self.call(user, "GET", path, Value::Null).await
    }

    async fn group(&self) -> String {
        let made = self.call("alice", "POST", "/api/chats", json!({"members": ["bob"], "title": "Caravan"})).await;
        made.body["room"].as_str().unwrap().to_owned()
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn members_see_a_file_and_to_others_there_is_none() {
    let rig = Rig::start().await;
    let (chat, image) = (rig.group().await, png(1000, 500));
    let made = rig.upload("alice", &chat, "camel.png", &image).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (url, small) = (made.body["url"].as_str().unwrap(), made.body["thumbnail_url"].as_str().unwrap());
    let told = json!({"id": made.body["id"], "chat": chat, "name": "camel.png", "type": "image/png", "size": image.len(),
        "width": 1000, "height": 500, "url": url, "thumbnail_url": small});
    assert_eq!(made.body, told);
    assert_eq!(header(&made, "location"), url);

    let file = rig.get("bob", url).await;
    assert_eq!((file.status, &file.bytes), (200, &image));
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("content-disposition", "inline; filename=\"camel.png\"; filename*=UTF-8''camel.png"),
    ] {
        assert_eq!(header(&file, name), value);
    }
    assert!(header(&file, "cache-control").starts_with("private"));
    let thumbnail = rig.get("bob", small).await;
    assert_eq!(header(&thumbnail, "content-type"), "image/jpeg", "what it is, and no range of types");
    let read = image::load_from_memory(&thumbnail.bytes).unwrap();
    assert_eq!((read.width(), read.height()), (480, 240));

    let missing = rig.get("mallory", "/api/uploads/00000000-0000-0000-0000-000000000009").await;
    for path in [url, small] {
        let hidden = rig.get("mallory", path).await;
        assert_eq!((hidden.status, &hidden.body), (404, &missing.body), "as if there were none");
        assert_eq!(rig.send("GET", path, &[], Value::Null).await.refusal(), (401, "unauthorized"));
    }
    assert_eq!(rig.call("bob", "DELETE", url, Value::Null).await.status, 404, "another's file");
    rig.call("alice", "DELETE", &format!("/api/chats/{chat}/members/bob"), Value::Null).await;
    assert_eq!(rig.get("bob", url).await.status, 404, "who was removed sees it no more");

    let rig = rig.restart(|_| ()).await;
    assert_eq!(rig.get("alice", url).await.bytes, image);
    assert_eq!(rig.call("alice", "DELETE", url, Value::Null).await.status, 204);
    for path in [url, small] {
        assert_eq!(rig.get("alice", path).await.status, 404);
    }
    let left = walk(&rig.dir.path().join("uploads"));
    assert!(left.is_empty(), "{left:?}");
}

/// Files below a folder.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test]
async fn what_a_file_is_follows_from_its_bytes_and_only_images_are_shown() {
    let rig = Rig::start().await;
    let chat = rig.group().await;
    let zip = [b"PK\x03\x04".as_slice(), &[0; 60]].concat();
    let polyglot = [png(20, 10), zip.clone(), b"<script>alert(1)</script>".to_vec()].concat();
    for (name, bytes, media_type, shown) in [
        ("page.png", b"<!DOCTYPE html><script>alert(1)</script>".to_vec(), "text/html", false),
        ("x.gif", b"GIF89a<script>alert(1)</script>".to_vec(), "image/gif", false),
        ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec(), "text/plain", false),
        ("x.html", png(20, 10), "image/png", true),
        ("x.jpg", polyglot, "image/png", true),
        ("bomb.zip", zip, "application/zip", false),
        ("run.sh", b"#!/bin/sh\nrm -rf /\n".to_vec(), "text/x-shellscript", false),
        ("notes", "h\u{e9}llo".as_bytes().to_vec(), "text/plain", false),
        ("data", vec![0xff, 0x00, 0x13, 0x37], "application/octet-stream", false),
    ] {
        let made = rig.upload("alice", &chat, name, &bytes).await;
        assert_eq!((made.status, made.body["type"].as_str()), (201, Some(media_type)), "{name}: {made:?}");
        assert_eq!(made.body["thumbnail_url"].is_string(), shown, "{name}");
        let file = rig.get("bob", made.body["url"].as_str().unwrap()).await;
        assert_eq!(file.bytes, bytes, "{name}: as it came");
        let how = if shown { "inline" } else { "attachment" };
        assert!(header(&file, "content-disposition").starts_with(how), "{name}: {file:?}");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn an_image_that_wants_too_much_memory_is_a_file_like_others() {
    let rig = Rig::with(|config| config.uploads.pixels = 1_000_000).await;
    let chat = rig.group().await;
    // A head that promises 60,000 by 60,000 pixels; and one that keeps its promise of too many.
    let mut promise = png(8, 8);
    promise[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    for bytes in [promise, png(1_500, 1_000)] {
        let made = rig.upload("alice", &chat, "bomb.png", &bytes).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert!(made.body["width"].is_null() && made.body["thumbnail_url"].is_null());
        let file = rig.get("bob", made.body["url"].as_str().unwrap()).await;
        assert!(header(&file, "content-disposition").starts_with("attachment"));
    }
}

#[tokio::test]
async fn a_name_is_never_a_path_or_a_header() {
    let rig = Rig::start().await;
    let chat = rig.group().await;
    for (name, kept) in [
        ("../../../../etc/cron.d/x", "x"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("%2e%2e%2fx", "%2e%2e%2fx"),
        ("", "file"),
        ("caf\u{e9}.txt", "caf\u{e9}.txt"),
    ] {
        let made = rig.upload("alice", &chat, name, b"text").await;
        assert_eq!(made.body["name"], kept, "{name:?}: {made:?}");
        let file = rig.get("alice", made.body["url"].as_str().unwrap()).await;
        assert!(file.headers.get("set-cookie").is_none() && file.status == 200);
    }
    let outside: Vec<_> = walk(rig.dir.path())
        .into_iter()
        .filter(|path| std::fs::read(path).is_ok_and(|bytes| bytes == b"text"))
        .filter(|path| !path.starts_with(rig.dir.path().join("uploads").join(&chat)))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_counts_for_nothing() {
    let rig = Rig::with(|config| {
        config.uploads.max_file_size = ByteSize(1_000);
        config.uploads.quota = ByteSize(2_500);
    })
    .await;
    let chat = rig.group().await;
    assert_eq!(rig.upload("alice", &chat, "a", &[b'x'; 1_001]).await.refusal(), (413, "too_large"));
    assert_eq!(rig.upload("alice", &chat, "a", &[b'x'; 200_000]).await.refusal(), (413, "too_large"));
    for _ in 0..2 {
        assert_eq!(rig.upload("alice", &chat, "a", &[b'x'; 1_000]).await.status, 201);
    }
    let third = rig.upload("alice", &chat, "a", &[b'x'; 1_000]).await;
    assert_eq!(third.refusal(), (403, "quota_exceeded"));
    let last = rig.upload("alice", &chat, "a", &[b'x'; 500]).await;
    assert_eq!(last.status, 201, "what fits, fits");
    assert_eq!(rig.upload("alice", &chat, "a", b"x").await.refusal(), (403, "quota_exceeded"));
    assert_eq!(rig.upload("bob", &chat, "a", b"x").await.status, 201, "another's quota");
    assert_eq!(rig.call("alice", "DELETE", last.body["url"].as_str().unwrap(), Value::Null).await.status, 204);
    assert_eq!(rig.upload("alice", &chat, "a", b"x").await.status, 201, "what is removed counts no more");
    assert_eq!(walk(&rig.dir.path().join("uploads")).len(), 4, "nothing of what was refused");
}

#[tokio::test]
async fn a_form_that_is_none_or_for_another_chat_is_refused() {
    let rig = Rig::start().await;
    let chat = rig.group().await;
    let missing = uuid::Uuid::from_u128(9).to_string();
    let [hidden, absent] =
        [rig.upload("mallory", &chat, "a", b"x").await, rig.upload("mallory", &missing, "a", b"x").await];
    assert_eq!(hidden.refusal(), (404, "not_found"));
    assert_eq!(hidden.body, absent.body);
    let file: (&str, Option<&str>, &[u8]) = ("file", Some("a"), b"x");
    let mut cut = form(&[("chat", None, chat.as_bytes()), file]);
    cut.truncate(cut.len() - 30);
    for body in [
        form(&[]),
        form(&[file]),
        form(&[file, ("chat", None, chat.as_bytes())]),
        form(&[("chat", None, b"' OR 1=1"), file]),
        form(&[("chat", None, &[0xff, 0xfe]), file]),
        form(&[("chat", None, chat.as_bytes())]),
        form(&[("chat", None, chat.as_bytes()), ("file", Some("a"), b"")]),
        cut,
        b"no form".to_vec(),
        Vec::new(),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(rig.post_form("alice", body).await.refusal(), (400, "bad_request"), "{shown}");
    }
    let json = rig.call("alice", "POST", "/api/uploads", json!({"chat": chat})).await;
    assert_eq!(json.refusal(), (415, "unsupported_media_type"));
    assert_eq!(rig.call("alice", "PUT", "/api/uploads", Value::Null).await.refusal(), (405, "method_not_allowed"));
    assert!(walk(&rig.dir.path().join("uploads")).is_empty());
}

#[tokio::test]
async fn a_store_that_is_gone_is_an_error_for_a_while_and_costs_no_quota() {
    let rig = Rig::with(|config| config.uploads.quota = ByteSize(10)).await;
    let (chat, folder) = (rig.group().await, rig.dir.path().join("uploads"));
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let refused = rig.upload("alice", &chat, "a", b"0123456789").await;
    assert_eq!(refused.refusal(), (503, "unavailable"));
    assert!(!refused.body.to_string().contains("no folder") && refused.headers.contains_key("retry-after"));
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(rig.upload("alice", &chat, "a", b"0123456789").await.status, 201);
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let rig = Rig::start().await;
    let chat = rig.group().await;
    let body = form(&[("chat", None, chat.as_bytes()), ("file", Some("a"), &[b'x'; 1_000])]);
    let head = format!(
        "POST /api/uploads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: multipart/form-data; \
         boundary={BOUNDARY}\r\ncontent-length: {}\r\n\r\n",
        rig.token("alice"),
        body.len()
    );
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..300]).await.unwrap();
    let mut answer = [0; 64];
    let read = within("an answer", stream.read(&mut answer)).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn files_are_taken_from_those_who_may_write_only() {
    let rig = Rig::start().await;
    let news = json!({"members": ["bob"], "title": "News", "may_send": "creator"});
    let news = rig.call("alice", "POST", "/api/chats", news).await.body["room"].as_str().unwrap().to_owned();
    assert_eq!(rig.upload("alice", &news, "a", b"x").await.status, 201);
    assert_eq!(rig.upload("bob", &news, "a", b"x").await.refusal(), (403, "permission_denied"));

    let direct = rig.call("alice", "POST", "/api/chats", json!({"kind": "direct", "user": "bob"})).await;
    let direct = direct.body["room"].as_str().unwrap().to_owned();
    assert_eq!(rig.upload("bob", &direct, "a", b"x").await.status, 201);
    let blocked = rig.call("alice", "PUT", "/api/users/bob/block", Value::Null).await;
    assert!(blocked.status < 300, "{blocked:?}");
    // The block is the blocker's own, and reaches the chat a moment later.
    let refused = found("the block arrives", async || {
        let answer = rig.upload("bob", &direct, "a", b"x").await;
        (answer.status != 201).then_some(answer)
    });
    let refused = refused.await;
    assert_eq!(refused.refusal(), (403, "blocked"));

    let chat = rig.group().await;
    let ended = rig.call("alice", "DELETE", &format!("/api/chats/{chat}"), Value::Null).await;
    assert!(ended.status < 300, "{ended:?}");
    assert_eq!(rig.upload("alice", &chat, "a", b"x").await.refusal(), (410, "ended"));
}

#[tokio::test]
async fn a_thumbnail_says_which_of_the_two_it_is() {
    let rig = Rig::start().await;
    let chat = rig.group().await;
    let mut clear = Vec::new();
    let image = image::RgbaImage::from_pixel(9, 9, image::Rgba([1, 2, 3, 4]));
    image.write_to(&mut Cursor::new(&mut clear), ImageFormat::Png).unwrap();
    for (bytes, kind) in [(png(9, 9), "image/jpeg"), (clear, "image/png")] {
        let upload = rig.upload("alice", &chat, "a.png", &bytes).await;
        let small = rig.get("bob", upload.body["thumbnail_url"].as_str().unwrap()).await;
        assert_eq!((small.status, header(&small, "content-type")), (200, kind));
        assert!(!small.bytes.is_empty());
    }
}
