//! What ended without being told to is started again after a moment, as a machine's supervisor would do it.

use std::time::{Duration, Instant};

use kervan_devcluster::Engine;

use super::say;

/// How long something that ended stays away.
const AWAY: Duration = Duration::from_secs(5);

/// The servers that have ended, and when that was seen.
#[derive(Default)]
pub(super) struct Watch {
    away: Vec<(&'static str, usize, Instant)>,
}

impl Watch {
    /// Looks at the servers of one kind; says whether one was started, and so has another process id.
    ///
    /// # Errors
    /// The system can't say what runs, or can't start a program.
    pub(super) fn look(&mut self, name: &'static str, engine: &mut dyn Engine, now: Instant) -> anyhow::Result<bool> {
        let mut started = false;
        for number in 1..=engine.count() {
            if engine.runs(number)? {
                continue;
            }
            let place = self.away.iter().position(|(kind, which, _)| (*kind, *which) == (name, number));
            match place {
                None => {
                    self.away.push((name, number, now));
                    let (pid, log) = (engine.pid(number), engine.log(number).display());
                    let seconds = AWAY.as_secs();
                    say::line(&format!(
                        "{name} {number} (pid {pid}) has ended; it is started again in {seconds} s; log: {log}"
                    ));
                }
                Some(place) if now.duration_since(self.away[place].2) >= AWAY => {
                    self.away.swap_remove(place);
                    engine.launch(number)?;
                    say::line(&format!("{name} {number} is started again (pid {})", engine.pid(number)));
                    started = true;
                }
                Some(_) => {}
            }
        }
        Ok(started)
    }
}
