//! A WebSocket client of the JSON protocol; thousands of them fit into one process beside the server that is measured.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes that one read may bring. The library's 128 KiB would be 1.3 GB for ten thousand connections.
const READ_BYTES: usize = 16 * 1024;

/// A connection that speaks the JSON protocol.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a WebSocket and connects with a token.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn connect(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let url = format!("ws://{address}/connection/websocket");
        let (socket, _) = client_async_with_config(url, stream, Some(config)).await.context("the handshake")?;
        let mut socket = Self(socket);
        socket.send(&format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)).await?;
        socket.until("\"connect\"").await?;
        Ok(socket)
    }

    /// Sends one text frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.0.send(Message::text(text)).await?)
    }

    /// The next text frame, handed to `read`.
    ///
    /// # Errors
    /// The connection is gone, or the server closes it.
    pub(crate) async fn frame<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            match self.0.next().await.context("the connection is gone")?? {
                Message::Text(text) => return Ok(read(text.as_bytes())),
                Message::Close(why) => bail!("closed by the server: {why:?}"),
                _ => {}
            }
        }
    }

    /// Calls a method and gives the frame with its reply.
    ///
    /// # Errors
    /// The connection is gone, or the reply is an error.
    pub(crate) async fn rpc(&mut self, id: u32, method: &str, data: &str) -> Result<String> {
        self.send(&format!(r#"{{"id":{id},"rpc":{{"method":"{method}","data":{data}}}}}"#)).await?;
        self.until(&format!("\"id\":{id},")).await
    }

    /// Reads frames until one holds the text, and gives that one.
    ///
    /// # Errors
    /// The connection is gone, or an error reply comes first.
    pub(crate) async fn until(&mut self, text: &str) -> Result<String> {
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
