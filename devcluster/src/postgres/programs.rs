//! PostgreSQL's programs on this machine, and who runs them.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::process::bound_to_parent;

/// Where Debian's packages put them, by version.
const FOLDER: &str = "/usr/lib/postgresql";

/// See the module.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    user: Option<(u32, u32)>,
}

impl Programs {
    /// The newest version that is installed whole.
    pub(super) fn find() -> anyhow::Result<Self> {
        let versions = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
        let newest = versions
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
            .filter(|(_, folder)| folder.join("initdb").exists() && folder.join("postgres").exists())
            .max();
        let (_, folder) = newest.with_context(|| format!("no PostgreSQL in {FOLDER}: apt-get install postgresql"))?;
        Ok(Self { folder, user: unprivileged()? })
    }

    /// Where a program is.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// User and group that the server has, if it can't have ours.
    pub(super) fn user(&self) -> Option<(u32, u32)> {
        self.user
    }

    /// A command of that user, without our environment: what it says would depend on it.
    pub(super) fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = bound_to_parent(&self.path(program));
        command.current_dir(folder).env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Whether that user may enter a folder: not if it is inside of one that is closed to others, as /root.
    pub(super) fn can_enter(&self, folder: &Path) -> anyhow::Result<bool> {
        let Some((user, group)) = self.user else { return Ok(true) };
        let mut test = Command::new("test");
        let entered = test.arg("-x").arg(folder).current_dir("/").uid(user).gid(group).status().context("test")?;
        Ok(entered.success())
    }
}

/// The user and group to be instead of root, if that is who we are.
fn unprivileged() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let ids = users.lines().find_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
        ["postgres", _, user, group, ..] => Some((user.parse().ok()?, group.parse().ok()?)),
        _ => None,
    });
    Ok(Some(
        ids.context("there is no user `postgres`, as Debian's package makes it, and PostgreSQL does not run as root")?,
    ))
}
