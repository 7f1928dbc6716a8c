//! Message encryption for Web Push (RFC 8291): only the browser can read what is pushed. Pure: the key of one message and its salt
//! are given.

use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;

/// Bytes of the one record that a push is.
const RECORD_BYTES: u32 = 4_096;
/// Bytes that a text may have: a push service takes 4,096 with all that is around it.
pub(super) const MOST: usize = 4_096 - 86 - 17;

/// The body of a push to a browser with this key and secret. `own` is used for this one alone, `salt` is chance.
///
/// `None` if the text is longer than [`MOST`].
pub(super) fn encrypted(
    text: &[u8],
    browser: &PublicKey,
    auth: &[u8; 16],
    own: &SecretKey,
    salt: &[u8; 16],
) -> Option<Vec<u8>> {
    if text.len() > MOST {
        return None;
    }
    let (theirs, ours) = (browser.to_encoded_point(false), own.public_key().to_encoded_point(false));
    let shared = diffie_hellman(own.to_nonzero_scalar(), browser.as_affine());
    let info = [b"WebPush: info\0", theirs.as_bytes(), ours.as_bytes()].concat();
    let keying = hkdf(auth, shared.raw_secret_bytes(), &info);
    let key = hkdf(salt, &keying, b"Content-Encoding: aes128gcm\0");
    let nonce = hkdf(salt, &keying, b"Content-Encoding: nonce\0");
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).ok()?;
    // The last record ends with a 2.
    let mut record = [text, &[2]].concat();
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).ok()?;
    let ours = ours.as_bytes();
    let mut body = Vec::with_capacity(salt.len() + 5 + ours.len() + record.len());
    body.extend_from_slice(salt);
    body.extend_from_slice(&RECORD_BYTES.to_be_bytes());
    body.push(ours.len() as u8);
    body.extend_from_slice(ours);
    body.extend_from_slice(&record);
    Some(body)
}

/// HKDF with SHA-256 (RFC 5869) for an output of one block.
fn hkdf(salt: &[u8], keying: &[u8], info: &[u8]) -> [u8; 32] {
    let extracted = hmac(salt, &[keying]);
    hmac(&extracted, &[info, &[1]])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is one");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 8291, section 5.
    #[test]
    fn the_example_of_the_standard_is_encrypted_as_it_says() {
        let own = SecretKey::from_slice(&bytes::<32>("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let browser = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let browser = PublicKey::from_sec1_bytes(&bytes::<65>(browser)).unwrap();
        let (auth, salt) = (bytes("BTBZMqHH6r4Tts7J_aSIgg"), bytes("DGv6ra1nlYgDCS1FRnbzlw"));
        let body = encrypted(b"When I grow up, I want to be a watermelon", &browser, &auth, &own, &salt).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6P\
            Bru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(&body), expected);
        assert_eq!(encrypted(&[b'x'; MOST], &browser, &auth, &own, &salt).unwrap().len(), 4_096);
        assert_eq!(encrypted(&[b'x'; MOST + 1], &browser, &auth, &own, &salt), None);
    }
}
