//! Keys, each bound to the one algorithm that it verifies.

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, crypto};
use serde::Deserialize;

use super::AuthOptions;

/// Keys that are taken from a set at most; a provider has one to four.
const SET_KEYS: usize = 64;
/// Bytes of a `kid`.
const KID_BYTES: usize = 256;
/// Bytes of the modulus of a 2048-bit RSA key, the least that RFC 7518 allows.
const RSA_MODULUS_BYTES: usize = 256;

/// Bytes of an Ed25519 public key.
const ED25519_BYTES: usize = 32;

/// A key and what it verifies.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No PEM, or of another kind.
    #[error("auth.{key}: {reason}")]
    Pem {
        /// The configuration key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The address of the key set can't be used.
    #[error("auth.jwks_url: {reason}")]
    Url {
        /// What is wrong.
        reason: String,
    },
    /// A set that can't be read.
    #[error("the key set is no JSON Web Key Set")]
    Set,
}

impl Key {
    fn new(algorithm: Algorithm, decoding: DecodingKey) -> Result<Self, String> {
        let too_small = match decoding.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len() < RSA_MODULUS_BYTES,
            // DER of modulus and exponent, a little longer than the modulus.
            DecodingKeyKind::SecretOrDer(der) => algorithm == Algorithm::RS256 && der.len() < RSA_MODULUS_BYTES,
        };
        if too_small {
            return Err("an RSA key needs at least 2048 bits".to_owned());
        }
        // jsonwebtoken 11.1 panics on a shorter one, when it verifies with it.
        if algorithm == Algorithm::EdDSA && decoding.try_get_as_bytes().map_or(0, <[u8]>::len) != ED25519_BYTES {
            return Err("an Ed25519 key has 32 bytes".to_owned());
        }
        // Verifies nothing, but a key of another curve or length is an error now and not at the first token.
        crypto::verify("AA", b"", &decoding, algorithm).map_err(|error| error.to_string())?;
        Ok(Self { algorithm, decoding })
    }
}

/// The keys of the configuration, at most one for each algorithm.
pub(super) fn configured(options: &AuthOptions) -> Result<Vec<Key>, KeyError> {
    type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
    let pems: [(&str, &Option<String>, Algorithm, Read); 3] = [
        ("rsa_public_key", &options.rsa_public_key, Algorithm::RS256, DecodingKey::from_rsa_pem),
        ("ecdsa_public_key", &options.ecdsa_public_key, Algorithm::ES256, DecodingKey::from_ec_pem),
        ("ed25519_public_key", &options.ed25519_public_key, Algorithm::EdDSA, DecodingKey::from_ed_pem),
    ];
    let mut keys = Vec::new();
    if let Some(secret) = options.hmac_secret.as_ref().filter(|secret| !secret.expose().is_empty()) {
        keys.push(Key { algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret.expose().as_bytes()) });
    }
    for (key, pem, algorithm, read) in pems {
        let Some(pem) = pem else { continue };
        let made = read(pem.as_bytes()).map_err(|e| e.to_string()).and_then(|made| Key::new(algorithm, made));
        keys.push(made.map_err(|reason| KeyError::Pem { key, reason })?);
    }
    Ok(keys)
}

/// The keys of a JSON Web Key Set by their `kid`.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<(String, std::sync::Arc<Key>)>,
}

/// A key of a set, as far as it is used (RFC 7517, RFC 7518 section 6, RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys without a `kid`, of other kinds, for other uses, or broken, are left out; a symmetric one too:
    /// what is public is no secret.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| KeyError::Set)?;
        let mut keys: Vec<(String, std::sync::Arc<Key>)> = Vec::new();
        for value in set.keys {
            let Some((kid, key)) = serde_json::from_value(value).ok().and_then(usable) else { continue };
            let known = keys.iter().any(|(k, other)| *k == kid && other.algorithm == key.algorithm);
            if !known && keys.len() < SET_KEYS {
                keys.push((kid, key.into()));
            }
        }
        Ok(Self { keys })
    }

    /// The key with this `kid` for this algorithm. A `kid` is compared and nothing else: never a path, never a query.
    pub(super) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<std::sync::Arc<Key>> {
        let (_, key) = self.keys.iter().find(|(k, key)| k == kid && key.algorithm == algorithm)?;
        Some(key.clone())
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

fn usable(jwk: Jwk) -> Option<(String, Key)> {
    let kid = jwk.kid.filter(|kid| !kid.is_empty() && kid.len() <= KID_BYTES)?;
    if jwk.usage.is_some_and(|usage| usage != "sig") {
        return None;
    }
    let (algorithm, name, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?)),
        ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(&jwk.x?, &jwk.y?)),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(&jwk.x?)),
        _ => return None,
    };
    if jwk.alg.is_some_and(|alg| alg != name) {
        return None;
    }
    Some((kid, Key::new(algorithm, decoding.ok()?).ok()?))
}
