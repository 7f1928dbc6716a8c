//! What is missing on this machine is installed by name, if that is possible; otherwise it is named.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use kervan_devcluster::needs;

use super::{Refused, say};

/// Installs what is missing: as root, by apt-get.
///
/// # Errors
/// Something is missing, and can't be installed here.
pub(super) fn what_is_missing() -> anyhow::Result<()> {
    let missing = needs::missing();
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!(by_hand(&missing));
    }
    say::line(&format!("installing what is missing: {}", missing.join(" ")));
    apt_get(&["update", "-q"]).with_context(|| by_hand(&missing))?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt_get(&[&install[..], &missing].concat()).with_context(|| by_hand(&missing))?;
    let missing = needs::missing();
    ensure!(missing.is_empty(), by_hand(&missing));
    Ok(())
}

fn by_hand(missing: &[&str]) -> Refused {
    let names = missing.join(" ");
    Refused(format!("missing on this machine: {names}\nhint: apt-get install {names} (as root), and start again"))
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    let status = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).status();
    ensure!(status.context("apt-get")?.success(), "apt-get {} failed", arguments.join(" "));
    Ok(())
}
