//! A scripted client: sends, reads, leaves, comes back; sends again what was not acknowledged, with the same client id.
//! Does what a careful application would do, and takes everything down.

mod act;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::{Answer, CallError, Callback, Link, OnPush};
use crate::history::{Recorder, What};
use crate::rng::Rng;
use crate::server;
use crate::watch::Watch;

/// What the clients are to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(crate) enum Phase {
    /// Everything.
    Work,
    /// Nothing new; finish what was begun and stay.
    Settle,
    /// Go.
    Done,
}

/// A place in a room.
#[derive(Clone, Debug)]
pub(crate) struct SeatPlan {
    pub channel: String,
    /// The room's uuid; `None` for an open channel.
    pub room: Option<String>,
    /// Whether this client may send here.
    pub sends: bool,
    /// Whether it leaves and joins again now and then.
    pub leaves: bool,
    /// Whom it kicks, and invites again, now and then.
    pub kicks: Vec<String>,
    /// Several messages under way at once, each naming its predecessor; else one at a time.
    pub chained: bool,
}

/// Who the client is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub url: String,
    pub user: String,
    pub device: String,
    pub seats: Vec<SeatPlan>,
    pub pace_ms: (u64, u64),
    /// Whether it goes away and comes back by itself now and then.
    pub restless: bool,
}

/// A message that is not acknowledged yet.
#[derive(Clone)]
struct Unacked {
    client_id: String,
    text: String,
}

enum State {
    /// In the room without a subscription.
    Ready {
        not_before: Instant,
    },
    Subscribing,
    Subscribed,
    /// Removed, or not let in; comes back at the time.
    Out {
        again: Instant,
    },
    Joining,
}

struct Seat {
    plan: SeatPlan,
    state: State,
    queue: VecDeque<Unacked>,
    in_flight: usize,
    /// After a temporary refusal.
    not_before: Instant,
    last_acked: Option<String>,
    own: Vec<u64>,
    invites: Vec<(Instant, String)>,
}

/// What the reading task tells the client.
enum Note {
    Sent { seat: usize, link: u64, client_id: String, answer: Answer },
    Subscribed { seat: usize, link: u64, result: Result<(), CallError> },
    Done { seat: usize, link: u64, doing: Doing, answer: Answer },
    Ended { channel: String, code: u32, link: u64 },
}

/// What a command was for, where the client must know when it is done.
enum Doing {
    Operation(What),
    Unsubscribe,
    Other,
}

/// Most messages of one seat under way.
const PIPELINE: usize = 4;

pub(crate) struct Member {
    plan: Plan,
    seats: Vec<Seat>,
    pub watch: Arc<Watch>,
    idle: Arc<AtomicBool>,
    rng: Rng,
    link: u64,
    pending: usize,
    sent: u64,
    notes: mpsc::UnboundedReceiver<Note>,
    notify: mpsc::UnboundedSender<Note>,
}

impl Member {
    pub(crate) fn new(plan: Plan, recorder: Arc<Recorder>, rng: Rng) -> Self {
        let now = Instant::now();
        let seat = |plan: &SeatPlan| Seat {
            plan: plan.clone(),
            state: State::Ready { not_before: now },
            queue: VecDeque::new(),
            in_flight: 0,
            not_before: now,
            last_acked: None,
            own: Vec::new(),
            invites: Vec::new(),
        };
        let (notify, notes) = mpsc::unbounded_channel();
        Self {
            seats: plan.seats.iter().map(seat).collect(),
            watch: Arc::new(Watch::new(recorder, &plan.user)),
            idle: Arc::default(),
            rng,
            link: 0,
            pending: 0,
            sent: 0,
            notes,
            notify,
            plan,
        }
    }

    /// Set while nothing is under way and every subscription stands.
    pub(crate) fn idle_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.idle)
    }

    /// Lives until the phase is `Done`.
    pub(crate) async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        while *phase.borrow() < Phase::Done {
            self.idle.store(false, Ordering::Relaxed);
            let mut link = match self.connect().await {
                Ok(link) => link,
                Err(CallError::Server { temporary: false, code, message }) => panic!("not let in: {code} {message}"),
                Err(_) => {
                    // Pauses: the pace of a member.
                    sleep(Duration::from_millis(self.rng.range(20, 200))).await;
                    continue;
                }
            };
            let by_itself = self.work(&link, &mut phase).await;
            link.cut().await;
            let stays_away = *phase.borrow() == Phase::Work && self.rng.chance(50);
            self.watch.disconnected(by_itself && !stays_away);
            // Pauses: takes what has come; more is taken in the next turn.
            while let Ok(note) = self.notes.try_recv() {
                self.note(note);
            }
            assert_eq!(self.pending, 0, "an answer of a connection that is over is missing");
            for seat in &mut self.seats {
                seat.in_flight = 0;
                if matches!(seat.state, State::Subscribing | State::Subscribed) {
                    seat.state = State::Ready { not_before: Instant::now() };
                }
            }
            if stays_away {
                let away = Duration::from_millis(self.rng.range(0, 1500));
                // Pauses: how long a member stays away.
                let _ = tokio::time::timeout(away, phase.wait_for(|phase| *phase > Phase::Work)).await;
            }
        }
    }

    async fn connect(&mut self) -> Result<Link, CallError> {
        self.link += 1;
        let personal = format!("#{}", self.plan.user);
        let (sub, mut from) = self.watch.subscribing(&personal, true);
        from.as_object_mut().unwrap().remove("channel");
        let request = json!({
            "token": server::token(&self.plan.user), "name": "proof", "subs": { &personal: from },
        });
        let view = Arc::clone(&self.watch);
        let on_connected: Callback = Box::new(move |answer| {
            if let Some(result) = answer.ok().as_ref().and_then(|answer| answer["subs"].get(&personal)) {
                view.subscribed(sub, &personal, result);
            }
        });
        let (view, notify, link) = (Arc::clone(&self.watch), self.notify.clone(), self.link);
        let on_push: OnPush = Box::new(move |push| {
            if let Some((channel, code)) = view.push(push) {
                let _ = notify.send(Note::Ended { channel, code, link });
            }
        });
        Link::open(&self.plan.url, &request, on_connected, on_push).await
    }

    /// One connection, to its end; says whether it ended without the client's wish.
    async fn work(&mut self, link: &Link, phase: &mut watch::Receiver<Phase>) -> bool {
        let mut next = Instant::now();
        loop {
            let now = *phase.borrow_and_update();
            if now == Phase::Done {
                link.goodbye().await;
                return false;
            }
            self.keep_up(link, now);
            let idle = now == Phase::Settle && self.is_idle();
            self.idle.store(idle, Ordering::Relaxed);
            tokio::select! {
                closed = link.closed() => {
                    self.watch.endings.lock().unwrap().push(closed.code);
                    return true;
                }
                note = self.notes.recv() => if let Some(note) = note { self.note(note) },
                _ = phase.changed() => {}
                () = sleep_until(next) => {
                    // Pauses: the pace of a member.
                    next = Instant::now() + Duration::from_millis(self.rng.range(self.plan.pace_ms.0, self.plan.pace_ms.1));
                    if now == Phase::Work {
                        match self.rng.range(0, if self.plan.restless { 400 } else { u64::MAX }) {
                            0 => return false,
                            1 => {
                                link.goodbye().await;
                                return false;
                            }
                            _ => self.act(link),
                        }
                    }
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        let settled = |state: &State| matches!(state, State::Subscribed | State::Out { .. });
        self.pending == 0 && self.seats.iter().all(|seat| seat.queue.is_empty() && settled(&seat.state))
    }

    /// Subscribes where it should be, and sends what should be on its way.
    fn keep_up(&mut self, link: &Link, phase: Phase) {
        let now = Instant::now();
        for at in 0..self.seats.len() {
            match self.seats[at].state {
                State::Ready { not_before } if not_before <= now => self.subscribe(link, at),
                State::Out { again } if again <= now && phase == Phase::Work => self.join(link, at),
                _ => {}
            }
            let seat = &self.seats[at];
            if seat.in_flight == 0 && !seat.queue.is_empty() && seat.not_before <= now {
                self.send_queue(link, at, 0);
            }
            if phase == Phase::Work {
                let due = self.seats[at].invites.iter().position(|(when, _)| *when <= now);
                if let Some(due) = due {
                    let (_, user) = self.seats[at].invites.remove(due);
                    self.operate(link, at, "room.invite", json!({ "user": user }), What::Invite { user: user.clone() });
                }
            }
        }
    }

    fn note(&mut self, note: Note) {
        let now = Instant::now();
        let mut soon = |low, high| now + Duration::from_millis(self.rng.range(low, high));
        match note {
            Note::Sent { seat, link, client_id, answer } => {
                self.pending -= 1;
                let seat = &mut self.seats[seat];
                if link == self.link {
                    seat.in_flight = seat.in_flight.saturating_sub(1);
                }
                match answer {
                    Ok(answer) => {
                        seat.queue.retain(|message| message.client_id != client_id);
                        seat.own.push(answer["data"]["seq"].as_u64().unwrap_or(0));
                        seat.last_acked = Some(client_id);
                    }
                    Err(CallError::Closed) => {}
                    // Once more, from the first one that is missing.
                    Err(CallError::Server { code: 420, .. }) => {}
                    Err(CallError::Server { temporary: true, .. }) => seat.not_before = soon(50, 250),
                    Err(_) => seat.queue.retain(|message| message.client_id != client_id),
                }
            }
            Note::Subscribed { seat, link, result } => {
                self.pending -= 1;
                if link != self.link {
                    return;
                }
                let seat = &mut self.seats[seat];
                seat.state = match result {
                    // A push may have ended it in the meantime.
                    Ok(()) if self.watch.place(&seat.plan.channel).sub.is_some() => State::Subscribed,
                    Ok(()) => State::Out { again: soon(100, 500) },
                    Err(CallError::Server { temporary: true, .. } | CallError::Closed) => {
                        State::Ready { not_before: soon(50, 250) }
                    }
                    Err(_) => State::Out { again: soon(200, 600) },
                };
            }
            Note::Done { seat, link, doing, answer } => {
                self.pending -= 1;
                let seat = &mut self.seats[seat];
                match (doing, &answer) {
                    (Doing::Operation(What::Join), answer) => {
                        // 440: a member already; the answer of an earlier join was lost.
                        let is_in = answer.as_ref().map_or_else(|error| error.code() == 440, |_| true);
                        seat.state =
                            if is_in { State::Ready { not_before: now } } else { State::Out { again: soon(200, 600) } };
                    }
                    (Doing::Operation(What::Kick { user }), Ok(_)) => seat.invites.push((soon(300, 1000), user)),
                    // Not known, or not now: again, until the server says yes or no.
                    (Doing::Operation(What::Kick { user }), Err(error)) if !error.is_definite() => {
                        seat.invites.push((soon(300, 1000), user));
                    }
                    (Doing::Operation(What::Invite { user }), Err(error)) if !error.is_definite() => {
                        seat.invites.push((soon(100, 300), user));
                    }
                    // An unsubscribe of the client's own.
                    (Doing::Unsubscribe, _) if link == self.link => {
                        let is_out = self.watch.place(&seat.plan.channel).sub.is_none();
                        seat.state = if is_out { State::Ready { not_before: soon(0, 300) } } else { State::Subscribed };
                    }
                    _ => {}
                }
            }
            Note::Ended { channel, code, link } => {
                let Some(seat) = self.seats.iter_mut().find(|seat| seat.plan.channel == channel) else { return };
                if link == self.link && matches!(seat.state, State::Subscribed | State::Ready { .. }) {
                    seat.state = if code >= 2500 {
                        State::Ready { not_before: now }
                    } else {
                        State::Out { again: soon(100, 500) }
                    };
                }
            }
        }
    }
}
