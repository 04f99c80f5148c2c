//! Finding classes and images on disk, in torchvision's order, without leaving the data set.
//!
//! DIFFERENCE: torchvision follows links to folders and takes hidden files and folders for data.
//! Here hidden entries are ignored (`._x.JPEG`, `.ipynb_checkpoints` are no data), and a link is
//! followed only to a file inside the data set's folder. Any other link is an error rather than
//! skipped, because a missing class or image would change the training in silence.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Extensions taken for images, whatever their case.
pub(crate) const EXTENSIONS: [&str; 14] = [
    "jpeg", "jpg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif", "ppm", "pgm", "pbm",
    "pnm",
];

/// What an entry of a folder is to a data set.
enum Kind {
    Folder,
    Image,
    Ignored,
}

/// A data set's folder, resolved once so that links can be held against it.
pub(crate) struct Scan {
    root: PathBuf,
    resolved: PathBuf,
}

impl Scan {
    /// A scan of the folder at `root`, which itself may be a link.
    pub(crate) fn new(root: &Path) -> Result<Self, DataError> {
        let metadata = fs::metadata(root).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DataError::FolderMissing { path: root.to_owned() },
            _ => unreadable(root, source),
        })?;
        if !metadata.is_dir() {
            return Err(DataError::NotAFolder { path: root.to_owned() });
        }
        let resolved = root.canonicalize().map_err(|source| unreadable(root, source))?;
        Ok(Self { root: root.to_owned(), resolved })
    }

    /// The folder's path without links.
    pub(crate) fn into_resolved(self) -> PathBuf {
        self.resolved
    }

    /// Names of the class folders, sorted by their bytes as torchvision's are by code points.
    pub(crate) fn classes(&self) -> Result<Vec<String>, DataError> {
        let mut classes = Vec::new();
        for entry in entries(&self.root)? {
            if let Kind::Folder = self.kind(&entry)? {
                let name = entry.file_name().into_string();
                classes.push(name.map_err(|_| DataError::ClassNameNotUtf8 { path: entry.path() })?);
            }
        }
        if classes.is_empty() {
            return Err(DataError::NoClasses { path: self.root.clone() });
        }
        classes.sort_unstable();
        Ok(classes)
    }

    /// The images of a class at any depth, relative to the class's folder.
    ///
    /// In the order of torchvision's `sorted(os.walk(class))`: by folder, compared as a string, then
    /// by name.
    pub(crate) fn images(&self, class: &str) -> Result<Vec<PathBuf>, DataError> {
        let top = self.root.join(class);
        let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(folder) = pending.pop() {
            for entry in entries(&top.join(&folder))? {
                match self.kind(&entry)? {
                    Kind::Folder => pending.push(folder.join(entry.file_name())),
                    Kind::Image => found.push((folder.clone(), entry.file_name().into())),
                    Kind::Ignored => {}
                }
            }
        }
        if found.is_empty() {
            return Err(DataError::EmptyClass { path: top });
        }
        // As bytes: `Path` compares component by component, which puts `a/b` before `a-b`.
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        found.sort_by_cached_key(|(folder, name)| (bytes(folder), bytes(name)));
        Ok(found.into_iter().map(|(folder, name)| folder.join(name)).collect())
    }

    /// The images in the folder itself, sorted by the bytes of their names.
    pub(crate) fn loose_images(&self) -> Result<Vec<PathBuf>, DataError> {
        let mut names = Vec::new();
        for entry in entries(&self.root)? {
            if let Kind::Image = self.kind(&entry)? {
                names.push(entry.file_name());
            }
        }
        names.sort_unstable();
        Ok(names.into_iter().map(PathBuf::from).collect())
    }

    fn kind(&self, entry: &DirEntry) -> Result<Kind, DataError> {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            return Ok(Kind::Ignored);
        }
        // Known from the listing itself on most systems, so no file is touched.
        let kind = entry.file_type().map_err(|source| unreadable(&entry.path(), source))?;
        if kind.is_symlink() {
            self.kind_of_link(&entry.path())
        } else if kind.is_dir() {
            Ok(Kind::Folder)
        } else if has_image_extension(Path::new(&name)) {
            // What is no file, such as a socket, is found out when it is to be read.
            Ok(Kind::Image)
        } else {
            Ok(Kind::Ignored)
        }
    }

    fn kind_of_link(&self, link: &Path) -> Result<Kind, DataError> {
        let named_as_image = has_image_extension(link);
        let target = link.canonicalize().map_err(|source| unreadable(link, source))?;
        if target.is_dir() || (named_as_image && !target.starts_with(&self.resolved)) {
            return Err(DataError::ForbiddenLink { path: link.to_owned(), target });
        }
        Ok(if named_as_image { Kind::Image } else { Kind::Ignored })
    }
}

/// The largest file that is read: more than any picture of [`Image::MAX_PIXELS`] in use.
///
/// [`Image::MAX_PIXELS`]: crate::Image::MAX_PIXELS
pub(crate) const MAX_BYTES: u64 = 1 << 29;

/// Replaces the contents of `buffer` by those of a file that was found below `inside`, a resolved
/// path. It may have become something else since.
pub(crate) fn read_file(inside: &Path, path: &Path, buffer: &mut Vec<u8>) -> Result<(), DataError> {
    buffer.clear();
    let failed = |source| unreadable(path, source);
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if found.is_symlink() {
        let target = path.canonicalize().map_err(failed)?;
        if !target.starts_with(inside) {
            return Err(DataError::ForbiddenLink { path: path.to_owned(), target });
        }
    }
    let length = if found.is_file() { found.len() } else { check_regular(path)? };
    if length <= MAX_BYTES {
        buffer.reserve(length as usize + 1);
        let read = |file: File| file.take(MAX_BYTES + 1).read_to_end(buffer);
        if File::open(path).and_then(read).map_err(failed)? as u64 <= MAX_BYTES {
            return Ok(());
        }
        buffer.clear();
    }
    Err(DataError::FileTooLarge { path: path.to_owned(), limit: MAX_BYTES })
}

/// The length of what is to be opened, if it is a file. Opening anything else might wait for ever.
pub(crate) fn check_regular(path: &Path) -> Result<u64, DataError> {
    let found = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if found.is_file() {
        return Ok(found.len());
    }
    Err(DataError::NotAFile { path: path.to_owned() })
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, DataError> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(|source| unreadable(folder, source))
}

pub(crate) fn has_image_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS.iter().any(|accepted| extension.eq_ignore_ascii_case(accepted))
    })
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Unreadable { path: path.to_owned(), source }
}
