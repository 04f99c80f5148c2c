//! Weights inside whatever people put around them: a known state dict in random layers of wrappers, shells, prefixes and
//! left-overs must give the same logits, to the bit, and what changes the network must not pass.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod states;

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use common::{expected, golden, mobilenet, repvgg, resnet, vgg};
use dyrep_models::{Model, ModelConfig};
use dyrep_tests::under_test;
use dyrep_weights::{OpenOptions, Part, Weights, WeightsError, open};
use rstest::rstest;
use safetensors::Dtype;
use states::{State, exported, fresh, number, state, written};
use tempfile::TempDir;

/// Files of weights, each wrapped in so many ways.
const TRIALS: u64 = 40;

/// Choices that a seed makes.
struct Chance(u64);

impl Chance {
    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }
}

fn opened(state: &State) -> (TempDir, Weights) {
    let (folder, path) = written(state);
    (folder, open(path).unwrap())
}

fn ones(shape: &[usize]) -> (Dtype, Vec<usize>, Vec<u8>) {
    let count = shape.iter().product();
    (Dtype::F32, shape.to_vec(), 1f32.to_le_bytes().repeat(count))
}

fn renamed(state: &State, name: impl Fn(&str) -> String) -> State {
    state.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

/// A prefix in front of every name.
fn below(state: &State, key: &str) -> State {
    renamed(state, |name| format!("{key}.{name}"))
}

/// A shell inside of some part of the network, or around all of it.
fn in_shell(state: &State, chance: &mut Chance) -> State {
    let shell = chance.one_of(&["module", "_orig_mod", "_fsdp_wrapped_module", "_module"]);
    let name = state.keys().nth(chance.below(state.len())).unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let depth = chance.below(parts.len());
    if depth == 0 {
        return below(state, shell);
    }
    let outer = parts[..depth].join(".") + ".";
    renamed(state, |name| match name.strip_prefix(&outer) {
        Some(rest) => format!("{outer}{shell}.{rest}"),
        None => name.to_owned(),
    })
}

/// What profilers, quantisers and losses leave in a network or beside it.
fn with_left_overs(mut state: State, chance: &mut Chance) -> State {
    let paths: Vec<String> = state
        .keys()
        .filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned()))
        .filter(|_| chance.below(3) == 0)
        .collect();
    for path in paths {
        match chance.below(4) {
            0 => drop(state.insert(format!("{path}.total_ops"), number(1e6))),
            1 => drop(state.insert(format!("{path}.total_params"), number(64.0))),
            2 => drop(state.insert(format!("{path}.num_batches_tracked"), number(7.0))),
            _ => {
                let observer = format!("{path}.activation_post_process_0.min_val");
                state.insert(observer, number(-1.0));
            }
        }
    }
    if chance.yes() {
        state.insert("total_ops".into(), number(1e9));
    }
    if chance.yes() {
        state.insert("criterion.weight".into(), ones(&[10]));
        state.insert("train_acc.tp".into(), ones(&[10, 2]));
    }
    state
}

/// The classifier at the end of a sequence, or beside the features as several libraries have it.
fn with_head(state: &State, head: &str, chance: &mut Chance) -> State {
    let split = chance.yes();
    let path =
        chance.one_of(&["head.fc", "head", "classifier.1", "linear", "fc.1", "1", "head.layers.0"]);
    let trunk = chance.one_of(&["backbone", "encoder", "features_of", "0"]);
    renamed(state, |name| match name.strip_prefix(head).and_then(|rest| rest.strip_prefix('.')) {
        Some(leaf) if split => format!("{path}.{leaf}"),
        Some(leaf) => format!("{head}.1.{leaf}"),
        None if split => format!("{trunk}.{name}"),
        None => name.to_owned(),
    })
}

/// Keys of a checkpoint around its weights, and other things beside them.
fn in_checkpoint(state: &State, chance: &mut Chance) -> State {
    let key =
        chance.one_of(&["state_dict", "model", "net", "best", "0", "trainer_module", "params"]);
    let mut all = below(state, key);
    if chance.yes() {
        all.insert("optimizer.state.0.exp_avg".into(), ones(&[4, 4]));
        all.insert("epoch_times".into(), ones(&[3]));
    }
    // Averaged weights beside those that were trained are others.
    if chance.below(3) == 0 && !all.keys().any(|name| name.contains("ema")) {
        let average = chance.one_of(&["ema", "model_ema.module", "ema_state_dict", "swa_model"]);
        for (name, (dtype, shape, bytes)) in state {
            let other = (*dtype, shape.clone(), vec![0; bytes.len()]);
            all.insert(format!("{average}.{name}"), other);
        }
    }
    all
}

fn logits(network: &Model) -> Vec<f32> {
    let input: Tensor<4> = expected("input");
    network.forward(input).into_data().iter().collect()
}

#[rstest]
#[case::torchvision("resnet_wrapped.pth", resnet(), "fc")]
#[case::separable("mobilenet_f64.safetensors", mobilenet(), "classifier")]
#[case::plain("vgg_bn_bf16_legacy.pt", vgg(), "classifier.6")]
#[case::blocks("repvgg_f16.pth", repvgg(), "head.fc")]
fn a_state_dict_in_random_layers_is_the_same_network(
    #[case] file: &str,
    #[case] config: ModelConfig,
    #[case] head: &str,
) {
    let fresh = || config.init(&under_test()).unwrap();
    let (network, _) = open(golden(file)).unwrap().load_into(fresh()).unwrap();
    let (plain, want) = (exported(&network), logits(&network));
    for seed in 0..TRIALS {
        let chance = &mut Chance(seed);
        let mut state = plain.clone();
        let mut told = vec![];
        if chance.yes() {
            state = with_head(&state, head, chance);
            told.push("head");
        }
        for _ in 0..chance.below(5) {
            (state, _) = match chance.below(3) {
                0 => (in_shell(&state, chance), told.push("shell")),
                1 => (with_left_overs(state, chance), told.push("left-overs")),
                _ => (in_checkpoint(&state, chance), told.push("checkpoint")),
            };
        }
        let (_folder, weights) = opened(&state);
        let first: Vec<&String> = state.keys().take(3).collect();
        let what = format!("{file}, seed {seed}: {told:?}, {first:?}");
        let (found, report) =
            weights.load_into(fresh()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(report.is_complete(), "{what}: {report}");
        assert_eq!(logits(&found), want, "{what}");
    }
}

/// Somebody else's layers are no left-overs: the network would be another.
#[test]
fn a_network_with_more_in_it_is_another() {
    let (network, _) = open(golden("resnet_wrapped.pth")).unwrap().load_into(fresh()).unwrap();
    let plain = exported(&network);
    let more = |name: &str, shape: &[usize]| {
        let mut state = plain.clone();
        state.insert(name.to_owned(), ones(shape));
        opened(&state).1.load_into(fresh())
    };
    for (name, shape) in [
        ("layer1.0.se.fc1.weight", &[4, 4][..]),
        ("layer1.2.conv1.weight", &[4, 4, 3, 3]),
        ("neck.weight", &[32, 32]),
        ("fc2.weight", &[10, 10]),
        ("aux_head.weight", &[10, 32]),
    ] {
        let error = more(name, shape).unwrap_err();
        let WeightsError::Mismatch { report, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(report.unused, [name]);
    }
    // Between the features and a classifier that lies beside them.
    let split = |name: &str| match name.starts_with("fc.") {
        true => format!("head.{name}"),
        false => format!("backbone.{name}"),
    };
    let mut state = renamed(&plain, split);
    assert!(opened(&state).1.load_into(fresh()).is_ok());
    state.insert("neck.fc.weight".into(), ones(&[32, 32]));
    assert!(matches!(opened(&state).1.load_into(fresh()), Err(WeightsError::Mismatch { .. })));
    // Two layers that may be the classifier, and none.
    let mut state = renamed(&plain, |name| name.replace("fc.", "fc.1."));
    state.insert("fc.0.weight".into(), ones(&[32, 32]));
    state.insert("fc.0.bias".into(), ones(&[32]));
    assert!(matches!(opened(&state).1.load_into(fresh()), Err(WeightsError::Mismatch { .. })));
    let mut state = plain.clone();
    state.remove("layer3.1.bn2.running_var");
    assert!(matches!(opened(&state).1.load_into(fresh()), Err(WeightsError::Mismatch { .. })));
}

/// Of several networks in one file it is said which is meant, unless they are the same.
#[test]
fn several_networks_are_told_apart() {
    let (network, _) = open(golden("resnet_wrapped.pth")).unwrap().load_into(fresh()).unwrap();
    let want = logits(&network);
    let plain = exported(&network);
    let zeros: State = plain
        .iter()
        .map(|(name, (dtype, shape, bytes))| {
            (name.clone(), (*dtype, shape.clone(), vec![0; bytes.len()]))
        })
        .collect();
    let both = |one: (&str, &State), other: (&str, &State)| {
        let mut all = below(one.1, one.0);
        all.extend(below(other.1, other.0));
        written(&all)
    };
    for keys in [["0", "1"], ["student", "teacher"]] {
        let (_folder, path) = both((keys[0], &plain), (keys[1], &zeros));
        let error = open(&path).unwrap().load_into(fresh()).unwrap_err();
        assert!(matches!(error, WeightsError::Several { .. }), "{error}");
        assert!(keys.iter().all(|key| error.to_string().contains(&format!("`{key}`"))), "{error}");
        let part = Part::Key(keys[0].to_owned());
        let weights = OpenOptions::new().part(part).open(&path).unwrap();
        assert_eq!(logits(&weights.load_into(fresh()).unwrap().0), want);
        let (_folder, path) = both((keys[0], &plain), (keys[1], &plain));
        assert_eq!(logits(&open(&path).unwrap().load_into(fresh()).unwrap().0), want);
    }
    // The usual word is enough, and an average has to be asked for.
    for (key, other) in [("state_dict", "anything"), ("model", "best_model"), ("net", "model_ema")]
    {
        let (_folder, path) = both((key, &plain), (other, &zeros));
        let (found, report) = open(&path).unwrap().load_into(fresh()).unwrap();
        assert_eq!(logits(&found), want, "{key}");
        assert_eq!(report.passed_over.len(), plain.len());
    }
    let (_folder, path) = both(("model", &zeros), ("ema.module", &plain));
    let average = OpenOptions::new().part(Part::Average).open(&path).unwrap();
    assert_eq!(logits(&average.load_into(fresh()).unwrap().0), want);
}

/// What no table knows, the user says.
#[test]
fn names_are_replaced_as_asked() {
    let (network, _) = open(golden("resnet_wrapped.pth")).unwrap().load_into(fresh()).unwrap();
    let odd = |name: &str| name.replace("layer", "stufe_").replace("fc.", "schluss.");
    let (_folder, path) = written(&renamed(&exported(&network), odd));
    assert!(open(&path).unwrap().load_into(fresh()).is_err());
    let options = OpenOptions::new()
        .rename(r"^stufe_(\d)", "layer$1")
        .and_then(|options| options.rename("schluss", "fc"))
        .unwrap();
    let (found, _) = options.open(&path).unwrap().load_into(fresh()).unwrap();
    assert_eq!(logits(&found), logits(&network));
    let error = OpenOptions::new().rename("(", "").unwrap_err();
    assert!(error.to_string().contains("`(`"), "{error}");
}

/// A state dict in several files, with an index.
#[test]
fn shards_are_read_through_their_index() {
    let plain = state(&golden("mobilenet_f64.safetensors"));
    let folder = tempfile::tempdir().unwrap();
    let mut map = BTreeMap::new();
    let names: Vec<&String> = plain.keys().collect();
    for (number, names) in names.chunks(names.len().div_ceil(3)).enumerate() {
        let file = format!("model-{number}.safetensors");
        let part: State =
            names.iter().map(|name| ((*name).clone(), plain[*name].clone())).collect();
        std::fs::copy(written(&part).1, folder.path().join(&file)).unwrap();
        map.extend(names.iter().map(|name| ((*name).clone(), file.clone())));
    }
    let index = folder.path().join("model.safetensors.index.json");
    let write = |map: &BTreeMap<String, String>| {
        let text = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
        std::fs::write(&index, text.to_string()).unwrap();
        open(&index)
    };
    let network = || mobilenet().init(&under_test()).unwrap();
    let whole = open(golden("mobilenet_f64.safetensors")).unwrap().load_into(network()).unwrap().0;
    let sharded = write(&map).unwrap().load_into(network()).unwrap().0;
    assert_eq!(logits(&whole), logits(&sharded));
    // A tensor that is not where the index says, a file that lies elsewhere, an index that is none.
    let name = names[0].clone();
    for (file, reason) in [
        ("model-2.safetensors", "has no tensor"),
        ("../model-0.safetensors", "does not lie beside it"),
        ("model.safetensors.index.json", "an index again"),
        ("gone.safetensors", "No such file"),
    ] {
        map.insert(name.clone(), file.to_owned());
        let error = write(&map).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    std::fs::write(&index, "{\"a\": 1}").unwrap();
    assert!(open(&index).unwrap_err().to_string().contains("index of sharded weights"));
}
