//! The one task of a connection: reads, lets the session work, writes, and ends the connection as it must end.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::reader::{ClientMessage, FrameReader, ReadError};
use super::writer::FrameWriter;
use crate::api::protocol::Format;
use crate::api::protocol::codes::Disconnect;
use crate::api::session::{Deadlines, Outgoing, Server, Session};

/// For the last frame to leave and the other side to close.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// WebSocket's own codes.
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;

/// How a connection ended.
enum End {
    /// By us, with this code, and a reason of its own if there is one.
    Disconnect(Disconnect, Option<Box<str>>),
    /// By us: what came is no WebSocket; with WebSocket's own code.
    NoWebSocket(u16),
    /// By the client.
    ByClient,
    /// Without a word.
    Lost,
}

/// A connection's task.
pub(super) struct Driver {
    stream: TcpStream,
    reader: FrameReader,
    writer: FrameWriter,
    session: Session,
    server: Arc<Server>,
    deadlines: Deadlines,
}

impl Driver {
    /// A connection whose handshake is done; `begun` was read behind it.
    pub(crate) fn new(
        stream: TcpStream,
        begun: Vec<u8>,
        server: Arc<Server>,
        format: Format,
        network: Option<IpAddr>,
    ) -> Self {
        let now = Instant::now();
        let session = Session::new(server.clone(), format, now).from(network);
        Self {
            stream,
            reader: FrameReader::new(server.frame_bytes(), begun),
            writer: FrameWriter::default(),
            deadlines: Deadlines::new(&session, &server, now),
            session,
            server,
        }
    }

    /// Serves until the connection is over.
    pub(crate) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        // Others learn of it now, not when the last byte is gone.
        self.session.end();
        if let End::Disconnect(disconnect, _) = &end {
            tracing::debug!(code = disconnect.code, reason = disconnect.reason, "disconnect");
            self.session.count_close(*disconnect);
        }
        let Self { stream, writer, .. } = self;
        // Told or not: it is over.
        let _ = tokio::time::timeout(CLOSE_GRACE, finish(stream, writer, &end)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let now = Instant::now();
            let mut progress = self.session.poll(cx);
            match self.write(now, cx) {
                Ok(wrote) => progress |= wrote,
                Err(error) => {
                    tracing::debug!(%error, "write");
                    return Poll::Ready(End::Lost);
                }
            }
            if let Some(disconnect) = self.session.closing() {
                return Poll::Ready(End::Disconnect(disconnect, self.session.farewell().map(Into::into)));
            }
            match self.read(now, cx) {
                Ok(read) => progress |= read,
                Err(end) => return Poll::Ready(end),
            }
            progress |= self.deadlines.poll(&mut self.session, &self.server, now, cx);
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn write(&mut self, now: Instant, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        loop {
            if self.writer.is_empty() {
                match self.session.outgoing(now, cx) {
                    Outgoing::Messages(messages) => {
                        self.writer.messages(self.session.format(), messages.iter().cloned());
                    }
                    Outgoing::Nothing => return Ok(progress),
                }
            }
            match self.writer.poll_write(&mut self.stream, cx) {
                Poll::Ready(written) => {
                    self.session.wrote(written?);
                    self.deadlines.moving();
                    progress = true;
                }
                Poll::Pending => {
                    self.deadlines.stalled(now);
                    self.session.watch(now, cx);
                    return Ok(progress);
                }
            }
        }
    }

    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        while self.session.wants_frames() {
            match self.reader.next() {
                Ok(Some(ClientMessage::Data(payload))) => self.session.frame(payload, now),
                Ok(Some(ClientMessage::Ping(payload))) => {
                    self.writer.pong(payload);
                    self.session.control(now);
                }
                Ok(Some(ClientMessage::Pong)) => self.session.control(now),
                Ok(Some(ClientMessage::Close)) => return Err(End::ByClient),
                Ok(None) => match self.fill(cx) {
                    Poll::Ready(Ok(0)) => return Err(End::Lost),
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "read");
                        return Err(End::Lost);
                    }
                    Poll::Pending => {
                        self.reader.rest();
                        break;
                    }
                },
                Err(ReadError::TooBig) => self.session.too_big(),
                Err(error @ (ReadError::Protocol(_) | ReadError::NotUtf8)) => {
                    tracing::debug!(%error, "bad frame");
                    let code = if error == ReadError::NotUtf8 { NOT_UTF8 } else { PROTOCOL_ERROR };
                    return Err(End::NoWebSocket(code));
                }
            }
            progress = true;
        }
        Ok(progress)
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // First whether something came: the reader takes memory only for that.
        ready!(self.stream.poll_read_ready(cx))?;
        poll_read_buf(Pin::new(&mut self.stream), cx, self.reader.space())
    }
}

/// Says goodbye, and lets the other side read it: closing with unread bytes would reset the connection under it.
async fn finish(mut stream: TcpStream, mut writer: FrameWriter, end: &End) -> io::Result<()> {
    match end {
        // What this code says on the wire is nothing: as if the network had gone.
        End::Disconnect(end, _) if *end == Disconnect::CONNECTION_CLOSED => return Ok(()),
        End::Disconnect(Disconnect { code, reason }, said) => writer.close(*code, said.as_deref().unwrap_or(reason)),
        End::NoWebSocket(code) => writer.close(*code, "bad frame"),
        End::ByClient => writer.close(NORMAL, ""),
        End::Lost => return Ok(()),
    }
    while !writer.is_empty() {
        poll_fn(|cx| writer.poll_write(&mut stream, cx)).await?;
    }
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
