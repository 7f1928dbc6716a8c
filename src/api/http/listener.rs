//! A listening socket and its connections: accepts, bounds them, and speaks HTTP/1.1 by hyper directly, so that the
//! time for a request's head, its size and upgrades are under our control. What is asked for is the router's matter.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::IntoResponse as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::Moving;
use super::address::{ConnectionRefusal, Connections, Peer};
use super::error::HttpError;
use super::lingering_close::linger;
use super::manners;
use super::patience::{Heard, Patience};
use super::seats::{Seat, Seats};
use crate::config::{Limits, Network};
use crate::limits;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What a listener holds its connections to.
#[derive(Clone, Debug)]
pub struct Options {
    /// From connect, or the first byte of a later request, to the end of the request's head.
    pub head_timeout: Duration,
    /// How long an answer may wait for its reader.
    pub answer_timeout: Duration,
    /// From an answer to the first byte of the next request.
    pub keep_alive: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Connections from one address; 0: no bound.
    pub per_address: u32,
    /// Connections in all; 0: no bound.
    pub total: u32,
    /// Whether they appear in the connection metrics.
    pub counted: bool,
    /// Whose connections bring those of others, as they say in `X-Forwarded-For`.
    pub proxies: Arc<[Network]>,
    /// When all places are taken, the connection that has been idle for longest makes room.
    pub make_room: bool,
}

impl Options {
    /// As configured for the public listener.
    #[must_use]
    pub fn public(limits: &Limits) -> Self {
        Self {
            head_timeout: limits.handshake_timeout,
            answer_timeout: limits.answer_timeout,
            keep_alive: limits.keep_alive,
            head_bytes: limits.header.0,
            per_address: limits.connections_per_address,
            total: limits.connections,
            counted: true,
            proxies: Arc::default(),
            make_room: false,
        }
    }

    /// The same behind these proxies.
    #[must_use]
    pub(crate) fn behind(self, proxies: &[Network]) -> Self {
        Self { proxies: proxies.into(), ..self }
    }

    /// For the admin listener: a handful of connections.
    #[must_use]
    pub fn admin(limits: &Limits) -> Self {
        Self { per_address: 0, total: 64, counted: false, make_room: true, ..Self::public(limits) }
    }
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Refusals that are being told at one time; beyond it connections are closed without a word.
const REFUSALS: usize = 64;
/// For telling one.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// After an error of accept itself, such as too many open files: trying at once again would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For the last bytes of an answer to somebody whose place is wanted.
const LEAVE_GRACE: Duration = Duration::from_millis(100);
/// Milliseconds after which who has too many connections may try again.
const REFUSED_MS: u64 = 5_000;
/// For answers under way when the listener stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A bound socket that does not serve yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// As the operating system says: the port is taken, or not allowed.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As tokio's own bind: a restart need not wait for connections of before.
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it.
        socket.set_send_buffer_size(limits::SOCKET_SEND_BYTES)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` begins; then takes no more connections and gives answers under way a second.
    /// Upgraded connections are not its own any more. Each request carries a [`Peer`], and whoever is refused while still
    /// sending reads why, whatever route refused it.
    pub async fn serve(self, router: Router, options: Options, metrics: Arc<Metrics>, stop: Shutdown) {
        let router = router.layer(from_fn(linger));
        let accept_errors = metrics.accept_errors.clone();
        let metrics = if options.counted { metrics } else { Arc::default() };
        let open = metrics.connections.clone();
        let proxies = Arc::clone(&options.proxies);
        let connections = Connections::new(options.per_address, options.total, proxies, open);
        let seats = Seats::default();
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        let mut tasks = JoinSet::new();
        loop {
            let (stream, address) = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        accept_errors.inc();
                        tracing::warn!(%error, "a connection can't be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                Some(_) = tasks.join_next() => continue,
                () = stop.draining() => break,
            };
            let admitted = match connections.admit(address) {
                Err(ConnectionRefusal::Total) if options.make_room && seats.make_room() => {
                    connections.admit_instead(address)
                }
                admitted => admitted,
            };
            match admitted {
                Ok(peer) => {
                    metrics.connections_opened.inc();
                    let seat = seats.take();
                    let (connections, router, options) = (connections.clone(), router.clone(), options.clone());
                    tasks.spawn(connection(stream, Taken { peer, connections, seat }, router, options, stop.clone()));
                }
                Err(refusal) => {
                    let reason = match refusal {
                        ConnectionRefusal::Address => "address",
                        ConnectionRefusal::Total => "total",
                    };
                    metrics.connections_refused.inc(reason);
                    tracing::debug!(%address, reason, "connection refused");
                    if let Ok(permit) = refusals.clone().try_acquire_owned() {
                        tasks.spawn(async move {
                            // Told or not: the connection ends here either way.
                            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refuse(stream, refusal)).await;
                            drop(permit);
                        });
                    }
                }
            }
        }
        drop(self.socket);
        let finished = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, finished).await.is_err() {
            tracing::debug!("answers under way are cut off");
        }
    }
}

/// A connection that has a place.
struct Taken {
    peer: Peer,
    connections: Connections,
    seat: Arc<Seat>,
}

async fn connection(stream: TcpStream, taken: Taken, router: Router, options: Options, stop: Shutdown) {
    let Taken { peer, connections, seat } = taken;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let address = peer.address;
    let at_work = Arc::clone(&seat);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (busy, router) = (at_work.busy(), router.clone());
        let admitted = manners::one_host(request.version(), request.headers()).and_then(|()| {
            connections.admit_request(&peer, request.headers()).map_err(|_| {
                let why = "too many connections from this address";
                let refused = HttpError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", why);
                refused.retry_after(REFUSED_MS)
            })
        });
        async move {
            let _busy = busy;
            let mut response = match admitted {
                Ok(peer) => {
                    request.extensions_mut().insert(peer);
                    router.oneshot(request).await?
                }
                Err(refused) => refused.into_response(),
            };
            manners::finish(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    let patience = Patience::new(options.head_timeout, options.keep_alive);
    let stream = Heard::new(stream, patience.clone());
    let connection = http1::Builder::new()
        .timer(patience)
        .header_read_timeout(options.keep_alive)
        .max_buf_size(options.head_bytes)
        .max_header_size(options.head_bytes)
        .serve_connection(TokioIo::new(Moving::new(stream, options.answer_timeout)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = seat.is_wanted() => {
            connection.as_mut().graceful_shutdown();
            // An answer may be on its way still.
            tokio::time::timeout(LEAVE_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%address, %error, "HTTP connection");
    }
}

/// Says why, and lets the client read it: closing with unread bytes would reset the connection under the answer.
async fn refuse(mut stream: TcpStream, refusal: ConnectionRefusal) -> io::Result<()> {
    let (status, code, message) = match refusal {
        ConnectionRefusal::Address => {
            ("429 Too Many Requests", "too_many_connections", "too many connections from this address")
        }
        ConnectionRefusal::Total => ("503 Service Unavailable", "too_many_connections", "too many connections"),
    };
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 5\r\nconnection: \
         close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
