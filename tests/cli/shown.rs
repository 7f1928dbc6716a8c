//! How an operator's command shows what it found: CSV, colours, and lists that are shown again and again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::running::{Running, code_and_error, kervan, run, stdout};

/// The command on a terminal of its own, which `script` makes (Debian's bsdutils, which is always there).
fn on_terminal(dir: &Path, command: &str) -> Command {
    let mut script = Command::new("script");
    let whole = format!("stty rows 12 cols 60; exec {} {command}", env!("CARGO_BIN_EXE_kervan"));
    script.args(["-qec", &whole, "/dev/null"]).current_dir(dir).env_clear();
    script.env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("SHELL", "/bin/sh");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    script
}

fn shown(mut command: Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn lists_and_single_things_are_csv_with_a_header_and_titles_run_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Running::start(dir.path(), &["--port", "0"]);
    let csv = |arguments: &[&str]| stdout(&run(dir.path(), &[arguments, &["-o", "csv"]].concat()));
    assert!(csv(&["room", "list"]).starts_with("id,kind,status,head,messages,last_message_at,title\r\n"));
    assert!(csv(&["room", "list"]).ends_with("Z,Welcome\r\n"));
    assert!(csv(&["partitions", "17"]).contains("\r\n17,1088-1151,"));
    assert!(csv(&["actors", "tree"]).starts_with("path,kind,state,depth,"));
    assert_eq!(csv(&["sessions"]), "client,user,format,age_ms,commands,outbox_items,outbox_bytes\r\n");
    let alice = csv(&["user", "show", "alice"]);
    assert!(alice.lines().count() == 2 && alice.contains("\"[{\"\""), "{alice}");
    let doctor = csv(&["doctor", "--port", "0"]);
    assert!(doctor.starts_with("check,verdict,message\r\nconfiguration,warn,\"no file; "), "{doctor}");
}

#[test]
fn colours_are_for_terminals_unless_one_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Running::start(dir.path(), &["--port", "0"]);
    let green = "\u{1b}[32m";
    for command in ["doctor --port 0", "actors tree", "partitions"] {
        let words: Vec<&str> = command.split(' ').collect();
        let of = |more: &[&str]| stdout(&run(dir.path(), &[&words[..], more].concat()));
        assert!(!of(&[]).contains('\u{1b}') && of(&["--color", "always"]).contains(green), "{command}");
        assert!(shown(on_terminal(dir.path(), command)).contains(green), "{command}");
        let mut without = on_terminal(dir.path(), command);
        without.env("NO_COLOR", "1");
        assert!(!shown(without).contains('\u{1b}'), "{command}");
        assert!(!shown(on_terminal(dir.path(), &format!("{command} --color never"))).contains('\u{1b}'), "{command}");
    }
    let (code, error) = code_and_error(&run(dir.path(), &["sessions", "--color", "red"]));
    assert!(code == 2 && error.contains("possible values: auto, always, never"), "{error}");
}

#[test]
fn a_watched_list_is_shown_again_until_ctrl_c_which_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path(), &["--port", "0"]);
    for arguments in [&["room", "list", "--watch"][..], &["actors", "tree", "--watch", "1"], &["sessions", "--watch=1"]]
    {
        let mut child = kervan(dir.path()).args(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut block = || lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
        let (first, second) = (block(), block());
        assert!(
            !first.is_empty()
                && first[0].split(' ').next() == second[0].split(' ').next()
                && !first[0].contains('\u{1b}'),
            "{first:?} {second:?}"
        );
        signal(&child, Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
    for seconds in ["0", "3601", "soon"] {
        let (code, error) = code_and_error(&run(dir.path(), &["room", "list", "--watch", seconds]));
        assert!(code == 2 && error.contains("'--watch [<SECONDS>]'"), "{error}");
    }
    let (code, error) = code_and_error(&run(dir.path(), &["room", "messages", "x", "--bodies", "--watch"]));
    assert!(code == 2 && error.contains("'--bodies' cannot be used with '--watch [<SECONDS>]'"), "{error}");
    // A server that is gone is told of, and asked again.
    let mut child = kervan(dir.path()).args(["partitions", "--watch", "1"]).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("PARTITION "));
    server.signal(Signal::KILL);
    assert!(errors.next().unwrap().contains("does not answer: is it running?"));
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (code, _) = code_and_error(&run(dir.path(), &["partitions", "--watch"]));
    assert_eq!(code, 1, "there was nothing to begin with");
}

#[test]
fn a_watched_list_stays_in_its_place_on_a_terminal_and_ends_when_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Running::start(dir.path(), &["--port", "0"]);
    let mut child = on_terminal(dir.path(), "partitions --watch 1").spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut screen = String::new();
    while screen.matches("\u{1b}[H").count() < 3 {
        let mut line = Vec::new();
        assert!(stdout.read_until(b'\n', &mut line).unwrap() > 0, "{screen}");
        screen.push_str(&String::from_utf8(line).unwrap());
    }
    let second = screen.split("\u{1b}[H").nth(2).unwrap();
    assert!(second.contains("every 1 s until Ctrl-C") && second.contains("PARTITION"), "{second}");
    assert!(second.lines().count() <= 12 && second.contains("lines for which there is no room"), "{second}");
    // What Ctrl-C is on a terminal.
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"\x03").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(rest.ends_with("\u{1b}[?7h\r\n"), "the terminal is as it was: {rest:?}");

    let mut child = kervan(dir.path()).args(["partitions", "--watch", "1"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn long_work_moves_one_line_of_a_terminal_and_takes_it_away() {
    let dir = tempfile::tempdir().unwrap();
    let said = shown(on_terminal(dir.path(), "bench quick"));
    let (moving, figures) = said.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(moving.starts_with("\rbench: ") && moving.contains("\rbench: durable acknowledgements, "), "{moving:?}");
    assert!(!moving.contains('\n') && figures.starts_with("fsync "), "{said:?}");
}
