//! What goes out when and to whom. A partition has one place at a time: it rests, stands in the line of its leader, is out to a
//! leader, or waits for something (a leader, an id, the end of a pause).

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connection::{AskError, BrokerConnection};
use super::questions::{self, Leaders};
use super::sending::{Chunk, ProduceAnswer, ProducerIdentity, Sending, SendingStep};
use super::{AppenderEvent, Shared};
use crate::ids::Partition;
use crate::limits;
use crate::storage::journal::kafka::lane::RecordFate;
use crate::storage::journal::kafka::settings::Options;

/// How often what waits for time is looked at, while anything does.
const TICK: Duration = Duration::from_millis(25);
/// Before the same batch is sent again.
const PAUSE: Duration = Duration::from_millis(50);
/// An answer that takes longer may never come, because somebody else leads by now.
const SLOW: Duration = Duration::from_millis(500);
/// A connection without an answer for so long is given up.
const HUNG: Duration = Duration::from_secs(12);
/// Between two questions who leads.
const RESPITE: Duration = Duration::from_millis(100);
/// How long a question may take that any broker can answer.
const QUESTION: Duration = Duration::from_secs(1);

/// What became of a request.
pub(super) struct Answered {
    broker: i32,
    /// Of its requests.
    request: u64,
    answers: Result<Vec<(Partition, ProduceAnswer)>, AskError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    #[default]
    Rests,
    InLine(i32),
    Out(i32),
    /// Until then at least.
    Waits(Option<Instant>),
}

#[derive(Default)]
struct Slot {
    sending: Sending,
    place: Place,
    leader: Option<i32>,
    /// Which id it had last.
    identity: u32,
}

struct Broker {
    address: String,
    asker: Asker,
    line: VecDeque<Partition>,
    /// A request is under way. Its partitions whose answer is still wanted.
    out: Option<Out>,
}

struct Out {
    request: u64,
    partitions: Vec<Partition>,
    since: Instant,
}

/// Sends a broker its requests, one after the other, and tells what became of them. Ends when this goes.
struct Asker {
    requests: UnboundedSender<(u64, Vec<(Partition, Chunk)>)>,
    task: AbortHandle,
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A question that any broker can answer, and that one is asked at a time.
#[derive(Default)]
struct Question {
    is_wanted: bool,
    is_asked: bool,
    asked: Option<Instant>,
}

impl Question {
    /// Whether it is to be asked now. One whose answer was lost is asked again.
    fn is_due(&mut self, now: Instant) -> bool {
        let rests = if self.is_asked { 2 * QUESTION } else { RESPITE };
        let is_due = self.is_wanted && self.asked.is_none_or(|at| now.duration_since(at) >= rests);
        if is_due {
            (self.is_asked, self.asked) = (true, Some(now));
        }
        is_due
    }

    fn answered(&mut self, is_known: bool) {
        self.is_asked = false;
        self.is_wanted &= !is_known;
    }
}

/// See the module.
pub(super) struct Driver {
    journal: Arc<Shared>,
    topic: String,
    /// `host:port` of those that are asked what any broker knows; in turn.
    addresses: Vec<String>,
    turn: usize,
    slots: Vec<Slot>,
    brokers: BTreeMap<i32, Broker>,
    /// Requests that went out so far.
    requests: u64,
    /// The newest id, and how many there were.
    identity: Option<(ProducerIdentity, u32)>,
    who_leads: Question,
    new_identity: Question,
    events: UnboundedSender<AppenderEvent>,
    told: UnboundedReceiver<AppenderEvent>,
}

impl Driver {
    pub(super) fn new(journal: Arc<Shared>, options: &Options) -> Self {
        let (events, told) = unbounded_channel();
        Self {
            journal,
            topic: options.topic.clone(),
            addresses: options.brokers.split(',').map(|address| address.trim().to_owned()).collect(),
            turn: 0,
            slots: Partition::all().map(|_| Slot::default()).collect(),
            brokers: BTreeMap::new(),
            requests: 0,
            identity: None,
            who_leads: Question { is_wanted: true, ..Question::default() },
            new_identity: Question { is_wanted: true, ..Question::default() },
            events,
            told,
        }
    }

    /// Until it is told to stop.
    pub(super) async fn run(mut self, asked: &mut UnboundedReceiver<AppenderEvent>) {
        let mut tick = Instant::now();
        loop {
            let mut next = tokio::select! {
                biased;
                () = tokio::time::sleep_until(tick), if self.is_waiting() => None,
                event = self.told.recv() => event,
                event = asked.recv() => event,
            };
            // All that is known by now, so that it goes out together.
            while let Some(event) = next {
                if matches!(event, AppenderEvent::Stop) {
                    return;
                }
                self.take(event);
                next = self.told.try_recv().or_else(|_| asked.try_recv()).ok();
            }
            if Instant::now() >= tick {
                self.tick();
                tick = Instant::now() + TICK;
            }
            self.depart();
        }
    }

    /// Whether anything waits for time.
    fn is_waiting(&self) -> bool {
        self.who_leads.is_wanted
            || self.new_identity.is_wanted
            || self.brokers.values().any(|broker| broker.out.is_some())
            || self.slots.iter().any(|slot| matches!(slot.place, Place::Waits(_)))
    }

    fn take(&mut self, event: AppenderEvent) {
        match event {
            AppenderEvent::Wants(partition) => {
                match self.slots[partition.index()].place {
                    Place::Rests => self.stand_in_line(partition),
                    // It is looked at when it has landed.
                    Place::Out(_) => self.journal.appender.looks(partition),
                    Place::InLine(_) | Place::Waits(_) => {}
                }
            }
            AppenderEvent::GivesUp(partition) => self.give_up(partition),
            AppenderEvent::Answered(answered) => self.answered(answered),
            AppenderEvent::Leaders(leaders) => {
                self.who_leads.answered(leaders.is_some());
                if let Some(leaders) = leaders {
                    self.lead(leaders);
                }
            }
            AppenderEvent::Identity(identity) => {
                self.new_identity.answered(identity.is_some());
                if let Some(identity) = identity {
                    let number = self.identity.map_or(0, |(_, number)| number);
                    self.identity = Some((identity, number + 1));
                    self.look_at_those_who_wait();
                }
            }
            #[cfg(test)]
            AppenderEvent::Panics => panic!("planted"),
            AppenderEvent::Stop => {}
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let mut hung = Vec::new();
        for (number, broker) in &self.brokers {
            let Some(out) = &broker.out else { continue };
            let is_slow = now.duration_since(out.since) >= SLOW && !out.partitions.is_empty();
            self.who_leads.is_wanted |= is_slow && self.who_leads.asked.is_none_or(|at| now.duration_since(at) >= SLOW);
            if now.duration_since(out.since) >= HUNG {
                hung.push(*number);
            }
        }
        for number in hung {
            let Some(broker) = self.brokers.get_mut(&number) else { continue };
            tracing::warn!(broker = number, "a broker of Kafka has not answered for {HUNG:?}: a new connection");
            broker.asker = Asker::of(number, &broker.address, &self.topic, &self.events);
            self.unanswered(number, "the connection was given up");
        }
        if self.who_leads.is_due(now) {
            let (address, topic, events) = (self.next_address(), self.topic.clone(), self.events.clone());
            tokio::spawn(async move {
                let mut connection = BrokerConnection::to(address);
                let asking = questions::leaders(&mut connection, &topic);
                let known = told(asking, "who leads").await;
                let _ = events.send(AppenderEvent::Leaders(known));
            });
        }
        if self.new_identity.is_due(now) {
            let (address, events) = (self.next_address(), self.events.clone());
            tokio::spawn(async move {
                let mut connection = BrokerConnection::to(address);
                let known = told(questions::identity(&mut connection), "a producer id").await;
                let _ = events.send(AppenderEvent::Identity(known));
            });
        }
        self.look_at_those_who_wait();
    }

    /// In turn: one that is away is not asked again and again.
    fn next_address(&mut self) -> String {
        self.turn = self.turn.wrapping_add(1);
        let address = self.addresses.get(self.turn % self.addresses.len().max(1));
        address.cloned().unwrap_or_default()
    }

    fn look_at_those_who_wait(&mut self) {
        let now = Instant::now();
        for partition in Partition::all() {
            if let Place::Waits(until) = self.slots[partition.index()].place
                && until.is_none_or(|until| until <= now)
            {
                self.stand_in_line(partition);
            }
        }
    }

    /// A partition has something to send.
    fn stand_in_line(&mut self, partition: Partition) {
        let slot = &mut self.slots[partition.index()];
        let newest = self.identity.filter(|(_, number)| *number > slot.identity);
        if slot.sending.identity().is_none() {
            match newest {
                Some((identity, number)) => {
                    slot.sending.takes(identity);
                    slot.identity = number;
                }
                None => self.new_identity.is_wanted = true,
            }
        }
        let leader = slot.leader.and_then(|leader| Some((leader, self.brokers.get_mut(&leader)?)));
        self.who_leads.is_wanted |= leader.is_none();
        match leader {
            Some((leader, broker)) if slot.sending.identity().is_some() => {
                broker.line.push_back(partition);
                slot.place = Place::InLine(leader);
            }
            _ => slot.place = Place::Waits(None),
        }
    }

    /// Sends what stands in line to whoever has nothing to do.
    fn depart(&mut self) {
        for (number, broker) in &mut self.brokers {
            if broker.out.is_some() {
                continue;
            }
            let (mut chunks, mut bytes) = (Vec::new(), 0);
            while bytes < limits::KAFKA_REQUEST_BYTES
                && let Some(partition) = broker.line.pop_front()
            {
                let slot = &mut self.slots[partition.index()];
                slot.place = Place::Rests;
                if !slot.sending.is_busy() {
                    self.journal.appender.looks(partition);
                    match self.journal.launches(partition) {
                        Some(launch) => slot.sending.begins(launch),
                        None => continue,
                    }
                }
                if let Some(chunk) = slot.sending.chunk() {
                    slot.place = Place::Out(*number);
                    bytes += chunk.records.iter().map(bytes::Bytes::len).sum::<usize>();
                    chunks.push((partition, chunk));
                }
            }
            if chunks.is_empty() {
                continue;
            }
            let partitions = chunks.iter().map(|(partition, _)| *partition).collect();
            self.requests += 1;
            broker.out = Some(Out { request: self.requests, partitions, since: Instant::now() });
            if let Err(unsent) = broker.asker.requests.send((self.requests, chunks)) {
                tracing::error!(broker = number, "whoever asks a broker of Kafka has panicked: another one does");
                broker.asker = Asker::of(*number, &broker.address, &self.topic, &self.events);
                let _ = broker.asker.requests.send(unsent.0);
            }
        }
    }

    fn answered(&mut self, Answered { broker: number, request, answers }: Answered) {
        let broker = self.brokers.get_mut(&number);
        // Of a request that was given up it is too late.
        let out = broker.and_then(|broker| broker.out.take_if(|out| out.request == request));
        let Some(mut out) = out else { return };
        match answers {
            Ok(answers) => {
                for (partition, answer) in answers {
                    // One that was given up, or was sent to another one since, has no use for it.
                    let Some(at) = out.partitions.iter().position(|of| *of == partition) else { continue };
                    out.partitions.swap_remove(at);
                    self.take_answer(partition, answer);
                }
                out.had(self, &ProduceAnswer::Maybe("the broker says nothing of it".to_owned()));
            }
            Err(AskError::NotSent(why)) => {
                tracing::debug!(broker = number, why, "a broker of Kafka is not there");
                out.had(self, &ProduceAnswer::NotNow(why));
            }
            Err(AskError::Unanswered(why)) => {
                tracing::debug!(broker = number, why, "a broker of Kafka is gone");
                out.had(self, &ProduceAnswer::Maybe(why));
            }
        }
    }

    /// The request that is out to a broker will have no answer.
    fn unanswered(&mut self, number: i32, why: &str) {
        let out = self.brokers.get_mut(&number).and_then(|broker| broker.out.take());
        if let Some(out) = out {
            out.had(self, &ProduceAnswer::Maybe(why.to_owned()));
        }
    }

    fn take_answer(&mut self, partition: Partition, answer: ProduceAnswer) {
        match &answer {
            ProduceAnswer::Written(..) => {}
            ProduceAnswer::NotNow(why)
            | ProduceAnswer::Maybe(why)
            | ProduceAnswer::Never(why)
            | ProduceAnswer::Stranger(why) => tracing::debug!(%partition, why, "Kafka, writing"),
            ProduceAnswer::Known => tracing::debug!(%partition, "Kafka, writing: known"),
        }
        let slot = &mut self.slots[partition.index()];
        slot.place = Place::Rests;
        match slot.sending.answered(answer) {
            SendingStep::Landed(flight, fates) => self.landed(partition, flight, fates),
            SendingStep::Next => self.stand_in_line(partition),
            SendingStep::Again => {
                slot.place = Place::Waits(Some(Instant::now() + PAUSE));
                self.who_leads.is_wanted = true;
            }
        }
    }

    fn landed(&mut self, partition: Partition, flight: u32, fates: Vec<RecordFate>) {
        if self.journal.landed(partition, flight, fates) {
            self.stand_in_line(partition);
        }
    }

    /// Nobody waits for the partition's flight any longer.
    fn give_up(&mut self, partition: Partition) {
        let slot = &mut self.slots[partition.index()];
        let place = slot.place;
        let Some((flight, fates)) = slot.sending.gives_up(matches!(place, Place::Out(_))) else { return };
        self.leaves(partition, place);
        self.landed(partition, flight, fates);
    }

    /// Takes a partition out of where it is.
    fn leaves(&mut self, partition: Partition, place: Place) {
        self.slots[partition.index()].place = Place::Rests;
        match place {
            Place::InLine(number) => {
                if let Some(broker) = self.brokers.get_mut(&number) {
                    broker.line.retain(|of| *of != partition);
                }
            }
            Place::Out(number) => {
                if let Some(out) = self.brokers.get_mut(&number).and_then(|broker| broker.out.as_mut()) {
                    out.partitions.retain(|of| *of != partition);
                }
            }
            Place::Rests | Place::Waits(_) => {}
        }
    }

    /// Who leads is known anew. What is out to one who led goes to the one who leads now: whoever wrote it knows it again.
    fn lead(&mut self, Leaders { brokers, leaders }: Leaders) {
        for (number, address) in brokers {
            if self.brokers.get(&number).is_none_or(|broker| broker.address != address) {
                let asker = Asker::of(number, &address, &self.topic, &self.events);
                self.unanswered(number, "the broker has another address");
                let line = self.brokers.remove(&number).map(|broker| broker.line).unwrap_or_default();
                self.brokers.insert(number, Broker { address: address.clone(), asker, line, out: None });
            }
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        for (partition, leader) in Partition::all().zip(leaders) {
            let slot = &mut self.slots[partition.index()];
            let (before, place) = (mem::replace(&mut slot.leader, leader), slot.place);
            if before == leader || leader.is_none() {
                continue;
            }
            match place {
                Place::Rests | Place::Waits(Some(_)) => {}
                Place::Waits(None) | Place::InLine(_) => {
                    self.leaves(partition, place);
                    self.stand_in_line(partition);
                }
                Place::Out(_) => {
                    slot.sending.unanswered();
                    self.leaves(partition, place);
                    self.stand_in_line(partition);
                }
            }
        }
    }
}

impl Out {
    /// All that it still has to be answered is answered so.
    fn had(self, driver: &mut Driver, answer: &ProduceAnswer) {
        for partition in self.partitions {
            driver.take_answer(partition, answer.clone());
        }
    }
}

impl Asker {
    fn of(broker: i32, address: &str, topic: &str, events: &UnboundedSender<AppenderEvent>) -> Self {
        let (requests, mut asked) = unbounded_channel::<(u64, Vec<(Partition, Chunk)>)>();
        let (mut connection, topic, events) =
            (BrokerConnection::to(address.to_owned()), topic.to_owned(), events.clone());
        let task = tokio::spawn(async move {
            while let Some((request, chunks)) = asked.recv().await {
                let answers = questions::produce(&mut connection, &topic, &chunks).await;
                let _ = events.send(AppenderEvent::Answered(Answered { broker, request, answers }));
            }
        });
        Self { requests, task: task.abort_handle() }
    }
}

/// The answer, or nothing after a while.
async fn told<T>(asking: impl Future<Output = Result<T, AskError>>, what: &str) -> Option<T> {
    let answer = tokio::time::timeout(QUESTION, asking).await;
    let why = match answer {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(why)) => why.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::debug!(why, "Kafka does not say {what}");
    None
}
