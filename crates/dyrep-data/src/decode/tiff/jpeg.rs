//! JPEGs in a TIFF (technical note 2 to revision 6.0): in each strip or tile one, with tables that they share.
//!
//! Its decoder decodes each at the size that the JPEG declares, up to 16384×16384, and only then takes from it what the
//! strip or tile is to have. As libtiff, which refuses it too, no JPEG may be larger than its strip or tile.

use zune_core::bytestream::ZCursor;
use zune_jpeg::JpegDecoder;

use super::super::still::BESIDE_PIXELS;
use super::PARTS;
use super::chunks::{Layout, Size};
use super::directory::Directory;

const PACKING: u16 = 259;
const JPEG: u64 = 7;
const TABLES: u16 = 347;

/// Refuses a JPEG that is larger than its strip or tile, has more components, or takes more than is allowed beside the
/// picture's own pixels.
pub(super) fn check(directory: Directory<'_>, layout: &Layout) -> Result<(), String> {
    if directory.values(PACKING).next() != Some(JPEG) {
        return Ok(());
    }
    let tables = directory.values(TABLES).map(|byte| byte as u8).collect::<Vec<_>>();
    for [places, lengths] in PARTS {
        for (place, length) in directory.values(places).zip(directory.values(lengths)) {
            let Some(jpeg) = part(directory.bytes, place, length) else { return Ok(()) };
            let found = size(&tables, jpeg)?;
            let Layout { chunk, shown, .. } = layout;
            if found.width > chunk.width
                || found.height > chunk.height
                || found.samples > chunk.samples
            {
                return Err(format!("a JPEG of {found} in a strip or tile of {chunk}"));
            }
            if found.area().saturating_sub(shown.area()) > BESIDE_PIXELS {
                return Err(format!("a JPEG of {found} in a picture of {shown}"));
            }
        }
    }
    Ok(())
}

/// Nothing if the file ends in front of its end, which is found later.
fn part(bytes: &[u8], place: u64, length: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(place).ok()?..)?.get(..usize::try_from(length).ok()?)
}

/// What the decoder will find, by its own reader of headers: tables without their end in front of a JPEG without its
/// beginning.
fn size(tables: &[u8], jpeg: &[u8]) -> Result<Size, String> {
    let joined;
    let bytes = match tables.len().checked_sub(2) {
        None => jpeg,
        Some(kept) => {
            joined = [&tables[..kept], jpeg.get(2..).unwrap_or_default()].concat();
            &joined[..]
        }
    };
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    decoder.decode_headers().map_err(|error| format!("a JPEG in it: {error}"))?;
    let info = decoder.info().ok_or("a JPEG in it has no frame header")?;
    Ok(Size {
        width: info.width.into(),
        height: info.height.into(),
        samples: info.components.into(),
    })
}
