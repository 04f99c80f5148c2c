//! The pictures to load: parts of two photographs at 500×375, quality 90, chroma at half the size,
//! as ImageNet's files are.

use std::fs;
use std::path::Path;

use dyrep_data::SampleRng;
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, flip_horizontal_in_place, resize};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

const WIDTH: u32 = 500;
const HEIGHT: u32 = 375;
const QUALITY: u8 = 90;
const CLASSES: usize = 4;

/// Writes `count` pictures as `<root>/<class>/<number>.jpg`; returns their mean length in bytes.
pub(crate) fn write(root: &Path, count: usize) -> Result<f64, String> {
    let photographs = [
        &include_bytes!("../../crates/dyrep-data/tests/photographs/china.jpg")[..],
        &include_bytes!("../../crates/dyrep-data/tests/photographs/flower.jpg")[..],
    ];
    let photographs: Vec<RgbImage> = photographs
        .iter()
        .map(|bytes| image::load_from_memory(bytes).map(image::DynamicImage::into_rgb8))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let mut bytes = 0;
    for index in 0..count {
        let folder = root.join(format!("class{}", index % CLASSES));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut rng = SampleRng::new(0, 0, index as u64);
        let mut picture = part(&photographs[index % photographs.len()], &mut rng);
        if rng.chance(0.5) {
            flip_horizontal_in_place(&mut picture);
        }
        let file = folder.join(format!("{index:05}.jpg"));
        bytes += encode(&picture, &file)?;
    }
    Ok(bytes as f64 / count as f64)
}

/// Between half and all of a photograph's width, with the picture's proportions.
fn part(photograph: &RgbImage, rng: &mut SampleRng) -> RgbImage {
    let (whole_width, whole_height) = photograph.dimensions();
    let largest = whole_width.min(whole_height * WIDTH / HEIGHT);
    let width = (f64::from(largest) * rng.uniform(0.5, 1.0)) as u32;
    let height = width * HEIGHT / WIDTH;
    let left = rng.below(whole_width - width + 1);
    let top = rng.below(whole_height - height + 1);
    let part = crop_imm(photograph, left, top, width, height).to_image();
    resize(&part, WIDTH, HEIGHT, FilterType::CatmullRom)
}

fn encode(picture: &RgbImage, file: &Path) -> Result<usize, String> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder
        .encode(picture, WIDTH as u16, HEIGHT as u16, ColorType::Rgb)
        .map_err(|error| error.to_string())?;
    fs::write(file, &bytes).map_err(|error| error.to_string())?;
    Ok(bytes.len())
}
