//! `kervan token check`, and what a server says of tokens that it refuses.

use std::process::Stdio;

use crate::running::{Running, code_and_error, kervan, run, stdout};

const OWN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_token_is_explained_and_refused_with_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let token = stdout(&run(dir.path(), &["token", "--user", "ann"])).trim().to_owned();
    let checked = run(dir.path(), &["token", "check", &token]);
    let shown = stdout(&checked);
    assert!(
        checked.status.success() && shown.contains("\nsub        \"ann\"\n") && shown.contains("\ngood "),
        "{shown}"
    );
    let other = kervan(dir.path()).args(["token", "check", &token]).env("JWT_SECRET", OWN).output().unwrap();
    let shown = stdout(&other);
    assert_eq!(other.status.code(), Some(1));
    assert!(shown.contains("\nrefused    token has a bad signature\nhint "), "{shown}");
    let of_channel = stdout(&run(dir.path(), &["token", "--user", "ann", "--channel", "news"]));
    let checked = run(dir.path(), &["token", "check", of_channel.trim()]);
    assert!(checked.status.success() && stdout(&checked).contains("a subscription token"), "{}", stdout(&checked));
    let nonsense = run(dir.path(), &["token", "check", "nonsense"]);
    assert!(nonsense.status.code() == Some(1) && stdout(&nonsense).contains("three parts"), "{}", stdout(&nonsense));
}

#[test]
fn a_token_of_the_published_secret_for_a_server_with_another_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = kervan(dir.path());
    let log = dir.path().join("log");
    command.args(["--port", "0"]).env("JWT_SECRET", OWN);
    let server = Running::start_with(command, std::fs::File::create(&log).unwrap().into());
    let port = server.public.rsplit_once(':').unwrap().1;
    let output = run(dir.path(), &["token", "--user", "ann", "--port", port]);
    let (code, warning) = code_and_error(&output);
    assert!(code == 0 && warning.starts_with("warning: this token is signed with the published"), "{warning}");
    assert!(stdout(&output).starts_with("eyJ"), "the token alone is on stdout");
    let mut command = kervan(dir.path());
    command.args(["token", "--user", "ann", "--port", port]).env("JWT_SECRET", OWN).stderr(Stdio::piped());
    assert_eq!(code_and_error(&command.output().unwrap()), (0, String::new()));
    let said = std::fs::read_to_string(&log).unwrap();
    let refused: Vec<_> = said.lines().filter(|line| line.contains("tokens are refused")).collect();
    assert_eq!(refused.len(), 1, "{said}");
    assert!(refused[0].contains("INFO") && refused[0].contains("bad signature"), "{said}");
}

#[test]
fn development_says_why_in_the_answer_and_production_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let foreign =
        kervan(dir.path()).args(["token", "--user", "ann"]).env("JWT_SECRET", "f".repeat(32)).output().unwrap();
    let foreign = stdout(&foreign).trim().to_owned();
    for (production, expected) in [("false", true), ("true", false)] {
        let mut command = kervan(dir.path());
        command.args(["--port", "0"]).envs([("JWT_SECRET", OWN), ("KERVAN_SERVER__PRODUCTION", production)]);
        command.env("KERVAN_SERVER__HOST", "127.0.0.1");
        let server = Running::start_with(command, Stdio::null());
        let answer = crate::running::get_as(&server.public, "/api/users/me", &foreign);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert_eq!(answer.contains("bad signature"), expected, "{answer}");
    }
}
