//! Finding classes and images on disk, in torchvision's order, without leaving the data set.
//!
//! DIFFERENCE: torchvision follows links to folders and takes hidden files and folders for data.
//! Here hidden entries are ignored (`._x.JPEG`, `.ipynb_checkpoints` are no data), and unless
//! [`Reading::follow_links`](crate::Reading) a link is followed only to a file inside the data set's
//! folder. Any other link is an error rather than skipped, because a missing class or image would
//! change the training in silence. Followed or not, no folder is read twice by links, so those that
//! lead in a circle end. What is passed over is counted.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::left_out::LeftOut;
use crate::parts::PartError;

/// Extensions taken for images, whatever their case.
pub(crate) const EXTENSIONS: [&str; 14] = [
    "jpeg", "jpg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif", "ppm", "pgm", "pbm",
    "pnm",
];

/// What an entry of a folder is to a data set.
enum Kind {
    Folder,
    /// A folder by way of a link: what it points to.
    Linked(PathBuf),
    Image,
    /// A file whose name is no picture's.
    Other,
    Hidden,
}

/// A data set's folder, resolved once so that links can be held against it.
pub(crate) struct Scan {
    root: PathBuf,
    resolved: PathBuf,
    follow_links: bool,
    /// Folders that are read, without links, each once; none where links are not followed.
    entered: BTreeSet<PathBuf>,
    left_out: LeftOut,
}

impl Scan {
    /// A scan of the folder at `root`, which itself may be a link.
    pub(crate) fn new(root: &Path, follow_links: bool) -> Result<Self, DataError> {
        let metadata = fs::metadata(root).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DataError::FolderMissing { path: root.to_owned() },
            _ => unreadable(root, source),
        })?;
        if !metadata.is_dir() {
            return Err(DataError::NotAFolder { path: root.to_owned() });
        }
        let resolved = root.canonicalize().map_err(|source| unreadable(root, source))?;
        let (root, entered, left_out) = (root.to_owned(), BTreeSet::new(), LeftOut::default());
        Ok(Self { root, resolved, follow_links, entered, left_out })
    }

    /// Where files have to lie: the folder's path without links, or anywhere if links are followed.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds((!self.follow_links).then(|| self.resolved.clone()))
    }

    /// What was passed over.
    pub(crate) fn into_left_out(self) -> LeftOut {
        self.left_out
    }

    /// Names of the folders, sorted by their bytes.
    pub(crate) fn folders(&mut self) -> Result<Vec<OsString>, DataError> {
        let mut folders = Vec::new();
        for entry in entries(&self.root)? {
            let name = entry.file_name();
            match self.kind(&entry)? {
                Kind::Folder => {
                    self.enter_folder(&entry.path())?;
                    folders.push(name);
                }
                Kind::Linked(target) => {
                    self.enter(&entry.path(), &self.root.clone(), target)?;
                    folders.push(name);
                }
                Kind::Image => {
                    self.left_out.count(format!("{} outside of the classes", ending(&name)));
                }
                Kind::Other => self.left_out.add(&name),
                Kind::Hidden => {}
            }
        }
        folders.sort_unstable();
        Ok(folders)
    }

    /// Names of the class folders, sorted by their bytes as torchvision's are by code points.
    pub(crate) fn classes(&mut self) -> Result<Vec<String>, DataError> {
        let folders = self.folders()?;
        let named = |folder: OsString| {
            let path = self.root.join(&folder);
            folder.into_string().map_err(|_| DataError::ClassNameNotUtf8 { path })
        };
        let classes: Vec<String> = folders.into_iter().map(named).collect::<Result<_, _>>()?;
        match classes.is_empty() {
            true => Err(DataError::NoClasses { path: self.root.clone() }),
            false => Ok(classes),
        }
    }

    /// The images of a class at any depth, relative to the class's folder; there may be none.
    ///
    /// In the order of torchvision's `sorted(os.walk(class))`: by folder, compared as a string, then
    /// by name.
    pub(crate) fn images(&mut self, class: &str) -> Result<Found, DataError> {
        let top = self.root.join(class);
        let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut left_out = LeftOut::default();
        let mut pending = vec![PathBuf::new()];
        while let Some(folder) = pending.pop() {
            for entry in entries(&top.join(&folder))? {
                let name = entry.file_name();
                match self.kind(&entry)? {
                    Kind::Folder => {
                        self.enter_folder(&entry.path())?;
                        pending.push(folder.join(name));
                    }
                    Kind::Linked(target) => {
                        self.enter(&entry.path(), &top.join(&folder), target)?;
                        pending.push(folder.join(name));
                    }
                    Kind::Image => found.push((folder.clone(), name.into())),
                    Kind::Other => left_out.add(&name),
                    Kind::Hidden => {}
                }
            }
        }
        // As bytes: `Path` compares component by component, which puts `a/b` before `a-b`.
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        found.sort_by_cached_key(|(folder, name)| (bytes(folder), bytes(name)));
        let images = found.into_iter().map(|(folder, name)| folder.join(name)).collect();
        self.left_out.extend(&left_out);
        Ok(Found { images, left_out })
    }

    /// The images in the folder itself, sorted by the bytes of their names.
    pub(crate) fn loose_images(&mut self) -> Result<Vec<PathBuf>, DataError> {
        let mut names = Vec::new();
        for entry in entries(&self.root)? {
            match self.kind(&entry)? {
                Kind::Image => names.push(entry.file_name()),
                Kind::Other => self.left_out.add(&entry.file_name()),
                Kind::Folder | Kind::Linked(_) => self.left_out.count("folders".to_owned()),
                Kind::Hidden => {}
            }
        }
        names.sort_unstable();
        Ok(names.into_iter().map(PathBuf::from).collect())
    }

    fn kind(&self, entry: &DirEntry) -> Result<Kind, DataError> {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            return Ok(Kind::Hidden);
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
            Ok(Kind::Other)
        }
    }

    fn kind_of_link(&self, link: &Path) -> Result<Kind, DataError> {
        let named_as_image = has_image_extension(link);
        let target = link.canonicalize().map_err(|source| unreadable(link, source))?;
        let inside = target.starts_with(&self.resolved);
        if !self.follow_links && (target.is_dir() || (named_as_image && !inside)) {
            return Err(DataError::ForbiddenLink { path: link.to_owned(), target });
        }
        Ok(match (target.is_dir(), named_as_image) {
            (true, _) => Kind::Linked(target),
            (false, true) => Kind::Image,
            (false, false) => Kind::Other,
        })
    }

    /// Notes that a link in `folder` is followed to a folder. One that holds the link would be read
    /// without end, and one that is read already twice.
    fn enter(&mut self, link: &Path, folder: &Path, target: PathBuf) -> Result<(), DataError> {
        let from = folder.canonicalize().map_err(|source| unreadable(folder, source))?;
        self.note(link, !from.starts_with(&target), target)
    }

    /// Notes that a folder is read to which a link may lead, too, or that lies in one to which another
    /// does.
    fn enter_folder(&mut self, folder: &Path) -> Result<(), DataError> {
        if !self.follow_links {
            return Ok(());
        }
        let target = folder.canonicalize().map_err(|source| unreadable(folder, source))?;
        self.note(folder, true, target)
    }

    /// Notes the folder that is reached by `path`, if it may be and is for the first time.
    fn note(&mut self, path: &Path, may: bool, target: PathBuf) -> Result<(), DataError> {
        match may && self.entered.insert(target.clone()) {
            true => Ok(()),
            false => {
                Err(DataError::Parts(PartError::LinkedTwice { path: path.to_owned(), target }))
            }
        }
    }
}

/// The pictures of a class, and what else is there.
pub(crate) struct Found {
    pub(crate) images: Vec<PathBuf>,
    pub(crate) left_out: LeftOut,
}

/// Where files are read: below a resolved folder, or anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Bounds(Option<PathBuf>);

impl Bounds {
    /// That one file alone.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self(Some(path))
    }

    fn hold(&self, target: &Path) -> bool {
        self.0.as_ref().is_none_or(|inside| target.starts_with(inside))
    }
}

/// The largest file that is read: more than any picture of [`Image::MAX_PIXELS`] in use.
///
/// [`Image::MAX_PIXELS`]: crate::Image::MAX_PIXELS
pub(crate) const MAX_BYTES: u64 = 1 << 29;

/// Replaces the contents of `buffer` by those of a file that was found inside of `bounds`. It may have
/// become something else since.
pub(crate) fn read_file(
    bounds: &Bounds,
    path: &Path,
    buffer: &mut Vec<u8>,
) -> Result<(), DataError> {
    buffer.clear();
    let failed = |source| unreadable(path, source);
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if found.is_symlink() {
        let target = path.canonicalize().map_err(failed)?;
        if !bounds.hold(&target) {
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

/// Names of the folders in a folder, sorted, those by way of links among them; not of hidden ones.
pub(crate) fn folder_names(root: &Path) -> Result<Vec<String>, DataError> {
    // Says what is wrong with the folder itself.
    Scan::new(root, false)?;
    let mut names: Vec<String> = entries(root)?
        .into_iter()
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, DataError> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(|source| unreadable(folder, source))
}

pub(crate) fn has_image_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS.iter().any(|accepted| extension.eq_ignore_ascii_case(accepted))
    })
}

/// `.jpg` of `1.JPG`.
pub(crate) fn ending(name: &OsStr) -> String {
    let ending = Path::new(name).extension().unwrap_or_default();
    format!(".{}", ending.to_string_lossy().to_lowercase())
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Unreadable { path: path.to_owned(), source }
}
