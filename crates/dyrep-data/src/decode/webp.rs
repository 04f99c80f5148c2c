//! What a WebP says of its frames, held against the picture that it says it is (the container's specification,
//! developers.google.com/speed/webp/docs/riff_container; RFC 6386, section 9.1, for the size of a lossy frame).
//!
//! Its decoder takes memory for a frame as large as the frame declares, in whatever picture it lies.

/// Bytes in front of the first chunk.
const HEADER: usize = 12;
/// Bytes of an animation's frame in front of its own chunks.
const FRAME_HEADER: usize = 16;

/// Refuses a frame that is larger than the picture.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut chunks = chunks(bytes.get(HEADER..).unwrap_or_default());
    // Without this chunk there is one frame, which is the picture.
    let Some((b"VP8X", features)) = chunks.next() else { return Ok(()) };
    let Some(picture) = size_of_24_bits(features, 4) else { return Ok(()) };
    for (kind, data) in chunks {
        match kind {
            b"ANMF" => {
                let inside = self::chunks(data.get(FRAME_HEADER..).unwrap_or_default());
                for (kind, data) in inside {
                    fits(frame(kind, data), picture)?;
                }
            }
            _ => fits(frame(kind, data), picture)?,
        }
    }
    Ok(())
}

fn fits(frame: Option<[u32; 2]>, picture: [u32; 2]) -> Result<(), String> {
    match frame {
        Some([width, height]) if width > picture[0] || height > picture[1] => Err(format!(
            "a frame of {width}x{height} in a picture of {}x{}",
            picture[0], picture[1]
        )),
        _ => Ok(()),
    }
}

/// Names and data of chunks; one that is cut ends them.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let data = rest.get(..length)?;
        bytes = rest.get(length + length % 2..).unwrap_or_default();
        Some((kind, data))
    })
}

/// Width and height that a frame of pixels declares.
fn frame(kind: &[u8; 4], data: &[u8]) -> Option<[u32; 2]> {
    match kind {
        b"VP8 " => {
            let sides: &[u8; 4] = data.get(6..)?.first_chunk()?;
            let side =
                |at: usize| u32::from(u16::from_le_bytes([sides[at], sides[at + 1]]) & 0x3fff);
            Some([side(0), side(2)])
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(*data.get(1..)?.first_chunk()?);
            Some([(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1])
        }
        _ => None,
    }
}

/// Two sides, each less one in 24 bits.
fn size_of_24_bits(data: &[u8], at: usize) -> Option<[u32; 2]> {
    let bytes: &[u8; 6] = data.get(at..)?.first_chunk()?;
    let side = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]) + 1;
    Some([side(0), side(3)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut bytes = [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
        bytes.resize(bytes.len() + data.len() % 2, 0);
        bytes
    }

    fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
        [&b"RIFF\0\0\0\0WEBP"[..], &chunks.concat()].concat()
    }

    fn lossy(width: u16, height: u16) -> Vec<u8> {
        let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
        chunk(b"VP8 ", &[&[0, 0, 0, 0x9d, 1, 0x2a][..], &sides].concat())
    }

    fn lossless(width: u32, height: u32) -> Vec<u8> {
        let bits = (width - 1) | (height - 1) << 14;
        chunk(b"VP8L", &[&[0x2f][..], &bits.to_le_bytes()].concat())
    }

    #[test]
    fn frames_are_no_larger_than_their_picture() {
        // 7×5 pixels.
        let picture = chunk(b"VP8X", &[0, 0, 0, 0, 6, 0, 0, 4, 0, 0]);
        let animated = |frame: Vec<u8>| chunk(b"ANMF", &[vec![0; 16], frame].concat());
        for good in [lossy(7, 5), lossless(7, 5), animated(lossy(3, 5)), animated(lossless(7, 1))] {
            assert_eq!(check(&webp(&[picture.clone(), good])), Ok(()));
        }
        for bad in [
            lossy(0x3fff, 5),
            lossless(7, 6),
            animated(lossy(8, 5)),
            animated(lossless(0x4000, 0x4000)),
        ] {
            let reason = check(&webp(&[picture.clone(), bad])).unwrap_err();
            assert!(reason.contains("7x5"), "{reason}");
        }
        // The only frame is the picture.
        assert_eq!(check(&webp(&[lossy(0x3fff, 0x3fff)])), Ok(()));
        assert_eq!(check(b"RIFF"), Ok(()));
    }
}
