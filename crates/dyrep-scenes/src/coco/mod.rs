//! COCO's annotations: boxes, classes and segmentations in one JSON file beside a folder of pictures
//! (T.-Y. Lin et al., *Microsoft COCO: Common Objects in Context*, arXiv 1405.0312; cocodataset.org,
//! "Data format").
//!
//! Errors: ids that come twice, a category that is not listed, a box of other than four numbers, a
//! name that leads out of the folder, and JSON that is none, which `NaN` is, too. Counted: see
//! [`Reason`].

mod categories;
mod entries;
mod results;
mod segmentation;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use dyrep_data::Reading;

pub use self::categories::Categories;
use self::entries::{Annotation, EXPECTED, Entries, Picture};
pub use self::results::{Detection, read_detections, write_detections};
pub use self::segmentation::Segmentation;
use crate::counts::{Counts, Reason};
use crate::error::SceneError;
use crate::file;
use crate::scene::{Object, Scene, sides};

/// Pictures with COCO's annotations, by id. Pictures without objects are kept.
#[derive(Clone, Debug)]
pub struct Coco {
    folder: PathBuf,
    reading: Reading,
    categories: Categories,
    pictures: Vec<Entry>,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    file_name: String,
    width: u32,
    height: u32,
    objects: Vec<Object>,
    segmentations: Vec<Option<Segmentation>>,
}

impl Coco {
    /// Reads the annotations in the file `annotations` of the pictures in `folder`. Pictures are looked
    /// at when they are loaded.
    ///
    /// An object's area is the file's, which is the segmentation's, or without one its box's.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not of this format, ids that come twice, categories that are
    /// not listed, boxes of other than four numbers, names that lead out of the folder; no categories,
    /// or no picture that is there.
    pub fn open(
        annotations: impl AsRef<Path>,
        folder: impl AsRef<Path>,
        reading: impl Into<Reading>,
    ) -> Result<Self, SceneError> {
        let (path, folder) = (annotations.as_ref(), folder.as_ref());
        let entries: Entries =
            serde_json::from_slice(&file::read(path, file::ANNOTATIONS)?).map_err(|source| {
                SceneError::Json { path: path.to_owned(), source, expected: EXPECTED }
            })?;
        let source = Source { path, folder };
        let categories = source.categories(&entries)?;
        let mut counts = Counts::default();
        let (mut pictures, missing) = source.pictures(entries.images)?;
        counts.add(Reason::MissingFile, missing.len());
        let mut seen = BTreeSet::new();
        let mut used = BTreeSet::new();
        for annotation in entries.annotations {
            if !seen.insert(annotation.id) {
                return Err(source.duplicate("annotations", annotation.id));
            }
            let class = source.class(&categories, &annotation)?;
            let corners = source.corners(&annotation)?;
            let Some(picture) = pictures.get_mut(&annotation.image_id) else {
                let known = missing.contains(&annotation.image_id);
                counts.add(Reason::UnknownImage, usize::from(!known));
                continue;
            };
            if picture.add(annotation, class, corners, &mut counts) {
                used.insert(class);
            }
        }
        counts.add(Reason::EmptyClass, categories.len() - used.len());
        if pictures.is_empty() {
            return Err(SceneError::Nothing {
                path: path.to_owned(),
                what: "pictures",
                told: format!("{counts}; pictures are looked for in {}", folder.display()),
            });
        }
        let (folder, pictures) = (folder.to_owned(), pictures.into_values().collect());
        Ok(Self { folder, reading: reading.into(), categories, pictures, counts })
    }

    /// Number of pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never: there is at least one picture.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The classes.
    #[must_use]
    pub fn categories(&self) -> &Categories {
        &self.categories
    }

    /// What was skipped or mended.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Names of the classes that no object is of.
    pub fn empty_classes(&self) -> impl Iterator<Item = &str> {
        let objects = self.pictures.iter().flat_map(|picture| &picture.objects);
        let used: BTreeSet<usize> = objects.map(|object| object.class).collect();
        let names = self.categories.names().iter().enumerate();
        names.filter(move |(class, _)| !used.contains(class)).map(|(_, name)| name.as_str())
    }

    /// What the file calls a picture.
    ///
    /// # Panics
    ///
    /// If `index >= len()`, as all that take an index.
    #[must_use]
    pub fn image_id(&self, index: usize) -> u64 {
        self.pictures[index].id
    }

    /// Width and height of a picture in pixels, as the file says.
    #[must_use]
    pub fn size(&self, index: usize) -> (u32, u32) {
        (self.pictures[index].width, self.pictures[index].height)
    }

    /// The file of a picture.
    #[must_use]
    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.join(&self.pictures[index].file_name)
    }

    /// The objects of a picture, in the file's order.
    #[must_use]
    pub fn objects(&self, index: usize) -> &[Object] {
        &self.pictures[index].objects
    }

    /// The segmentation of each of a picture's objects, as the file gives them.
    #[must_use]
    pub fn segmentations(&self, index: usize) -> &[Option<Segmentation>] {
        &self.pictures[index].segmentations
    }

    /// A picture with its objects, without a mask.
    ///
    /// # Errors
    ///
    /// If the picture cannot be read or decoded, or has another size than the file says.
    pub fn scene(&self, index: usize) -> Result<Scene, SceneError> {
        let picture = &self.pictures[index];
        let path = self.path(index);
        let image = file::picture(&self.folder, &path, self.reading)?;
        let found = (image.width(), image.height());
        if found != self.size(index) {
            let by = format!("image {} of the annotations", picture.id);
            return Err(SceneError::SizeDiffers { path, found, by, expected: self.size(index) });
        }
        Scene::new(image, picture.objects.clone(), None)
    }
}

/// Where entries come from, to be named in errors.
struct Source<'a> {
    path: &'a Path,
    folder: &'a Path,
}

impl Source<'_> {
    fn duplicate(&self, what: &'static str, id: u64) -> SceneError {
        SceneError::DuplicateId { path: self.path.to_owned(), what, id }
    }

    fn field(
        &self,
        (what, id): (&'static str, u64),
        (field, found): (&'static str, String),
        expected: &'static str,
    ) -> SceneError {
        SceneError::Field { path: self.path.to_owned(), what, id, field, found, expected }
    }

    fn categories(&self, entries: &Entries) -> Result<Categories, SceneError> {
        let named = entries.categories.iter().map(|category| (category.id, category.name.clone()));
        let categories = Categories::new(named).map_err(|id| self.duplicate("categories", id))?;
        if categories.is_empty() {
            let told = "expected classes with `id` and `name`".to_owned();
            let path = self.path.to_owned();
            return Err(SceneError::Nothing { path, what: "`categories`", told });
        }
        Ok(categories)
    }

    /// The pictures whose files are there, and the ids of the others.
    fn pictures(
        &self,
        listed: Vec<Picture>,
    ) -> Result<(BTreeMap<u64, Entry>, BTreeSet<u64>), SceneError> {
        let (mut pictures, mut missing) = (BTreeMap::new(), BTreeSet::new());
        for Picture { id, file_name, width, height } in listed {
            if pictures.contains_key(&id) || missing.contains(&id) {
                return Err(self.duplicate("images", id));
            }
            let mut parts = Path::new(&file_name).components();
            if file_name.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
                let found = ("file_name", format!("{file_name:?}"));
                return Err(self.field(("image", id), found, "a path inside of the folder"));
            }
            if width == 0 || height == 0 {
                let found = ("width` and `height", format!("{width} and {height}"));
                return Err(self.field(("image", id), found, "at least 1 each"));
            }
            if self.folder.join(&file_name).is_file() {
                let (objects, segmentations) = (vec![], vec![]);
                let entry = Entry { id, file_name, width, height, objects, segmentations };
                pictures.insert(id, entry);
            } else {
                missing.insert(id);
            }
        }
        Ok((pictures, missing))
    }

    fn class(&self, categories: &Categories, annotation: &Annotation) -> Result<usize, SceneError> {
        let Annotation { id, category_id: category, .. } = *annotation;
        let unknown = || SceneError::UnknownCategory { path: self.path.to_owned(), id, category };
        categories.class_of(category).ok_or_else(unknown)
    }

    /// The corners of an annotation's box, if it has one.
    fn corners(&self, annotation: &Annotation) -> Result<Option<[f64; 4]>, SceneError> {
        let Some(sides) = &annotation.bbox else { return Ok(None) };
        let &[x, y, width, height] = sides.as_slice() else {
            let found = ("bbox", format!("{} numbers", sides.len()));
            let expected = "four: x, y, width and height";
            return Err(self.field(("annotation", annotation.id), found, expected));
        };
        let (Some(x), Some(y), Some(width), Some(height)) = (x, y, width, height) else {
            return Ok(None);
        };
        Ok(Some([x, y, x + width, y + height]))
    }
}

impl Entry {
    /// Adds an annotation; false if it was skipped.
    fn add(
        &mut self,
        annotation: Annotation,
        class: usize,
        corners: Option<[f64; 4]>,
        counts: &mut Counts,
    ) -> bool {
        let bbox = match clipped(corners, self.width, self.height) {
            Ok((bbox, cut)) => {
                counts.add(Reason::ClippedBox, usize::from(cut));
                bbox
            }
            Err(reason) => {
                counts.add(reason, 1);
                return false;
            }
        };
        let Annotation { id, area, iscrowd, segmentation, .. } = annotation;
        let faulty = |shape: &Segmentation| shape.check(self.width, self.height).is_err();
        counts.add(
            Reason::FaultySegmentation,
            usize::from(segmentation.as_ref().is_some_and(faulty)),
        );
        let (width, height) = sides(bbox);
        let area = area.filter(|area| *area >= 0.0).unwrap_or(width * height);
        self.objects.push(Object { bbox, class, is_crowd: iscrowd.is_crowd(), area, id });
        self.segmentations.push(segmentation);
        true
    }
}

/// The part of a box inside of a picture, and whether it was cut.
fn clipped(corners: Option<[f64; 4]>, width: u32, height: u32) -> Result<([f64; 4], bool), Reason> {
    let bbox @ [x1, y1, x2, y2] = corners.ok_or(Reason::NoBox)?;
    let (width, height) = (f64::from(width), f64::from(height));
    if !bbox.iter().all(|corner| corner.is_finite()) {
        return Err(Reason::NoBox);
    }
    if x2 <= x1 || y2 <= y1 {
        return Err(Reason::EmptyBox);
    }
    if x2 <= 0.0 || y2 <= 0.0 || x1 >= width || y1 >= height {
        return Err(Reason::OutsideBox);
    }
    let inside = [x1.max(0.0), y1.max(0.0), x2.min(width), y2.min(height)];
    Ok((inside, inside != bbox))
}
