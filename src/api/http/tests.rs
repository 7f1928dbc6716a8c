//! The shell over real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::api::admin::backup::{self, Backups};
use crate::config::Limits;
use crate::shutdown::Shutdown;
use crate::testing::{until, within};

/// Bytes of an answer that no kernel keeps for its reader.
const LARGE: usize = 32 * 1024 * 1024;

struct Shell {
    address: std::net::SocketAddr,
    /// The wish to drain.
    shutdown: Shutdown,
    /// The end of the listener.
    stop: Shutdown,
    health: Health,
    metrics: Arc<Metrics>,
    served: tokio::task::JoinHandle<()>,
}

async fn shell(change: impl FnOnce(&mut Options)) -> Shell {
    let (shutdown, metrics) = (Shutdown::new(), Arc::new(Metrics::new()));
    let health = Health::new(shutdown.clone());
    let mut options = Options::public(&Limits::default());
    change(&mut options);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address();
    let stop = Shutdown::new();
    let router = public(health.clone(), metrics.clone())
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route("/peer", get(|peer: axum::Extension<Peer>| async move { peer.address.ip().to_string() }));
    let served = tokio::spawn(listener.serve(router, options, metrics.clone(), stop.clone()));
    Shell { address, shutdown, stop, health, metrics, served }
}

impl Shell {
    /// Sends `request` and reads until the other side closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    within("the answer ends", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_cut_off_in_time() {
    let shell = shell(|options| options.answer_timeout = Duration::from_secs(1)).await;
    let mut stream = TcpStream::connect(shell.address).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("it is under way", async || shell.metrics.connections.get() == 1).await;
    until("the server has given it up", async || shell.metrics.connections.get() == 0).await;
    let mut answer = Vec::new();
    // What the kernel had taken still comes, and then an end, or an error.
    let _ = within("its end", stream.read_to_end(&mut answer)).await;
    assert!(answer.len() < LARGE, "{} bytes came", answer.len());
}

#[tokio::test]
async fn health_is_told_in_three_ways() {
    let shell = shell(|_| ()).await;
    let journal = shell.health.check("journal");
    assert!(shell.get("/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let answer = shell.get("/readyz?verbose").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\njournal: down: starting\nnot ready\n"), "{answer}");
    journal.up();
    assert!(shell.get("/readyz").await.ends_with("\r\n\r\nready\n"));
    let answer = shell.get("/api/health").await;
    let json: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&json["status"], &json["checks"]["journal"]), (&json!("ok"), &json!("up")));
}

#[tokio::test]
async fn a_draining_node_is_alive_and_not_ready() {
    let shell = shell(|_| ()).await;
    assert!(shell.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    shell.shutdown.begin();
    let answer = shell.get("/readyz?verbose").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\ndraining\nnot ready\n"), "{answer}");
    assert!(shell.get("/api/health").await.contains(r#""status":"draining""#));
    assert!(shell.get("/livez").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_errors_in_json() {
    let shell = shell(|_| ()).await;
    let answer = shell.get("/nothing").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains(r#"{"error":{"code":"not_found","#), "{answer}");
    let answer = shell.raw("POST /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains(r#""code":"method_not_allowed""#), "{answer}");
}

#[tokio::test]
async fn a_handler_learns_who_asks() {
    assert!(shell(|_| ()).await.get("/peer").await.ends_with("\r\n\r\n127.0.0.1"));
}

#[tokio::test]
async fn a_slow_head_is_closed_in_time() {
    let shell = shell(|options| options.head_timeout = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(shell.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let mut silent = TcpStream::connect(shell.address).await.unwrap();
    assert_eq!(read_all(&mut silent).await, "", "who says nothing at all is closed as well");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let shell = shell(|options| options.head_bytes = 8192).await;
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(9000));
    let answer = shell.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_next_one_fits_again() {
    let shell = shell(|options| options.per_address = 1).await;
    let mut first = TcpStream::connect(shell.address).await.unwrap();
    first.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    first.read_exact(&mut start).await.unwrap();
    let answer = shell.get("/livez").await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("too_many_connections"), "{answer}");
    assert!(shell.metrics.page().contains("kervan_connections_refused_total{reason=\"address\"} 1"));
    drop(first);
    until("the connection is gone", async || shell.metrics.connections.get() == 0).await;
    assert!(shell.get("/livez").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let shell = shell(|_| ()).await;
    let mut idle = TcpStream::connect(shell.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    let mut half = TcpStream::connect(shell.address).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nho").await.unwrap();
    shell.stop.begin();
    within("it stops", shell.served).await.unwrap();
    assert!(TcpStream::connect(shell.address).await.is_err());
}

#[tokio::test]
async fn a_backup_takes_the_key_and_an_engine() {
    let shell = shell(|_| ()).await;
    let router = admin(shell.health.clone(), shell.metrics.clone())
        .merge(backup::routes(Arc::new(Backups::new("key".to_owned()))));
    let ask = async |shown: &str, body: &str| {
        let request = axum::http::Request::post("/admin/backup")
            .header("authorization", shown)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_owned()))
            .unwrap();
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap().status()
    };
    for shown in ["", "key", "Bearer", "Bearer ", "Bearer kex", "Bearer keyy", "Bearer ke"] {
        assert_eq!(ask(shown, r#"{"dir":"/x"}"#).await, StatusCode::UNAUTHORIZED, "{shown:?}");
    }
    assert_eq!(ask("Bearer key", r#"{"dir":"/x"}"#).await, StatusCode::SERVICE_UNAVAILABLE, "it is starting");
    for body in [r#"{"dri":"/x"}"#, r#"["/x"]"#, r#"{"dir":5}"#, "", "{"] {
        assert_eq!(ask("Bearer key", body).await, StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn who_has_no_key_is_answered_before_his_body_comes() {
    let shell = shell(|_| ()).await;
    let router = admin(shell.health.clone(), shell.metrics.clone())
        .merge(backup::routes(Arc::new(Backups::new("key".to_owned()))));
    let never =
        axum::body::Body::from_stream(futures_util::stream::pending::<Result<axum::body::Bytes, axum::Error>>());
    let request = axum::http::Request::post("/admin/backup").header("authorization", "Bearer no").body(never).unwrap();
    let answered = within("it answers", tower::ServiceExt::oneshot(router, request)).await;
    assert_eq!(answered.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up_also_from_somebody_with_a_key() {
    let health = Health::new(Shutdown::new());
    let router = admin(health, Arc::default()).merge(backup::routes(Arc::new(Backups::new("key".to_owned()))));
    let never =
        axum::body::Body::from_stream(futures_util::stream::pending::<Result<axum::body::Bytes, axum::Error>>());
    let request = axum::http::Request::post("/admin/backup")
        .header("authorization", "Bearer key")
        .header("content-type", "application/json")
        .body(never)
        .unwrap();
    let begun = tokio::time::Instant::now();
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!((answer.status(), begun.elapsed()), (StatusCode::BAD_REQUEST, timely::BODY_DEADLINE));
}

#[tokio::test]
async fn a_page_that_had_its_name_point_here_reads_nothing() {
    let shell = shell(|_| ()).await;
    let operators = admin(shell.health.clone(), shell.metrics.clone());
    let development = on_this_machine(public(shell.health.clone(), shell.metrics.clone()));
    for (router, path) in [(&operators, "/metrics"), (&operators, "/readyz?verbose"), (&development, "/api/health")] {
        for (host, status) in [("localhost:3001", 200), ("evil.test:3001", 403), ("localhost:1@evil.test", 400)] {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let (address, stop) = (listener.address(), Shutdown::new());
            let options = Options::admin(&Limits::default());
            let served = listener.serve(router.clone(), options, shell.metrics.clone(), stop.clone());
            let served = tokio::spawn(served);
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = read_all(&mut stream).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {host}: {answer}");
            stop.begin();
            served.await.unwrap();
        }
    }
}

#[tokio::test]
async fn connections_that_say_nothing_lock_nobody_out_of_the_admin_port() {
    let shell = shell(|options| {
        let admin = Options::admin(&Limits::default());
        (options.total, options.make_room) = (admin.total, admin.make_room);
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(shell.address).await.unwrap());
        assert!(shell.get("/livez").await.starts_with("HTTP/1.1 200 "), "after {}", idle.len());
    }
    assert_eq!(within("the first one is closed", idle[0].read(&mut [0; 1])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn metrics_are_on_the_admin_side_only() {
    let shell = shell(|_| ()).await;
    assert!(shell.get("/metrics").await.starts_with("HTTP/1.1 404 "));
    let router = admin(shell.health.clone(), shell.metrics.clone());
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let shell = shell(|_| ()).await;
    for (head, status) in [
        ("GET /livez HTTP/1.1\r\nhost: x\r\n", 200),
        ("GET /livez HTTP/1.1\r\nhost: [::1]:3000\r\n", 200),
        ("GET /livez HTTP/1.1\r\nhost:\r\n", 200),
        ("GET /livez HTTP/1.0\r\n", 200),
        ("GET /livez HTTP/1.1\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: x\r\nhost: x\r\n", 400),
        ("GET /livez HTTP/1.0\r\nhost: x\r\nhost: y\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: x, y\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: x@y\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: x y\r\n", 400),
    ] {
        let answer = shell.raw(&format!("{head}connection: close\r\n\r\n")).await;
        assert_eq!(answer.split(' ').nth(1).unwrap(), status.to_string(), "{head}: {answer}");
        assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "{answer}");
        assert!(answer.contains("\r\ncache-control: no-store\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_and_a_later_head_is_no_slower_than_the_first() {
    let shell = shell(|options| options.head_timeout = Duration::from_millis(100)).await;
    let mut kept = TcpStream::connect(shell.address).await.unwrap();
    let mut slow = TcpStream::connect(shell.address).await.unwrap();
    for stream in [&mut kept, &mut slow] {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") && !answer.ends_with(b"live\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    }
    slow.write_all(b"GET /livez").await.unwrap();
    assert!(!read_all(&mut slow).await.contains("200 OK"), "closed after the time of a head");
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(read_all(&mut kept).await.starts_with("HTTP/1.1 200 "), "longer than that with nothing to say");
}

#[tokio::test]
async fn a_page_says_what_it_is_not_for() {
    let shell = shell(|_| ()).await;
    let page = shell.raw("GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n").await;
    let headers = page.split_once("\r\n\r\n").unwrap().0;
    for header in
        ["cross-origin-opener-policy: same-origin", "cross-origin-resource-policy: same-origin", "permissions-policy: "]
    {
        assert!(headers.contains(header), "{headers}");
    }
}

#[tokio::test]
async fn the_demo_can_be_installed_by_its_manifest_and_has_a_worker_that_shows_pushes() {
    let shell = shell(|_| ()).await;
    let page = shell.raw("GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n").await;
    assert!(page.contains("manifest-src 'self'; worker-src 'self'"), "{page}");
    // Looked for anew each time, so that a browser has no old one for long; and it may load and ask for nothing.
    let worker = shell.get("/service-worker.js").await;
    let head = worker.split_once("\r\n\r\n").unwrap().0;
    for header in [
        "content-type: text/javascript",
        "cache-control: no-cache",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n",
    ] {
        assert!(head.contains(header), "{head}");
    }
    assert!(!worker.contains("addEventListener('fetch'"), "it answers for nobody");
    let viewer = shell.get("/docs").await;
    assert!(viewer.contains("worker-src 'none'"), "{viewer}");
    assert!(page.contains("<link rel=\"manifest\" href=\"./manifest.webmanifest\">"), "{page}");
    let answer = shell.get("/manifest.webmanifest").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/manifest+json") && head.contains("cache-control: no-cache"),
        "{head}"
    );
    let manifest: serde_json::Value = serde_json::from_str(body).unwrap();
    let of = |name: &str| manifest[name].as_str().unwrap();
    assert_eq!((of("name"), of("display"), of("start_url")), ("Kervan", "standalone", "./"));
    let icon = shell.get(&format!("/{}", manifest["icons"][0]["src"].as_str().unwrap())).await;
    assert!(icon.starts_with("HTTP/1.1 200 ") && icon.contains("content-type: image/svg+xml"), "{icon}");
}

#[tokio::test]
async fn a_page_comes_in_gzip_to_those_who_take_it() {
    let shell = shell(|_| ()).await;
    let page = shell.get("/docs").await;
    let script = page.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its script");
    let head = async |takes: &str| {
        let head =
            format!("HEAD {script} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept-encoding: {takes}\r\n\r\n");
        shell.raw(&head).await
    };
    let (whole, packed) = (head("br").await, head("gzip, br").await);
    let length = |answer: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        line.parse::<usize>().unwrap()
    };
    assert!(packed.contains("content-encoding: gzip") && !whole.contains("content-encoding"), "{packed}");
    assert!(length(&packed) * 2 < length(&whole), "{} of {}", length(&packed), length(&whole));
    let tag = |answer: &str| answer.lines().find(|line| line.starts_with("etag: ")).map(str::to_owned);
    assert_ne!(tag(&packed), tag(&whole));
    assert!([&packed, &whole].iter().all(|answer| answer.contains("vary: accept-encoding")));
}
