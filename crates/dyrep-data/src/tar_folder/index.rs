//! The samples of an archive: which images it holds, of which class, and where.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::TarError;
use super::names;
use super::shared_file::SharedFile;
use super::walk::{Entry, Kind, Walk};
use crate::error::DataError;
use crate::left_out::LeftOut;
use crate::parts::refuse_parts;
use crate::scan::{ending, has_image_extension};

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
    /// Folders that the archive has, named by themselves or by what lies in them, so that those without
    /// images are noticed; and what was passed over in each.
    folders: BTreeMap<Vec<u8>, LeftOut>,
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
    let Found { mut images, folders } = found;
    let mut left_out = LeftOut::default();
    folders.values().for_each(|passed_over| left_out.extend(passed_over));
    let name = |image: &(Box<[u8]>, _)| -> Vec<u8> { image.0[skipped..].to_vec() };
    images.retain(|image| {
        let of_a_class = names::split(&image.0[skipped..]).is_some();
        if !of_a_class {
            let ending = ending(names::path(&image.0).as_os_str());
            left_out.count(format!("{ending} outside of the classes"));
        }
        of_a_class
    });
    let prefix = images.first().map_or(vec![], |image| image.0[..skipped].to_vec());
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
    // What lies beside the folders around all classes is none of them.
    let class_of = |folder: &Vec<u8>| -> Option<Vec<u8>> {
        let class = folder.strip_prefix(&prefix[..])?.split(|&byte| byte == b'/').next()?;
        (!class.is_empty()).then(|| class.to_vec())
    };
    for class in folders.keys().filter_map(class_of) {
        if classes.binary_search_by(|have| have.as_bytes().cmp(&class)).is_err() {
            let mut own = LeftOut::default();
            let inside =
                folders.iter().filter(|(folder, _)| class_of(folder).as_ref() == Some(&class));
            inside.for_each(|(_, passed_over)| own.extend(passed_over));
            let path = archive.join(names::path(&[&prefix[..], &class].concat()));
            return Err(DataError::EmptyClass { path, left_out: own });
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
                    self.folders.entry(parts.join(&b'/')).or_default();
                }
                Kind::File if has_image_extension(&names::path(last)) => {
                    self.images.push((parts.join(&b'/').into(), range));
                }
                // One inside the archive stands for a folder of its name.
                Kind::File if inside.is_empty() => {
                    let Some(stem) = folder_of(last) else {
                        self.pass_over(&parts);
                        continue;
                    };
                    let mut folder = parts.clone();
                    *folder.last_mut().expect("it has a last part") = stem;
                    self.folders.entry(folder.join(&b'/')).or_default();
                    let nested: PathBuf = archive.join(names::path(&own.join(&b'/')));
                    self.walk(file, archive, &nested, &folder, range)?;
                }
                Kind::File => self.pass_over(&parts),
            }
        }
        Ok(())
    }

    /// Counts a file that is no picture, in its folder.
    fn pass_over(&mut self, parts: &[&[u8]]) {
        if let Some((name, folder)) = parts.split_last() {
            let folder = self.folders.entry(folder.join(&b'/')).or_default();
            folder.add(names::path(name).as_os_str());
        }
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
