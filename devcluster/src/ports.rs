//! Ports of the loopback interface, claimed so that two programs which look for one at the same time find different ones.
//!
//! Free ports are taken from below the range that the kernel gives to outgoing connections (32768 and up): a client that
//! tries again and again to reach a server that is down would otherwise be given the server's own port some day, connect to
//! itself, and keep the server from coming back.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;

use anyhow::{Context as _, bail};

/// Where free ports are looked for.
const FREE: Range<u16> = 20_000..32_000;

/// How far from a wanted port the next free one is looked for.
const NEAR: u16 = 100;

/// A port that no other program which asks here is given while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    /// A free one.
    ///
    /// # Errors
    /// All are taken, or the folder of the claims can't be written.
    pub fn free() -> anyhow::Result<Self> {
        // Programs start to look at different places, so that they rarely meet.
        let count = FREE.end - FREE.start;
        let first = u16::try_from(std::process::id().wrapping_mul(61) % u32::from(count))?;
        for step in 0..count {
            if let Some(port) = Self::claim(FREE.start + (first + step) % count)? {
                return Ok(port);
            }
        }
        bail!("no port of {FREE:?} is free");
    }

    /// This one.
    ///
    /// # Errors
    /// It is taken.
    pub fn exactly(number: u16) -> anyhow::Result<Self> {
        Self::claim(number)?.with_context(|| format!("port {number} is taken"))
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// None if another program has claimed it or listens there.
    fn claim(number: u16) -> anyhow::Result<Option<Self>> {
        let folder = std::env::temp_dir().join(format!("kervan-ports-{}", rustix::process::geteuid().as_raw()));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).context("the folder of claimed ports")?;
        let claim = File::create(folder.join(number.to_string())).context("the claim of a port")?;
        match claim.try_lock() {
            Ok(()) => Ok(can_be_bound(number).then_some(Self { number, _claim: claim })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("the claim of a port"),
        }
    }
}

/// The wanted port, or the next one that is free.
///
/// # Errors
/// None of the next hundred is free.
pub fn free_from(wanted: u16) -> anyhow::Result<u16> {
    for number in wanted..=wanted.saturating_add(NEAR) {
        if let Some(port) = Port::claim(number)? {
            return Ok(port.number);
        }
    }
    bail!("no port from {wanted} on is free");
}

fn can_be_bound(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

/// Whether somebody listens at the port.
///
/// # Errors
/// The attempt failed in another way than by being refused.
pub fn answers(number: u16) -> io::Result<bool> {
    match std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, number)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_given_to_nobody_else() {
        let one = Port::free().unwrap();
        let other = Port::free().unwrap();
        assert_ne!(one.number(), other.number());
        let error = Port::exactly(one.number()).unwrap_err();
        assert_eq!(error.to_string(), format!("port {} is taken", one.number()));
        assert_ne!(free_from(one.number()).unwrap(), one.number());
        let number = one.number();
        drop(one);
        assert_eq!(Port::exactly(number).unwrap().number(), number);
    }

    #[test]
    fn a_port_where_somebody_listens_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        assert!(answers(number).unwrap());
        assert!(Port::exactly(number).is_err());
        drop(listener);
        assert!(!answers(number).unwrap());
    }
}
