//! The clients of a run, all of them: they come in, work, come to rest, and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::history::{Entry, Recorder};
use crate::member::{Member, Phase, Plan};
use crate::reading;
use crate::rng::Rng;
use crate::rooms::Room;
use crate::server::Server;
use crate::sql::Database;
use crate::watch::Watch;

/// The clients.
pub(crate) struct Crowd {
    phase: watch::Sender<Phase>,
    pub views: Vec<Arc<Watch>>,
    idle: Vec<Arc<AtomicBool>>,
    tasks: JoinSet<()>,
    /// How long they may need to come in.
    start: Duration,
    /// How long they may need to finish what they began, and to catch up, once nothing is killed any more.
    settle: Duration,
}

impl Crowd {
    /// Lets them begin. They have `start` to come in, and `settle` to come to rest.
    pub(crate) fn new(
        plans: Vec<Plan>,
        recorder: &Arc<Recorder>,
        rng: &mut Rng,
        (start, settle): (Duration, Duration),
    ) -> Self {
        let phase = watch::Sender::new(Phase::Work);
        let mut crowd = Self { phase, views: Vec::new(), idle: Vec::new(), tasks: JoinSet::new(), start, settle };
        for plan in plans {
            let member = Member::new(plan, Arc::clone(recorder), rng.fork());
            crowd.views.push(Arc::clone(&member.watch));
            crowd.idle.push(member.idle_flag());
            crowd.tasks.spawn(member.run(crowd.phase.subscribe()));
        }
        crowd
    }

    /// Nothing is killed any more: everybody finishes what was begun, and catches up; everything is read back over the
    /// protocol, the rows have the time that they need, and the clients go.
    pub(crate) async fn rest(&mut self, server: &Server, database: &Database<'_>, rooms: &[Room], recorder: &Recorder) {
        self.phase.send_replace(Phase::Settle);
        self.settle(server).await;
        let heads = reading::streams(&server.url(), rooms, recorder).await.expect("rooms can be read");
        reading::wait_for_rows(database, rooms, &heads).await.expect("the database can be read");
        let personal = reading::users(&server.url(), rooms, recorder).await.expect("the users' own can be read");
        let of_rooms = rooms.iter().zip(&heads).map(|(room, head)| (room.channel.clone(), *head));
        self.catch_up(&of_rooms.chain(personal).collect(), recorder).await;
        self.phase.send_replace(Phase::Done);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a client failed");
        }
    }

    /// Waits until every client has a subscription: what comes before that meets nobody.
    pub(crate) async fn begin(&mut self, server: &Server) {
        // Pauses: the bound of the wait below.
        let end = Instant::now() + self.start;
        while self.views.iter().any(|view| view.open().is_empty()) {
            if let Some(ended) = self.tasks.try_join_next() {
                ended.expect("a client failed");
            }
            assert!(Instant::now() < end, "clients do not come in: {}", server.log_tail());
            // Pauses: between looks, within a bound.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every client has its answers and its subscriptions.
    async fn settle(&mut self, server: &Server) {
        // Pauses: the bound of the wait below.
        let end = Instant::now() + self.settle;
        loop {
            let busy: Vec<usize> = (0..self.idle.len()).filter(|n| !self.idle[*n].load(Ordering::Relaxed)).collect();
            if busy.is_empty() {
                return;
            }
            if let Some(ended) = self.tasks.try_join_next() {
                ended.expect("a client failed");
            }
            assert!(Instant::now() < end, "clients {busy:?} do not settle: {}", server.log_tail());
            // Pauses: between looks, within a bound.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every open subscription has its channel's head, or time is over, and takes down that it had the time.
    async fn catch_up(&self, heads: &HashMap<String, u64>, recorder: &Recorder) {
        // Pauses: the bound of the wait below.
        let end = Instant::now() + self.settle;
        for view in &self.views {
            let is_behind = |(channel, _, at): &(String, u64, u64)| heads.get(channel).is_some_and(|head| at < head);
            while view.open().iter().any(is_behind) && Instant::now() < end {
                // Pauses: between looks, within a bound.
                sleep(Duration::from_millis(20)).await;
            }
            for (_, sub, _) in view.open() {
                recorder.record(Entry::Settled { sub });
            }
        }
    }
}
