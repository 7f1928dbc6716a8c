//! A WebSocket client as small as can be: many thousands fit into one process beside the server that is measured.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that speaks the JSON protocol.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a WebSocket and connects with a token.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn connect(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let mut socket = Self { stream, buffer: Vec::new() };
        let request = format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.stream.write_all(request.as_bytes()).await?;
        while !socket.buffer.ends_with(b"\r\n\r\n") {
            ensure!(socket.stream.read_buf(&mut socket.buffer).await? > 0, "closed during the handshake");
        }
        ensure!(socket.buffer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&socket.buffer));
        socket.buffer = Vec::new();
        socket.send(&format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)).await?;
        socket.until("\"connect\"").await?;
        Ok(socket)
    }

    /// Sends one text frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![0x81];
        match u16::try_from(text.len())? {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
        }
        // A mask of zeros is a mask.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next text frame, handed to `read`.
    ///
    /// # Errors
    /// The connection is gone, or the server closes it.
    pub async fn frame<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some((opcode, begin, end)) = self.whole()? {
                if opcode == 8 {
                    bail!("closed by the server: {}", String::from_utf8_lossy(&self.buffer[begin..end]));
                }
                if opcode == 1 {
                    let result = read(&self.buffer[begin..end]);
                    self.buffer.drain(..end);
                    if self.buffer.is_empty() {
                        self.buffer.shrink_to(0);
                    }
                    return Ok(result);
                }
                self.buffer.drain(..end);
                continue;
            }
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection is gone");
        }
    }

    /// Opcode and payload of the first frame, if it is whole.
    fn whole(&self) -> Result<Option<(u8, usize, usize)>> {
        let [first, second, rest @ ..] = &self.buffer[..] else { return Ok(None) };
        let (header, length) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (10, usize::try_from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))?)
            }
            (126 | 127, _) => return Ok(None),
            (short, _) => (2, usize::from(short)),
        };
        Ok((self.buffer.len() >= header + length).then_some((first & 0x0f, header, header + length)))
    }

    /// Calls a method and gives the frame with its reply.
    ///
    /// # Errors
    /// The connection is gone, or the reply is an error.
    pub async fn rpc(&mut self, id: u32, method: &str, data: &str) -> Result<String> {
        self.send(&format!(r#"{{"id":{id},"rpc":{{"method":"{method}","data":{data}}}}}"#)).await?;
        self.until(&format!("\"id\":{id},")).await
    }

    /// Reads frames until one holds the text, and gives that one.
    ///
    /// # Errors
    /// The connection is gone, or an error reply comes first.
    pub async fn until(&mut self, text: &str) -> Result<String> {
        loop {
            let frame = self.frame(|bytes| String::from_utf8_lossy(bytes).into_owned()).await?;
            if frame.contains("\"error\"") {
                bail!("{frame}");
            }
            if frame.contains(text) {
                return Ok(frame);
            }
            if frame.trim() == "{}" {
                self.send("{}").await?;
            }
        }
    }
}
