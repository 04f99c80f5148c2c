//! A plot of several curves, or of points, as SVG that needs no script.

use std::fmt::Write as _;

use super::html::{escape, number};

/// Width and height in the SVG's own units, and where the axes begin: left, top, right, bottom.
const SIZE: [f64; 2] = [720.0, 360.0];
const MARGIN: [f64; 4] = [84.0, 12.0, 24.0, 48.0];
/// Colours that people with other colour vision tell apart (Okabe and Ito, 2008), then the same with dashes.
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"];
const DASHES: [&str; 4] = ["none", "7 4", "2 3", "10 3 2 3"];
/// Marks on an axis, about.
const TICKS: f64 = 6.0;

/// One run's values.
pub(super) struct Curve {
    /// Its place among the runs, which decides its colour.
    pub(super) run: usize,
    /// Where x and y are numbers.
    pub(super) points: Vec<[f64; 2]>,
}

/// What a plot shows.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    /// What x and y are.
    pub(super) axes: [&'a str; 2],
    pub(super) curves: Vec<Curve>,
    /// Whether the points of a curve are joined; they are then of epochs, of which there is no half.
    pub(super) joined: bool,
}

/// How a run's curve is drawn: its colour and its dashes.
pub(super) fn style(run: usize) -> [&'static str; 2] {
    [COLOURS[run % COLOURS.len()], DASHES[run / COLOURS.len() % DASHES.len()]]
}

/// Values and where they lie.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
    place: [f64; 2],
}

impl Axis {
    /// From a round number below the smallest value to one above the largest; marks are `least` apart at least.
    fn of(values: impl Iterator<Item = f64>, least: f64, place: [f64; 2]) -> Option<Self> {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        // One value alone gets room around it.
        let room = if high > low { high - low } else { high.abs().max(1.0) };
        let rough = room / TICKS;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * power).find(|it| *it >= rough);
        let step = step.unwrap_or(power).max(least);
        Some(Self {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            step,
            place,
        })
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low).max(self.step);
        self.place[0] + share * (self.place[1] - self.place[0])
    }

    /// A mark's value, with as many digits as tell it from its neighbours.
    fn told(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).max(0.0);
        match digits > 8.0 || self.high.abs().max(self.low.abs()) >= 1e6 {
            true => number(tick),
            false => format!("{tick:.0$}", digits as usize),
        }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|tick| self.low + self.step * tick as f64)
    }
}

impl Plot<'_> {
    /// The drawing; nothing where there is no value.
    pub(super) fn svg(&self) -> Option<String> {
        let [left, top, right, bottom] = MARGIN;
        let finite = |point: &&[f64; 2]| point.iter().all(|value| value.is_finite());
        let points = || self.curves.iter().flat_map(|curve| &curve.points).filter(finite);
        let x = Axis::of(
            points().map(|point| point[0]),
            if self.joined { 1.0 } else { 0.0 },
            [left, SIZE[0] - right],
        )?;
        let y = Axis::of(points().map(|point| point[1]), 0.0, [SIZE[1] - bottom, top])?;
        let mut svg = format!(
            "<svg class=\"plot\" role=\"img\" viewBox=\"0 0 {} {}\" aria-label=\"{}\">",
            SIZE[0],
            SIZE[1],
            escape(self.title)
        );
        self.draw_axes(&x, &y, &mut svg);
        for curve in &self.curves {
            let [colour, dashes] = style(curve.run);
            let places: Vec<[f64; 2]> =
                curve.points.iter().filter(finite).map(|it| [x.at(it[0]), y.at(it[1])]).collect();
            if self.joined {
                let line: Vec<String> =
                    places.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
                let _ = write!(
                    svg,
                    "<polyline points=\"{}\" stroke=\"{colour}\" stroke-dasharray=\"{dashes}\"/>",
                    line.join(" ")
                );
            }
            let size = if self.joined { 2.5 } else { 6.0 };
            for [x, y] in places {
                let _ = write!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\" fill=\"{colour}\"/>"
                );
            }
            if let (false, Some([x, y])) =
                (self.joined, curve.points.first().map(|it| [x.at(it[0]), y.at(it[1])]))
            {
                let _ = write!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    x + 9.0,
                    y - 7.0,
                    1 + curve.run
                );
            }
        }
        Some(svg + "</svg>")
    }

    fn draw_axes(&self, x: &Axis, y: &Axis, svg: &mut String) {
        let [left, top, right, bottom] = MARGIN;
        let [width, height] = SIZE;
        for tick in y.ticks() {
            let at = y.at(tick);
            let _ = write!(
                svg,
                "<line x1=\"{left}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{}\" \
                 y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                width - right,
                left - 8.0,
                at + 4.0,
                y.told(tick)
            );
        }
        for tick in x.ticks() {
            let at = x.at(tick);
            let _ = write!(
                svg,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{}\"/><text class=\"tick\" x=\"{at:.1}\" \
                 y=\"{}\" text-anchor=\"middle\">{}</text>",
                height - bottom,
                height - bottom + 18.0,
                x.told(tick)
            );
        }
        let middle = f64::midpoint(top, height - bottom);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"14\" y=\"{middle}\" \
             text-anchor=\"middle\" transform=\"rotate(-90 14 {middle})\">{}</text>",
            f64::midpoint(left, width - right),
            height - 8.0,
            escape(self.axes[0]),
            escape(self.axes[1])
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round_and_hold_every_value() {
        for values in [vec![0.0, 1.0], vec![0.913, 0.977], vec![3.0], vec![-2e-5, 7e9], vec![0.0]] {
            let axis = Axis::of(values.iter().copied(), 0.0, [0.0, 100.0]).unwrap();
            for value in &values {
                let at = axis.at(*value);
                assert!((-1e-9..=100.0 + 1e-9).contains(&at), "{values:?}: {at}");
            }
            let ticks = axis.ticks().count();
            assert!((1..=12).contains(&ticks), "{values:?}: {ticks}");
        }
        let epochs = Axis::of([1.0, 4.0].into_iter(), 1.0, [0.0, 1.0]).unwrap();
        let told: Vec<String> = epochs.ticks().map(|tick| epochs.told(tick)).collect();
        assert_eq!(told, ["1", "2", "3", "4"]);
        let shares = Axis::of([0.21, 0.78].into_iter(), 0.0, [0.0, 1.0]).unwrap();
        assert_eq!(shares.told(0.3), "0.3");
        assert!(Axis::of(std::iter::empty(), 0.0, [0.0, 1.0]).is_none());
    }

    #[test]
    fn what_is_no_number_is_not_drawn() {
        let plot = |points| Plot {
            title: "a <title>",
            axes: ["epoch", "loss"],
            curves: vec![Curve { run: 0, points }],
            joined: true,
        };
        let svg = plot(vec![[1.0, 2.0], [2.0, f64::NAN], [3.0, 1.0]]).svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &lt;title&gt;") && !svg.contains("NaN"));
        assert!(plot(vec![[1.0, f64::INFINITY]]).svg().is_none());
    }
}
