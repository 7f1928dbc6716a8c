//! How a command finds the server that has a data folder open: `ADMIN` in the folder, readable by its owner only, names
//! the address of the admin listener and the key that a request with consequences must show.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::health::reachable;

const FILE: &str = "ADMIN";

/// Takes the file away when dropped. A server that is killed leaves it: it counts only while the folder is held.
pub(super) struct Announced {
    path: PathBuf,
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the admin address could not be taken back");
        }
    }
}

/// A fresh key: 122 random bits.
pub(super) fn key() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Takes away what a server that was killed has left. The caller holds the folder.
pub(super) fn clear(data: &Path) -> io::Result<()> {
    match std::fs::remove_file(data.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Says where the server of this folder listens. The caller holds the folder.
pub(super) fn announce(data: &Path, admin: SocketAddr, key: &str) -> io::Result<Announced> {
    let path = data.join(FILE);
    // One that was left behind may have other rights.
    clear(data)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    writeln!(file, "{}\n{key}", reachable(admin))?;
    Ok(Announced { path })
}

/// Where the server of this folder listens, and its key. `None` if none has said so.
pub(super) fn find(data: &Path) -> io::Result<Option<(SocketAddr, String)>> {
    let text = match std::fs::read_to_string(data.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = text.lines();
    let address = lines.next().and_then(|line| line.parse().ok());
    Ok(address.zip(lines.next().map(str::to_owned)))
}
