//! Reference files: of the published PyTorch implementation, and of the other blocks of the field.
//!
//! The former are read from the folder `DYREP_GOLDEN`, or the copies in `tests/golden` if it is not set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::{
    BlockForm, BranchForm, BranchKind, BranchName, BranchSpec, Branches, Form, Preset,
    RepConv2dConfig,
};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// The folder with the reference files.
pub fn folder() -> PathBuf {
    std::env::var_os("DYREP_GOLDEN").map_or_else(shipped, PathBuf::from)
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// `index.json`.
#[derive(Debug, Deserialize)]
pub struct Index {
    /// The blocks.
    pub blocks: Vec<BlockEntry>,
    /// The files of whole runs, by the score that chose what grew.
    #[serde(default)]
    pub trajectories: BTreeMap<String, String>,
}

/// One block's hyper-parameters.
#[derive(Debug, Deserialize)]
pub struct BlockEntry {
    /// Name of its file.
    pub file: String,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Kernel size along both axes.
    pub kernel: usize,
    /// Stride along both axes.
    pub stride: usize,
    /// Padding on all sides.
    pub padding: usize,
    /// Groups.
    pub groups: usize,
    /// Which branches there are.
    pub branches: BTreeMap<String, bool>,
}

/// Reads `index.json`.
pub fn index() -> Index {
    let path = folder().join("index.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Another block of the field, from `field_blocks.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldEntry {
    /// Name of its file.
    pub file: String,
    #[serde(rename = "name")]
    _name: String,
    preset: String,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    padding: [usize; 4],
    norm_after: bool,
    bias: bool,
    branches: Vec<String>,
    #[serde(default)]
    mid_channels: BTreeMap<String, usize>,
    #[serde(default)]
    inside: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    online: bool,
}

#[derive(Deserialize)]
struct FieldIndex {
    cases: Vec<FieldEntry>,
}

/// Reads `field_blocks.json`.
pub fn field_blocks() -> Vec<FieldEntry> {
    let text = std::fs::read_to_string(shipped().join("field_blocks.json")).unwrap();
    serde_json::from_str::<FieldIndex>(&text).unwrap().cases
}

impl FieldEntry {
    /// The branches of the preset that it is a case of, without norms inside if so; none of what is mixed.
    pub fn asked(&self) -> Option<Branches> {
        if self.preset == "mixed" {
            return None;
        }
        let preset = self.preset.parse::<Preset>().unwrap();
        Some(if self.online { Branches::Online(preset) } else { Branches::Preset(preset) })
    }

    /// The layer's options, without branches.
    pub fn config(&self) -> RepConv2dConfig {
        let [top, left, bottom, right] = self.padding;
        RepConv2dConfig::new(self.channels, self.kernel)
            .with_stride(self.stride)
            .with_dilation(self.dilation)
            .with_groups(self.groups)
            .with_padding(PaddingConfig2d::Explicit(top, left, bottom, right))
            .with_bias(self.bias)
    }

    /// Its branches as they are asked for by name, without what a name does not say: channels in the middle, blocks inside.
    pub fn named(&self) -> Vec<BranchSpec> {
        let mut branches: Vec<BranchSpec> = vec![];
        for text in &self.branches {
            let spec = parse(text).1;
            match branches.iter_mut().find(|other| other.times(1) == spec) {
                Some(same) => same.times += 1,
                None => branches.push(spec),
            }
        }
        branches
    }

    /// The same block as our form, part by part.
    pub fn form(&self) -> BlockForm {
        let block = self.block("", &self.branches, self.bias);
        BlockForm { norm_after: self.norm_after, ..block }
    }

    fn block(&self, at: &str, branches: &[String], bias: bool) -> BlockForm {
        let branch = |text: &String| {
            let (name, spec) = parse(text);
            let path = format!("{at}{name}");
            let middle = self.mid_channels.get(&path).copied().unwrap_or_default();
            let mut form = BranchForm::new(name, spec, middle);
            let own = bias && name == BranchName::MAIN;
            if let Some(branches) = self.inside.get(&path) {
                let conv = format!("{path}.{}.", name.kind.part_names().conv);
                form.conv = Some(Box::new(Form::Block(self.block(&conv, branches, own))));
            } else if own {
                form.conv = Some(Box::new(Form::Plain { bias }));
            }
            form
        };
        let mut branches: Vec<_> = branches.iter().map(branch).collect();
        branches.sort_by_key(|form| (form.name != BranchName::MAIN, form.name));
        BlockForm { branches, norm_after: false }
    }
}

/// `kxk.2:none` is the second of its kind.
fn parse(text: &str) -> (BranchName, BranchSpec) {
    let (name, end, bias) = BranchName::parse_with_end(text).unwrap();
    (name, BranchSpec { bias, ..BranchSpec::new(name.kind, end) })
}

/// Our parameter path as PyTorch names its leaf.
pub fn torch_name(path: &str) -> String {
    let (before, leaf) = path.rsplit_once('.').unwrap();
    let leaf = match leaf {
        "gamma" => "weight",
        "beta" => "bias",
        "constant" => "scale",
        leaf => leaf,
    };
    format!("{before}.{leaf}")
}

/// The float tensors of one reference file.
pub struct Tensors(BTreeMap<String, TensorData>);

impl Tensors {
    /// Reads a file of the reference folder.
    pub fn read(file: &str) -> Self {
        let given = folder().join(file);
        let path = if given.exists() { given } else { shipped().join(file) };
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        // Counts of batches are PyTorch's own; some files have them as floats.
        let floats = tensors.iter().filter(|(name, view)| {
            view.dtype() == Dtype::F32 && !name.ends_with("num_batches_tracked")
        });
        let found = floats.map(|(name, view)| {
            let values: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect();
            (name.to_owned(), TensorData::new(values, view.shape().to_vec()))
        });
        Self(found.collect())
    }

    /// The tensor called `name`.
    pub fn data(&self, name: &str) -> TensorData {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}")).clone()
    }

    /// The tensor called `name` on `device`.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.data(name), device)
    }

    /// The names that start with `prefix`, without it.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.0.keys().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect()
    }
}

impl BlockEntry {
    /// The kinds of branches in the block.
    pub fn kinds(&self) -> Vec<BranchKind> {
        let there = self.branches.iter().filter(|(_, there)| **there);
        there.map(|(name, _)| name.parse().unwrap()).collect()
    }

    /// The same block as our configuration.
    pub fn config(&self, tensors: &Tensors) -> RepConv2dConfig {
        let p = self.padding;
        let middle = tensors.names("param.").into_iter().find_map(|name| {
            let conv1 = name.ends_with("1x1_kxk.conv1.weight");
            conv1.then(|| tensors.data(&format!("param.{name}")).shape()[0])
        });
        RepConv2dConfig::new([self.in_channels, self.out_channels], [self.kernel; 2])
            .with_stride([self.stride; 2])
            .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
            .with_groups(self.groups)
            .with_mid_channels(middle)
            .with_branches(self.kinds())
    }
}

/// Our parameter path as the published implementation names it.
///
/// A block's parts are `dbb_NAME`; norms say `weight` and `bias`; the norms that pad are wrapped once more.
pub fn published_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let mut name = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| parts[before]);
        match (before, *part) {
            (_, "identity") => name.push("dbb_id".to_owned()),
            (Some("identity"), "bn") => {}
            (Some("1x1_kxk"), "bn1") => name.extend(["bn1".to_owned(), "bn".to_owned()]),
            (Some("1x1_avg"), "bn") => name.extend(["bn".to_owned(), "bn".to_owned()]),
            (_, "gamma") => name.push("weight".to_owned()),
            (_, "beta") => name.push("bias".to_owned()),
            (_, part) if part.parse::<BranchKind>().is_ok() => name.push(format!("dbb_{part}")),
            (_, part) => name.push(part.to_owned()),
        }
    }
    name.join(".")
}
