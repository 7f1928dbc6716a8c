//! The pages' files in gzip, for who takes it: made once, when the first one asks, and kept.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::Embed;

/// Bytes below which a file is as quick without.
const WORTH_IT: usize = 1024;

/// The files of one page that are shorter in gzip.
#[derive(Clone, Default)]
pub(super) struct Packed(Arc<OnceLock<HashMap<Cow<'static, str>, Bytes>>>);

impl Packed {
    /// A file in gzip, if it is worth it.
    pub(crate) fn get<Files: Embed>(&self, path: &str) -> Option<Bytes> {
        self.0.get_or_init(pack::<Files>).get(path).cloned()
    }
}

fn pack<Files: Embed>() -> HashMap<Cow<'static, str>, Bytes> {
    let packed = |path: Cow<'static, str>| {
        let data = Files::get(&path)?.data;
        let short = gzip(&data).filter(|short| data.len() > WORTH_IT && short.len() < data.len())?;
        Some((path, short))
    };
    Files::iter().filter_map(packed).collect()
}

/// None only if writing to memory fails.
fn gzip(data: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 2), Compression::best());
    encoder.write_all(data).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether an answer may come in gzip (RFC 9110, 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    let offers = lists.flat_map(|list| list.split(',')).map(|offer| {
        let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let is_none = weight.strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        (coding.trim().to_ascii_lowercase(), !is_none)
    });
    let offers: Vec<_> = offers.collect();
    let of = |name: &str| offers.iter().find(|(coding, _)| coding == name).map(|(_, takes)| *takes);
    of("gzip").or_else(|| of("*")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        let takes =
            |list: &'static str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, list.parse().unwrap())]));
        for list in ["gzip", "deflate, gzip, br", "GZIP;q=0.5", "*", "br;q=1.0, *;q=0.1", "gzip ; q=1"] {
            assert!(takes(list), "{list}");
        }
        for list in ["", "br", "gzip;q=0", "gzip;q=0.000", "*;q=0", "*, gzip;q=0", "identity"] {
            assert!(!takes(list), "{list}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_packed_is_the_same_file() {
        let text = "a page, and a page, and a page. ".repeat(200);
        let short = gzip(text.as_bytes()).unwrap();
        assert!(short.len() < text.len() / 4);
        let mut back = String::new();
        flate2::read::GzDecoder::new(&short[..]).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
    }
}
