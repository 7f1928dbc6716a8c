//! A body is here in time or not at all: who sends a byte now and then would hold a connection, and whatever waits for the
//! body, for ever.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// From the head of a request to the end of its body. Uploads have a time of their own.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(20);

/// Breaks a body off that takes longer; its reader is told that it did not come whole.
pub(crate) async fn timely(request: Request, next: Next) -> Response {
    let deadline = Instant::now() + BODY_DEADLINE;
    next.run(request.map(|body| Body::from_stream(until(deadline, body.into_data_stream())))).await
}

type Piece<E> = Result<Bytes, E>;

fn until<E: From<axum::Error>>(
    deadline: Instant,
    body: impl Stream<Item = Piece<E>> + Send + Unpin + 'static,
) -> impl Stream<Item = Piece<E>> + Send {
    stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match timeout_at(deadline, body.next()).await {
            Ok(piece) => piece.map(|piece| (piece, Some(body))),
            Err(_) => Some((Err(axum::Error::new(TooSlow).into()), None)),
        }
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct TooSlow;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_broken_off_and_one_in_time_is_whole() {
        let begun = Instant::now();
        let trickle = stream::unfold((), |()| async {
            // Pauses: a body that trickles, in a time of its own.
            tokio::time::sleep(Duration::from_secs(6)).await;
            Some((Ok::<_, axum::Error>(Bytes::from_static(b"x")), ()))
        });
        let mut slow = Box::pin(until(begun + BODY_DEADLINE, Box::pin(trickle)));
        let mut came = 0;
        while let Some(Ok(_)) = slow.next().await {
            came += 1;
        }
        assert_eq!((came, begun.elapsed()), (3, BODY_DEADLINE));
        assert!(slow.next().await.is_none(), "it is over then");
        let whole = stream::iter(["a", "b"].map(|piece| Ok::<_, axum::Error>(Bytes::from(piece))));
        // Pauses: nothing; it is a deadline that is not met.
        let whole: Vec<_> = until(Instant::now() + BODY_DEADLINE, whole).map(Result::unwrap).collect().await;
        assert_eq!(whole, ["a", "b"]);
    }
}
