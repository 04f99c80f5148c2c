//! Progressive JPEGs of few bytes and many pixels.

/// A progressive JPEG that declares `side × side` pixels and has so many scans of no data.
pub(crate) fn progressive(side: u16, scans: usize) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    // A table of quantisation steps, all 1.
    bytes.extend([&[0xFF, 0xDB, 0, 67, 0][..], &[1; 64]].concat());
    let [high, low] = side.to_be_bytes();
    bytes.extend([0xFF, 0xC2, 0, 11, 8, high, low, high, low, 1, 1, 0x11, 0]);
    // Codes of one bit: no difference, and a run of 2¹⁴ blocks without data.
    for (table, value) in [(0x00, 0x00), (0x10, 0xE0)] {
        let lengths = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([&[0xFF, 0xC4, 0, 20, table][..], &lengths, &[value]].concat());
    }
    for scan in 0..scans {
        let (first, last) = if scan == 0 { (0, 0) } else { (1, 63) };
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, first, last, 0]);
        // A bit of code and, for a run, 14 of its length: zeros, all of them.
        let blocks = (usize::from(side).div_ceil(8)).pow(2);
        let bits = if scan == 0 { blocks } else { blocks.div_ceil(1 << 14) * 15 };
        bytes.extend(vec![0; bits.div_ceil(8)]);
    }
    bytes.extend([0xFF, 0xD9]);
    bytes
}
