//! Child processes that can't outlive the program that started them, with a log file each.
//!
//! A child asks the kernel to be killed when its parent ends (`setpriv --pdeathsig`), so that it goes even if this program
//! is killed. It has a process group of its own: Ctrl-C in a terminal reaches the program alone, which ends its children in
//! order.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, pidfd_send_signal, waitid,
};

use crate::needs::must_have;

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(20);

/// So much of the end of a log stands in an error.
const TAIL_BYTES: u64 = 2_000;

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// Starts processes that live no longer than it does.
///
/// To the kernel, the parent of a process is the *thread* that started it. A test's thread ends with the test, and what it
/// had started for others would be killed: so there is a thread for this.
#[derive(Debug)]
pub struct Starter {
    orders: mpsc::Sender<Order>,
}

impl Starter {
    /// With its thread, which ends when this is dropped.
    ///
    /// # Errors
    /// There is no `setpriv`, or there can be no thread.
    pub fn new() -> anyhow::Result<Self> {
        must_have("setpriv")?;
        let (orders, ordered) = mpsc::channel::<Order>();
        let run = move || {
            for (mut command, answer) in ordered {
                // Who asked waits for the answer, unless it panicked.
                let _ = answer.send(command.spawn());
            }
        };
        std::thread::Builder::new().name("starter".to_owned()).spawn(run)?;
        Ok(Self { orders })
    }

    fn spawn(&self, command: Command) -> anyhow::Result<Child> {
        let (answer, answered) = mpsc::sync_channel(1);
        let program = command.get_program().to_owned();
        self.orders.send((command, answer)).map_err(|_| anyhow!("the starter's thread has ended"))?;
        let child = answered.recv().context("the starter's thread has ended")?;
        child.with_context(|| format!("{} can't be started", program.display()))
    }
}

/// A command that runs `program` as a child of [`Starter`] should be: no input, a process group of its own, killed when its
/// parent ends.
#[must_use]
pub fn bound_to_parent(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null()).process_group(0);
    command
}

/// A running child. Killed, and waited for, when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where in the log this run begins.
    begins: u64,
}

impl Process {
    /// Starts `command`; what it says goes to the end of the file `log`. `name` is for errors.
    ///
    /// # Errors
    /// The log can't be written, or the program can't be started.
    pub fn start(starter: &Starter, name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let said = File::options().create(true).append(true).open(log);
        let said = said.with_context(|| format!("the log {}", log.display()))?;
        let begins = said.metadata()?.len();
        command.stdout(said.try_clone()?).stderr(said);
        let child = starter.spawn(command).with_context(|| name.to_owned())?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), begins })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it writes what it does.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system can't say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal; nothing to one that has ended.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        // Nobody else waits for the child: until its end was seen here, its id is not given to another process.
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), signal)?;
        }
        Ok(())
    }

    /// SIGSTOP to it and to its own children: it keeps its connections, and does nothing.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn pause(&mut self) -> io::Result<()> {
        self.stand_still()?;
        self.children()?.into_iter().try_for_each(|child| kill_process(child, Signal::STOP))?;
        Ok(())
    }

    /// SIGCONT to it and to its own children.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn resume(&mut self) -> io::Result<()> {
        self.children()?.into_iter().try_for_each(|child| kill_process(child, Signal::CONT))?;
        self.signal(Signal::CONT)
    }

    /// SIGKILL to it and to its own children; returns when all are gone. A PostgreSQL whose last child has not ended could
    /// not be started again.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        self.stand_still()?;
        let open = |child: Pid| pidfd_open(child, PidfdFlags::empty());
        let children = self.children()?.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        children.iter().try_for_each(|child| pidfd_send_signal(child, Signal::KILL))?;
        self.child.kill()?;
        self.child.wait()?;
        for child in &children {
            retry_on_intr(|| poll(&mut [PollFd::new(child, PollFlags::IN)], None))?;
        }
        Ok(())
    }

    /// Stops it, and waits until it stands still: then it starts no more children, and the ids of those that end are not
    /// given to others.
    fn stand_still(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let seen = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if self.ended()?.is_none() {
            retry_on_intr(|| waitid(WaitId::Pid(Pid::from_child(&self.child)), seen))?;
        }
        Ok(())
    }

    /// The processes that it started itself: those of a PostgreSQL, or the one that writes a Redis snapshot.
    fn children(&self) -> io::Result<Vec<Pid>> {
        let mut pids = Vec::new();
        let threads = match std::fs::read_dir(format!("/proc/{}/task", self.pid())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pids),
            threads => threads?,
        };
        for thread in threads.flatten() {
            // A thread may end meanwhile; its children are then another one's.
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
        }
        Ok(pids)
    }

    /// Asks it to end by `signal`, and kills it if it has not ended after `patience`. Says whether it ended by itself.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn end(&mut self, signal: Signal, patience: Duration) -> io::Result<bool> {
        self.ask(signal)?;
        self.ends_before(Instant::now() + patience)
    }

    /// Sends a signal, once: a second one may mean that it is to hurry.
    fn ask(&mut self, signal: Signal) -> io::Result<()> {
        self.signal(signal)?;
        // One that was paused gets the signal when it goes on.
        self.signal(Signal::CONT)
    }

    /// Waits for its end, and kills it if that has not come by then. Says whether it ended by itself.
    fn ends_before(&mut self, late: Instant) -> io::Result<bool> {
        while self.ended()?.is_none() {
            if Instant::now() > late {
                self.kill()?;
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
        Ok(true)
    }

    /// Waits until `look` finds what is awaited.
    ///
    /// # Errors
    /// It ended, `patience` is over, or `look` failed; the end of the log is told with each.
    pub fn until(
        &mut self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let ended = self.ended()?;
            match look(self) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(error).with_context(|| self.last_words("went wrong")),
            }
            if let Some(status) = ended {
                bail!(self.last_words(&format!("ended ({status}) before it {what}")));
            }
            if since.elapsed() > patience {
                bail!(self.last_words(&format!("has not {what} after {} s", patience.as_secs())));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until it has ended by itself, without an error.
    ///
    /// # Errors
    /// It failed or takes longer than `patience`; the end of the log is told.
    pub fn until_done(&mut self, patience: Duration) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!(self.last_words(&format!("failed ({status})"))),
                None if since.elapsed() > patience => bail!(self.last_words("does not end")),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// Whether it has logged `words` since it was started.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn said(&self, words: &str) -> anyhow::Result<bool> {
        Ok(self.read_log(self.begins)?.contains(words))
    }

    fn read_log(&self, from: u64) -> anyhow::Result<String> {
        let mut text = Vec::new();
        let mut file = File::open(&self.log).with_context(|| self.log.display().to_string())?;
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// What happened, and the end of the log.
    fn last_words(&self, what: &str) -> String {
        let end = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        let tail = self.read_log(self.begins.max(end.saturating_sub(TAIL_BYTES))).unwrap_or_default();
        format!("{} {what}; the end of {}:\n{}", self.name, self.log.display(), tail.trim_end())
    }
}

/// Tells all of them to end by `signal`, once each, and kills those that have not ended after `patience`. Says whether all ended by
/// themselves.
///
/// # Errors
/// The system refuses something. The others are ended all the same.
pub fn end_all(processes: &mut [Process], signal: Signal, patience: Duration) -> anyhow::Result<bool> {
    let asked: Vec<_> = processes.iter_mut().map(|process| process.ask(signal)).collect();
    let late = Instant::now() + patience;
    let ended: Vec<_> = processes.iter_mut().map(|process| process.ends_before(late)).collect();
    asked.into_iter().collect::<io::Result<()>>()?;
    ended.into_iter().try_fold(true, |all, one| Ok(all & one?))
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, or there is nobody left to tell.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn shell(starter: &Starter, script: &str, folder: &Path) -> Process {
        let mut command = bound_to_parent(Path::new("sh"));
        command.args(["-c", script]);
        Process::start(starter, "the shell", command, &folder.join("log")).unwrap()
    }

    #[test]
    fn a_child_is_killed_when_the_thread_that_started_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let starter = Starter::new().unwrap();
        let mut child = shell(&starter, "echo ready; exec sleep 1000", folder.path());
        child.until("ready", PATIENCE, |child| child.said("ready")).unwrap();
        drop(starter);
        let error = child.until("lived on", PATIENCE, |_| Ok(false)).unwrap_err().to_string();
        assert!(error.starts_with("the shell ended (signal: 9 (SIGKILL)) before it lived on"), "{error}");
        assert_eq!(child.ended().unwrap().unwrap().signal(), Some(9));
    }

    #[test]
    fn an_error_tells_the_end_of_this_runs_log() {
        let folder = tempfile::tempdir().unwrap();
        let starter = Starter::new().unwrap();
        shell(&starter, "echo of the first run", folder.path()).until_done(PATIENCE).unwrap();
        let error = shell(&starter, "echo no such file; exit 3", folder.path()).until_done(PATIENCE).unwrap_err();
        let expected = format!(
            "the shell failed (exit status: 3); the end of {}:\nno such file",
            folder.path().join("log").display()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn one_that_is_paused_ends_when_it_is_told_to_and_a_stubborn_one_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let starter = Starter::new().unwrap();
        let mut paused = shell(&starter, "echo ready; exec sleep 1000", folder.path());
        paused.until("ready", PATIENCE, |child| child.said("ready")).unwrap();
        paused.signal(Signal::STOP).unwrap();
        assert!(paused.end(Signal::TERM, PATIENCE).unwrap());
        let mut stubborn = shell(&starter, "trap '' TERM; echo ready; exec sleep 1000", folder.path());
        stubborn.until("ready", PATIENCE, |child| child.said("ready")).unwrap();
        assert!(!stubborn.end(Signal::TERM, Duration::from_millis(1)).unwrap());
        stubborn.signal(Signal::TERM).unwrap();
    }

    #[test]
    fn all_are_told_to_end_once_each_and_those_that_do_not_are_killed() {
        let (folders, starter) = ([(); 3].map(|()| tempfile::tempdir().unwrap()), Starter::new().unwrap());
        // They take their time: a second signal would be said as well.
        let slow =
            "n=0; trap 'echo told; n=1' TERM; echo ready; while [ $n = 0 ]; do sleep 0.01; done; sleep 0.3; sleep 0.3";
        let stubborn = "trap 'echo told' TERM; echo ready; while :; do sleep 0.01; done";
        let scripts = [slow, slow, stubborn].into_iter().zip(&folders);
        let mut shells: Vec<_> = scripts.map(|(script, folder)| shell(&starter, script, folder.path())).collect();
        for shell in &mut shells {
            shell.until("ready", PATIENCE, |shell| shell.said("ready")).unwrap();
        }
        assert!(!end_all(&mut shells, Signal::TERM, Duration::from_secs(3)).unwrap());
        for (shell, is_stubborn) in shells.iter_mut().zip([false, false, true]) {
            assert_eq!(shell.read_log(shell.begins).unwrap(), "ready\ntold\n");
            assert_eq!(shell.ended().unwrap().unwrap().signal() == Some(9), is_stubborn);
        }
    }
}
