//! Who else on the machine may read what Kervan keeps: bodies and hashes of passwords are in the database, the journal,
//! uploads and backups. What this program makes is its user's alone; what was there before is told, not changed.

use std::path::Path;

use crate::config::{Config, Database};
use crate::storage::disk::open_to_others;
use rustix::fs::Mode;
use rustix::process::umask;

/// From now on files of this process are its user's alone, whatever the shell or service manager allowed.
pub(super) fn keep_to_oneself() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// What others may reach, a sentence each.
pub(super) fn exposed(config: &Config) -> Vec<String> {
    let data = &config.data.dir;
    let told = |path: &Path| {
        let bits = open_to_others(path)?;
        let what = if bits & 0o022 != 0 { "change" } else { "read" };
        let path = path.display();
        Some(format!("others on this machine may {what} what is in {path}: chmod -R go= {path}"))
    };
    let mut places = vec![data.clone(), config.upload_folder()];
    if let Database::Sqlite(file) = config.database() {
        places.push(file);
    }
    // What lies in a folder that is closed is closed.
    let is_closed = |path: &Path| path.starts_with(data) && path != data && open_to_others(data).is_none();
    places.iter().filter(|path| !is_closed(path)).filter_map(|path| told(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_lies_open_is_told_and_what_is_in_a_closed_folder_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data.dir = dir.path().join("data");
        assert!(exposed(&config).is_empty(), "nothing is there yet");
        std::fs::create_dir(&config.data.dir).unwrap();
        let file = config.data.dir.join("kervan.db");
        std::fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(&file, 0o644);
        mode(&config.data.dir, 0o755);
        let told = exposed(&config);
        assert!(told.len() == 2 && told.iter().all(|line| line.contains("may read what is in")), "{told:?}");
        mode(&config.data.dir, 0o775);
        assert!(exposed(&config)[0].contains("may change what is in"));
        mode(&config.data.dir, 0o700);
        assert!(exposed(&config).is_empty());
    }
}
