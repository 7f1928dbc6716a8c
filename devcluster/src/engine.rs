//! What all engines have in common: servers with numbers that can be killed, paused and started again.

use std::path::Path;

use anyhow::ensure;

use crate::process::Process;

/// The running servers of one kind, numbered from 1. They are killed, and waited for, when it is dropped; what they hold is
/// in their folder.
///
/// The functions that take a number panic if there is no such server.
pub trait Engine {
    /// Its servers, in the order of their numbers.
    fn processes(&self) -> &[Process];

    /// The same, to be changed.
    fn processes_mut(&mut self) -> &mut [Process];

    /// The port of server `number` on 127.0.0.1. It keeps it.
    fn port(&self, number: usize) -> u16;

    /// Starts server `number`, which has ended, and does not wait for it: [`Engine::until_started`] does.
    ///
    /// # Errors
    /// It runs, or the program can't be started.
    fn launch(&mut self, number: usize) -> anyhow::Result<()>;

    /// Waits until server `number`, which was launched, does its work.
    ///
    /// # Errors
    /// It ended, or takes too long: its log's end is told.
    fn until_started(&mut self, number: usize) -> anyhow::Result<()>;

    /// Ends all of them in an orderly way; says whether all of them did, or some had to be killed.
    ///
    /// # Errors
    /// The system refuses a signal.
    fn stop(&mut self) -> anyhow::Result<bool>;

    /// How many there are.
    fn count(&self) -> usize {
        self.processes().len()
    }

    /// The process id of server `number`: the last one that it had, if it has ended.
    fn pid(&self, number: usize) -> u32 {
        self.processes()[at(number)].pid()
    }

    /// Where server `number` logs.
    fn log(&self, number: usize) -> &Path {
        self.processes()[at(number)].log()
    }

    /// Whether server `number` runs; a paused one does.
    ///
    /// # Errors
    /// The system can't say.
    fn runs(&mut self, number: usize) -> anyhow::Result<bool> {
        Ok(self.processes_mut()[at(number)].ended()?.is_none())
    }

    /// SIGKILL to server `number` and its own children; returns when it is gone.
    ///
    /// # Errors
    /// The system refuses it.
    fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        Ok(self.processes_mut()[at(number)].kill()?)
    }

    /// SIGSTOP to server `number` and its own children: it keeps its connections, and does nothing.
    ///
    /// # Errors
    /// The system refuses it.
    fn pause(&mut self, number: usize) -> anyhow::Result<()> {
        Ok(self.processes_mut()[at(number)].pause()?)
    }

    /// SIGCONT to server `number` and its own children.
    ///
    /// # Errors
    /// The system refuses it.
    fn resume(&mut self, number: usize) -> anyhow::Result<()> {
        Ok(self.processes_mut()[at(number)].resume()?)
    }

    /// Starts server `number`, which has ended, at its old port, and waits until it does its work. Where that takes a
    /// majority, and several are down, [`Engine::launch`] them first.
    ///
    /// # Errors
    /// It runs, or it does not start: its log's end is told.
    fn start_again(&mut self, number: usize) -> anyhow::Result<()> {
        self.launch(number)?;
        self.until_started(number)
    }

    /// Refuses if server `number` runs.
    ///
    /// # Errors
    /// It runs, or the system can't say.
    fn must_have_ended(&mut self, number: usize) -> anyhow::Result<()> {
        ensure!(!self.runs(number)?, "server {number} runs");
        Ok(())
    }
}

/// The place of a number.
pub(crate) fn at(number: usize) -> usize {
    number.checked_sub(1).unwrap_or_else(|| panic!("servers are numbered from 1"))
}
