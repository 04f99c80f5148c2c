//! Files that are broken, meant for something else, or meant to harm: each is refused clearly, and nothing in it runs.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use burn::tensor::{Bytes, DType};
use common::{golden, mobilenet, narrow, resnet, vgg};
use dyrep_models::Model;
use dyrep_tests::under_test;
use dyrep_weights::{Export, Load, OpenOptions, Part, Weights, WeightsError, open};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// A file of the given bytes, and the folder that goes away with it.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn refused(bytes: &[u8]) -> WeightsError {
    let (_folder, path) = file(bytes);
    let error = open(&path).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "names the file: {error}");
    error
}

fn small() -> Model {
    resnet().init(&under_test()).unwrap()
}

/// A zip archive such as `torch.save` writes, with the given pickle and storages.
fn checkpoint(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    for (name, bytes) in storages {
        zip.start_file(format!("archive/data/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `{"fc.weight": tensor}`: a view of `shape` and `stride` on a storage that declares `numbers` of `f32`.
fn pickled_tensor(numbers: i32, shape: [i32; 2], stride: [i32; 2]) -> Vec<u8> {
    let int = |value: i32| [&b"J"[..], &value.to_le_bytes()].concat();
    let text =
        |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let pair = |[a, b]: [i32; 2]| [int(a), int(b), b"\x86".to_vec()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("fc.weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        [text("0"), text("cpu"), int(numbers)].concat(),
        b"tQ".to_vec(),
        [int(0), pair(shape), pair(stride)].concat(),
        b"\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn a_hand_made_checkpoint_is_read() {
    // The control of the tests below.
    let values: Vec<u8> = [1f32, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let (_folder, path) = file(&checkpoint(&pickled_tensor(2, [1, 2], [2, 1]), &[("0", &values)]));
    let weights = open(&path).unwrap();
    assert_eq!(weights.shapes().collect::<Vec<_>>(), [("fc.weight", &[1, 2][..])]);
}

#[test]
fn calls_in_pickles_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("ran");
    let command = format!("touch {}", marker.display());
    let reduce = |module: &str, name: &str| {
        let length = (command.len() as u32).to_le_bytes();
        let call = format!("c{module}\n{name}\n(X").into_bytes();
        [call, length.to_vec(), command.clone().into_bytes(), b"tR".to_vec()].concat()
    };
    for (module, name) in
        [("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("builtins", "exec")]
    {
        let call = reduce(module, name);
        // Alone, as a value beside weights, and as what is called with a tensor's parts.
        let alone = [b"\x80\x02".to_vec(), call.clone(), b".".to_vec()].concat();
        let beside = [b"\x80\x02}X\x01\x00\x00\x00a".to_vec(), call, b"s.".to_vec()].concat();
        for pickle in [alone, beside] {
            for bytes in [checkpoint(&pickle, &[]), pickle.clone()] {
                let error = refused(&bytes);
                let wanted = format!("{module}.{name}");
                assert!(
                    matches!(&error, WeightsError::Hostile { call, .. } if *call == wanted),
                    "{wanted}: {error}"
                );
                assert!(error.to_string().contains("nothing was run"), "{error}");
            }
        }
    }
    assert!(!marker.exists(), "a pickle ran");
    // The marker would have been seen.
    assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
    assert!(marker.exists());
}

#[test]
fn harmless_objects_beside_weights_are_passed_over() {
    let python =
        b"\x80\x02}X\x04\x00\x00\x00argscargparse\nNamespace\n)\x81X\x01\x00\x00\x00bK\x07u.";
    let python = [&python[..3], b"(", &python[3..]].concat();
    let error = refused(&checkpoint(&python, &[]));
    assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
}

#[test]
fn what_is_cut_short_is_refused_at_every_length() {
    for name in ["resnet_wrapped.pth", "vgg_bn_bf16_legacy.pt", "dbb_f16.safetensors"] {
        let bytes = fs::read(golden(name)).unwrap();
        let lengths =
            (0..64).chain((64..bytes.len()).step_by(bytes.len() / 40)).chain([bytes.len() - 1]);
        for length in lengths {
            let (_folder, path) = file(&bytes[..length]);
            let loaded = open(&path).and_then(|weights| match name.split('_').next() {
                Some("vgg") => weights.load_into(vgg().init(&under_test()).unwrap()),
                _ => weights.load_into(small()),
            });
            assert!(loaded.is_err(), "{name} of {length} bytes was loaded");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for name in ["resnet_wrapped.pth", "vgg_bn_bf16_legacy.pt", "repvgg_f16.pth"] {
        let bytes = fs::read(golden(name)).unwrap();
        let places = (0..600).step_by(2).chain((600..bytes.len()).step_by(bytes.len() / 100));
        for place in places {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            let (_folder, path) = file(&bytes);
            // Whether it is refused depends on what the bit meant.
            let _ = open(&path).and_then(|weights| Load::partial().into(small(), &weights));
        }
    }
}

#[test]
fn files_of_other_kinds_are_unknown() {
    for bytes in [&b""[..], b"P6 3 3 255", b"<html>", &[0; 600]] {
        assert!(matches!(refused(bytes), WeightsError::Unknown { .. }));
    }
    assert!(matches!(open("no/such/file").unwrap_err(), WeightsError::Io { .. }));
    assert!(matches!(open(env!("CARGO_MANIFEST_DIR")).unwrap_err(), WeightsError::Io { .. }));
    let error = refused(&checkpoint(b"\x80\x02}.", &[]));
    assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
}

#[test]
fn declared_sizes_are_held_against_the_file() {
    // A safetensors header of 90 MB, a tensor of a terabyte, one whose size overflows.
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let long = [&90_000_000u64.to_le_bytes()[..], b"{"].concat();
    let large =
        r#"{"a":{"dtype":"F32","shape":[262144,1048576],"data_offsets":[0,1099511627776]}}"#;
    let overflowing =
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}"#;
    for bytes in [long, header(large), header(overflowing)] {
        let error = refused(&bytes);
        assert!(matches!(error, WeightsError::Malformed { .. }), "{error}");
    }
    // A PyTorch storage that is not there, and one that is shorter than it says.
    for storages in [&[][..], &[("0", &[0u8; 8][..])]] {
        let pickle = pickled_tensor(1 << 20, [1024, 1024], [1024, 1]);
        let error = refused(&checkpoint(&pickle, storages)).to_string();
        assert!(error.contains("tensor `fc.weight`"), "{error}");
    }
    // One number, seen as sixteen million.
    let one = [("0", &[0u8; 4][..])];
    let (_folder, path) = file(&checkpoint(&pickled_tensor(1, [4096, 4096], [0, 0]), &one));
    let vgg = dyrep_models::VggConfig::vgg11(4096).init(&under_test()).unwrap();
    let weights = OpenOptions::new().rename("^fc", "classifier.3").unwrap().open(&path).unwrap();
    let error = Load::partial().into(vgg, &weights).unwrap_err();
    assert!(matches!(error, WeightsError::Oversized { declared: 67_108_864, .. }), "{error}");
    // A burnpack whose metadata would have a gigabyte.
    let pack = [&b"NRUB\x01\x00"[..], &(1u32 << 30).to_le_bytes(), &[0; 64]].concat();
    let error = refused(&pack);
    assert!(matches!(error, WeightsError::Oversized { declared: 0x4000_0000, .. }), "{error}");
}

#[test]
fn zip_bombs_are_not_unpacked() {
    let deflated = |name: &str, size: usize| {
        // Written by hand: this build of the zip library only unpacks what nobody packed.
        let mut encoder = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(&vec![b'N'; size]).unwrap();
        let packed = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(&vec![b'N'; size]);
        archive_of(name, &packed, size, crc.sum())
    };
    for (name, size) in [("archive/data.pkl", 40 << 20), ("archive/data/0", 64 << 20)] {
        let bytes = deflated(name, size);
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        let error = refused(&bytes);
        assert!(matches!(error, WeightsError::Oversized { .. }), "{error}");
    }
    // A pickle that is as long as it says, but far longer than any network's.
    let error = refused(&checkpoint(&vec![b'N'; 33 << 20], &[])).to_string();
    assert!(error.contains("longer than 32 MiB"), "{error}");
}

/// A zip archive of one deflated entry.
fn archive_of(name: &str, packed: &[u8], size: usize, crc: u32) -> Vec<u8> {
    let common = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &crc.to_le_bytes(),
        &(packed.len() as u32).to_le_bytes(),
        &(size as u32).to_le_bytes(),
        &(name.len() as u16).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04", &common[..], name.as_bytes(), packed].concat();
    let central = [b"PK\x01\x02\x14\x00", &common[..], &[0; 14], name.as_bytes()].concat();
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &(central.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [local, central, end].concat()
}

#[test]
fn tars_with_holes_are_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_path("storages").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 40);
    header.set_cksum();
    let bytes = [&header.as_bytes()[..], &[0; 1024]].concat();
    let error = refused(&bytes);
    let sparse = error.to_string().contains("sparse");
    assert!(sparse || matches!(error, WeightsError::Oversized { .. }), "{error}");
}

fn safetensors(tensors: &[(&str, &[usize], &[f32])]) -> (TempDir, Weights) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, v)| v.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let (folder, path) = file(&safetensors::serialize(views, None).unwrap());
    let weights = open(&path).unwrap();
    (folder, weights)
}

#[test]
fn another_networks_weights_are_refused_with_names() {
    let weights = open(golden("mobilenet_f64.safetensors")).unwrap();
    let error = weights.load_into(small()).unwrap_err();
    let WeightsError::Mismatch { report, .. } = &error else { panic!("{error}") };
    assert!(report.missing.len() > 30 && report.unused.len() > 100);
    let text = error.to_string();
    for part in ["`conv1.weight`", "and ", "more", "not used", "nearest to", "mobilenet_f64"] {
        assert!(text.contains(part), "{text}");
    }
    // Another width: shapes, both of them.
    let weights = open(golden("resnet_wrapped.pth")).unwrap();
    let (_, wider) = narrow("resnet18", 10);
    let text = weights.load_into(wider.init(&under_test()).unwrap()).unwrap_err().to_string();
    assert!(text.contains("bn1.bias: expected [8], found [4]"), "{text}");
    assert!(text.contains("more"), "{text}");
}

#[test]
fn a_part_of_the_weights_must_be_asked_for() {
    let weights = open(golden("resnet_wrapped.pth")).unwrap();
    let more = resnet_of(17);
    let error = weights.load_into(more).unwrap_err().to_string();
    assert!(error.contains("fc.weight: expected [17, 32], found [10, 32]"), "{error}");
    let (network, report) = Load::partial().into(resnet_of(17), &weights).unwrap();
    assert_eq!(report.shapes.len(), 2);
    assert!(report.missing.is_empty() && report.unused.is_empty());
    let names: Vec<String> =
        Export::of(&network).shapes().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(report.applied.len() + 2, names.len());
    // Not one that fits is no part.
    let (_folder, nothing) = safetensors(&[("x.weight", &[1], &[0.0])]);
    assert!(Load::partial().into(small(), &nothing).is_err());
}

fn resnet_of(classes: usize) -> Model {
    let dyrep_models::ModelConfig::ResNet(config) = resnet() else { unreachable!() };
    dyrep_models::ModelConfig::ResNet(dyrep_models::ResNetConfig { classes, ..config })
        .init(&under_test())
        .unwrap()
}

#[test]
fn values_that_are_no_numbers_must_be_asked_for() {
    for bad in [f32::NAN, f32::INFINITY] {
        let (_folder, weights) =
            safetensors(&[("fc.bias", &[10], &[0., 0., bad, 0., 0., 0., 0., 0., 0., 0.])]);
        let error = Load::partial().into(small(), &weights).unwrap_err();
        assert!(matches!(error, WeightsError::NotFinite { index: 2, .. }), "{error}");
        assert!(error.to_string().contains("`fc.bias`"), "{error}");
        assert!(Load::partial().with_non_finite().into(small(), &weights).is_ok());
    }
}

#[test]
fn names_are_bounded_and_unique() {
    let long = "kxk.conv.".repeat(10_000) + "weight";
    let json = format!(r#"{{"{long}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let bytes = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 4]].concat();
    assert!(matches!(refused(&bytes), WeightsError::LongName { .. }));
    let twice = ["a.dbb_reparam.weight", "a.weight"];
    let json = twice.map(|name| {
        let at = if name == "a.weight" { 4 } else { 0 };
        format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{at},{}]}}"#, at + 4)
    });
    let json = format!("{{{}}}", json.join(","));
    let bytes = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 8]].concat();
    assert!(matches!(refused(&bytes), WeightsError::Twice { .. }));
    // Two of Burn's names for one of PyTorch's.
    let tensors = ["a.gamma", "a.weight"].map(|name| {
        let value = Bytes::from_bytes_vec(vec![0; 4]);
        burn_pack::Tensor::new(name.to_owned(), DType::F32, vec![1], None, value)
    });
    let pack = burn_pack::Writer::new(tensors.into()).into_bytes().unwrap();
    assert!(matches!(refused(&pack), WeightsError::Twice { .. }));
}

#[test]
fn branches_that_cannot_be_are_refused() {
    // An identity where the convolution changes the channels.
    let weight = vec![0.0; 4 * 3 * 49];
    let (_folder, weights) = safetensors(&[
        ("conv1.kxk.conv.weight", &[4, 3, 7, 7], &weight),
        ("conv1.identity.bn.weight", &[4], &[1.0; 4]),
    ]);
    let error = weights.load_into(small()).unwrap_err();
    assert!(matches!(error, WeightsError::Structure { .. }), "{error}");
    assert!(error.to_string().contains("conv1"), "{error}");
}

#[test]
fn notes_are_not_believed() {
    let (name, config) = narrow("resnet18", 10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let network = config.init(&under_test()).unwrap();
    Export::of(&network).named(name, &config).unwrap().safetensors(&path).unwrap();
    let change = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let changed = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
        let (_folder, path) = file(&changed);
        open(Path::new(&path)).and_then(|weights| weights.build(&under_test()))
    };
    assert!(change("resnet18", "resnet18").is_ok());
    assert!(matches!(change("resnet18", "resnet19"), Err(WeightsError::NotDescribed { .. })));
    // Other classes than the tensors'.
    let other = change(r#"classes\":10"#, r#"classes\":99"#);
    assert!(matches!(other, Err(WeightsError::Mismatch { .. })), "{other:?}");
    // A structure that its tensors do not bear out.
    let other = change(r#"\"bias\":false"#, r#"\"bias\": true"#);
    assert!(matches!(other, Err(WeightsError::StructureDiffers { .. })), "{other:?}");
    // A network that has no note, and is none of the zoo's.
    let (_folder, weights) = safetensors(&[("fc.bias", &[10], &[0.0; 10])]);
    let error = weights.build(&under_test()).unwrap_err();
    assert!(matches!(error, WeightsError::NotDescribed { .. }), "{error}");
}

#[test]
fn parts_that_are_not_there_are_named() {
    let open_part = |part| OpenOptions::new().part(part).open(golden("resnet_wrapped.pth"));
    let error = open_part(Part::Average).unwrap_err().to_string();
    assert!(error.contains("optimizer") && error.contains("state_dict"), "{error}");
    assert!(open_part(Part::Key("nothing".into())).is_err());
    let whole = mobilenet().init(&under_test()).unwrap();
    assert!(open(golden("mobilenet_f64.safetensors")).unwrap().load_into(whole).is_ok());
}
