//! Images: how large they are, and a small one to show in their place. Work for a thread that may block, two at a time, with
//! bounds on what an image may ask for.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;

/// Longest side of a thumbnail.
const SIDE: u32 = 480;
/// JPEG quality of one, of 100.
const QUALITY: u8 = 80;
/// Images that are looked at at one time.
const AT_ONCE: usize = 2;
/// Bytes that a pixel takes while it is decoded, at most.
const PIXEL_BYTES: u64 = 8;
/// Bytes that anything else in an image may take: profiles and texts are compressed, too.
const OTHER_BYTES: u64 = 4 * 1024 * 1024;
/// What a PNG begins with.
const PNG: &[u8] = b"\x89PNG";

/// See the module.
pub(super) struct Images {
    pixels: u64,
    turns: Arc<Semaphore>,
}

/// What was seen.
#[derive(Default, Debug)]
pub(super) struct Seen {
    /// Width and height, as it is to be shown.
    pub pixels: Option<(u32, u32)>,
    /// A small one: PNG if it is transparent, else JPEG. Without what the original says of camera and place.
    pub thumbnail: Option<Bytes>,
}

impl Images {
    pub(crate) fn new(pixels: u32) -> Self {
        Self { pixels: pixels.into(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Looks at a file that may be an image. What can't be read, or is too large, is a file like any other.
    pub(crate) async fn look(&self, media_type: &str, bytes: &Bytes) -> Seen {
        let Some(format) = shown(media_type) else { return Seen::default() };
        let Ok(_turn) = self.turns.acquire().await else { return Seen::default() };
        let (bytes, most) = (bytes.clone(), self.pixels);
        let looked = tokio::task::spawn_blocking(move || look(&bytes, format, most)).await;
        match looked {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => {
                tracing::debug!(%error, "an image can't be read");
                Seen::default()
            }
            Err(panic) => {
                tracing::warn!(%panic, "an image broke its reader");
                Seen::default()
            }
        }
    }
}

/// The format of a type that browsers show and that is read here.
pub(super) fn shown(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// The type of a thumbnail, by what it begins with.
#[must_use]
pub(crate) fn small_type(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(PNG) { "image/png" } else { "image/jpeg" }
}

/// A decoder that may take so many bytes.
fn decoder(bytes: &[u8], format: ImageFormat, most: u64) -> image::ImageResult<impl ImageDecoder + '_> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(most);
    reader.limits(limits);
    reader.into_decoder()
}

fn look(bytes: &[u8], format: ImageFormat, most: u64) -> image::ImageResult<Seen> {
    // How large it is, it says with next to no memory: so a small picture can't ask for that of a large one.
    let (width, height) = decoder(bytes, format, OTHER_BYTES)?.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > most {
        return Ok(Seen::default());
    }
    let mut decoder = decoder(bytes, format, pixels.saturating_mul(PIXEL_BYTES) + OTHER_BYTES)?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let pixels = Some((image.width(), image.height()));
    if image.width().max(image.height()) > SIDE {
        image = image.thumbnail(SIDE, SIDE);
    }
    let mut small = Vec::new();
    if image.color().has_alpha() {
        image.write_to(&mut Cursor::new(&mut small), ImageFormat::Png)?;
    } else {
        image.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut small, QUALITY))?;
    }
    Ok(Seen { pixels, thumbnail: Some(small.into()) })
}

#[cfg(test)]
mod tests {
    use image::ImageEncoder as _;
    use image::codecs::png::PngEncoder;

    use super::*;

    #[test]
    fn a_small_picture_asks_for_little_memory_whatever_is_packed_into_it() {
        let unpacked = 64 * 1024 * 1024;
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_icc_profile(vec![0; unpacked]).unwrap();
        encoder.write_image(&[7; 3], 1, 1, image::ExtendedColorType::Rgb8).unwrap();
        assert!(bytes.len() < unpacked / 100, "{} bytes", bytes.len());
        let profile = |most| Some(decoder(&bytes, ImageFormat::Png, most).ok()?.icc_profile().ok()??.len());
        assert_eq!(profile(u64::MAX), Some(unpacked), "that is what it says");
        assert!(profile(PIXEL_BYTES + OTHER_BYTES).is_none_or(|bytes| bytes as u64 <= OTHER_BYTES));
        // It may be shown or not.
        look(&bytes, ImageFormat::Png, 40_000_000).ok();
    }
}
