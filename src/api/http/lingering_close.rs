//! Who is refused while still sending reads the answer all the same: what is left of a refused request's body is taken, within
//! bounds, before the answer goes. Closing with unread bytes would reset the connection under it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};

/// Bytes that are taken.
const MOST: usize = 4 * 1024 * 1024;
/// How long.
const PATIENCE: Duration = Duration::from_secs(1);

/// A body that is still there when who was given it has let it go.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<BodyDataStream>>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = body.as_mut() else { return Poll::Ready(None) };
        let next = stream.poll_next_unpin(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            *body = None;
        }
        next
    }
}

/// See the module.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut left = Shared(Arc::new(Mutex::new(Some(body.into_data_stream()))));
    let response = next.run(Request::from_parts(parts, Body::from_stream(left.clone()))).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let taking = async {
            let mut taken = 0;
            while let Some(Ok(piece)) = left.next().await {
                taken += piece.len();
                if taken > MOST {
                    break;
                }
            }
        };
        // Taken or not: the answer goes.
        let _ = tokio::time::timeout(PATIENCE, taking).await;
    }
    response
}
