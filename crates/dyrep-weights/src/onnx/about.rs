//! What an ONNX file says of its network beside the operations: `metadata_props` and the texts for readers.
//!
//! | key | value |
//! |---|---|
//! | `class_names` | JSON: names in the order of the logits |
//! | `color_order` | `RGB` or `gray` |
//! | `dyrep` | JSON: the note of this library's other files, with the network's name, options and structure |
//! | `input_crop`, `input_resize` | pixels: the side of the square cut out of the middle, the shorter side before |
//! | `input_mean`, `input_std` | JSON: a number for each channel, after scaling |
//! | `input_scale` | the byte that stands for 1 |
//! | `layout` | `NCHW` |
//!
//! What is not known is left out. Every key but `dyrep` repeats what the note says, for readers of ONNX files.

use crate::describe::{Description, Input, KEY, Label};

/// The colours of pictures with that many channels, as this library reads them.
fn color_order(channels: usize) -> Option<&'static str> {
    match channels {
        1 => Some("gray"),
        3 => Some("RGB"),
        _ => None,
    }
}

/// `metadata_props`, by key.
pub(crate) fn metadata(description: &Description, channels: usize) -> Vec<(&'static str, String)> {
    let json = |numbers: &[f32]| {
        let numbers = numbers.iter().map(f32::to_string).collect::<Vec<_>>();
        format!("[{}]", numbers.join(", "))
    };
    let names = description.class_names();
    let input = description.input();
    let all = [
        ("class_names", (!names.is_empty()).then(|| serde_json::json!(names).to_string())),
        ("color_order", color_order(channels).map(str::to_owned)),
        (KEY, Some(description.to_json())),
        ("input_crop", input.map(|input| input.side.to_string())),
        ("input_mean", input.map(|input| json(&input.mean))),
        ("input_resize", input.and_then(|input| Some(input.resize?.to_string()))),
        ("input_scale", input.map(|input| input.scale.to_string())),
        ("input_std", input.map(|input| json(&input.std))),
        ("layout", Some("NCHW".to_owned())),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// What the network is, in a line.
pub(crate) fn network(label: &Label) -> String {
    match &label.network {
        Some((name, config)) => {
            let (width, classes) = (config.width(), config.classes());
            format!("{name} of width {width}, {classes} classes")
        }
        None => String::new(),
    }
}

/// How pictures become the input.
pub(crate) fn input(input: Option<&Input>, channels: usize) -> String {
    let colours = color_order(channels).map_or(String::new(), |order| format!(" {order}"));
    match input {
        None => format!("Pictures,{colours} [batch, channels, height, width]"),
        Some(Input { resize, side, scale, mean, std }) => {
            let resized = resize.map_or(String::new(), |resize| {
                format!("the shorter side resized to {resize} pixels, ")
            });
            format!(
                "Pictures,{colours} [batch, channels, height, width]: {resized}the middle {side}×{side} cut out, then \
                 (byte / {scale} − mean) / std with mean {mean:?} and std {std:?}"
            )
        }
    }
}
