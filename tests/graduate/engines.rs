//! Brokers and a PostgreSQL of the test's own, and the command against them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kervan_devcluster::kafka::Brokers;
use kervan_devcluster::postgres;

use crate::server;

/// What there is to move to.
pub(crate) struct Engines {
    brokers: Brokers,
    postgres: postgres::Server,
}

impl Engines {
    pub(crate) fn start(folder: &Path) -> Self {
        // PostgreSQL runs as another user.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let brokers = Brokers::start(&folder.join("kafka"), None).unwrap();
        Self { brokers, postgres: postgres::Server::start(&folder.join("postgres"), None).unwrap() }
    }

    /// An empty database.
    pub(crate) fn database(&self, name: &str) -> String {
        self.postgres.query(&format!("CREATE DATABASE {name}")).unwrap();
        let url = self.postgres.url();
        format!("{}/{name}", url.rsplit_once('/').unwrap().0)
    }

    /// The sections of a configuration that name them: topics with this name in theirs, and a database.
    pub(crate) fn sections(&self, topics: &str, database: &str) -> String {
        format!(
            "[journal]\nkafka_brokers = \"{}\"\nkafka_topic = \"{topics}.journal\"\nkafka_control_topic = \"{topics}.control\"\n\
             [store]\ndatabase_url = \"{database}\"\n",
            self.brokers.addresses()
        )
    }
}

/// `kervan graduate` of one folder by one file.
pub(crate) struct Graduate {
    pub to: PathBuf,
    pub data: PathBuf,
}

/// What it says, in order, as far as it is killed there.
const STEPS: [&str; 7] = [
    "topics",
    "records",
    "records compared",
    "start of the partitions",
    "  messages:",
    "rows",
    "rooms and users compared",
];

impl Graduate {
    /// Writes the file: the engines, and the folder of the server to come.
    pub(crate) fn new(data: &Path, folder: &Path, sections: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let to = folder.join("cluster.toml");
        std::fs::write(&to, format!("{sections}[data]\ndir = \"{}\"\n", folder.join("data").display())).unwrap();
        Self { to, data: data.to_owned() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(server::binary());
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.args(["graduate", "--to"]).arg(&self.to).arg("--data-dir").arg(&self.data);
        command
    }

    /// Runs it to its end; gives its exit code and all that it printed.
    pub(crate) fn run(&self, more: &[&str]) -> (i32, String) {
        let output = self.command().args(more).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs it, and kills it so much later.
    pub(crate) fn killed_later(&self, later: Duration) {
        let mut child = self.command().stdout(Stdio::null()).spawn().unwrap();
        // Pauses: the moment at which it is killed is what is tested.
        std::thread::sleep(later);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs it, and kills it so long after it has said `line`, or what comes behind it, if a run before came as far. Gives
    /// what it had said.
    pub(crate) fn killed_after(&self, line: &str, later: Duration) -> String {
        // What ends with a colon is only the beginning of a line.
        let place = |found: &str| {
            STEPS.iter().position(|step| found == *step || (step.ends_with(':') && found.starts_with(step)))
        };
        let is_it = |found: &str| place(found).is_some_and(|at| Some(at) >= place(line));
        let mut child = self.command().stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        for found in BufReader::new(child.stdout.take().unwrap()).lines() {
            let found = found.unwrap();
            said.push_str(&found);
            said.push('\n');
            if is_it(&found) {
                break;
            }
        }
        assert!(said.lines().any(is_it), "it ended without saying {line:?}: {said}");
        // Pauses: the moment at which it is killed is what is tested.
        std::thread::sleep(later);
        child.kill().unwrap();
        child.wait().unwrap();
        said
    }
}

impl Engines {
    /// A digest of each table that is made from the journal.
    pub(crate) fn rows(&self, database: &str) -> Vec<(&'static str, String)> {
        const TABLES: [&str; 12] = [
            "chats",
            "members",
            "messages",
            "room_events",
            "reactions",
            "room_blocks",
            "blocks",
            "user_rooms",
            "user_events",
            "read_marks",
            "devices",
            "room_decisions",
        ];
        let digest = |table| {
            let text = format!(
                "SELECT count(*) || ' ' || md5(coalesce(string_agg(t::text, ',' ORDER BY t::text COLLATE \"C\"), '')) \
                 FROM {table} AS t"
            );
            (table, self.query(database, &text))
        };
        TABLES.map(digest).into()
    }

    fn query(&self, database: &str, text: &str) -> String {
        let run = Command::new("psql").args(["-X", "-q", "-A", "-t", "-c", text, database]).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }
}
