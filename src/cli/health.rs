//! `kervan health`: asks the running server on this machine, as a container's health check does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use super::{Settings, print, sources};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let loaded = sources::load_to_find(settings)?;
    let address = reachable(loaded.config.server.public_address());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    match agent.get(format!("http://{address}/readyz?verbose")).call() {
        Ok(mut answer) => {
            print(&answer.body_mut().read_to_string()?)?;
            Ok(if answer.status() == 200 { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Err(error) => {
            print(&format!("no answer from http://{address}: {error}\n"))?;
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
