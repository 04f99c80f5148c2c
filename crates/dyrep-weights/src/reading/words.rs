//! What people call the things around a network's weights: lists of words, and what follows from a word.

/// Modules around other modules that add no level of their own: data parallelism, compilation, sharding, activation
/// checkpoints, per-sample gradients. They stand anywhere in a name.
const SHELLS: [&str; 6] = [
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_fpw_module",
    "_module",
];
/// Keys under which trained weights lie, the surest first.
const TRAINED: [&str; 12] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "param",
    "weights",
    "state",
    "net_state_dict",
    "backbone",
];
/// Words of a key under which averaged weights lie.
const AVERAGE: [&str; 6] = ["ema", "swa", "average", "averaged", "shadow", "polyak"];
/// Names of a last linear layer.
const HEAD: [&str; 16] = [
    "fc",
    "head",
    "heads",
    "classifier",
    "linear",
    "last_linear",
    "cls",
    "cls_head",
    "logits",
    "output",
    "out",
    "top",
    "layers",
    "last",
    "final",
    "classification_head",
];
/// Last parts of names of tensors that are no parameters: they count, profile or repeat what a layer is by definition.
const COUNTERS: [&str; 3] = ["num_batches_tracked", "n_averaged", "id_tensor"];
/// The same, of those that not every file has.
const PROFILES: [&str; 6] =
    ["total_ops", "total_params", "_extra_state", "__flops__", "__params__", "num_updates"];
/// Parts of names below which a quantiser's observers lie.
const OBSERVERS: [&str; 4] =
    ["activation_post_process", "weight_fake_quant", "fake_quant", "observer"];
/// Words of keys below which there are tensors of a training but no parameters of its network.
const OF_TRAINING: [&str; 21] = [
    "criterion",
    "loss",
    "losses",
    "metric",
    "metrics",
    "acc",
    "accuracy",
    "auroc",
    "confmat",
    "confusion",
    "optimizer",
    "optimizers",
    "optim",
    "scheduler",
    "schedulers",
    "sched",
    "scaler",
    "amp",
    "callbacks",
    "queue",
    "rng",
];

/// Words of a key: `model_ema` has two.
fn words(part: &str) -> impl Iterator<Item = &str> {
    part.split(['_', '-', ' '])
}

/// Whether a module of this name adds no level of its own.
pub(super) fn is_shell(part: &str) -> bool {
    SHELLS.contains(&part)
}

/// Whether averaged weights lie below a key.
pub(super) fn is_average(part: &str) -> bool {
    words(part).any(|word| AVERAGE.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// How unlikely it is that what lies below a key is meant, if nothing else is said.
pub(super) fn rank(part: &str) -> usize {
    let unknown = TRAINED.len();
    match TRAINED.iter().position(|known| *known == part) {
        Some(at) => at,
        None if words(part).any(|word| word == "best") => unknown + 1,
        None => unknown,
    }
}

/// Whether a key around weights is one of the usual ones.
pub(super) fn is_wrapper(part: &str) -> bool {
    TRAINED.contains(&part)
        || is_average(part)
        || words(part).any(|word| word == "best")
        || is_number(part)
}

pub(super) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a part of a name may be one of the last linear layer's.
pub(super) fn is_head(part: &str) -> bool {
    HEAD.contains(&part) || is_wrapper(part)
}

/// Whether a tensor counts something, which nobody needs to be told.
pub(crate) fn is_counter(name: &str) -> bool {
    COUNTERS.contains(&name.rsplit('.').next().unwrap_or(name))
}

/// Whether a tensor that is no parameter of a network is one of those that training and its tools leave behind.
pub(super) fn is_left_over<'a>(mut parts: impl DoubleEndedIterator<Item = &'a str>) -> bool {
    let Some(last) = parts.next_back() else { return false };
    let observer =
        |part: &str| OBSERVERS.contains(&part) || part.starts_with("activation_post_process_");
    PROFILES.contains(&last)
        || observer(last)
        || is_average(last)
        || parts.any(|part| {
            let known = |word: &str| OF_TRAINING.iter().any(|k| word.eq_ignore_ascii_case(k));
            observer(part) || words(part).any(known) || is_average(part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_what_lies_below_them() {
        for average in ["ema", "model_ema", "ema_state_dict", "swa_model", "EMA", "averaged_model"]
        {
            assert!(is_average(average), "{average}");
        }
        for other in ["model", "schema", "avgpool", "1x1_avg", "layer1"] {
            assert!(!is_average(other), "{other}");
        }
        assert!(rank("state_dict") < rank("model") && rank("model") < rank("anything"));
        assert!(rank("anything") < rank("best_model"));
    }

    #[test]
    fn what_training_leaves_behind_is_known() {
        for name in [
            "total_ops",
            "layer1.0.total_params",
            "criterion.weight",
            "loss_fn.pos_weight",
            "train_acc.tp",
            "val_metrics.confmat",
            "layer1.activation_post_process_0.min_val",
            "conv1.weight_fake_quant.scale",
            "optimizer.state.0.exp_avg",
        ] {
            assert!(is_left_over(name.split('.')), "{name}");
        }
        for name in ["layer1.0.se.fc1.weight", "neck.weight", "fc2.weight", "loss", "metrics"] {
            assert!(!is_left_over(name.split('.')), "{name}");
        }
    }
}
