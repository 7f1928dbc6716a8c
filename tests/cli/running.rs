//! The command as a child: with nothing of this machine's environment, and killed when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The command in `dir`, with nothing of this machine's environment.
pub(crate) fn kervan(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kervan"));
    command.current_dir(dir).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    kervan(dir).args(arguments).output().unwrap()
}

pub(crate) fn code_and_error(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A running server. Killed when dropped.
pub(crate) struct Running {
    pub child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    pub banner: String,
    /// Host and port of the public listener.
    pub public: String,
    /// Of the admin listener.
    pub admin: String,
}

impl Running {
    pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = kervan(dir);
        command.args(arguments);
        Self::start_with(command, Stdio::null())
    }

    pub(crate) fn start_with(mut command: Command, log: Stdio) -> Self {
        let mut child = command.stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        let mut line = String::new();
        while !line.starts_with("  Stop") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended with {:?} after {banner}", child.wait());
            banner.push_str(&line);
        }
        let host = |scheme: &str| {
            let rest = banner.split_once(scheme).unwrap().1;
            rest.split('/').next().unwrap().to_owned()
        };
        let (public, metrics) = (host("ws://"), banner.split_once("Metrics").unwrap().1.to_owned());
        let admin = metrics.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, stdout: Some(stdout), banner, public, admin }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end, at most 20 s: its end of stdout closes with it.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        let mut stdout = self.stdout.take().unwrap();
        let (ended, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let read = stdout.read_to_string(&mut String::new());
            ended.send(read.is_ok())
        });
        // Pauses: the bound of a wait for an event.
        assert_eq!(wait.recv_timeout(Duration::from_secs(60)), Ok(true), "it does not end");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The same with a bearer token.
pub(crate) fn get_as(address: &str, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}");
    write!(stream, "{head}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
