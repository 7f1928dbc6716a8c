//! A key that signs webhooks, in the form that Standard Webhooks give it: `whsec_` and base64.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::value::{Raw, Value, quoted};

/// Bytes of a key.
const BYTES: RangeInclusive<usize> = 24..=64;

/// See the module. Never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Its bytes. Not for logs.
    #[must_use]
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Value for SigningKey {
    fn read(raw: &Raw) -> Result<Self, String> {
        let bytes = String::read(raw)?.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let bytes = bytes.filter(|bytes| BYTES.contains(&bytes.len()));
        let expected =
            "expected \"whsec_\" and the base64 of 24 to 64 bytes: `echo whsec_$(openssl rand -base64 32)` makes one";
        bytes.map(Self).ok_or_else(|| expected.to_owned())
    }
    fn show(&self) -> String {
        quoted("***")
    }
}

/// A key, for tests.
#[cfg(test)]
pub(crate) fn signing_key(text: &str) -> SigningKey {
    SigningKey::read(&Raw::Text(text.to_owned())).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_the_form_of_the_standard_and_never_shown() {
        let read = |text: &str| SigningKey::read(&Raw::Text(text.to_owned()));
        let key = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!((key.expose().len(), key.show().as_str(), format!("{key:?}").as_str()), (24, "\"***\"", "***"));
        for wrong in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_short",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa",
            "whsec_ü",
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.starts_with("expected \"whsec_\"") && !said.contains("MfKQ"), "{said}");
        }
    }
}
