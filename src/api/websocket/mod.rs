//! The WebSocket endpoint of the public port: handshake, frames, and one task for each connection.
//!
//! The frames are our own code: an idle connection then owns no buffer at all, and what is written is shared or copied
//! once (`docs/decisions/0005-own-websocket-frames.md`). Nothing here knows a command: that is [`super::session`].

mod driver;
mod handshake;
mod reader;
#[cfg(test)]
mod tests;
mod utf8;
mod writer;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use self::driver::Driver;
use super::http::{self, Heard, HttpError, Moving, Origins, Peer};
use super::protocol::Format;
use super::session::Server;

/// Where clients connect.
pub const PATH: &str = "/connection/websocket";

struct Endpoint {
    server: Arc<Server>,
    origins: Origins,
}

/// The endpoint's route.
pub(crate) fn routes(server: Arc<Server>, origins: Origins) -> Router {
    Router::new().route(PATH, any(connect)).with_state(Arc::new(Endpoint { server, origins }))
}

async fn connect(
    State(endpoint): State<Arc<Endpoint>>,
    peer: Option<Extension<Peer>>,
    mut request: Request,
) -> Response {
    let agreed = match handshake::agree(&request, &endpoint.origins) {
        Ok(agreed) => agreed,
        Err(error) => return error.into_response(),
    };
    if endpoint.server.shutdown().is_draining() {
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this node goes down").into_response();
    }
    let network =
        peer.as_ref().map(|peer| http::client_network(peer, request.headers(), endpoint.server.trusted_proxies()));
    let upgrade = hyper::upgrade::on(&mut request);
    let (server, format) = (endpoint.server.clone(), agreed.format);
    let guard = server.shutdown().guard();
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(upgraded, server, format, network).await,
            Err(error) => tracing::debug!(%error, "upgrade"),
        }
        // The connection counts, and holds up a drain, until here.
        drop((guard, peer));
    });
    agreed.response()
}

async fn serve(upgraded: hyper::upgrade::Upgraded, server: Arc<Server>, format: Format, network: Option<IpAddr>) {
    match upgraded.downcast::<TokioIo<Moving<Heard<TcpStream>>>>() {
        Ok(parts) => {
            Driver::new(
                parts.io.into_inner().into_inner().into_inner(),
                parts.read_buf.to_vec(),
                server,
                format,
                network,
            )
            .run()
            .await;
        }
        Err(_) => tracing::error!("a WebSocket over something that is no TCP connection"),
    }
}
