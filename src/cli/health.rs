//! `kervan health`: asks the running server on this machine, as a container's health check does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use crate::http_client;

use super::{Settings, print, sources};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let loaded = sources::load_to_find(settings)?;
    let address = reachable(loaded.config.server.public_address());
    let client = http_client::blocking(|client| client.timeout(TIMEOUT).no_proxy())?;
    match client.get(format!("http://{address}/readyz?verbose")).send() {
        Ok(answer) => {
            let ready = answer.status() == 200;
            print(&answer.text()?)?;
            Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Err(error) => {
            print(&format!("no answer from http://{address}: {}\n", http_client::reason(&error)))?;
            Ok(ExitCode::from(1))
        }
    }
}

/// Where to ask a server that listens on every address.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        _ => {}
    }
    address
}
