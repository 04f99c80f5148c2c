//! The record as a page to look at: `report.html`.

use std::path::Path;

use dyrep_burn::{BranchForm, Change, Event, SearchPhase, SearchReport, Structure};

use super::progress::EpochReport;
use super::record::{RunRecord, RunState};
use super::time;
use crate::deployment::Deployment;
use crate::disk::Disk;
use crate::error::TrainError;
use crate::evaluate::ClassAccuracy;
use crate::report::{
    BranchRow, ChangeKind, ChangeRow, ClassRow, Compared, DeploymentRow, DeploymentTable, EpochRow,
    Form, GateRow, LayerRow, Page, ScoreTable, SearchTable, SearchedRow, Snapshot, State,
};

pub(super) fn write(record: &RunRecord, folder: &Path, disk: &dyn Disk) -> Result<(), TrainError> {
    let path = folder.join("report.html");
    disk.write(&path, record.report().as_bytes())
        .map_err(|source| TrainError::Folder { path, source })
}

/// What a record looks like.
pub(super) fn page(record: &RunRecord) -> Page {
    let scores = record.adjustments.iter().map(|adjustment| ScoreTable {
        epoch: adjustment.epoch,
        score: adjustment.score.to_string(),
        rows: adjustment.scores.iter().map(|row| (row.path.clone(), row.score)).collect(),
        chosen: adjustment.events.iter().filter_map(grown).collect(),
    });
    let layer = |(path, geometry, macs): &(String, String, u64)| LayerRow {
        path: path.clone(),
        geometry: geometry.clone(),
        macs: *macs,
    };
    Page {
        title: record.title.clone(),
        description: record.description.clone(),
        state: match record.state.clone() {
            RunState::Running => State::Running,
            RunState::Measuring => State::Measuring,
            RunState::Finished if record.early => State::FinishedEarly,
            RunState::Finished => State::Finished,
            RunState::Stopped(reason) => State::Stopped { reason },
            RunState::Failed(reason) => State::Failed { reason },
        },
        recipe: record.recipe.clone(),
        epochs_planned: record.epochs_planned,
        epochs: record.epochs.iter().map(epoch).collect(),
        changes: record.adjustments.iter().flat_map(|it| &it.events).map(change).collect(),
        scores: scores.collect(),
        layers: record.layers.iter().map(layer).collect(),
        snapshots: snapshots(record),
        search: record.search.as_ref().map(search),
        left_out: record.left_out.clone(),
        notes: record.notes.clone(),
        classes: classes(record),
        deployment: record.deployment.as_ref().map(deployment),
        started: time::utc(record.times[0]),
        updated: time::utc(record.times[1]),
    }
}

/// What a run is among others.
pub(super) fn compared(record: &RunRecord, name: String) -> Compared {
    let figures = |it: &Deployment| (it.accuracy_after.fraction(), it.after.params, it.after.flops);
    Compared {
        name,
        title: record.title.clone(),
        state: record.standing(),
        epochs: record.epochs.iter().map(epoch).collect(),
        deployed: record.deployment.as_ref().map(figures),
    }
}

fn classes(record: &RunRecord) -> Vec<ClassRow> {
    let rows = record.deployment.iter().flat_map(|it| &it.by_class).enumerate();
    let row = |(number, it): (usize, &ClassAccuracy)| ClassRow {
        class: record.classes.get(number).cloned().unwrap_or_else(|| format!("class {number}")),
        pictures: it.pictures,
        correct: it.correct,
        taken_for: it.taken_for.clone(),
    };
    rows.map(row).collect()
}

fn grown(event: &Event) -> Option<String> {
    match &event.change {
        Change::Grew { plan, .. } => Some(plan.chosen.path.clone()),
        Change::Cut { .. } => None,
    }
}

fn epoch(report: &EpochReport) -> EpochRow {
    let known = |value: f64| (!value.is_nan()).then_some(value);
    EpochRow {
        epoch: report.epoch,
        train_loss: report.loss,
        valid_loss: report.valid_loss,
        train_accuracy: known(report.train_accuracy),
        valid_accuracy: known(report.accuracy),
        weights_accuracy: report.weights_accuracy.and_then(known),
        learning_rate: report.learning_rate,
        train_seconds: report.train_seconds,
        adjust_seconds: report.adjust_seconds,
        valid_seconds: report.valid_seconds,
        params: report.params,
        macs: report.macs,
        branches: report.branches,
    }
}

fn change(event: &Event) -> ChangeRow {
    let kind = match event.change {
        Change::Grew { .. } => ChangeKind::Grew,
        Change::Cut { .. } => ChangeKind::Cut,
    };
    ChangeRow {
        epoch: event.epoch,
        kind,
        path: event.change.path().to_owned(),
        text: event.to_string(),
        params_before: event.before.params,
        params_after: event.after.params,
        macs_before: event.before.macs,
        macs_after: event.after.macs,
    }
}

/// The start, and what each adjustment left that changed something.
fn snapshots(record: &RunRecord) -> Vec<Snapshot> {
    let mut structure = record.start.clone();
    let mut all = vec![snapshot(record, &structure, 0)];
    for adjustment in record.adjustments.iter().filter(|it| !it.events.is_empty()) {
        for event in &adjustment.events {
            event
                .change
                .apply(&mut structure)
                .unwrap_or_else(|error| unreachable!("made to the model: {error}"));
        }
        all.push(snapshot(record, &structure, adjustment.epoch));
    }
    if let (Some(search), Some(last)) = (&record.search, record.epochs.last()) {
        let found = search.applied(&record.start);
        let found = found.unwrap_or_else(|error| unreachable!("searched in it: {error}"));
        all.push(snapshot(record, &found, last.epoch));
    }
    all
}

fn snapshot(record: &RunRecord, structure: &Structure, epoch: usize) -> Snapshot {
    let form = |(path, _, _): &(String, String, u64)| form(&structure.layers()[path].form);
    Snapshot { epoch, forms: record.layers.iter().map(form).collect() }
}

fn form(of: &dyrep_burn::Form) -> Form {
    let block = match of {
        dyrep_burn::Form::Plain { bias } => return Form::Plain { bias: *bias },
        dyrep_burn::Form::Block(block) => block,
        dyrep_burn::Form::Stack(stack) => {
            let layers = stack.layers.iter().map(form).collect();
            return Form::Stack { layers, norm_after: stack.norm_after };
        }
    };
    let row = |branch: &BranchForm| BranchRow {
        kind: branch.to_string(),
        strength: None,
        inside: branch
            .conv
            .as_deref()
            .filter(|_| branch.name.kind.nests())
            .map(|inside| Box::new(form(inside))),
    };
    Form::Block { branches: block.running().map(row).collect(), norm_after: block.norm_after }
}

fn search(report: &SearchReport) -> SearchTable {
    let phase = match report.phase {
        SearchPhase::Random => "Masks are drawn at random.",
        SearchPhase::Search => "It searches.",
        SearchPhase::Final => "The search has ended.",
    };
    let gate = |(name, score, chosen): (dyrep_burn::BranchName, f64, bool)| GateRow {
        name: name.to_string(),
        score,
        chosen,
    };
    let row = |(path, branches): (&str, Vec<_>)| SearchedRow {
        path: path.to_owned(),
        branches: branches.into_iter().map(gate).collect(),
    };
    SearchTable { phase: phase.to_owned(), layers: report.rows().map(row).collect() }
}

fn deployment(measured: &Deployment) -> DeploymentTable {
    let row = |name: &str, trained: String, deployed: String| DeploymentRow {
        name: name.to_owned(),
        trained,
        deployed,
    };
    let Deployment { accuracy_before, accuracy_after, before, after, difference, batch, .. } =
        measured;
    let percent = |accuracy: &crate::Accuracy| format!("{:.2} %", 100.0 * accuracy.fraction());
    let flops = |cost: &crate::Cost| format!("{:.1} M", cost.flops as f64 / 1e6);
    let time = |cost: &crate::Cost| format!("{:.1} ms", 1e3 * cost.seconds);
    DeploymentTable {
        rows: vec![
            row("accuracy", percent(accuracy_before), percent(accuracy_after)),
            row("parameters", before.params.to_string(), after.params.to_string()),
            row("multiply-adds for one picture", flops(before), flops(after)),
            row(&format!("inference of {batch} pictures"), time(before), time(after)),
        ],
        note: format!(
            "Outputs differ by at most {:.1e}, {:.1e} of the largest.",
            difference.model.absolute, difference.model.relative
        ),
    }
}
