//! Made-up scenes as files: in COCO's format and in Cityscapes'.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use dyrep_data::Image;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use png::ColorType;
use serde_json::json;

use super::{Drawn, Shapes};
use crate::coco::Segmentation;
use crate::error::SceneError;
use crate::file;
use crate::mask_file::{write_mask, write_png};
use crate::masks::CITYSCAPES;
use crate::scene::{Mask, sides};

/// How pictures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Without loss.
    Png,
    /// Much smaller, and not quite the same pixels.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
}

impl PictureFormat {
    fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg { .. } => "jpg",
        }
    }

    fn write(self, path: &Path, image: &Image) -> Result<(), SceneError> {
        let (width, height) = (image.width(), image.height());
        match self {
            Self::Png => write_png(path, (width, height), ColorType::Rgb, image.pixels()),
            Self::Jpeg { quality } => file::write(path, |file| {
                JpegEncoder::new_with_quality(file, quality)
                    .encode(image.pixels(), width, height, ExtendedColorType::Rgb8)
                    .map_err(std::io::Error::other)
            }),
        }
    }
}

impl Shapes {
    /// Writes the scenes of `indices` into `folder` in COCO's format: pictures in `images`, and
    /// `instances.json` with the runs of pixels that are seen of each shape. Image `i` has the id
    /// `i + 1`, class `c` the category id `c + 1`. The annotations' path is given back.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, a JPEG's quality is not 1 to 100, or a JPEG's side is above 65,535.
    pub fn write_coco(
        &self,
        folder: impl AsRef<Path>,
        indices: Range<u32>,
        format: PictureFormat,
    ) -> Result<PathBuf, SceneError> {
        if let PictureFormat::Jpeg { quality } = format
            && !(1..=100).contains(&quality)
        {
            return Err(SceneError::Transform {
                transform: "shapes",
                option: "quality",
                found: quality.to_string(),
                expected: "1 to 100".to_owned(),
            });
        }
        let folder = folder.as_ref();
        let pictures = folder.join("images");
        make(&pictures)?;
        let (mut images, mut annotations) = (vec![], vec![]);
        for index in indices {
            let drawn = self.drawn(index)?;
            let image = drawn.scene.image();
            let (width, height) = (image.width(), image.height());
            let (id, name) = (u64::from(index) + 1, format!("{index:012}.{}", format.ending()));
            format.write(&pictures.join(&name), image)?;
            images.push(json!({"id": id, "file_name": name, "width": width, "height": height}));
            for (at, object) in drawn.scene.objects().iter().enumerate() {
                let [x, y, ..] = object.bbox;
                let (w, h) = sides(object.bbox);
                annotations.push(json!({
                    "id": object.id,
                    "image_id": id,
                    "category_id": object.class + 1,
                    "bbox": [x, y, w, h],
                    "area": object.area,
                    "iscrowd": 0,
                    "segmentation": drawn.runs(at),
                }));
            }
        }
        let named = Self::classes().into_iter().enumerate();
        let categories: Vec<_> =
            named.map(|(class, name)| json!({"id": class + 1, "name": name})).collect();
        let all = json!({"images": images, "annotations": annotations, "categories": categories});
        let path = folder.join("instances.json");
        file::write(&path, |file| Ok(serde_json::to_writer(file, &all)?))?;
        Ok(path)
    }

    /// Writes the scenes of `indices` below `root` as a part of Cityscapes, of one city, `shapes`. A
    /// label of the mask is written as the label id of which it is the train id, so that
    /// [`Masks::open_cityscapes`](crate::Masks::open_cityscapes) reads it back: the background is
    /// road, and so on.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write_cityscapes(
        &self,
        root: impl AsRef<Path>,
        split: &str,
        indices: Range<u32>,
    ) -> Result<(), SceneError> {
        let folder = |part: &str| root.as_ref().join(part).join(split).join("shapes");
        let (pictures, labels) = (folder("leftImg8bit"), folder("gtFine"));
        make(&pictures)?;
        make(&labels)?;
        for index in indices {
            let (image, _, mask) = self.scene(index)?.into_parts();
            let name = format!("shapes_{index:06}_000000");
            PictureFormat::Png.write(&pictures.join(format!("{name}_leftImg8bit.png")), &image)?;
            let Some(mask) = mask else { continue };
            let ids = mask.labels().iter().map(|label| CITYSCAPES[usize::from(*label)].1).collect();
            let mask = Mask::new(mask.width(), mask.height(), ids)?;
            write_mask(labels.join(format!("{name}_gtFine_labelIds.png")), &mask)?;
        }
        Ok(())
    }
}

impl Drawn {
    /// The pixels that are seen of the object at a place, down the columns as COCO counts.
    fn runs(&self, at: usize) -> Segmentation {
        let (width, height) = (self.scene.image().width(), self.scene.image().height());
        let (mut counts, mut inside) = (vec![0], false);
        for x in 0..width as usize {
            for row in self.shown.chunks_exact(width as usize) {
                if (usize::from(row[x]) == at + 1) != inside {
                    inside = !inside;
                    counts.push(0);
                }
                *counts.last_mut().expect("there is a first run") += 1;
            }
        }
        Segmentation::Runs { counts, size: [height.into(), width.into()] }
    }
}

fn make(folder: &Path) -> Result<(), SceneError> {
    fs::create_dir_all(folder)
        .map_err(|source| SceneError::Unwritable { path: folder.to_owned(), source })
}
