//! A browser's subscription to Web Push, as `PushSubscription.toJSON()` gives it: pure. Whoever names one has the server send
//! requests to an address, so the rules for addresses stand here, once for naming one and for pushing to it.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::PublicKey;
use reqwest::Url;
use serde::Deserialize;

/// Bytes of the secret that a browser and whoever pushes to it share.
const AUTH_BYTES: usize = 16;

/// See the module.
#[derive(Clone)]
pub(crate) struct PushSubscription {
    /// Where pushes for it go.
    pub endpoint: Url,
    /// The browser's key.
    pub key: PublicKey,
    /// The secret that it shares with whoever pushes.
    pub auth: [u8; AUTH_BYTES],
}

/// Why a text is no subscription that is pushed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NoSubscription {
    /// Its form.
    #[error("a push_token that begins with {{ is a PushSubscription as JSON: endpoint, keys.p256dh, keys.auth")]
    Form,
    /// Its address.
    #[error(
        "the endpoint of a PushSubscription is an https:// address of the internet, without port, user and password"
    )]
    Endpoint,
    /// Its keys.
    #[error("keys.p256dh is a P-256 point and keys.auth has 16 bytes, both in base64url")]
    Keys,
}

#[derive(Deserialize)]
struct Json {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

impl PushSubscription {
    /// Reads one. `anywhere`: its endpoint may be any address, for trying it out on one machine.
    ///
    /// # Errors
    /// [`NoSubscription`].
    pub(crate) fn read(text: &str, anywhere: bool) -> Result<Self, NoSubscription> {
        let Json { endpoint, keys } = serde_json::from_str(text).map_err(|_| NoSubscription::Form)?;
        let endpoint = Url::parse(&endpoint).map_err(|_| NoSubscription::Endpoint)?;
        let is_http = anywhere && endpoint.scheme() == "http";
        if !endpoint.has_host()
            || !(is_http || is_of_the_internet(&endpoint) || (anywhere && endpoint.scheme() == "https"))
        {
            return Err(NoSubscription::Endpoint);
        }
        let bytes =
            |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| NoSubscription::Keys);
        let key = PublicKey::from_sec1_bytes(&bytes(&keys.p256dh)?).map_err(|_| NoSubscription::Keys)?;
        let auth = bytes(&keys.auth)?.try_into().map_err(|_| NoSubscription::Keys)?;
        Ok(Self { endpoint, key, auth })
    }
}

/// Whether an address may be one of a push service, by what it says itself. What its name leads to is looked at when
/// something is sent.
fn is_of_the_internet(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_public = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => is_public(ip),
        // A name without a dot is one of a machine nearby.
        Err(_) => host.trim_end_matches('.').contains('.') && !host.trim_end_matches('.').ends_with(".localhost"),
    };
    let plain = url.port().is_none() && url.username().is_empty() && url.password().is_none();
    url.scheme() == "https" && plain && is_public
}

/// Whether an address is one of the internet, and not of this machine, of the network around it, or none at all.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            // What is given out (2000::/3), but what leads to an IPv4 address in it (Teredo, 6to4), and documentation.
            let [first, second, ..] = ip.segments();
            let is_odd = matches!((first, second), (0x2001, 0 | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff));
            first & 0xe000 == 0x2000 && !is_odd
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_shared = a == 100 && b & 0xc0 == 64;
    let is_for_protocols = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    let is_benchmark = a == 198 && b & 0xfe == 18;
    let is_nobodys = a == 0 || a >= 224;
    !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation())
        && !(is_shared || is_for_protocols || is_benchmark || is_nobodys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn read(endpoint: &str, anywhere: bool) -> Result<(), NoSubscription> {
        let json = serde_json::json!({ "endpoint": endpoint, "expirationTime": null, "keys": { "p256dh": P256DH, "auth": AUTH } });
        PushSubscription::read(&json.to_string(), anywhere).map(drop)
    }

    #[test]
    fn an_endpoint_is_an_address_of_the_internet() {
        for good in [
            "https://fcm.googleapis.com/fcm/send/x:y",
            "https://updates.push.services.mozilla.com/wpush/v2/a",
            "https://1.1.1.1/x",
        ] {
            assert_eq!(read(good, false), Ok(()), "{good}");
        }
        for bad in [
            "http://push.example.com/x",
            "https://localhost/x",
            "https://push/x",
            "https://a.localhost/x",
            "https://a.localhost./x",
            "https://127.0.0.1/x",
            "https://2130706433/x",
            "https://0x7f.1/x",
            "https://10.1.2.3/x",
            "https://192.168.0.1/x",
            "https://172.16.0.1/x",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/x",
            "https://0.0.0.0/x",
            "https://224.0.0.1/x",
            "https://255.255.255.255/x",
            "https://[::1]/x",
            "https://[::]/x",
            "https://[fd00::1]/x",
            "https://[fe80::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://[2002:7f00:1::]/x",
            "https://[64:ff9b::7f00:1]/x",
            "https://push.example.com:8443/x",
            "https://a:b@push.example.com/x",
            "ftp://push.example.com/x",
            "data:text/plain,x",
            "not an address",
            "",
        ] {
            assert_eq!(read(bad, false), Err(NoSubscription::Endpoint), "{bad}");
        }
        assert_eq!((read("http://127.0.0.1:9000/x", true), read("https://localhost/x", true)), (Ok(()), Ok(())));
        assert_eq!(
            read("ftp://127.0.0.1/x", true),
            Err(NoSubscription::Endpoint),
            "for trying out, not for everything"
        );
    }

    #[test]
    fn a_text_that_is_none_is_refused() {
        for (text, why) in [
            ("{}".to_owned(), NoSubscription::Form),
            ("{\"endpoint\": \"https://push.example.com/x\"}".to_owned(), NoSubscription::Form),
            (
                format!(r#"{{"endpoint": "https://a.example/x", "keys": {{"p256dh": "{AUTH}", "auth": "{AUTH}"}}}}"#),
                NoSubscription::Keys,
            ),
            (
                format!(r#"{{"endpoint": "https://a.example/x", "keys": {{"p256dh": "{P256DH}", "auth": "AAAA"}}}}"#),
                NoSubscription::Keys,
            ),
        ] {
            assert_eq!(PushSubscription::read(&text, false).map(drop), Err(why), "{text}");
        }
    }
}
