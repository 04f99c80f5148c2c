//! What a WebP says of its chunks and frames, held against the file and the picture that it says it is (the container's
//! specification, developers.google.com/speed/webp/docs/riff_container; RFC 6386, section 9.1, for the size of a lossy
//! frame).
//!
//! Its decoder takes memory for a frame as large as the frame declares, in whatever picture it lies.

/// Bytes in front of the first chunk.
const HEADER: usize = 12;
/// Bytes of an animation's frame in front of its own chunks.
const FRAME_HEADER: usize = 16;

/// Chunks that the decoder reads.
const KINDS: [&[u8; 4]; 8] =
    [b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP", b"VP8 ", b"VP8L", b"XMP "];

/// Refuses a frame that is larger than the picture. What a chunk begins with counts, whatever length it declares: the
/// decoder reads on where a chunk is cut or shorter than what should be in it.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut chunks = chunks(bytes.get(HEADER..).unwrap_or_default());
    // Without this chunk there is one frame, which is the picture.
    let Some(first) = chunks.next().filter(|chunk| chunk.kind == b"VP8X") else { return Ok(()) };
    let Some(picture) = size_of_24_bits(first.rest, 4) else { return Ok(()) };
    for chunk in chunks {
        fits(&chunk, picture)?;
        if chunk.kind == b"ANMF" {
            let inside = chunk.rest.get(FRAME_HEADER..).unwrap_or_default();
            // Transparency and colours.
            self::chunks(inside).take(2).try_for_each(|chunk| fits(&chunk, picture))?;
        }
    }
    Ok(())
}

/// Whether the file holds all of its chunks. No decoder then takes memory for one that it lacks; ours looks behind the
/// end for more of them, where whatever else may follow.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.get(4..).and_then(|rest| rest.first_chunk());
    let Some(length) = length.map(|&length| u32::from_le_bytes(length) as usize) else {
        return false;
    };
    let end = length.saturating_add(8);
    let fits = |chunk: Chunk<'_>| {
        let at = bytes.len() - chunk.rest.len();
        if at > end {
            return !(chunk.is_cut() && KINDS.contains(&chunk.kind));
        }
        // Padding to an even length may be missing at the very end.
        at.saturating_add(chunk.rounded()) <= end.saturating_add(1)
    };
    end <= bytes.len() && chunks(bytes.get(HEADER..).unwrap_or_default()).all(fits)
}

fn fits(chunk: &Chunk<'_>, picture: [u32; 2]) -> Result<(), String> {
    match chunk.frame() {
        Some([width, height]) if width > picture[0] || height > picture[1] => Err(format!(
            "a frame of {width}x{height} in a picture of {}x{}",
            picture[0], picture[1]
        )),
        _ => Ok(()),
    }
}

struct Chunk<'a> {
    kind: &'a [u8; 4],
    /// Of its data, as it declares.
    length: usize,
    /// From its data to the end of what was walked.
    rest: &'a [u8],
}

impl Chunk<'_> {
    /// Its length with what pads it to an even one.
    fn rounded(&self) -> usize {
        self.length.saturating_add(self.length % 2)
    }

    fn is_cut(&self) -> bool {
        self.length > self.rest.len()
    }

    /// Width and height that a frame of pixels declares.
    fn frame(&self) -> Option<[u32; 2]> {
        match self.kind {
            b"VP8 " => {
                let sides: &[u8; 4] = self.rest.get(6..)?.first_chunk()?;
                let side =
                    |at: usize| u32::from(u16::from_le_bytes([sides[at], sides[at + 1]]) & 0x3fff);
                Some([side(0), side(2)])
            }
            b"VP8L" => {
                let bits = u32::from_le_bytes(*self.rest.get(1..)?.first_chunk()?);
                Some([(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1])
            }
            _ => None,
        }
    }
}

/// The chunks that begin in `bytes`; one that is cut is the last.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (kind, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let chunk = Chunk { kind, length: u32::from_le_bytes(*length) as usize, rest };
        bytes = rest.get(chunk.rounded()..).unwrap_or_default();
        Some(chunk)
    })
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
    use rstest::rstest;

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
        // A chunk is cut, or shorter than what the decoder reads of it, and counts.
        let declaring = |mut chunk: Vec<u8>, length: u32| {
            chunk[4..8].copy_from_slice(&length.to_le_bytes());
            chunk
        };
        let transparent = |alpha: &[u8], frame: Vec<u8>| {
            let inside = [vec![0; 16], chunk(b"ALPH", alpha), frame].concat();
            // As if what pads the first did not count.
            let length = inside.len() - alpha.len() % 2;
            declaring(chunk(b"ANMF", &inside), length as u32)
        };
        for (good, bad) in [
            (declaring(lossy(7, 5), 0x7fff_fff0), declaring(lossy(0x3fff, 0x3fff), 0x7fff_fff0)),
            (declaring(lossless(7, 5), 0), declaring(lossless(7, 6), 0)),
            (
                declaring(animated(lossy(7, 5)), u32::MAX),
                declaring(animated(lossy(8, 5)), u32::MAX),
            ),
            (declaring(animated(lossy(7, 5)), 24), declaring(animated(lossy(8, 5)), 24)),
            (transparent(b"odd", lossy(7, 5)), transparent(b"odd", lossy(7, 6))),
        ] {
            assert_eq!(check(&webp(&[picture.clone(), good])), Ok(()));
            assert!(check(&webp(&[picture.clone(), bad])).is_err());
        }
        // So does the first one, of 32×5 pixels: what tells it is a frame's beginning, too.
        let told = [&b"ANMF\x1f\0\0\x04\0\0"[..], &[0; 14], &lossy(33, 5)].concat();
        let reason = check(&webp(&[declaring(chunk(b"VP8X", &told), 0)])).unwrap_err();
        assert!(reason.contains("32x5"), "{reason}");
        // The only frame is the picture.
        assert_eq!(check(&webp(&[lossy(0x3fff, 0x3fff)])), Ok(()));
        assert_eq!(check(b"RIFF"), Ok(()));
    }

    fn riff(declared: u32, chunks: &[(u32, usize)]) -> Vec<u8> {
        let mut bytes = [b"RIFF", &declared.to_le_bytes()[..], b"WEBP"].concat();
        for &(length, there) in chunks {
            bytes.extend(b"VP8 ");
            bytes.extend(length.to_le_bytes());
            bytes.extend(vec![7; there]);
        }
        bytes
    }

    #[rstest]
    #[case::whole(riff(16, &[(4, 4)]), true)]
    #[case::two(riff(28, &[(4, 4), (4, 4)]), true)]
    #[case::padded(riff(16, &[(3, 4)]), true)]
    #[case::padding_left_out(riff(15, &[(3, 3)]), true)]
    #[case::bytes_behind(riff(16, &[(4, 9)]), true)]
    #[case::cut(riff(16, &[(4, 3)]), false)]
    #[case::cut_at_a_chunk(riff(28, &[(4, 4)]), false)]
    #[case::chunk_beyond_the_end(riff(16, &[(u32::MAX, 4)]), false)]
    #[case::cut_behind_the_end(riff(16, &[(4, 4), (9, 4)]), false)]
    #[case::something_behind_the_end([&riff(16, &[(4, 4)])[..], b"any text, not a chunk"].concat(), true)]
    #[case::cut_in_front(b"RIFF\x10\0\0".to_vec(), false)]
    fn only_whole_files_have_their_chunks(#[case] bytes: Vec<u8>, #[case] whole: bool) {
        assert_eq!(is_whole(&bytes), whole);
    }
}
