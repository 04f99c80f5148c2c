//! Boxes, masks and pixels move together, whatever the transform: a rectangle drawn into all three is
//! the same rectangle in all three afterwards.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use dyrep_data::{Fill, Image, SampleRng};
use dyrep_scenes::{
    Keep, Mask, Mosaic, Object, PadToMultiple, RandomFlip, RandomScaleCrop, Region, ResizeSides,
    Scene, SceneTransform,
};

/// Rounding of corners, far below what a pixel more or less would be.
const ROUNDING: f64 = 1e-9;
/// What padding is painted with, neither bright nor dark.
const GREY: u8 = 100;

fn between(low: u32, high: u32, rng: &mut SampleRng) -> u32 {
    low + rng.below(high - low + 1)
}

/// A dark picture with a bright rectangle, labelled `label` in the mask, as an object of that id.
fn scene(label: u8, rng: &mut SampleRng) -> Scene {
    let (width, height) = (between(20, 90, rng), between(20, 90, rng));
    let (w, h) = (between(6, width, rng), between(6, height, rng));
    let (x, y) = (rng.below(width - w + 1), rng.below(height - h + 1));
    let at =
        |index: u32| (x..x + w).contains(&(index % width)) && (y..y + h).contains(&(index / width));
    let inside: Vec<bool> = (0..width * height).map(at).collect();
    let pixels = inside.iter().flat_map(|inside| [if *inside { 255 } else { 0 }; 3]).collect();
    let labels = inside.iter().map(|inside| if *inside { label } else { 0 }).collect();
    let bbox = [x, y, x + w, y + h].map(f64::from);
    let object =
        Object { bbox, class: 1, is_crowd: false, area: f64::from(w * h), id: label.into() };
    let image = Image::new(width, height, 3, pixels).unwrap();
    Scene::new(image, vec![object], Some(Mask::new(width, height, labels).unwrap())).unwrap()
}

/// The box around a label's pixels.
fn extent(mask: &Mask, label: u8) -> Option<[f64; 4]> {
    let width = mask.width() as usize;
    let found = mask.labels().iter().enumerate().filter(|(_, found)| **found == label);
    let boxes = found.map(|(at, _)| {
        let (x, y) = ((at % width) as f64, (at / width) as f64);
        [x, y, x + 1.0, y + 1.0]
    });
    boxes.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
}

/// Holds each object against the pixels of its label, to `tolerance` pixels at each side.
fn check(scene: &Scene, tolerance: f64) {
    let mask = scene.mask().unwrap();
    for object in scene.objects() {
        let seen =
            extent(mask, object.id as u8).unwrap_or_else(|| panic!("{object:?} of {mask:?}"));
        let off = object.bbox.iter().zip(seen).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= tolerance + ROUNDING, "{object:?}, seen {seen:?} in {mask:?}");
        let [x1, y1, x2, y2] = object.bbox;
        // All of the rectangle is the object's, so its area is the box's.
        let area = (x2 - x1) * (y2 - y1);
        assert!((object.area / area - 1.0).abs() < 1e-9, "{object:?}, expected an area of {area}");
    }
    let ids: Vec<u64> = scene.objects().iter().map(|object| object.id).collect();
    assert_eq!(disagreeing(scene), 0, "pixels of {scene:?} with {ids:?}");
}

/// Pixels that are bright where the mask has no object, or the other way around; not beside edges,
/// where resampling mixes them.
fn disagreeing(scene: &Scene) -> usize {
    let (mask, width) = (scene.mask().unwrap(), scene.mask().unwrap().width() as usize);
    let rows: Vec<&[u8]> = mask.labels().chunks_exact(width).collect();
    let wrong = |x: usize, y: usize| {
        let label = rows[y][x];
        let near = rows[y - 1..=y + 1].iter().flat_map(|row| &row[x - 1..=x + 1]);
        let pixel = scene.image().pixels()[3 * (y * width + x)];
        let right = match label {
            Mask::IGNORE => pixel == GREY,
            0 => pixel < 128,
            _ => pixel >= 128,
        };
        near.into_iter().all(|found| *found == label) && !right
    };
    (1..rows.len().saturating_sub(1))
        .flat_map(|y| (1..width.saturating_sub(1)).map(move |x| (x, y)))
        .filter(|(x, y)| wrong(*x, *y))
        .count()
}

fn each(mut test: impl FnMut(Scene, &mut SampleRng)) {
    for index in 0..300 {
        let mut rng = SampleRng::new(7, 0, index);
        let scene = scene(1, &mut rng);
        check(&scene, 0.0);
        test(scene, &mut rng);
    }
}

fn grey() -> Fill {
    Fill::grey(GREY)
}

#[test]
fn a_flip_is_exact_and_its_own_inverse() {
    each(|scene, _| {
        let flipped = scene.clone().flipped().unwrap();
        check(&flipped, 0.0);
        assert_eq!(flipped.flipped().unwrap(), scene);
    });
}

#[test]
fn a_crop_is_exact_and_removes_by_its_rule() {
    let (mut kept, mut removed) = (0, 0);
    each(|scene, rng| {
        let (width, height) = (scene.image().width(), scene.image().height());
        let (w, h) = (between(1, width, rng), between(1, height, rng));
        let left = rng.below(width - w + 1);
        let region = Region { left, top: rng.below(height - h + 1), width: w, height: h };
        let keep = Keep { side: 3.0, share: 0.2 };
        let all = scene.objects()[0].area;
        let crop = scene.cropped(region, keep).unwrap();
        check(&crop, 0.0);
        let seen = extent(crop.mask().unwrap(), 1);
        let enough = seen.is_some_and(|[x1, y1, x2, y2]| {
            let (w, h) = (x2 - x1, y2 - y1);
            // One that was not cut has all of its area.
            w * h == all || (w.min(h) >= 3.0 && w * h / all >= 0.2)
        });
        assert_eq!(crop.objects().len(), usize::from(enough), "{seen:?} of {all}");
        *if enough { &mut kept } else { &mut removed } += 1;
    });
    assert!(kept > 50 && removed > 50, "{kept} kept, {removed} removed: too few to tell");
}

#[test]
fn a_resize_moves_boxes_with_the_pixels_centres() {
    each(|scene, rng| {
        check(&scene.clone().scaled(rng.uniform(0.4, 3.0)).unwrap(), 0.5);
        let (width, height) = (scene.image().width(), scene.image().height());
        // Each side by a factor of its own.
        let stretched = scene.clone().resized(width * 2, height.div_ceil(2)).unwrap();
        check(&stretched, 0.5);
        let resize = ResizeSides::new(between(20, 120, rng), 130).unwrap();
        let resized = resize.apply(scene.clone(), rng).unwrap();
        check(&resized, 0.5);
        assert!(resized.image().width().max(resized.image().height()) <= 130);
        // Whole factors leave whole pixels.
        check(&scene.scaled(3.0).unwrap(), 0.0);
    });
}

#[test]
fn padding_moves_nothing() {
    each(|scene, rng| {
        let multiple = between(1, 64, rng);
        let padded = PadToMultiple::new(multiple, grey()).unwrap().apply(scene.clone(), rng);
        let padded = padded.unwrap();
        check(&padded, 0.0);
        assert_eq!(padded.objects(), scene.objects());
        for (new, old) in [
            (padded.image().width(), scene.image().width()),
            (padded.image().height(), scene.image().height()),
        ] {
            assert!(new.is_multiple_of(multiple) && new >= old && new - old < multiple);
        }
        let whole = Region::whole(scene.image().width(), scene.image().height());
        assert_eq!(padded.cropped(whole, Keep::default()).unwrap(), scene);
    });
}

#[test]
fn random_scale_and_crop_is_of_its_size_and_of_its_generator() {
    let crop = RandomScaleCrop::new((48, 40), 0.5..=2.0, grey()).unwrap();
    let mut ignored = 0;
    each(|scene, rng| {
        let mut again = rng.clone();
        let cropped = crop.apply(scene.clone(), rng).unwrap();
        check(&cropped, 0.5);
        assert_eq!((cropped.image().width(), cropped.image().height()), (48, 40));
        assert_eq!(crop.apply(scene, &mut again).unwrap(), cropped);
        ignored += usize::from(cropped.mask().unwrap().labels().contains(&Mask::IGNORE));
    });
    assert!((20..280).contains(&ignored), "{ignored} of 300 were padded");
}

#[test]
fn a_mosaic_has_four_scenes_and_no_gap() {
    let mosaic = Mosaic::new(70, 55).unwrap().with_keep(Keep { side: 2.0, share: 0.1 });
    let mut objects = 0;
    for index in 0..300 {
        let mut rng = SampleRng::new(7, 1, index);
        let four = [1, 2, 3, 4].map(|label| scene(label, &mut rng));
        let mut again = rng.clone();
        let joined = mosaic.join(four.clone(), &mut rng).unwrap();
        check(&joined, 0.5);
        assert_eq!(joined, mosaic.join(four, &mut again).unwrap());
        assert!(!joined.mask().unwrap().labels().contains(&Mask::IGNORE), "a gap");
        objects += joined.objects().len();
        let members = mosaic.members(5, 9, &mut rng);
        assert!(members[0] == 5 && members.iter().all(|member| *member < 9));
    }
    assert!((600..1200).contains(&objects), "{objects} of 1200 objects");
}

#[test]
fn a_flip_by_chance_follows_its_generator() {
    let (never, always) = (RandomFlip::new(0.0).unwrap(), RandomFlip::new(1.0).unwrap());
    let half = RandomFlip::new(0.5).unwrap();
    let mut flips = 0;
    each(|scene, rng| {
        assert_eq!(never.apply(scene.clone(), rng).unwrap(), scene);
        let flipped = always.apply(scene.clone(), rng).unwrap();
        assert_eq!(flipped, scene.clone().flipped().unwrap());
        let found = half.apply(scene.clone(), rng).unwrap();
        assert!(found == scene || found == flipped);
        flips += usize::from(found == flipped);
    });
    assert!((100..200).contains(&flips), "{flips} of 300");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    assert!(RandomFlip::new(1.5).is_err() && RandomFlip::new(f64::NAN).is_err());
    assert!(Mosaic::new(3, 8).is_err() && PadToMultiple::new(0, grey()).is_err());
    for factors in [0.0..=1.0, 2.0..=1.0, 1.0..=f64::INFINITY, f64::NAN..=1.0] {
        assert!(RandomScaleCrop::new((4, 4), factors, grey()).is_err());
    }
    let scene = scene(1, &mut SampleRng::new(0, 0, 0));
    let (width, height) = (scene.image().width(), scene.image().height());
    for region in [
        Region { left: 1, top: 0, width, height },
        Region { left: 0, top: 0, width: 0, height },
        Region { left: u32::MAX, top: 0, width: 2, height },
    ] {
        assert!(scene.clone().cropped(region, Keep::default()).is_err(), "{region:?}");
    }
    assert!(
        scene.clone().resized(0, 5).is_err() && scene.clone().resized(1 << 20, 1 << 20).is_err()
    );
    assert!(scene.clone().scaled(1e9).is_err() && scene.clone().scaled(-1.0).is_err());
    assert!(scene.clone().padded(width - 1, height, &[0; 3]).is_err());
    let error = scene.padded(width, height, &[0]).unwrap_err().to_string();
    assert_eq!(error, "pad: fill is [0]; expected 3 values, one a channel");
}

/// The property can fail: a box moved by a pixel is seen, and so are pixels without their box.
#[test]
fn what_does_not_move_together_is_noticed() {
    let (mut boxes, mut pixels) = (0, 0);
    each(|scene, _| {
        let moved =
            scene.clone().padded(scene.image().width() + 1, scene.image().height(), &[GREY; 3]);
        let (image, mut objects, mask) = moved.unwrap().into_parts();
        objects[0].bbox[0] += 1.0;
        objects[0].bbox[2] += 1.0;
        let faulty = Scene::new(image, objects.clone(), mask.clone()).unwrap();
        let seen = extent(faulty.mask().unwrap(), 1).unwrap();
        boxes += usize::from(seen != faulty.objects()[0].bbox);
        let (flipped, ..) = scene.clone().flipped().unwrap().into_parts();
        let (_, objects, mask) = scene.into_parts();
        pixels += usize::from(disagreeing(&Scene::new(flipped, objects, mask).unwrap()) > 0);
    });
    assert_eq!(boxes, 300);
    assert!(pixels > 150, "{pixels} of 300 pictures flipped alone were noticed");
}
