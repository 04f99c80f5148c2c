//! Protocol buffers' wire format, as far as writing ONNX needs it: variable-length integers, 32-bit floats, and fields that
//! begin with their length (<https://protobuf.dev/programming-guides/encoding>).
//!
//! A message stands behind its length, so it is gone through twice: once counting, once writing. What is counted costs
//! nothing for the weights, and the length of the whole is known before any memory is asked for.

/// How a field's value ends.
const VARINT: u64 = 0;
const WITH_LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// Counts bytes, and keeps them if it is to write.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    length: u64,
    bytes: Option<Vec<u8>>,
}

impl Wire {
    /// The length of what `fill` writes, in bytes.
    pub(crate) fn length(fill: impl Fn(&mut Self)) -> u64 {
        let mut wire = Self::default();
        fill(&mut wire);
        wire.length
    }

    /// What `fill` writes.
    pub(crate) fn bytes(fill: impl Fn(&mut Self)) -> Vec<u8> {
        let length = usize::try_from(Self::length(&fill)).unwrap_or_default();
        let mut wire = Self { length: 0, bytes: Some(Vec::with_capacity(length)) };
        fill(&mut wire);
        wire.bytes.unwrap_or_default()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if let Some(written) = &mut self.bytes {
            written.extend_from_slice(bytes);
        }
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    fn key(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    /// A whole number.
    pub(crate) fn int(&mut self, field: u32, value: i64) {
        self.key(field, VARINT);
        self.varint(value.cast_unsigned());
    }

    /// A number of 32 bits.
    pub(crate) fn float(&mut self, field: u32, value: f32) {
        self.key(field, FOUR_BYTES);
        self.put(&value.to_le_bytes());
    }

    /// Text. Nothing is written for none, which reads the same.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.texts(field, [text]);
        }
    }

    /// A text for each entry, empty or not.
    pub(crate) fn texts<'a>(&mut self, field: u32, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            self.key(field, WITH_LENGTH);
            self.varint(text.len() as u64);
            self.put(text.as_bytes());
        }
    }

    /// The values as bytes, the lowest first.
    pub(crate) fn floats(&mut self, field: u32, values: &[f32]) {
        self.key(field, WITH_LENGTH);
        let length = 4 * values.len() as u64;
        self.varint(length);
        self.length += length;
        if let Some(written) = &mut self.bytes {
            written.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }

    /// The values as bytes.
    pub(crate) fn small_ints(&mut self, field: u32, values: &[i8]) {
        self.key(field, WITH_LENGTH);
        let length = values.len() as u64;
        self.varint(length);
        self.length += length;
        if let Some(written) = &mut self.bytes {
            written.extend(values.iter().map(|value| value.cast_unsigned()));
        }
    }

    /// A message, which `fill` writes the same way each time.
    pub(crate) fn message(&mut self, field: u32, fill: impl Fn(&mut Self)) {
        self.key(field, WITH_LENGTH);
        self.varint(Self::length(&fill));
        fill(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's own documentation.
    #[test]
    fn fields_are_written_as_documented() {
        let written = |fill: fn(&mut Wire)| Wire::bytes(fill);
        assert_eq!(written(|wire| wire.int(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(
            written(|wire| wire.text(2, "testing")),
            [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]
        );
        assert_eq!(
            written(|wire| wire.message(3, |wire| wire.int(1, 150))),
            [0x1a, 0x03, 0x08, 0x96, 0x01]
        );
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(written(|wire| wire.int(1, -2)), minus_two);
        assert_eq!(written(|wire| wire.float(16, 1.0)), [0x85, 0x01, 0x00, 0x00, 0x80, 0x3f]);
        assert_eq!(written(|wire| wire.floats(1, &[1.0])), [0x0a, 0x04, 0x00, 0x00, 0x80, 0x3f]);
        assert_eq!(written(|wire| wire.small_ints(1, &[-1, 2])), [0x0a, 0x02, 0xff, 0x02]);
        assert!(written(|wire| wire.text(2, "")).is_empty());
        assert_eq!(written(|wire| wire.texts(2, [""])), [0x12, 0x00]);
    }

    /// Lengths are those of what is written, above the 127 that one byte says too.
    #[test]
    fn what_is_counted_is_what_is_written() {
        let values: Vec<f32> = (0..5000).map(|i| i as f32).collect();
        let fill = |wire: &mut Wire| {
            wire.message(7, |wire| {
                wire.floats(9, &values);
                wire.message(5, |wire| wire.text(1, "weight"));
            });
        };
        let bytes = Wire::bytes(fill);
        assert_eq!(bytes.len() as u64, Wire::length(fill));
        assert_eq!(bytes[..4], [0x3a, 0xae, 0x9c, 0x01]);
        assert_eq!(bytes.len(), 4 + 20_014);
    }
}
