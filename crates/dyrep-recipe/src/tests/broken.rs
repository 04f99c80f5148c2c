//! Every mistake is told with its line, and with what would be right.

use super::{SHORT, parse};

/// The short recipe with each `(old, new)` exchanged, and the message that it gets.
pub(super) fn check(changes: &[(&str, &str)], want: &str) {
    let mut text = SHORT.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "`{old}` is not in\n{text}");
        text = text.replacen(old, new, 1);
    }
    let error = parse(&text, &[]).expect_err(want);
    assert_eq!(error.to_string(), want, "of\n{text}");
}

/// The short recipe with `lines` behind it, from line 16 on.
fn check_more(lines: &str, want: &str) {
    check(&[("name = \"dyrep\"\n", &format!("name = \"dyrep\"\n{lines}\n"))], want);
}

#[test]
fn unknown_keys() {
    let optimizer = "(known: name, learning_rate, batch_size, accumulate, momentum, nesterov, betas, \
                     alpha, epsilon, weight_decay, decay_norms_and_biases, clip_norm, ema_decay, \
                     layer_decay, groups)";
    check(
        &[("learning_rate", "learning_rte")],
        &format!(
            "recipes/x.toml:8: unknown key `learning_rte` in [optimizer]; did you mean \
             `learning_rate`? {optimizer}"
        ),
    );
    check(
        &[("learning_rate", "lr")],
        &format!("recipes/x.toml:8: unknown key `lr` in [optimizer] {optimizer}"),
    );
    let sections = "(known: model, data, augmentation, optimizer, schedule, loss, \
                    distillation, strategy, evaluation, run)";
    check(
        &[("[optimizer]", "[optimiser]")],
        &format!(
            "recipes/x.toml:7: unknown section [optimiser]; did you mean `optimizer`? {sections}"
        ),
    );
    check(
        &[("[model]", "epochs = 3\n[model]")],
        &format!("recipes/x.toml:1: unknown section [epochs] {sections}"),
    );
    check_more(
        "[strategy.cut_rule.threshold]\nmax_ration = 0.1",
        "recipes/x.toml:17: unknown key `max_ration` in [strategy.cut_rule.threshold]; did you mean \
         `max_ratio`? (known: min_deviation, max_ratio, lone)",
    );
    check_more(
        "[augmentation]\ntrain = [\n  'horizontal_flip',\n  { random_crop = { siz = 3 } },\n]",
        "recipes/x.toml:19: unknown key `siz` in [augmentation.train[1].random_crop]; did you mean \
         `size`? (known: size, padding)",
    );
}

#[test]
fn weights_of_classes_that_are_none() {
    let with = |value: &str, want: &str| {
        let want = format!("recipes/x.toml:17: `class_weights{want}");
        check_more(&format!("[loss]\nclass_weights = {value}"), &want);
    };
    let expected = "in [loss]: expected \"balanced\" or a list of numbers, one a class, found";
    with("1", &format!("` {expected} 1"));
    with("[]", &format!("` {expected} none"));
    with(
        "'balance'",
        "` in [loss]: unknown name `balance`; did you mean `balanced`? (known: balanced)",
    );
    with("[1, 0]", "[1]` in [loss]: expected a number above 0, found 0");
}

#[test]
fn groups_that_make_no_sense() {
    let with = |lines: &str, want: &str| {
        check(&[("[schedule]", &format!("[[optimizer.groups]]\n{lines}\n[schedule]"))], want);
    };
    with(
        "matching = []\nfrozen = true",
        "recipes/x.toml:11: `matching` in [optimizer.groups]: expected one pattern at least",
    );
    with(
        "matching = ['layer[']\nfrozen = true",
        "recipes/x.toml:12: `matching[0]` in [optimizer.groups[0]]: expected a regular expression on \
         paths, found \"layer[\"",
    );
    with(
        "matching = ['^fc']",
        "recipes/x.toml:11: a group in [optimizer.groups] needs `learning_rate_scale`, `weight_decay` or \
         `frozen = true`",
    );
    with(
        "matching = ['^fc']\nfrozen = true\nweight_decay = 0",
        "recipes/x.toml:11: a group in [optimizer.groups] that is frozen has no `learning_rate_scale` and \
         no `weight_decay`",
    );
    with(
        "matching = ['^fc']\nlearning_rate_scale = 0",
        "recipes/x.toml:13: `learning_rate_scale` in [optimizer.groups[0]]: expected a number above 0, \
         found 0",
    );
    with(
        "frozen = true",
        "recipes/x.toml:11: [optimizer.groups[0]] lacks `matching`, for example `matching = \
         [\"^layer1\"]`",
    );
}

#[test]
fn keys_of_another_optimizer() {
    let with = |lines: &str, want: &str| {
        check(&[("[optimizer]", &format!("[optimizer]\n{lines}"))], want);
    };
    with(
        "betas = [0.9, 0.99]",
        "recipes/x.toml:8: `betas` in [optimizer] goes with `adamw`, `adam`, `lamb`, not with `sgd`",
    );
    // Wherever the name stands.
    with(
        "alpha = 0.9\nname = 'lamb'",
        "recipes/x.toml:8: `alpha` in [optimizer] goes with `rmsprop`, not with `lamb`",
    );
    with(
        "name = 'adamw'\nmomentum = 0.9",
        "recipes/x.toml:9: `momentum` in [optimizer] goes with `sgd`, `rmsprop`, not with `adamw`",
    );
    with(
        "name = 'adamx'",
        "recipes/x.toml:8: `name` in [optimizer]: unknown name `adamx`; did you mean `adamw`? (known: \
         sgd, adamw, adam, rmsprop, lamb)",
    );
    with(
        "name = 'adam'\nbetas = [0.9]",
        "recipes/x.toml:9: `betas` in [optimizer]: expected a list of 2, found a list of 1",
    );
    with(
        "name = 'adam'\nbetas = [0.9, 1.0]",
        "recipes/x.toml:9: `betas[1]` in [optimizer]: expected a number from 0 to below 1, found 1.0",
    );
    with(
        "name = 'rmsprop'\nepsilon = 0",
        "recipes/x.toml:9: `epsilon` in [optimizer]: expected a number above 0, found 0",
    );
}

#[test]
fn keys_of_another_strategy() {
    check(
        &[("\"dyrep\"", "\"dbb\"\ninterval = 5")],
        "recipes/x.toml:16: `interval` in [strategy] goes with `dyrep`, `dyrep-online`, not with `dbb`",
    );
    check(
        &[("\"dyrep\"", "\"plain\"\nintervall = 5")],
        "recipes/x.toml:16: unknown key `intervall` in [strategy]; did you mean `interval`? (known: \
         name, only, start, score, per_weight, branches, interval, first_epoch, last_epoch, growths, max_depth, \
         grow_in, never_grow_in, budget, calibration_batches, norm_rule, cut_rule, fidelity, \
         structure, share, random_until, search_until, alpha_learning_rate, alpha_betas, alpha_weight_decay, \
         scales, search)",
    );
}

#[test]
fn convolutions_that_cannot_be_chosen() {
    let dbb = |only: &str, want: &str| {
        check(&[("\"dyrep\"", &format!("\"dbb\"\nonly = {only}"))], want);
    };
    dbb(
        "{ matchign = ['layer4'] }",
        "recipes/x.toml:16: unknown key `matchign` in [strategy.only]; did you mean `matching`? \
         (known: layers, matching, except, kernels)",
    );
    dbb(
        "{ except = ['stem', 'layer['] }",
        "recipes/x.toml:16: `except[1]` in [strategy.only]: expected a regular expression on paths, \
         found \"layer[\"",
    );
    dbb(
        "{ kernels = [[3, 3], [3]] }",
        "recipes/x.toml:16: `kernels[1]` in [strategy.only]: expected a height and a width, found a \
         list of 1",
    );
    dbb(
        "{ kernels = [[0, 3]] }",
        "recipes/x.toml:16: `kernels[0][0]` in [strategy.only]: expected a whole number of pixels from \
         1 to 9459, found 0",
    );
    check(
        &[("\"dyrep\"", "\"plain\"\nonly = { layers = ['conv1'] }")],
        "recipes/x.toml:16: `only` in [strategy] goes with every `name` but `plain`",
    );
    check_more(
        "only = { layers = ['conv1'] }",
        "recipes/x.toml:16: `only` in [strategy]: expected `start` beside it, which says what the \
         chosen convolutions start with, found none",
    );
    check_more(
        "grow_in = ['(']",
        "recipes/x.toml:16: `grow_in[0]` in [strategy]: expected a regular expression on paths, found \
         \"(\"",
    );
}

#[test]
fn unknown_names() {
    check(
        &[("\"dyrep\"", "\"dyrpe\"")],
        "recipes/x.toml:15: `name` in [strategy]: unknown name `dyrpe`; did you mean `dyrep`? \
         (known: plain, acnet, repvgg, dbb, dyrep, mobileone, mobileone_s1, replknet, unireplknet, repvit, \
         qarepvgg, qarepvgg_v2, csla, repnas, orepa, orepa_repvgg, orepa_stem, dyrep-online, repoptimizer)",
    );
    check(
        &[("cifar10", "CIFAR-10")],
        "recipes/x.toml:5: `set` in [data]: unknown name `CIFAR-10`; did you mean `cifar10`? \
         (known: digits, cifar10, cifar100, imagenet, image_folder, idx, mnist, fashion_mnist)",
    );
    check_more(
        "score = 'snp'",
        "recipes/x.toml:16: `score` in [strategy]: unknown name `snp`; did you mean `snip`? (known: \
         grad_norm, snip, synflow, branch_gain, random)",
    );
    check_more(
        "norm_rule = 'burn'",
        "recipes/x.toml:16: `norm_rule` in [strategy]: unknown name `burn` (known: published, \
         neutral)",
    );
    check_more(
        "branches.preset = 'plain'",
        "recipes/x.toml:16: `preset` in [strategy.branches]: unknown name `plain` (known: acnet, \
         repvgg, dbb, dyrep, mobileone, mobileone_s1, replknet, unireplknet, repvit, qarepvgg, qarepvgg_v2, \
         csla, repnas, orepa)",
    );
    check_more(
        "branches.exactly = ['kxk',\n '1x1_kx']",
        "recipes/x.toml:17: `exactly[1]` in [strategy.branches]: unknown name `1x1_kx`; did you mean \
         `1x1_kxk`? (known: 1x1, 1x1_kxk, 1x1_avg, kxk, 1xk, kx1, identity, avg, id1x1_kxk, 1x1_prior, dw_1x1)",
    );
    check_more(
        "[augmentation]\ntrain = [\n  'vertical_flip',\n]",
        "recipes/x.toml:18: `train[0]` in [augmentation]: unknown name `vertical_flip` \
         (known: resize, center_crop, random_crop, random_resized_crop, \
         horizontal_flip, color_jitter, rand_augment, cutout, random_erasing)",
    );
    check_more(
        "[augmentation]\ntrain = ['RandomCrop']",
        "recipes/x.toml:17: `train[0]` in [augmentation]: unknown name `RandomCrop`; did you mean \
         `random_crop`? (known: resize, center_crop, random_crop, random_resized_crop, \
         horizontal_flip, color_jitter, rand_augment, cutout, random_erasing)",
    );
    check_more(
        "cut_rule = 'treshhold'",
        "recipes/x.toml:16: `cut_rule` in [strategy]: unknown name `treshhold`; did you mean \
         `threshold`? (known: never, threshold, top_k, budget)",
    );
    check(
        &[("epochs = 10", "epochs = 10\nkind = 'linear'")],
        "recipes/x.toml:13: `kind` in [schedule]: unknown name `linear` (known: \
         cosine, step, poly, one_cycle, plateau)",
    );
}

#[test]
fn missing_keys_and_sections() {
    check(
        &[("epochs = 10", "")],
        "recipes/x.toml:11: [schedule] lacks `epochs`, for example `epochs = 120`",
    );
    check(
        &[("name = \"dyrep\"", "score = 'snip'")],
        "recipes/x.toml:14: [strategy] lacks `name`, for example `name = \"dyrep\"`",
    );
    check(
        &[("name = \"dyrep\"", "")],
        "recipes/x.toml:14: [strategy] lacks `name`, for example `name = \"dyrep\"`",
    );
    check(
        &[("[data]\nset = \"cifar10\"", "")],
        "recipes/x.toml: the section [data] is missing, for example `[data]` with `set = \"digits\"`",
    );
    check_more(
        "[augmentation]\ntrain = [\n 'cutout']",
        "recipes/x.toml:18: [augmentation.train[0].cutout] lacks `size`, for example `size = 16`",
    );
    let error = parse("", &[]).unwrap_err().to_string();
    let want = "recipes/x.toml: the section [model] is missing, for example `[model]` with \
                `name = \"resnet18\"`";
    assert_eq!(error, want);
}

#[test]
fn values_of_another_type() {
    check(
        &[("0.1", "\"0,1\"")],
        "recipes/x.toml:8: `learning_rate` in [optimizer]: expected a number above 0, found \"0,1\"",
    );
    let count = "expected a whole number from 1 to 1000000000";
    check(
        &[("epochs = 10", "epochs = 10.0")],
        &format!("recipes/x.toml:12: `epochs` in [schedule]: {count}, found 10.0"),
    );
    check(
        &[("epochs = 10", "epochs = 2026-11-22")],
        &format!("recipes/x.toml:12: `epochs` in [schedule]: {count}, found the date 2026-11-22"),
    );
    check(
        &[("batch_size = 128", "batch_size = [128]")],
        &format!("recipes/x.toml:9: `batch_size` in [optimizer]: {count}, found a list"),
    );
    check(
        &[("batch_size = 128", "batch_size = 128\nnesterov = 1")],
        "recipes/x.toml:10: `nesterov` in [optimizer]: expected true or false, found 1",
    );
    check(
        &[("\"resnet18\"", "18")],
        "recipes/x.toml:2: `name` in [model]: expected a string, found 18",
    );
    check_more(
        "loss = 3",
        "recipes/x.toml:16: unknown key `loss` in [strategy] (known: name, only, start, score, \
        per_weight, branches, interval, first_epoch, last_epoch, growths, max_depth, grow_in, \
        never_grow_in, budget, calibration_batches, norm_rule, cut_rule, fidelity, \
         structure, share, random_until, search_until, alpha_learning_rate, alpha_betas, alpha_weight_decay, \
         scales, search)",
    );
    check(
        &[("[model]", "loss = 3\n[model]")],
        "recipes/x.toml:1: section [loss]: expected a table, found 3",
    );
    check(
        &[("[strategy]\nname =", "[[strategy]]\nname =")],
        "recipes/x.toml:14: section [strategy]: expected a table, found a list",
    );
    check_more(
        "[augmentation]\ntrain = 'horizontal_flip'",
        "recipes/x.toml:17: `train` in [augmentation]: expected a list, found \"horizontal_flip\"",
    );
    check_more(
        "[augmentation]\ntrain = [{ cutout = 16 }]",
        "recipes/x.toml:17: `cutout` in [augmentation.train[0]]: expected a table, found 16",
    );
    check_more(
        "cut_rule = { never = {}, budget = {} }",
        "recipes/x.toml:16: `cut_rule` in [strategy]: expected a table of one key of never, \
         threshold, top_k, budget, found a table of 2 keys",
    );
    check_more(
        "cut_rule = { never = true }",
        "recipes/x.toml:16: `never` in [strategy.cut_rule]: expected no options, found true",
    );
    check_more(
        "cut_rule = 0.1",
        "recipes/x.toml:16: `cut_rule` in [strategy]: expected a name of never, threshold, top_k, \
         budget, found 0.1",
    );
}
