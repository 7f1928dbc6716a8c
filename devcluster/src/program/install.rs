//! What is missing on this machine is installed by name, if that is possible; otherwise it is named.

use std::process::{Command, Stdio};

use anyhow::Context as _;
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
    let names = missing.join(" ");
    let by_hand = || {
        Refused(format!("missing on this machine: {names}\nhint: apt-get install {names} (as root), and start again"))
    };
    if !rustix::process::geteuid().is_root() {
        return Err(by_hand().into());
    }
    say::line(&format!("installing what is missing: {names}"));
    apt_get(&["update", "-q"]).with_context(by_hand)?;
    apt_get(&[&["install", "-q", "-y", "--no-install-recommends"][..], &missing].concat()).with_context(by_hand)?;
    if needs::missing().is_empty() { Ok(()) } else { Err(by_hand().into()) }
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    let status = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).status();
    anyhow::ensure!(status.context("apt-get")?.success(), "apt-get {} failed", arguments.join(" "));
    Ok(())
}
