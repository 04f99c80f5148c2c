//! Files that are broken, that lie or that are no files: none crashes the loader, makes it wait or
//! take all memory, or leads out of the data set. `skipping.rs` has what the loader makes of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;
#[path = "common/progressive.rs"]
mod progressive;
#[path = "common/spoiled.rs"]
mod spoiled;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{rgb, save};
use dyrep_data::{Channels, Contents, DataError, Dataset, ImageFolder};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::ImageFormat;
use progressive::progressive;
use rstest::rstest;
use spoiled::{encode, folder, open};
use tempfile::tempdir;

/// What a file may take at the very most, on a loaded machine without optimisation.
const PATIENCE: Duration = Duration::from_secs(60);

/// The error of the one bad file, which must name it and come in time.
fn error_of(name: &str, bad: impl FnOnce(&Path)) -> DataError {
    let root = folder(1, |class| bad(&class.join(name)));
    let data = open(&root);
    let index = (0..data.len()).find(|&index| data.path(index).ends_with(name)).unwrap();
    let start = Instant::now();
    let error = data.image(index).unwrap_err();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(error.to_string().contains(name), "{error}");
    assert!(error.is_of_one_sample(), "a loader must be able to go on: {error}");
    error
}

/// A chunk of a PNG: length, kind, contents, checksum.
fn chunk(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(contents);
    let length = u32::try_from(contents.len()).unwrap();
    [&length.to_be_bytes()[..], kind, contents, &crc.sum().to_be_bytes()].concat()
}

/// A PNG with something between its header and its pixels.
fn png_with(inserted: &[u8]) -> Vec<u8> {
    let png = encode(ImageFormat::Png);
    [&png[..33], inserted, &png[33..]].concat()
}

/// So many zeros, packed a thousandfold, at most `16 << 20` at a time in memory.
fn packed_zeros(bytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 16 << 20];
    for _ in 0..bytes / zeros.len() {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

#[rstest]
#[case::empty("x.jpg", vec![])]
#[case::one_byte("x.jpg", vec![0xFF])]
#[case::text("x.jpg", b"<html>404</html>".to_vec())]
#[case::half_a_jpeg("x.jpg", { let j = encode(ImageFormat::Jpeg); j[..j.len() / 2].to_vec() })]
#[case::half_a_png("x.png", { let p = encode(ImageFormat::Png); p[..p.len() / 2].to_vec() })]
#[case::jpeg_header("x.jpg", vec![0xFF, 0xD8, 0xFF])]
#[case::png_header("x.png", b"\x89PNG\r\n\x1A\n".to_vec())]
#[case::zip("x.jpg", b"PK\x03\x04".repeat(100))]
#[case::large_jpeg("x.jpg", progressive(60_000, 1))]
#[case::large_png("x.png", { let mut p = encode(ImageFormat::Png); declare(&mut p, 60_000); p })]
#[case::many_scans("x.jpg", progressive(2_000, 20_000))]
fn broken_files_are_errors(#[case] name: &str, #[case] bytes: Vec<u8>) {
    error_of(name, |path| fs::write(path, &bytes).unwrap());
}

fn declare(png: &mut [u8], side: u32) {
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    let sum = crc.sum().to_be_bytes();
    png[29..33].copy_from_slice(&sum);
}

/// A few scans are what progressive files have, and many pixels may be one colour.
#[test]
fn the_progressive_files_made_here_are_valid() {
    for scans in [1, 2, 10] {
        let root =
            folder(1, |class| fs::write(class.join("x.jpg"), progressive(200, scans)).unwrap());
        let image = open(&root).image(2).unwrap();
        assert_eq!((image.width(), image.height()), (200, 200));
        assert!(image.pixels().iter().all(|&value| value == 128));
    }
}

/// A file of 0.5 MB that would unpack to half a gigabyte, where no pixel needs it.
#[rstest]
#[case::profile(b"iCCP", b"x\0\0")]
#[case::text(b"zTXt", b"x\0\0")]
#[case::international(b"iTXt", b"x\0\x01\0\0\0")]
fn what_surrounds_the_pixels_is_not_unpacked(#[case] kind: &[u8; 4], #[case] head: &[u8]) {
    let contents = [head, &packed_zeros(480 << 20)].concat();
    let root = folder(1, |class| {
        fs::write(class.join("x.png"), png_with(&chunk(kind, &contents))).unwrap();
    });
    let before = peak_memory();
    // Whether it is used or refused does not matter.
    if let Err(error) = open(&root).image(2) {
        assert!(error.is_of_one_sample(), "{error}");
    }
    let grown = peak_memory() - before;
    assert!(grown < 200 << 20, "{grown} bytes more");
}

/// The most memory that this process has had so far, in bytes; 0 where that is not known.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0) << 10
}

/// Behind the end of the file, as it tells it, is a chunk that is cut. The decoder would take 402 MB for the frame in it.
#[test]
fn a_webps_frame_is_no_larger_than_it() {
    let features = [&b"VP8X\x0a\0\0\0"[..], &[0, 0, 0, 0, 6, 0, 0, 4, 0, 0]].concat();
    let frame =
        [&b"VP8 \xf0\xff\xff\x7f"[..], &[0, 0, 0, 0x9d, 1, 0x2a, 255, 63, 255, 63]].concat();
    let bytes = [&b"RIFF\x16\0\0\0WEBP"[..], &features, &frame, &[0; 100]].concat();
    let error = error_of("x.webp", |path| fs::write(path, &bytes).unwrap());
    assert!(error.to_string().contains("a frame of 16383x16383 in a picture of 7x5"), "{error}");
}

/// Of no pixels, in one direction or both; the decoder of GIFs takes them for pictures.
#[rstest]
#[case(0, 0)]
#[case(0, 5)]
#[case(7, 0)]
fn a_picture_has_pixels(#[case] width: u8, #[case] height: u8) {
    // One pixel, where there is none.
    let frame = [0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0];
    let head = [&b"GIF89a"[..], &[width, 0, height, 0, 0x80, 0, 0], &[9; 6]].concat();
    let gif = [&head[..], &frame, b";"].concat();
    let error = error_of("x.gif", |path| fs::write(path, &gif).unwrap());
    assert!(matches!(error, DataError::Undecodable { .. }), "{error}");
    let decoding = Channels::Rgb.into();
    let error = Contents::File { path: "x.gif".into(), decoding }.decode(&gif).unwrap_err();
    assert!(error.to_string().contains("x.gif"), "{error}");
}

/// Sparse: it takes no space on the disk, and would take half a gigabyte in memory.
#[test]
fn a_large_file_is_refused_by_its_length() {
    let error = error_of("x.jpg", |path| {
        let mut file = File::create(path).unwrap();
        file.write_all(&encode(ImageFormat::Jpeg)).unwrap();
        file.set_len((1 << 29) + 1).unwrap();
    });
    assert!(matches!(error, DataError::FileTooLarge { .. }), "{error}");
}

#[test]
fn files_may_vanish_grow_and_become_others() {
    let root = folder(6, |_| ());
    let data = open(&root);
    let path = |index| data.path(index);
    fs::remove_file(path(0)).unwrap();
    File::options().append(true).open(path(1)).unwrap().write_all(&[7; 1 << 20]).unwrap();
    fs::remove_file(path(2)).unwrap();
    fs::create_dir(path(2)).unwrap();
    File::create(path(3)).unwrap();
    assert!(matches!(data.image(0).unwrap_err(), DataError::Unreadable { .. }));
    // What follows a picture does not matter.
    assert_eq!(data.image(1).unwrap().width(), 20);
    assert!(matches!(data.image(2).unwrap_err(), DataError::NotAFile { .. }));
    assert!(matches!(data.image(3).unwrap_err(), DataError::EmptyFile { .. }));
    fs::remove_dir_all(root.path().join("b")).unwrap();
    assert!(matches!(data.image(7).unwrap_err(), DataError::Unreadable { .. }));
}

/// A folder of an image's name is a folder: its pictures belong to the class.
#[test]
fn a_folder_may_have_an_images_name() {
    let root = folder(1, |class| save(&class.join("x.jpg/inside.png"), rgb(9, 9)));
    let data = open(&root);
    assert!(data.path(2).ends_with("b/x.jpg/inside.png"));
    assert!(data.image(2).is_ok());
}

/// Many folders deep, as far as a path may be long.
#[test]
fn deep_folders_are_listed() {
    let deep = "d/".repeat(500) + "x.png";
    let root = folder(1, |class| save(&class.join(&deep), rgb(9, 9)));
    let data = open(&root);
    assert!(data.image((0..3).find(|&at| data.path(at).ends_with(&deep)).unwrap()).is_ok());
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn a_socket_is_no_file() {
        let mut kept = None;
        let error = error_of("x.jpg", |path| kept = Some(UnixListener::bind(path).unwrap()));
        assert!(matches!(error, DataError::NotAFile { .. }), "{error}");
    }

    fn make_pipe(path: &Path) -> bool {
        Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success())
    }

    /// Opening a pipe that nobody writes to waits for ever.
    #[test]
    fn a_pipe_is_no_file() {
        if !make_pipe(&tempdir().unwrap().path().join("p")) {
            eprintln!("skipped: there is no mkfifo here");
            return;
        }
        let error = error_of("x.jpg", |path| assert!(make_pipe(path)));
        assert!(matches!(error, DataError::NotAFile { .. }), "{error}");
        // Nor is a link to one, nor what became one.
        let root = folder(1, |class| {
            assert!(make_pipe(&class.join("pipe")));
            symlink("pipe", class.join("x.jpg")).unwrap();
        });
        let data = open(&root);
        assert!(matches!(data.image(2).unwrap_err(), DataError::NotAFile { .. }));
        fs::remove_file(data.path(0)).unwrap();
        assert!(make_pipe(&data.path(0)));
        assert!(matches!(data.image(0).unwrap_err(), DataError::NotAFile { .. }));
    }

    #[test]
    fn an_unreadable_file_is_skipped_by_name() {
        let root = folder(1, |_| ());
        let data = open(&root);
        fs::set_permissions(data.path(1), fs::Permissions::from_mode(0o000)).unwrap();
        if File::open(data.path(1)).is_ok() {
            eprintln!("skipped: this user may read everything");
            return;
        }
        let error = data.image(1).unwrap_err();
        assert!(matches!(error, DataError::Unreadable { .. }), "{error}");
        assert!(error.is_of_one_sample());
    }

    #[test]
    fn file_names_need_not_be_utf8() {
        let name = OsStr::from_bytes(b"\xFF\xFE.png");
        // Not every file system stores such a name.
        let root = folder(1, |class| {
            if fs::write(class.join(name), encode(ImageFormat::Png)).is_err() {
                save(&class.join("x.png"), rgb(64, 48));
            }
        });
        let data = open(&root);
        assert_eq!(data.image(2).unwrap().width(), 64);
        assert!(!data.name(2).is_empty());
    }

    /// Links in a circle, and a chain of them that is longer than any system follows.
    #[test]
    fn loops_and_chains_of_links_end() {
        let root = folder(1, |class| {
            symlink("y.jpg", class.join("x.jpg")).unwrap();
            symlink("x.jpg", class.join("y.jpg")).unwrap();
        });
        let error = ImageFolder::open(root.path(), Channels::Rgb).unwrap_err();
        assert!(matches!(error, DataError::Unreadable { .. }), "{error}");
        let root = folder(1, |class| {
            for number in 0..100 {
                let (link, next) = (format!("link{number}.png"), format!("link{}.png", number + 1));
                symlink(next, class.join(link)).unwrap();
            }
            fs::copy(class.join("good00.png"), class.join("link100.png")).unwrap();
        });
        let error = ImageFolder::open(root.path(), Channels::Rgb).unwrap_err();
        assert!(matches!(error, DataError::Unreadable { .. }), "{error}");
    }

    /// What was a file when the folder was listed may have become a way out of it.
    #[test]
    fn nothing_is_read_outside_even_later() {
        let outside = folder(1, |_| ());
        let root = folder(1, |_| ());
        let data = open(&root);
        fs::remove_file(data.path(0)).unwrap();
        symlink(outside.path().join("a/good00.png"), data.path(0)).unwrap();
        let error = data.image(0).unwrap_err();
        assert!(matches!(error, DataError::ForbiddenLink { .. }), "{error}");
        fs::remove_file(data.path(0)).unwrap();
        symlink(root.path().join("b/good00.png"), data.path(0)).unwrap();
        assert!(data.image(0).is_ok());
    }
}

/// Names only: as many files as there are, whatever is in them.
#[test]
fn thousands_of_files_are_listed() {
    let root = tempdir().unwrap();
    for class in 0..50 {
        let folder = root.path().join(format!("class{class:02}"));
        fs::create_dir(&folder).unwrap();
        (0..100).for_each(|file| drop(File::create(folder.join(format!("{file}.jpg"))).unwrap()));
    }
    let data = open(&root);
    assert_eq!((data.len(), data.classes().len()), (5000, 50));
}
