//! What a file is that holds no weights which can be read: said in words, with what to do about it.

/// Starts of files, what they are, and what to try.
const KNOWN: [(&[u8], &str, &str); 14] = [
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "fetch it with `git lfs pull`",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "export the weights to safetensors"),
    (b"\x93NUMPY", "a NumPy array", "put the arrays into one safetensors file"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"BZh", "compressed with bzip2", "unpack it first"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"GGUF", "a GGUF file of a language model", "give a file of a convolutional network"),
    (b"\x89PNG", "a picture", "give a file of weights"),
    (b"\xff\xd8\xff", "a picture", "give a file of weights"),
    (b"RIFF", "a picture or a sound", "give a file of weights"),
    (b"\x7fELF", "a program", "give a file of weights"),
    (b"%PDF", "a PDF document", "give a file of weights"),
];

/// What a file is by its first bytes, and what to try.
pub(super) fn told(start: &[u8]) -> (String, &'static str) {
    if start.is_empty() {
        return ("empty".to_owned(), "fetch or write it again");
    }
    if let Some((_, what, advice)) = KNOWN.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return ((*what).to_owned(), advice);
    }
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype") || text.starts_with(b"<html") || text.starts_with(b"<?xml") {
        return ("a web page".to_owned(), "the download failed; fetch the file itself");
    }
    // An ONNX model begins with its version: field 1, a small number, then the producer: field 2, text.
    if matches!(start, [0x08, 1..=20, 0x12, ..]) {
        let advice = "give the PyTorch or safetensors file that it was exported from";
        return ("an ONNX model".to_owned(), advice);
    }
    if start.iter().all(|byte| *byte == 0) {
        return ("nothing but zeros".to_owned(), "fetch or write it again");
    }
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    if start.iter().all(is_text) {
        return ("text".to_owned(), "give a file of weights");
    }
    let first = &start[..start.len().min(8)];
    let advice = "give a file that `torch.save` or `safetensors` wrote";
    (format!("of an unknown kind, beginning with {first:02x?}"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_they_are() {
        for (start, what) in [
            (&b""[..], "empty"),
            (b"<!DOCTYPE html><html>", "a web page"),
            (b"\n<html>", "a web page"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "a pointer of Git LFS, not the file itself",
            ),
            (b"\x08\x08\x12\x07pytorch", "an ONNX model"),
            (b"P6 3 3 255\n", "text"),
            (&[0; 300], "nothing but zeros"),
            (&[1, 2, 3], "of an unknown kind, beginning with [01, 02, 03]"),
        ] {
            assert_eq!(told(start).0, what);
        }
    }
}
