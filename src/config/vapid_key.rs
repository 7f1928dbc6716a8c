//! The key by which a server names itself to push services (VAPID, RFC 8292): 32 bytes of a P-256 key in base64url, the form that
//! web-push libraries give it.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey as EcdsaKey};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::value::{Raw, Value, quoted};

/// See the module. Never shown, never logged; its public half is told to clients.
#[derive(Clone)]
pub struct VapidKey(SecretKey);

impl VapidKey {
    /// A new one. `None` if the machine gives no chance.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let random = SystemRandom::new();
        // A few of all numbers are no keys.
        let chance = || {
            let mut bytes = [0; 32];
            random.fill(&mut bytes).ok().map(|()| bytes)
        };
        (0..8).find_map(|_| SecretKey::from_slice(&chance()?).ok()).map(Self)
    }

    /// The public half in base64url: what a page subscribes with, and what push services are shown.
    #[must_use]
    pub fn public(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.public_key().to_encoded_point(false).as_bytes())
    }

    /// The private half in base64url, for whoever makes a new one. Not for logs.
    #[must_use]
    pub fn private(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.to_bytes())
    }

    /// Signs by ES256: the two numbers behind one another, as JSON Web Tokens have them.
    #[must_use]
    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: Signature = EcdsaKey::from(&self.0).sign(bytes);
        signature.to_bytes().to_vec()
    }
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for VapidKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for VapidKey {}

impl Value for VapidKey {
    fn read(raw: &Raw) -> Result<Self, String> {
        let expected = "expected the private half of a P-256 key, 32 bytes in base64url: `kervan vapid` makes one";
        let text = String::read(raw)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.and_then(|bytes| SecretKey::from_slice(&bytes).ok()).map(Self).ok_or_else(|| expected.to_owned())
    }
    fn show(&self) -> String {
        quoted("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vapid_key(text: &str) -> VapidKey {
        VapidKey::read(&Raw::Text(text.to_owned())).unwrap()
    }

    /// The sender's key of RFC 8291, appendix A.
    #[test]
    fn a_key_is_read_as_libraries_write_it_and_never_shown() {
        let key = vapid_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let public = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
        assert_eq!(key.public(), public);
        assert_eq!((key.show().as_str(), format!("{key:?}").as_str()), ("\"***\"", "***"));
        assert_eq!(vapid_key(&key.private()), key);
        let new = VapidKey::generate().unwrap();
        assert!(new != key && vapid_key(&new.private()) == new);
        for wrong in ["", "TOPSECRET", &key.public(), &"A".repeat(43)] {
            let said = VapidKey::read(&Raw::Text(wrong.to_owned())).unwrap_err();
            assert!(said.starts_with("expected the private half") && !said.contains("TOPSECRET"), "{said}");
        }
    }
}
