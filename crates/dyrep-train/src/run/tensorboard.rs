//! What a run saw, as TensorBoard reads it: a file of events.
//!
//! A file is a row of records: the length of a message, the message, and a checksum behind each of them. The messages are
//! protobuf's: an `Event` of a time and a step with a version, the start of a session or a `Summary` of tagged values
//! (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto). A few fields of theirs are all that is
//! needed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use burn::module::Module;

use super::progress::EpochReport;
use crate::disk::Disk;
use crate::params;

/// Buckets of a histogram between its smallest and its largest value.
const BUCKETS: usize = 30;

/// A file of events that is added to.
#[derive(Debug)]
pub(super) struct Events {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// A value of a step.
enum Value {
    Scalar(f64),
    Histogram(Vec<f32>),
}

impl Events {
    /// A new file in the run's `tensorboard`. What others there tell of the steps from `step` on is done again, and is to be
    /// forgotten.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub(super) fn new(run: &Path, step: usize) -> io::Result<Self> {
        let folder = run.join("tensorboard");
        std::fs::create_dir_all(&folder)?;
        let (now, process) = (now(), std::process::id());
        let name = format!("events.out.tfevents.{}.{process}.{step}", now as u64);
        let mut events = Self { path: folder.join(name), bytes: vec![] };
        let version = Message::default().text(3, "brain.Event:2");
        events.event(now, 0, &version);
        // A start: what was told of later steps does not count.
        events.event(now, step, &Message::default().message(7, &Message::default().number(1, 1)));
        Ok(events)
    }

    /// The mean loss and the learning rate of a step, counted from the run's start.
    pub(super) fn step(&mut self, step: usize, loss: f64, learning_rate: f64) {
        let values = [("step/loss", loss), ("step/learning_rate", learning_rate)];
        self.summary(step, values.map(|(tag, value)| (tag.to_owned(), Value::Scalar(value))));
    }

    /// What is known after an epoch's last step.
    pub(super) fn epoch(&mut self, step: usize, report: &EpochReport) {
        let scalars = [
            ("loss/train", Some(report.loss)),
            ("loss/validation", Some(report.valid_loss)),
            ("accuracy/train", Some(report.train_accuracy)),
            ("accuracy/validation", Some(report.accuracy)),
            ("accuracy/top5", report.top5_accuracy),
            ("accuracy/weights", report.weights_accuracy),
            ("structure/branches", Some(report.branches as f64)),
            ("structure/parameters", Some(report.params as f64)),
            ("structure/multiply_adds", Some(report.macs as f64)),
            ("speed/pictures_per_second", report.pictures_per_second()),
        ];
        let known = scalars.into_iter().filter_map(|(tag, value)| Some((tag.to_owned(), value?)));
        self.summary(step, known.map(|(tag, value)| (tag, Value::Scalar(value))));
    }

    /// The scales of all batch norms, each as a histogram.
    pub(super) fn scales(&mut self, step: usize, scales: Vec<(String, Vec<f32>)>) {
        let tagged = |(path, values)| (format!("gamma/{path}"), Value::Histogram(values));
        self.summary(step, scales.into_iter().map(tagged));
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write(&mut self, disk: &dyn Disk) -> io::Result<()> {
        disk.append(&self.path, &std::mem::take(&mut self.bytes))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn summary(&mut self, step: usize, values: impl IntoIterator<Item = (String, Value)>) {
        let summary = values.into_iter().fold(Message::default(), |summary, (tag, value)| {
            let tagged = Message::default().text(1, &tag);
            summary.message(
                1,
                &match value {
                    Value::Scalar(value) => tagged.float(2, value as f32),
                    Value::Histogram(values) => tagged.message(5, &histogram(&values)),
                },
            )
        });
        self.event(now(), step, &Message::default().message(5, &summary));
    }

    fn event(&mut self, time: f64, step: usize, what: &Message) {
        let mut event = Message::default().double(1, time).number(2, step as u64);
        event.0.extend(&what.0);
        let length = (event.0.len() as u64).to_le_bytes();
        for part in [&length[..], &event.0] {
            self.bytes.extend(part);
            self.bytes.extend(masked(crc32c(part)).to_le_bytes());
        }
    }
}

/// The scales of a model's batch norms, by path.
pub(super) fn scales<M: Module>(model: &M) -> Vec<(String, Vec<f32>)> {
    let mut found = vec![];
    params::for_each(model, |path, values| {
        if let Some((last, norm)) = path.split_last()
            && last == "gamma"
        {
            found.push((norm.join("."), values()));
        }
    });
    found
}

/// A message of protobuf, as its bytes.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn key(self, field: u64, kind: u64) -> Self {
        self.varint(field << 3 | kind)
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut message = self.key(field, 2).varint(bytes.len() as u64);
        message.0.extend(bytes);
        message
    }

    fn number(self, field: u64, value: u64) -> Self {
        self.key(field, 0).varint(value)
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn float(self, field: u64, value: f32) -> Self {
        let mut message = self.key(field, 5);
        message.0.extend(value.to_le_bytes());
        message
    }

    fn double(self, field: u64, value: f64) -> Self {
        let mut message = self.key(field, 1);
        message.0.extend(value.to_le_bytes());
        message
    }

    fn doubles(self, field: u64, values: &[f64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &bytes)
    }
}

/// A `HistogramProto` of the finite values, in buckets of one width.
fn histogram(values: &[f32]) -> Message {
    let values: Vec<f64> =
        values.iter().copied().filter(|value| value.is_finite()).map(f64::from).collect();
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(*it), high.max(*it)));
    if values.is_empty() {
        return Message::default().double(3, 0.0);
    }
    // Values that are all the same need a bucket, too.
    let width = ((high - low) / BUCKETS as f64).max(f64::from(f32::MIN_POSITIVE));
    let limits: Vec<f64> = (1..=BUCKETS).map(|bucket| low + width * bucket as f64).collect();
    let mut counts = vec![0.0; BUCKETS];
    for value in &values {
        counts[(((value - low) / width) as usize).min(BUCKETS - 1)] += 1.0;
    }
    Message::default()
        .double(1, low)
        .double(2, high)
        .double(3, values.len() as f64)
        .double(4, values.iter().sum())
        .double(5, values.iter().map(|value| value * value).sum())
        .doubles(6, &limits)
        .doubles(7, &counts)
}

/// Castagnoli's checksum (RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
            crc >> 1 ^ carry
        })
    })
}

/// A checksum of data that may hold checksums (tensorflow/core/lib/hash/crc32c.h).
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemDisk;

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720, appendix B.4, and the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    /// Fields of a message: number, kind, and the bytes of those that have a length.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (byte, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                value |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            value
        }
        let mut found = vec![];
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    found.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                2 => varint(&mut bytes) as usize,
                kind => panic!("kind {kind}"),
            };
            let (value, rest) = bytes.split_at(length);
            found.push((key >> 3, value.to_vec()));
            bytes = rest;
        }
        found
    }

    #[test]
    fn a_file_is_a_row_of_events() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::new(folder.path(), 12).unwrap();
        events.step(13, 0.75, 0.1);
        events.scales(13, vec![("bn1".to_owned(), vec![-1.0, 0.0, f32::NAN, 2.0, 2.0])]);
        events.write(&SystemDisk).unwrap();
        let bytes = std::fs::read(events.path()).unwrap();
        let (mut rest, mut found) = (&bytes[..], vec![]);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let sum = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(sum(8), masked(crc32c(&rest[..8])));
            assert_eq!(sum(12 + length), masked(crc32c(&rest[12..12 + length])));
            found.push(fields(&rest[12..12 + length]));
            rest = &rest[16 + length..];
        }
        let of = |event: usize, field| {
            found[event].iter().find(|(number, _)| *number == field).map(|(_, it)| it.clone())
        };
        assert_eq!(found.len(), 4);
        assert_eq!(of(0, 3), Some(b"brain.Event:2".to_vec()));
        assert_eq!((of(1, 2), of(1, 7)), (Some(12_u64.to_le_bytes().to_vec()), Some(vec![8, 1])));
        let values = fields(&of(2, 5).unwrap());
        let loss = fields(&values[0].1);
        assert_eq!(loss[0].1, b"step/loss");
        assert_eq!(loss[1].1, 0.75_f32.to_le_bytes());
        let scales = fields(&fields(&of(3, 5).unwrap())[0].1);
        assert_eq!(scales[0].1, b"gamma/bn1");
        let numbers = |bytes: &[u8]| -> Vec<f64> {
            bytes.chunks_exact(8).map(|it| f64::from_le_bytes(it.try_into().unwrap())).collect()
        };
        let histogram = fields(&scales[1].1);
        let firsts: Vec<f64> = histogram[..5].iter().map(|(_, it)| numbers(it)[0]).collect();
        assert_eq!(firsts, [-1.0, 2.0, 4.0, 3.0, 9.0]);
        let counts = numbers(&histogram[6].1);
        assert_eq!((counts[0], counts[10], counts[29], counts.len()), (1.0, 1.0, 2.0, 30));
        let limits = numbers(&histogram[5].1);
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1]) && (limits[29] - 2.0).abs() < 1e-9);
    }
}
