//! Names and passwords that nobody can guess.

use anyhow::{Context as _, ensure};

/// 32 hexadecimal digits, 122 bits of them by chance: a uuid of the kernel without its dashes.
///
/// # Errors
/// The kernel gives none.
pub fn digits() -> anyhow::Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("the kernel's random uuid")?;
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    ensure!(digits.len() == 32, "the kernel's random uuid is {uuid:?}");
    Ok(digits)
}
