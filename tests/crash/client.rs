//! A small client of the Centrifuge protocol, version 2, JSON: one connection, written for observing. Answers and pushes
//! are handed on inside the reading task, so that they are taken down in the order in which they arrived.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a connection or a `call` may take. A server that needs longer hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a command comes to.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    /// The server's answer.
    Server { code: u32, message: String, temporary: bool },
    /// The connection ended before the answer.
    Closed,
}

impl CallError {
    pub(crate) fn code(&self) -> u32 {
        match self {
            Self::Server { code, .. } => *code,
            Self::Closed => 0,
        }
    }

    /// Whether the command certainly left nothing behind. An internal error (100) and 451 leave it open.
    pub(crate) fn is_definite(&self) -> bool {
        matches!(self, Self::Server { code, .. } if *code != 100 && *code != 451)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { code, message, temporary } => write!(f, "error {code} {message} (temporary: {temporary})"),
            Self::Closed => f.write_str("connection closed"),
        }
    }
}

pub(crate) type Answer = Result<Value, CallError>;
pub(crate) type Callback = Box<dyn FnOnce(Answer) + Send>;
pub(crate) type OnPush = Box<dyn Fn(&Value) + Send>;

/// How a connection ended: the close code, 0 if it just broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closed {
    pub code: u16,
}

struct Shared {
    /// `None` once the connection is over.
    waiting: Mutex<Option<HashMap<u32, Callback>>>,
    closed: watch::Sender<Option<Closed>>,
}

impl Shared {
    fn end(&self, code: u16) {
        let waiting = self.waiting.lock().unwrap().take();
        for callback in waiting.into_iter().flatten().map(|(_, callback)| callback) {
            callback(Err(CallError::Closed));
        }
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(Closed { code });
            first
        });
    }
}

/// One connection. Dropping it cuts it off.
pub(crate) struct Link {
    out: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
    next_id: AtomicU32,
    tasks: [JoinHandle<()>; 2],
}

impl Link {
    /// Connects and authenticates with the `connect` request given. `on_connected` gets the answer and `on_push` every push
    /// (`{"channel":…, "pub":…}`), in the order of arrival.
    pub(crate) async fn open(
        url: &str,
        request: &Value,
        on_connected: Callback,
        on_push: OnPush,
    ) -> Result<Self, CallError> {
        let opening = tokio_tungstenite::connect_async(url);
        // Pauses: a server that was killed does not answer: that is the bound.
        let Ok(Ok((socket, _))) = tokio::time::timeout(PATIENCE, opening).await else { return Err(CallError::Closed) };
        let (sink, stream) = socket.split();
        let (out, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { waiting: Mutex::new(Some(HashMap::new())), closed: watch::Sender::new(None) });
        let tasks =
            [tokio::spawn(write(sink, queue)), tokio::spawn(read(stream, Arc::clone(&shared), out.clone(), on_push))];
        let link = Self { out, shared, next_id: AtomicU32::new(1), tasks };
        let (connected, done) = oneshot::channel();
        let on_answer = move |answer: Answer| {
            let outcome = answer.clone().map(drop);
            on_connected(answer);
            drop(connected.send(outcome));
        };
        link.send("connect", request, Box::new(on_answer));
        // Pauses: a server that was killed does not answer: that is the bound.
        match tokio::time::timeout(PATIENCE, done).await {
            Ok(Ok(outcome)) => outcome.map(|()| link),
            _ => Err(CallError::Closed),
        }
    }

    /// Connects without watching.
    pub(crate) async fn plain(url: &str, token: &str) -> Result<Self, CallError> {
        Self::open(url, &json!({ "token": token }), Box::new(|_| ()), Box::new(|_| ())).await
    }

    /// Sends a command; `on_answer` runs in the reading task, or here if the connection is over.
    pub(crate) fn send(&self, method: &str, request: &Value, on_answer: Callback) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.shared.waiting.lock().unwrap();
        let Some(map) = waiting.as_mut() else {
            drop(waiting);
            return on_answer(Err(CallError::Closed));
        };
        map.insert(id, on_answer);
        // Under the lock: two callers' commands leave in the order in which they were taken down.
        let _ = self.out.send(Message::text(json!({ "id": id, method: request }).to_string()));
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn call(&self, method: &str, request: Value) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.send(method, &request, Box::new(|result| drop(answer.send(result))));
        // Pauses: a server that was killed does not answer: that is the bound.
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(result)) => result,
            _ => {
                self.abort();
                Err(CallError::Closed)
            }
        }
    }

    /// An rpc; the answer is its data.
    pub(crate) async fn rpc(&self, method: &str, data: Value) -> Answer {
        self.call("rpc", json!({ "method": method, "data": data })).await.map(data_of)
    }

    /// Asks for what is only read, and again while the server says that it can't be had now, as a client does.
    pub(crate) async fn read(&self, method: &str, request: Value) -> Answer {
        // Pauses: the bound of the wait below.
        let end = Instant::now() + PATIENCE;
        loop {
            match self.call(method, request.clone()).await {
                Err(CallError::Server { temporary: true, .. }) if Instant::now() < end => {
                    // Pauses: between looks, within a bound.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                answer => return answer,
            }
        }
    }

    /// As [`Self::read`], of an rpc. Gives what it answered.
    pub(crate) async fn read_rpc(&self, method: &str, data: Value) -> Answer {
        self.read("rpc", json!({ "method": method, "data": data })).await.map(data_of)
    }

    /// Waits for the end.
    pub(crate) async fn closed(&self) -> Closed {
        let mut closed = self.shared.closed.subscribe();
        let end = closed.wait_for(Option::is_some).await.map(|end| *end);
        end.ok().flatten().unwrap_or(Closed { code: 0 })
    }

    /// Ends it in the middle of everything, without a goodbye. Afterwards nothing arrives any more.
    pub(crate) async fn cut(&mut self) {
        self.abort();
        for task in &mut self.tasks {
            let _ = task.await;
        }
        self.shared.end(0);
    }

    /// Says goodbye and waits a moment for the server's. What was sent before is still read by the server.
    pub(crate) async fn goodbye(&self) {
        let _ = self.out.send(Message::Close(None));
        // Pauses: a server that was killed does not answer: that is the bound.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.closed()).await;
    }

    fn abort(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.abort();
        self.shared.end(0);
    }
}

/// What an rpc answered.
fn data_of(answer: Value) -> Value {
    answer.get("data").cloned().unwrap_or(Value::Null)
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn write(
    mut sink: futures_util::stream::SplitSink<Socket, Message>,
    mut queue: mpsc::UnboundedReceiver<Message>,
) {
    while let Some(message) = queue.recv().await {
        if sink.feed(message).await.is_err() {
            return;
        }
        // Pauses: takes what has come; the history is checked at the end.
        while let Ok(message) = queue.try_recv() {
            if sink.feed(message).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

async fn read(
    mut stream: futures_util::stream::SplitStream<Socket>,
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Message>,
    on_push: OnPush,
) {
    let mut code = 0;
    while let Some(Ok(message)) = stream.next().await {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => {
                code = frame.map_or(0, |frame| frame.code.into());
                continue;
            }
            _ => continue,
        };
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            let Ok(reply) = serde_json::from_str::<Value>(line) else { panic!("not JSON: {line}") };
            match (reply.get("id").and_then(Value::as_u64), reply.get("push")) {
                (Some(id), _) => {
                    let mut waiting = shared.waiting.lock().unwrap();
                    let callback = waiting.as_mut().and_then(|map| map.remove(&u32::try_from(id).unwrap()));
                    drop(waiting);
                    if let Some(callback) = callback {
                        callback(answer(reply));
                    }
                }
                (None, Some(push)) => on_push(push),
                // An empty reply is the server's ping; an empty command is the pong.
                (None, None) => drop(out.send(Message::text("{}"))),
            }
        }
    }
    shared.end(code);
}

fn answer(mut reply: Value) -> Answer {
    if let Some(error) = reply.get("error") {
        return Err(CallError::Server {
            code: error["code"].as_u64().unwrap_or(0) as u32,
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            temporary: error["temporary"].as_bool().unwrap_or(false),
        });
    }
    let map = reply.as_object_mut().unwrap();
    map.remove("id");
    Ok(map.values_mut().next().map_or(Value::Null, Value::take))
}
