//! What a run saw, as CSV for other programs: `epochs.csv`, and `steps.csv` with the training loss of every step.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::progress::EpochReport;
use crate::checkpoint::Moment;
use crate::disk::Disk;

const STEPS: &str = "epoch,step,loss,learning_rate\n";
const EPOCHS: &str = "epoch,loss,valid_loss,train_accuracy,accuracy,top5_accuracy,weights_accuracy,\
                      learning_rate,pictures_per_second,train_seconds,wait_seconds,adjust_seconds,\
                      valid_seconds,branches,params,macs\n";

/// Losses that are not written yet.
#[derive(Debug)]
pub(super) struct Steps {
    path: PathBuf,
    rows: String,
}

impl Steps {
    /// Those of a run that goes on after a moment: what is written of later ones is taken back.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(super) fn from(folder: &Path, after: Moment, disk: &dyn Disk) -> io::Result<Self> {
        let path = folder.join("steps.csv");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            // A process that died may have left anything at its end.
            bytes => String::from_utf8_lossy(&bytes?).into_owned(),
        };
        let before = |line: &str| {
            let mut numbers = line.split(',').map(str::parse::<usize>);
            matches!((numbers.next(), numbers.next()), (Some(Ok(epoch)), Some(Ok(step)))
                if (epoch, step) <= (after.epochs + 1, after.steps))
        };
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let kept: String =
            std::iter::once(STEPS).chain(whole.filter(|line| before(line))).collect();
        if kept != text {
            disk.write(&path, kept.as_bytes())?;
        }
        Ok(Self { path, rows: String::new() })
    }

    /// Of a step of an epoch: the mean loss of its batches.
    pub(super) fn add(&mut self, epoch: usize, step: usize, loss: f64, learning_rate: f64) {
        let _ = writeln!(self.rows, "{epoch},{step},{loss},{learning_rate}");
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        disk.append(&self.path, rows.as_bytes())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// All epochs. What is not known is empty.
pub(super) fn epochs(reports: &[EpochReport]) -> String {
    let mut text = EPOCHS.to_owned();
    let known = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for it in reports {
        let figures = [
            it.epoch.to_string(),
            it.loss.to_string(),
            it.valid_loss.to_string(),
            it.train_accuracy.to_string(),
            it.accuracy.to_string(),
            known(it.top5_accuracy),
            known(it.weights_accuracy),
            it.learning_rate.to_string(),
            known(it.pictures_per_second()),
            it.train_seconds.to_string(),
            it.wait_seconds.to_string(),
            it.adjust_seconds.to_string(),
            it.valid_seconds.to_string(),
            it.branches.to_string(),
            it.params.to_string(),
            it.macs.to_string(),
        ];
        text += &figures.join(",");
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemDisk;

    #[test]
    fn a_run_that_goes_on_takes_back_what_it_does_again() {
        let folder = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(folder.path().join("steps.csv")).unwrap();
        let mut first = Steps::from(folder.path(), Moment::default(), &SystemDisk).unwrap();
        for (epoch, step) in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)] {
            first.add(epoch, step, 0.5, 1e-7);
        }
        first.write(&SystemDisk).unwrap();
        first.write(&SystemDisk).unwrap();
        let five = read();
        assert_eq!(five.lines().count(), 6);
        assert!(five.contains("\n2,3,0.5,0.0000001\n"), "{five}");
        SystemDisk.append(first.path(), b"3,1,0.").unwrap();
        Steps::from(folder.path(), Moment { epochs: 1, steps: 3 }, &SystemDisk).unwrap();
        assert_eq!(read(), five);
        let mut second =
            Steps::from(folder.path(), Moment { epochs: 1, steps: 1 }, &SystemDisk).unwrap();
        second.add(2, 2, f64::NAN, 0.1);
        second.write(&SystemDisk).unwrap();
        let lines: Vec<String> = read().lines().skip(3).map(str::to_owned).collect();
        assert_eq!(lines, ["2,1,0.5,0.0000001", "2,2,NaN,0.1"]);
    }
}
