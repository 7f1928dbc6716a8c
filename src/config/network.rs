//! A network of addresses, as `10.0.0.0/8` or a single address.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::value::{Raw, Value, quoted};

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Self).map_err(|_| format!("expected a network such as \"10.0.0.0/8\", found {text:?}"))
    }
}

impl Value for Vec<Network> {
    fn read(raw: &Raw) -> Result<Self, String> {
        Vec::<String>::read(raw)?.iter().map(|text| text.parse()).collect()
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|network| quoted(&network.0.to_string())).collect::<Vec<_>>().join(", "))
    }
}
