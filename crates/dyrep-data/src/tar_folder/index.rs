//! The samples of an archive: which images it holds, of which class, and where.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::TarError;
use super::names;
use super::shared_file::SharedFile;
use super::walk::{Entry, Kind, Walk};
use crate::error::DataError;
use crate::left_out::LeftOut;
use crate::parts::refuse_parts;
use crate::scan::has_image_extension;

/// An image in the archive.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) class: u32,
    /// From the class on.
    pub(super) file: Box<Path>,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What a walk has found so far.
#[derive(Default)]
struct Found {
    images: Vec<(Box<[u8]>, Range<u64>)>,
    /// Folders that the archive names, so that those without images are noticed.
    folders: BTreeSet<Vec<u8>>,
    left_out: LeftOut,
}

/// What an archive is as a data set.
pub(super) struct Index {
    pub(super) classes: Vec<String>,
    pub(super) samples: Vec<Sample>,
    pub(super) left_out: LeftOut,
}

/// Classes and samples of the archive of the given length, in the order of a folder with the same
/// contents.
pub(super) fn index(file: &SharedFile, archive: &Path, length: u64) -> Result<Index, DataError> {
    let mut found = Found::default();
    found.walk(file, archive, archive, &[], 0..length)?;
    let skipped = found.outer();
    let Found { mut images, folders, left_out } = found;
    let name = |image: &(Box<[u8]>, _)| -> Vec<u8> { image.0[skipped..].to_vec() };
    images.retain(|image| names::split(&image.0[skipped..]).is_some());
    images
        .sort_unstable_by(|a, b| names::split(&a.0[skipped..]).cmp(&names::split(&b.0[skipped..])));
    if let Some(twice) = images.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(TarError::Duplicate { path: archive.join(names::path(&twice[0].0)) }.into());
    }
    let (mut classes, mut samples) = (Vec::<String>::new(), Vec::with_capacity(images.len()));
    for image in images {
        let name = name(&image);
        let Some((class, ..)) = names::split(&name) else { continue };
        if classes.last().is_none_or(|last| last.as_bytes() != class) {
            let path = || archive.join(names::path(&image.0[..skipped + class.len()]));
            let class = String::from_utf8(class.to_vec());
            classes.push(class.map_err(|_| DataError::ClassNameNotUtf8 { path: path() })?);
        }
        let Range { start: offset, end } = image.1;
        let class = classes.len() as u32 - 1;
        let file = names::path(&image.0).into();
        samples.push(Sample { class, file, offset, length: end - offset });
    }
    if classes.is_empty() {
        return Err(DataError::NoClasses { path: archive.to_owned() });
    }
    refuse_parts(archive, &classes)?;
    for folder in &folders {
        let class = folder.get(skipped..).unwrap_or_default().split(|&byte| byte == b'/').next();
        let class = class.unwrap_or_default();
        let known =
            |class: &[u8]| classes.binary_search_by(|have| have.as_bytes().cmp(class)).is_ok();
        if !class.is_empty() && !known(class) {
            let path = archive.join(names::path(&folder[..skipped + class.len()]));
            return Err(DataError::EmptyClass { path, left_out });
        }
    }
    Ok(Index { classes, samples, left_out })
}

impl Found {
    /// Walks the archive in a part of the file. `inside` is the name of the folder that it stands
    /// for: nothing for the file itself.
    fn walk(
        &mut self,
        file: &SharedFile,
        archive: &Path,
        path: &Path,
        inside: &[&[u8]],
        range: Range<u64>,
    ) -> Result<(), DataError> {
        let mut walk = Walk::new(file, path, range);
        while let Some(Entry { name, kind, range }) = walk.next()? {
            let refused = |reason: String| {
                let entry = String::from_utf8_lossy(&name).into_owned();
                TarError::Refused { path: path.to_owned(), entry, reason }
            };
            let own = names::parts(&name).map_err(|reason| refused(reason.to_owned()))?;
            let parts = [inside, &own].concat();
            let Some(last) = parts.last().filter(|_| !names::is_hidden(&parts)) else { continue };
            match kind {
                Kind::Other(what) => return Err(refused(format!("it is {what}")).into()),
                Kind::Folder => {
                    self.folders.insert(parts.join(&b'/'));
                }
                Kind::File if has_image_extension(&names::path(last)) => {
                    self.images.push((parts.join(&b'/').into(), range));
                }
                // One inside the archive stands for a folder of its name.
                Kind::File if inside.is_empty() => {
                    let Some(stem) = folder_of(last) else {
                        self.left_out.add(names::path(last).as_os_str());
                        continue;
                    };
                    let mut folder = parts.clone();
                    *folder.last_mut().expect("it has a last part") = stem;
                    self.folders.insert(folder.join(&b'/'));
                    let nested: PathBuf = archive.join(names::path(&own.join(&b'/')));
                    self.walk(file, archive, &nested, &folder, range)?;
                }
                Kind::File => self.left_out.add(names::path(last).as_os_str()),
            }
        }
        Ok(())
    }

    /// The length of the folders around all classes, as in a tar of `train/<class>/<image>`.
    fn outer(&self) -> usize {
        let mut skipped = 0;
        while let Some(((first, _), rest)) = self.images.split_first() {
            let Some((outer, inner, _)) = names::split(&first[skipped..]) else { break };
            let prefix = skipped..skipped + outer.len() + 1;
            let shared = |(name, _): &(Box<[u8]>, _)| {
                name.get(prefix.clone()) == Some(&first[prefix.clone()])
                    && name[prefix.end..].contains(&b'/')
            };
            if inner.is_empty() || !rest.iter().all(shared) {
                break;
            }
            skipped = prefix.end;
        }
        skipped
    }
}

/// `n01440764` of `n01440764.tar`.
fn folder_of(name: &[u8]) -> Option<&[u8]> {
    let (stem, extension) = name.split_at_checked(name.len().checked_sub(4)?)?;
    (!stem.is_empty() && extension.eq_ignore_ascii_case(b".tar")).then_some(stem)
}
