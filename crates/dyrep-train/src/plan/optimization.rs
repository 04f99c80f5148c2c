//! How the loss is lowered, from a recipe's words to what does it.

use dyrep_data::Dataset;

use crate::classifier::Loss;
use crate::error::TrainError;
use crate::optimizer::{GroupsConfig, Method, OptimizerConfig, ParameterGroup};
use crate::recipe::{
    ClassWeightsRecipe, GroupRecipe, LossRecipe, MethodRecipe, MomentsRecipe, OptimizerRecipe,
    ScheduleKind, ScheduleRecipe,
};
use crate::schedule::{Decay, Plateau, Schedule};

pub(super) fn learning_rate(
    recipe: &ScheduleRecipe,
    rate: f64,
    steps_per_epoch: usize,
) -> Schedule {
    let decay = match recipe.kind.clone() {
        ScheduleKind::Cosine => Decay::Cosine,
        ScheduleKind::Step { milestones, factor } => Decay::Steps {
            milestones: milestones.iter().map(|epoch| epoch * steps_per_epoch).collect(),
            factor,
        },
        ScheduleKind::Poly { power } => Decay::Poly { power },
        ScheduleKind::OneCycle { pct_start, div_factor, final_div_factor } => {
            Decay::OneCycle { pct_start, div_factor, final_div_factor }
        }
        ScheduleKind::Plateau { factor, patience, threshold, cooldown } => Decay::Plateau {
            plateau: Plateau { factor, patience, threshold, cooldown },
            steps_per_epoch,
        },
    };
    Schedule::cosine(rate, recipe.epochs * steps_per_epoch)
        .with_last_rate(recipe.final_learning_rate)
        .with_warm_up(recipe.warm_up_epochs * steps_per_epoch)
        .with_first_rate(recipe.warm_up_learning_rate)
        .with_decay(decay)
}

pub(super) fn optimizer_config(recipe: &OptimizerRecipe) -> OptimizerConfig {
    let OptimizerRecipe { weight_decay, decay_norms_and_biases, .. } = *recipe;
    let method = match recipe.method {
        MethodRecipe::Sgd { momentum, nesterov } => Method::Sgd { momentum, nesterov },
        MethodRecipe::AdamW(MomentsRecipe { betas, epsilon }) => Method::AdamW { betas, epsilon },
        MethodRecipe::Adam(MomentsRecipe { betas, epsilon }) => Method::Adam { betas, epsilon },
        MethodRecipe::Lamb(MomentsRecipe { betas, epsilon }) => Method::Lamb { betas, epsilon },
        MethodRecipe::RmsProp { alpha, epsilon, momentum } => {
            Method::RmsProp { alpha, epsilon, momentum }
        }
    };
    OptimizerConfig { method, weight_decay, decay_norms_and_biases }
}

pub(super) fn groups(recipe: &OptimizerRecipe) -> GroupsConfig {
    let group = |group: &GroupRecipe| {
        let GroupRecipe { learning_rate_scale, weight_decay, frozen, .. } = *group;
        ParameterGroup {
            matching: group.matching.clone(),
            learning_rate_scale: learning_rate_scale.unwrap_or(1.0),
            weight_decay,
            frozen,
        }
    };
    let groups = recipe.groups.iter().map(group).collect();
    GroupsConfig { layer_decay: recipe.layer_decay, groups }
}

pub(super) fn loss(recipe: &LossRecipe, set: &dyn Dataset) -> Result<Loss, TrainError> {
    let class_weights = match &recipe.class_weights {
        None => None,
        Some(ClassWeightsRecipe::Balanced) => Some(Loss::balanced_weights(set)?),
        Some(ClassWeightsRecipe::Each(weights)) => {
            Some(weights.iter().map(|weight| *weight as f32).collect())
        }
    };
    let loss = Loss { label_smoothing: recipe.label_smoothing, class_weights };
    loss.check(set.classes().len())?;
    Ok(loss)
}
