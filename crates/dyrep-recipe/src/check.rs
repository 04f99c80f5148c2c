//! Keys that do not go together. Each key by itself was checked when it was read.

use dyrep_data::TransformSpec;

use super::Parts;
use super::fault::{Fault, Kind};
use super::optimization::{Method, ScheduleKind};
use super::run::Shipped;
use super::search::SearchRecipe;
use super::strategy::{RepOptimizerRecipe, StrategyRecipe};
use super::tree::{At, Table};

/// All contradictions among the sections that could be read.
pub(super) fn faults(parts: &Parts, root: &Table) -> Vec<Fault> {
    let found = [
        pictures(parts),
        evaluation_resize(parts),
        of_folders(parts),
        normalisation(parts),
        colours(parts),
        mixing(parts),
        nesterov(parts),
        warm_up(parts),
        warm_up_learning_rate(parts),
        one_cycle(parts),
        final_learning_rate(parts),
        chosen_for_nothing(parts),
        epochs_of_growth(parts),
        epochs_of_search(parts),
        best_of_a_search(parts),
        multiplied(parts),
        searched_from_weights(parts),
    ];
    let locate = |clash: Clash| {
        let at = root.locate(clash.path).unwrap_or(At::END);
        let path = clash.path.iter().map(|key| (*key).to_owned()).collect();
        let kind = Kind::Value { expected: clash.expected, found: clash.found };
        Fault { at: Some(at), path, kind }
    };
    found.into_iter().flatten().map(locate).collect()
}

/// A value that another one makes impossible.
struct Clash {
    path: &'static [&'static str],
    expected: String,
    found: String,
}

impl Clash {
    fn new(
        path: &'static [&'static str],
        expected: impl Into<String>,
        found: String,
    ) -> Option<Self> {
        Some(Self { path, expected: expected.into(), found })
    }
}

fn pictures(parts: &Parts) -> Option<Clash> {
    let data = parts.data.as_ref()?;
    let set = data.set.name();
    if let (super::DataSet::Digits, Some(path)) = (data.set, &data.path) {
        let expected = "none, since the digits are part of the program";
        return Clash::new(&["data", "path"], expected, format!("{:?}", path.display()));
    }
    let side = data.set.fixed_side()?;
    let sizes: [(&'static [&'static str], _); 2] = [
        (&["data", "image_size"], data.image_size),
        (&["data", "evaluation_resize"], data.evaluation_resize),
    ];
    let (path, size) = sizes.into_iter().find(|(_, size)| size.is_some_and(|size| size != side))?;
    Clash::new(path, format!("{side}, the side of all pictures of `{set}`"), size?.to_string())
}

fn evaluation_resize(parts: &Parts) -> Option<Clash> {
    let data = parts.data.as_ref().filter(|data| data.set.fixed_side().is_none())?;
    let resize = data.evaluation_resize.filter(|resize| *resize < data.side())?;
    let expected = format!("at least the {} pixels that are cut from it", data.side());
    Clash::new(&["data", "evaluation_resize"], expected, resize.to_string())
}

/// What only the files of a folder can be asked for.
fn of_folders(parts: &Parts) -> Option<Clash> {
    let data = parts.data.as_ref().filter(|data| !data.set.is_folder())?;
    let given: [(&'static [&'static str], Option<String>); 4] = [
        (&["data", "channels"], data.channels.map(|channels| channels.to_string())),
        (&["data", "background"], data.background.map(|colour| format!("{colour:?}"))),
        (&["data", "max_pixels"], data.max_pixels.map(|most| most.to_string())),
        (&["data", "follow_links"], data.follow_links.then(|| true.to_string())),
    ];
    let (path, found) = given.into_iter().find_map(|(path, found)| Some((path, found?)))?;
    Clash::new(
        path,
        format!("none for `{}`, which is no folder of pictures", data.set.name()),
        found,
    )
}

/// A mean and a deviation for each channel, or neither.
fn normalisation(parts: &Parts) -> Option<Clash> {
    let data = parts.data.as_ref()?;
    let (mean, std) = match (&data.mean, &data.std) {
        (None, None) => return None,
        (Some(mean), None) => {
            let path = &["data", "mean"];
            return Clash::new(path, "`std` beside it", format!("{mean:?}"));
        }
        (None, Some(std)) => {
            return Clash::new(&["data", "std"], "`mean` beside it", format!("{std:?}"));
        }
        (Some(mean), Some(std)) => (mean, std),
    };
    let channels = data.channels().count();
    let given: [(&'static [&'static str], _); 2] =
        [(&["data", "mean"], mean), (&["data", "std"], std)];
    let (path, values) = given.into_iter().find(|(_, values)| values.len() != channels)?;
    Clash::new(
        path,
        format!("one number for each of the {channels} channels"),
        format!("{values:?}"),
    )
}

/// A colour has one number for all channels, or one for each.
fn colours(parts: &Parts) -> Option<Clash> {
    let channels = parts.data.as_ref()?.channels().count();
    let mut fills = parts.augmentation.as_ref()?.train.iter().filter_map(TransformSpec::fill);
    let fill = fills.find(|fill| ![1, channels].contains(&fill.values().len()))?;
    let expected = format!("a `fill` of one number, or of one for each of the {channels} channels");
    Clash::new(&["augmentation", "train"], expected, format!("{:?}", fill.values()))
}

fn mixing(parts: &Parts) -> Option<Clash> {
    let augmentation = parts.augmentation.as_ref()?;
    let (mixup, cutmix) = (augmentation.mixup?, augmentation.cutmix?);
    let both = mixup.probability + cutmix.probability;
    // Shares such as 0.7 and 0.3 may add to a little more than 1.
    if both <= 1.0 + 1e-9 {
        return None;
    }
    let expected = "at most 1 together with that of [augmentation.mixup]: a batch gets one of them";
    let path = &["augmentation", "cutmix", "probability"];
    Clash::new(path, expected, format!("{} and {}", mixup.probability, cutmix.probability))
}

fn nesterov(parts: &Parts) -> Option<Clash> {
    let Method::Sgd { momentum, nesterov } = parts.optimizer.as_ref()?.method else {
        return None;
    };
    let alone = nesterov && momentum == 0.0;
    let expected = "false without momentum, which it is a variant of";
    alone.then(|| Clash::new(&["optimizer", "nesterov"], expected, true.to_string()))?
}

fn warm_up(parts: &Parts) -> Option<Clash> {
    let schedule = parts.schedule.as_ref()?;
    let epochs = schedule.epochs;
    let too_long = schedule.warm_up_epochs >= epochs;
    let expected = format!("fewer than the run's {epochs} epochs");
    too_long.then(|| {
        Clash::new(&["schedule", "warm_up_epochs"], expected, schedule.warm_up_epochs.to_string())
    })?
}

fn warm_up_learning_rate(parts: &Parts) -> Option<Clash> {
    let schedule = parts.schedule.as_ref()?;
    let (first, path) = (schedule.warm_up_learning_rate, &["schedule", "warm_up_learning_rate"]);
    if first > 0.0 && schedule.warm_up_epochs == 0 {
        return Clash::new(path, "`warm_up_epochs` beside it", format!("{first:?}"));
    }
    let highest = parts.optimizer.as_ref()?.learning_rate;
    let expected = format!("at most the learning rate of {highest:?}");
    (first > highest).then(|| Clash::new(path, expected, format!("{first:?}")))?
}

/// One cycle has a start and an end of its own.
fn one_cycle(parts: &Parts) -> Option<Clash> {
    let schedule = parts.schedule.as_ref()?;
    if !matches!(schedule.kind, ScheduleKind::OneCycle { .. }) {
        return None;
    }
    let (warm_up, last) = (schedule.warm_up_epochs, schedule.final_learning_rate);
    let given: [(&'static [&'static str], _); 2] = [
        (&["schedule", "warm_up_epochs"], (warm_up > 0).then(|| warm_up.to_string())),
        (&["schedule", "final_learning_rate"], (last > 0.0).then(|| format!("{last:?}"))),
    ];
    let (path, found) = given.into_iter().find_map(|(path, found)| Some((path, found?)))?;
    let expected =
        "none for `one_cycle`, which has `pct_start`, `div_factor` and `final_div_factor`";
    Clash::new(path, expected, found)
}

fn final_learning_rate(parts: &Parts) -> Option<Clash> {
    let (schedule, optimizer) = (parts.schedule.as_ref()?, parts.optimizer.as_ref()?);
    let (last, highest) = (schedule.final_learning_rate, optimizer.learning_rate);
    let expected = format!("at most the learning rate of {highest:?}");
    let path = &["schedule", "final_learning_rate"];
    (last > highest).then(|| Clash::new(path, expected, format!("{last:?}")))?
}

fn chosen_for_nothing(parts: &Parts) -> Option<Clash> {
    let StrategyRecipe::DyRep(growth) = parts.strategy.as_ref()? else {
        return None;
    };
    let alone = growth.start.is_none() && !growth.only.is_default();
    let expected = "`start` beside it, which says what the chosen convolutions start with";
    alone.then(|| Clash::new(&["strategy", "only"], expected, "none".to_owned()))?
}

fn epochs_of_growth(parts: &Parts) -> Option<Clash> {
    let StrategyRecipe::DyRep(growth) = parts.strategy.as_ref()? else {
        return None;
    };
    let (first, last) = (growth.config.first_epoch, growth.last_epoch?);
    let expected = format!("not before the first epoch, {first}");
    (last < first).then(|| Clash::new(&["strategy", "last_epoch"], expected, last.to_string()))?
}

/// A search must end within the run, and begin before it ends.
fn epochs_of_search(parts: &Parts) -> Option<Clash> {
    let StrategyRecipe::RepNas(recipe) = parts.strategy.as_ref()? else {
        return None;
    };
    let epochs = parts.schedule.as_ref()?.epochs;
    let config = recipe.search(epochs, 0)?;
    if config.search_until > epochs {
        let expected = format!("at most the run's {epochs} epochs");
        let found = config.search_until.to_string();
        return Clash::new(&["strategy", "search_until"], expected, found);
    }
    let expected = format!("fewer than the {} of `search_until`", config.search_until);
    let found = config.random_until.to_string();
    let late = config.random_until >= config.search_until;
    late.then(|| Clash::new(&["strategy", "random_until"], expected, found))?
}

/// Until its last phase a search is of other networks than the one that it ends with: none of them is the best of the run,
/// and the run does not end with one.
fn best_of_a_search(parts: &Parts) -> Option<Clash> {
    let StrategyRecipe::RepNas(SearchRecipe { structure: None, .. }) = parts.strategy.as_ref()?
    else {
        return None;
    };
    let evaluation = parts.evaluation.as_ref()?;
    if let Some(epochs) = evaluation.early_stopping {
        let expected = "none for a search, which ends with its last phase";
        return Clash::new(&["evaluation", "early_stopping"], expected, epochs.to_string());
    }
    let expected = "`last` for a search, whose earlier epochs are of other networks";
    let is_best = evaluation.ship == Shipped::Best;
    is_best.then(|| Clash::new(&["evaluation", "ship"], expected, "`best`".to_owned()))?
}

/// Steps of these are those of the blocks, multiplied; of no others.
fn multiplied(parts: &Parts) -> Option<Clash> {
    let (StrategyRecipe::RepOptimizer(RepOptimizerRecipe { search: false, .. }), optimizer) =
        (parts.strategy.as_ref()?, parts.optimizer.as_ref()?)
    else {
        return None;
    };
    let name = optimizer.method.name();
    let stands = matches!(optimizer.method, Method::Sgd { .. } | Method::AdamW { .. });
    let expected = "`sgd` or `adamw` for the strategy `repoptimizer`: steps of others are not those of its blocks";
    (!stands).then(|| Clash::new(&["optimizer", "name"], expected, format!("{name:?}")))?
}

/// A search is of blocks at their start.
fn searched_from_weights(parts: &Parts) -> Option<Clash> {
    let (StrategyRecipe::RepOptimizer(RepOptimizerRecipe { search: true, .. }), Some(weights)) =
        (parts.strategy.as_ref()?, &parts.model.as_ref()?.weights)
    else {
        return None;
    };
    let expected = "none for a `search` of `repoptimizer`, which starts anew";
    Clash::new(&["model", "weights"], expected, format!("{:?}", weights.display()))
}
