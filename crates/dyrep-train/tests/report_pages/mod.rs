//! Made-up runs for reports: what a training of ResNet-18 might tell, and others of any size.

use dyrep_burn::BranchKind;
use dyrep_train::report::{
    BranchRow, ChangeKind, ChangeRow, DeploymentRow, DeploymentTable, EpochRow, Form, LayerRow,
    Page, ScoreTable, Snapshot, State,
};

/// The branches of a block that has all that any block has.
pub(crate) fn kinds() -> Vec<String> {
    BranchKind::NAMED.iter().map(BranchKind::to_string).collect()
}

/// A run of ResNet-18: 40 epochs, eight growths, one of them inside a block, and three cuts.
pub(crate) fn resnet18() -> Page {
    let mut run = Run::new(resnet18_layers());
    run.page.title = "ResNet-18 on the shipped digits".into();
    run.page.description =
        "ResNet-18 of width 32 · 1408 + 360 pictures of 8×8 · flex on 2 cores of an AMD EPYC"
            .into();
    run.page.recipe = RECIPE.into();
    run.page.epochs_planned = 40;
    let growths = [
        (4, "layer3.0.conv2"),
        (8, "layer4.0.conv1"),
        (12, "layer2.1.conv1"),
        (16, "layer3.1.conv1"),
        (20, "layer3.0.conv2.kxk.conv"),
        (24, "layer1.0.conv2"),
        (28, "layer4.1.conv2"),
        (32, "layer2.0.conv2"),
    ];
    let cuts = [
        (12, "layer3.0.conv2", &["1xk", "kx1", "identity"][..]),
        (20, "layer4.0.conv1", &["1x1"][..]),
        (28, "layer2.1.conv1", &["1x1", "1x1_avg", "1xk", "kx1", "identity"][..]),
    ];
    run.snapshot(0);
    for epoch in 1..=40 {
        run.epoch(epoch);
        let grown: Vec<_> = growths.iter().filter(|(at, _)| *at == epoch).collect();
        if epoch.is_multiple_of(4) && epoch <= 36 {
            run.score(epoch, &grown.iter().map(|(_, path)| *path).collect::<Vec<_>>());
        }
        for (_, path) in &grown {
            run.grow(epoch, path);
        }
        for (_, path, kinds) in cuts.iter().filter(|(at, ..)| *at == epoch) {
            run.cut(epoch, path, kinds);
        }
        if run.page.changes.last().is_some_and(|change| change.epoch == epoch) {
            run.snapshot(epoch);
        }
    }
    run.finish()
}

/// A run of any size, in which a layer, or the convolution inside its block, grows every `every` epochs.
pub(crate) fn large(layers: usize, epochs: usize, every: usize) -> Page {
    let layer = |i| LayerRow {
        path: format!("layer{}.{}.conv{}", 1 + i / 18, i % 18 / 3, 1 + i % 3),
        geometry: "256→256, 3×3".into(),
        macs: 115_605_504,
    };
    let mut run = Run::new((0..layers).map(layer).collect());
    run.page.title = format!("{layers} layers, {epochs} epochs");
    run.page.epochs_planned = epochs;
    run.snapshot(0);
    for epoch in 1..=epochs {
        run.epoch(epoch);
        if epoch.is_multiple_of(every) {
            let i = (epoch / every * 7) % layers;
            let grown = matches!(run.forms[i], Form::Block { .. });
            let inside = if grown { ".kxk.conv" } else { "" };
            let path = format!("{}{inside}", run.page.layers[i].path);
            run.score(epoch, &[&path]);
            run.grow(epoch, &path);
            run.snapshot(epoch);
        }
    }
    run.finish()
}

/// The start of a network of plain layers.
pub(crate) fn plain(layers: usize) -> Snapshot {
    Snapshot { epoch: 0, forms: vec![Form::Plain { bias: true }; layers] }
}

/// How many branches a form has, those of blocks inside it included.
pub(crate) fn branches(form: &Form) -> usize {
    match form {
        Form::Plain { .. } => 0,
        Form::Block { branches: all, .. } => {
            let inside = |branch: &BranchRow| branch.inside.as_deref().map_or(0, branches);
            all.iter().map(|branch| 1 + inside(branch)).sum()
        }
        Form::Stack { layers, .. } => layers.iter().map(branches).sum(),
    }
}

const RECIPE: &str = "\
model = \"resnet18\"
width = 32
epochs = 40
batch_size = 64
seed = 7

[optimizer]
learning_rate = 0.1
momentum = 0.9
weight_decay = 1e-4
schedule = \"cosine\"

[dyrep]
score = \"snip\"
every = 4
branches = [\"1x1\", \"1x1_kxk\", \"1x1_avg\", \"1xk\", \"kx1\", \"identity\"]
cut_below = 0.1
";

fn resnet18_layers() -> Vec<LayerRow> {
    let mut layers = vec![row("conv1", "3→32, 3×3", 55_296)];
    for stage in 1..=4_u64 {
        let (width, before) = (16 << stage, if stage == 1 { 32 } else { 8 << stage });
        for block in 0..2 {
            let first = block == 0;
            let (input, stride) =
                if first && stage > 1 { (before, ", stride 2") } else { (width, "") };
            let at = format!("layer{stage}.{block}");
            let macs = 2_359_296 / if first && stage > 1 { 2 } else { 1 };
            let geometry = format!("{input}→{width}, 3×3{stride}");
            layers.push(row(&format!("{at}.conv1"), &geometry, macs));
            layers.push(row(&format!("{at}.conv2"), &format!("{width}→{width}, 3×3"), 2_359_296));
            if first && stage > 1 {
                let geometry = format!("{input}→{width}, 1×1, stride 2");
                layers.push(row(&format!("{at}.downsample.0"), &geometry, 131_072));
            }
        }
    }
    layers
}

fn row(path: &str, geometry: &str, macs: u64) -> LayerRow {
    LayerRow { path: path.into(), geometry: geometry.into(), macs }
}

/// A run that is being made up.
struct Run {
    page: Page,
    forms: Vec<Form>,
    params: u64,
    macs: u64,
    /// State of the noise.
    noise: u64,
}

impl Run {
    fn new(layers: Vec<LayerRow>) -> Self {
        let forms = vec![Form::Plain { bias: false }; layers.len()];
        let page = Page {
            layers,
            started: "2026-11-22 09:14".into(),
            updated: "2026-11-22 09:17".into(),
            ..Page::default()
        };
        Self { page, forms, params: 2_790_000, macs: 8_700_000, noise: 1 }
    }

    /// The next number of a fixed sequence, from 0 to 1.
    fn noise(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.noise >> 33) as f64 / (1_u64 << 31) as f64
    }

    fn epoch(&mut self, epoch: usize) {
        let done = epoch as f64 / self.page.epochs_planned as f64;
        let loss = 2.6 * (-5.0 * done).exp() + 0.09;
        let (noise, more) = (self.noise(), self.noise());
        let size = self.params as f64 / 2_790_000.0;
        self.page.epochs.push(EpochRow {
            epoch,
            train_loss: loss * (0.95 + 0.1 * noise),
            valid_loss: loss * 0.92 + 0.07 + 0.06 * more * (1.0 - done),
            train_accuracy: Some(0.985 - 0.8 * (-5.5 * done).exp() - 0.01 * noise),
            valid_accuracy: Some(0.975 - 0.7 * (-6.0 * done).exp() - 0.02 * more),
            weights_accuracy: None,
            learning_rate: 0.05 * (1.0 + (std::f64::consts::PI * done).cos()),
            train_seconds: 2.2 * size * (1.0 + 0.1 * noise),
            adjust_seconds: if epoch.is_multiple_of(4) { 0.6 + 0.3 * more } else { 0.0 },
            valid_seconds: 0.3 * size * (1.0 + 0.2 * more),
            params: self.params,
            macs: self.macs,
            branches: self.forms.iter().map(|form| branches(form).max(1)).sum(),
        });
    }

    fn score(&mut self, epoch: usize, chosen: &[&str]) {
        let mut rows = vec![];
        for i in 0..self.forms.len() {
            let path = self.page.layers[i].path.clone();
            let inner = format!("{path}.kxk.conv");
            let candidate = if matches!(self.forms[i], Form::Plain { .. }) { path } else { inner };
            let value = 10_f64.powf(2.6 * self.noise() - 2.0);
            let value = if chosen.contains(&candidate.as_str()) { 7.0 + value } else { value };
            rows.push((candidate, value));
        }
        let chosen = chosen.iter().map(|path| (*path).to_owned()).collect();
        self.page.scores.push(ScoreTable { epoch, score: "snip".into(), rows, chosen });
    }

    /// The form at a path; `.kxk.conv` leads into a block.
    fn form(&mut self, path: &str) -> &mut Form {
        let layer = path.strip_suffix(".kxk.conv").unwrap_or(path);
        let i = self.page.layers.iter().position(|row| row.path == layer).expect("a layer");
        let form = &mut self.forms[i];
        if layer == path {
            return form;
        }
        let Form::Block { branches, .. } = form else { panic!("{layer} is no block") };
        let kxk = branches.iter_mut().find(|branch| branch.kind == "kxk");
        kxk.and_then(|branch| branch.inside.as_deref_mut()).expect("every block has its kxk")
    }

    fn grow(&mut self, epoch: usize, path: &str) {
        let plain = Some(Box::new(Form::Plain { bias: false }));
        let branch = |kind: &str| BranchRow {
            kind: kind.into(),
            strength: Some(if kind == "kxk" { 1.0 } else { 0.3 }),
            inside: plain.clone().filter(|_| kind.contains("kxk")),
        };
        let branches = kinds().iter().map(|kind| branch(kind)).collect();
        *self.form(path) = Form::Block { branches, norm_after: false };
        let text = format!(
            "grew {path} into {}: its snip of 7.001e0 is the highest of 17 candidates, before \
             layer3.1.conv1 with 6.380e0 (+297.3 k parameters, +1.18 M multiply-adds)",
            kinds().join(" + ")
        );
        self.change(epoch, ChangeKind::Grew, path, text, 297_300, 1_180_000);
    }

    fn cut(&mut self, epoch: usize, path: &str, gone: &[&str]) {
        if let Form::Block { branches, .. } = self.form(path) {
            branches.retain(|branch| !gone.contains(&branch.kind.as_str()));
        }
        let text = format!(
            "cut {} from {path}: below 0.1 and below the block's mean \
             (-115.7 k parameters, -0.46 M multiply-adds)",
            gone.join(", ")
        );
        self.change(epoch, ChangeKind::Cut, path, text, -115_700, -460_000);
    }

    fn change(
        &mut self,
        epoch: usize,
        kind: ChangeKind,
        path: &str,
        text: String,
        params: i64,
        macs: i64,
    ) {
        let (params_before, macs_before) = (self.params, self.macs);
        self.params = params_before.saturating_add_signed(params);
        self.macs = macs_before.saturating_add_signed(macs);
        let (params_after, macs_after) = (self.params, self.macs);
        let path = path.to_owned();
        self.page.changes.push(ChangeRow {
            epoch,
            kind,
            path,
            text,
            params_before,
            params_after,
            macs_before,
            macs_after,
        });
    }

    fn snapshot(&mut self, epoch: usize) {
        let mut forms = self.forms.clone();
        for form in &mut forms {
            self.drift(form);
        }
        self.page.snapshots.push(Snapshot { epoch, forms });
    }

    /// Strengths as they might be after some training.
    fn drift(&mut self, form: &mut Form) {
        if let Form::Block { branches, .. } = form {
            for branch in branches {
                branch.strength = Some(if branch.kind == "kxk" {
                    1.0
                } else {
                    0.9 * self.noise().powi(2) + 0.01
                });
                if let Some(inside) = branch.inside.as_deref_mut() {
                    self.drift(inside);
                }
            }
        }
    }

    fn finish(mut self) -> Page {
        let row = |name: &str, trained: &str, deployed: &str| DeploymentRow {
            name: name.into(),
            trained: trained.into(),
            deployed: deployed.into(),
        };
        self.page.deployment = Some(DeploymentTable {
            rows: vec![
                row("accuracy", "97.22%", "97.22%"),
                row("parameters", "4821382", "2797290"),
                row("multiply-adds per picture", "16.8 M", "8.7 M"),
                row("inference of 64 pictures", "64.8 ms", "35.1 ms"),
            ],
            note: "largest difference of outputs: 1.24e-5 (5.71e-7 of the largest)".into(),
        });
        self.page.state = State::Finished;
        self.page
    }
}
