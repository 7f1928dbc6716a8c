//! Key pairs of the three public-key algorithms.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

/// A key pair: what signs, and the public half as PEM and as JWK without a `kid`.
pub(crate) struct Pair {
    pub algorithm: Algorithm,
    pub signing: EncodingKey,
    pub public_pem: String,
    pub jwk: Value,
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Pair {
    /// The RSA pair of the tests, made once: that takes a while.
    pub(crate) fn rsa() -> &'static Self {
        static PAIR: OnceLock<Pair> = OnceLock::new();
        PAIR.get_or_init(|| Self::new_rsa(2048))
    }

    /// A new RSA pair of so many bits.
    pub(crate) fn new_rsa(bits: usize) -> Self {
        let private = rsa::RsaPrivateKey::new(&mut OsRng, bits).unwrap();
        let public = private.to_public_key();
        Self {
            algorithm: Algorithm::RS256,
            signing: EncodingKey::from_rsa_der(private.to_pkcs1_der().unwrap().as_bytes()),
            public_pem: public.to_public_key_pem(LineEnding::LF).unwrap(),
            jwk: json!({
                "kty": "RSA", "n": base64url(&public.n().to_bytes_be()), "e": base64url(&public.e().to_bytes_be()),
            }),
        }
    }

    /// The P-256 pair of the tests.
    pub(crate) fn ec() -> &'static Self {
        static PAIR: OnceLock<Pair> = OnceLock::new();
        PAIR.get_or_init(|| {
            let private = p256::SecretKey::random(&mut OsRng);
            let public = private.public_key();
            let point = p256::EncodedPoint::from(&public);
            Self {
                algorithm: Algorithm::ES256,
                signing: EncodingKey::from_ec_der(private.to_pkcs8_der().unwrap().as_bytes()),
                public_pem: public.to_public_key_pem(LineEnding::LF).unwrap(),
                jwk: json!({
                    "kty": "EC", "crv": "P-256", "x": base64url(point.x().unwrap()), "y": base64url(point.y().unwrap()),
                }),
            }
        })
    }

    /// The Ed25519 pair of the tests.
    pub(crate) fn ed() -> &'static Self {
        static PAIR: OnceLock<Pair> = OnceLock::new();
        PAIR.get_or_init(Self::new_ed)
    }

    /// A new Ed25519 pair.
    pub(crate) fn new_ed() -> Self {
        let private = ed25519_dalek::SigningKey::generate(&mut OsRng);
        let public = private.verifying_key();
        Self {
            algorithm: Algorithm::EdDSA,
            signing: EncodingKey::from_ed_der(private.to_pkcs8_der().unwrap().as_bytes()),
            public_pem: public.to_public_key_pem(LineEnding::LF).unwrap(),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(public.as_bytes())}),
        }
    }

    /// A token signed with this pair, with a `kid` in its header if one is given.
    pub(crate) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.signing).unwrap()
    }

    /// The public half as a JWK with this `kid`.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = kid.into();
        jwk
    }
}
