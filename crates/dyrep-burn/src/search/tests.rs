//! Ranks, masks, gate gradients and scores against a plain PyTorch script (`tests/golden/search.py`), and what must hold of
//! any search.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod reference;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use dyrep_config::{Preset, SearchConfig};

use super::plan::{budget, draws, highest, ranks};
use super::*;
use crate::layer::{RepConv2d, RepConv2dConfig};
use crate::ops::{Kernels, launched, with_kernels};

fn layer(channels: [usize; 2], stride: usize, device: &Device) -> RepConv2d {
    RepConv2dConfig::new(channels, [3, 3])
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .with_branches(Preset::RepNas)
        .init(device)
}

/// Two layers, with an identity and without: twelve gated branches.
#[derive(Module, Debug)]
struct Net {
    first: RepConv2d,
    second: RepConv2d,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self { first: layer([4, 4], 1, device), second: layer([4, 6], 2, device) }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.second.forward(self.first.forward(input))
    }

    fn running(&self) -> Vec<String> {
        let names = |path: &str, layer: &RepConv2d| {
            let running = layer.block().unwrap().running();
            running.map(|branch| format!("{path}.{}", branch.name())).collect::<Vec<_>>()
        };
        [names("first", &self.first), names("second", &self.second)].concat()
    }
}

fn config() -> SearchConfig {
    SearchConfig {
        random_until: 2,
        search_until: 5,
        alpha_learning_rate: 0.1,
        ..SearchConfig::default()
    }
}

/// A step without an optimiser: gradients, as the search sees them.
fn gradients(net: &Net) -> GradientsParams {
    let device = net.devices()[0].clone();
    let input = Tensor::random([2, 4, 6, 6], Distribution::Normal(0.0, 1.0), &device);
    let output = net.forward(input);
    let target = Tensor::random(output.dims(), Distribution::Normal(0.0, 1.0), &device);
    GradientsParams::from_grads((output * target).sum().backward(), net)
}

#[test]
fn a_share_is_rounded_down_but_not_by_a_product_s_rounding() {
    assert_eq!(budget(0.34, 132), 44);
    assert_eq!(budget(0.29, 100), 29);
    assert_eq!(budget(1.0, 7), 7);
    assert_eq!(budget(0.34, 2), 0);
}

#[test]
fn of_equal_ranks_the_first_is_chosen() {
    assert_eq!(highest(&[0.0, 1.0, 0.0, -1.0, 0.0], 3), [true, true, true, false, false]);
    assert_eq!(highest(&[0.0; 3], 0), [false; 3]);
}

/// The difference of two Gumbel draws is logistic: mean 0, variance π²/3, and every branch is as likely as any other.
#[test]
fn noise_is_fair() {
    let (number, steps) = (12, 4000);
    let (mut sum, mut squares, mut times) = (0.0, 0.0, vec![0; number]);
    for step in 0..steps {
        let noisy = ranks(&vec![0.0; number], &draws(3, step, number));
        sum += noisy.iter().sum::<f64>();
        squares += noisy.iter().map(|rank| rank * rank).sum::<f64>();
        for (times, chosen) in times.iter_mut().zip(highest(&noisy, 4)) {
            *times += usize::from(chosen);
        }
    }
    let count = (number as u64 * steps) as f64;
    assert!((sum / count).abs() < 0.04, "{}", sum / count);
    let variance = squares / count;
    assert!((variance - std::f64::consts::PI.powi(2) / 3.0).abs() < 0.1, "{variance}");
    // A third of 4000, with a deviation of 30.
    assert!(times.iter().all(|times| (1200..1470).contains(times)), "{times:?}");
    assert_eq!(draws(3, 7, number), draws(3, 7, number));
    assert_ne!(draws(3, 7, number), draws(4, 7, number));
    assert_ne!(draws(3, 7, number), draws(3, 8, number));
}

#[test]
fn no_step_runs_more_than_its_budget() {
    let device = Device::flex().autodiff();
    let mut net = Net::new(&device);
    let mut search = Search::begin(config(), &net, 3).unwrap();
    assert_eq!(search.budget(), 4);
    let mut masks = vec![];
    for step in 0..20 {
        net = search.apply(net);
        let phase = search.phase();
        let want = match step {
            0..6 => SearchPhase::Random,
            6..15 => SearchPhase::Search,
            _ => SearchPhase::Final,
        };
        assert_eq!(phase, want, "step {step}");
        for chosen in [search.chosen(), &search.chosen_to_evaluate()] {
            assert_eq!(chosen.iter().filter(|chosen| **chosen).count(), 4, "step {step}");
        }
        // What runs is what is chosen, the identity, and k×k where nothing else is left.
        let mut chosen = search.chosen().iter();
        let mut want = vec![];
        for layer in search.layers() {
            let own = layer.branches.iter().filter(|_| *chosen.next().unwrap());
            let own: Vec<_> = own.map(|name| format!("{}.{name}", layer.path)).collect();
            if layer.path == "second" && own.is_empty() {
                want.push("second.kxk".to_owned());
            }
            want.extend(own);
            want.extend((layer.path == "first").then(|| "first.identity".to_owned()));
        }
        assert_eq!(net.running(), want, "step {step}");
        masks.push(search.chosen().to_vec());
        let before = search.scores().to_vec();
        search.observe(&net, &gradients(&net));
        assert_eq!(search.observed().is_some(), phase == SearchPhase::Search);
        assert_eq!(
            search.step(),
            step == 14,
            "only the last step of the search begins the last phase"
        );
        assert_eq!(search.scores() != before, phase == SearchPhase::Search, "step {step}");
    }
    masks[..15].windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    assert!(masks[15..].iter().all(|mask| *mask == search.chosen_to_evaluate()));
}

/// What rests is in no plan: every operation of a pass is counted, and only those of what runs are there. Its parameters
/// have no gradients, and what is in them reaches nothing.
#[test]
fn what_is_not_chosen_launches_nothing() {
    let device = Device::flex().autodiff();
    let net = Net::new(&device);
    let input = || Tensor::<4>::ones([2, 4, 6, 6], &device);
    // Convolutions, averages and norms of each branch.
    let costs = |name: &str| match name.rsplit_once(".1x1_").or_else(|| name.rsplit_once('.')) {
        Some((_, "kxk" | "avg")) if name.contains("1x1_") => 4,
        Some((_, "identity")) => 1,
        _ => 2,
    };
    for kernels in [Kernels::Fast, Kernels::Composed] {
        with_kernels(kernels, || {
            // The control: what runs is counted.
            let (_, all) = launched::by(|| net.forward(input()));
            assert_eq!(all, 4 * 2 + 2 * 4 + 1 + 4 + 2 * 5, "{kernels:?}");
        });
    }
    let mut search = Search::begin(config(), &net, 3).unwrap();
    for _ in 0..15 {
        let masked = search.apply(net.clone());
        let want: usize = masked.running().iter().map(|name| costs(name)).sum();
        for kernels in [Kernels::Fast, Kernels::Composed] {
            let (output, launched) =
                with_kernels(kernels, || launched::by(|| masked.forward(input())));
            assert_eq!(launched, want, "{kernels:?} {:?}", masked.running());
            let gradients = GradientsParams::from_grads(output.sum().backward(), &masked);
            for layer in [&masked.first, &masked.second] {
                for branch in layer.block().unwrap().branches() {
                    let gamma = branch.norm().unwrap().gamma.id;
                    let has = gradients.get::<1>(gamma).is_some();
                    assert_eq!(has, !branch.is_resting(), "{}", branch.name());
                }
            }
        }
        search.step();
    }
}

#[test]
fn a_search_goes_on_as_it_would_have() {
    let device = Device::flex().autodiff();
    device.seed(1);
    let net = Net::new(&device);
    let all: Vec<_> = (0..15).map(|_| gradients(&net)).collect();
    let mut whole = Search::begin(config(), &net, 3).unwrap();
    let run = |search: &mut Search, steps: std::ops::Range<usize>| {
        for step in steps {
            search.observe(&net, &all[step]);
            search.step();
        }
    };
    run(&mut whole, 0..15);
    for at in [3, 6, 11, 15] {
        let mut first = Search::begin(config(), &net, 3).unwrap();
        run(&mut first, 0..at);
        let text = serde_json::to_string(&first.state()).unwrap();
        let state: SearchState = serde_json::from_str(&text).unwrap();
        let fresh = Search::begin(config(), &net, 3).unwrap();
        let mut second = fresh.resumed(state).unwrap();
        assert_eq!((second.chosen(), second.phase()), (first.chosen(), first.phase()));
        run(&mut second, at..15);
        assert_eq!(second.state(), whole.state(), "to the bit, from step {at}");
    }
    // What is another search's is refused.
    let other = Search::begin(config(), &net.first, 3).unwrap();
    let error = other.resumed(whole.state()).unwrap_err().to_string();
    assert!(error.contains("not the model's"), "{error}");
}

#[test]
fn gradients_that_are_no_numbers_leave_the_scores() {
    let device = Device::flex().autodiff();
    let net = Net::new(&device);
    let config = SearchConfig { random_until: 0, ..config() };
    let mut search = Search::begin(config, &net, 3).unwrap();
    search.observe(&net, &gradients(&net));
    search.scale_observed(f64::NAN);
    search.step();
    assert!(search.scores().iter().all(|score| *score == 0.0));
}

#[test]
fn what_cannot_be_searched_is_told() {
    let device = Device::flex().autodiff();
    let begin = |layer: &RepConv2d, share| {
        let config = SearchConfig { share, ..config() };
        Search::begin(config, layer, 3).map(|_| ()).unwrap_err().to_string()
    };
    let net = Net::new(&device);
    assert!(begin(&net.first, 0.1).contains("a share of 0.1 of the 6 branches is none"));
    let plain = RepConv2dConfig::new([4, 4], [3, 3]).init(&device);
    assert!(begin(&plain, 0.5).contains("needs a block"));
    let block = |preset: Preset| {
        RepConv2dConfig::new([4, 4], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_branches(preset)
            .init(&device)
    };
    let error = begin(&block(Preset::QaRepVgg), 0.5);
    assert!(error.contains("`1x1`") && error.contains("must end in a batch norm"), "{error}");
    let error = begin(&net.first.clone().freeze(), 0.5);
    assert!(error.contains("is frozen"), "{error}");
}

#[test]
fn statistics_begin_anew_in_every_clone() {
    let device = Device::flex().autodiff();
    let net = Net::new(&device);
    let clone = net.clone();
    let _gradients = gradients(&net);
    let statistics = |net: &Net| {
        let norm = net.first.block().unwrap().main().norm().unwrap().clone();
        [norm.running_mean.value_sync(), norm.running_var.value_sync()]
            .map(|value| value.into_data().iter::<f32>().collect::<Vec<_>>())
    };
    let fresh = [vec![0.0; 4], vec![1.0; 4]];
    assert_ne!(statistics(&net), fresh);
    reset_statistics(&net);
    assert_eq!(statistics(&net), fresh);
    assert_eq!(statistics(&clone), fresh);
}

#[test]
fn what_rests_can_be_left_out() {
    let device = Device::flex().autodiff();
    let net = Net::new(&device);
    let search = Search::begin(SearchConfig { random_until: 0, ..config() }, &net, 3).unwrap();
    for seed in 0..20 {
        let config = SearchConfig { seed, ..search.config.clone() };
        let masked = Search::begin(config, &net, 3).unwrap().apply(net.clone());
        let found = without_resting(masked.clone());
        assert_eq!(found.running(), masked.running());
        let input = Tensor::<4>::random(
            [2, 4, 6, 6],
            Distribution::Normal(0.0, 1.0),
            &device.clone().inner(),
        );
        let outputs = [&masked, &found].map(|net| net.valid().forward(input.clone()).into_data());
        assert_eq!(outputs[0], outputs[1]);
        for layer in [&found.first, &found.second] {
            let branches = layer.block().unwrap().branches();
            assert!(branches[1..].iter().all(|branch| !branch.is_resting()));
        }
    }
}
