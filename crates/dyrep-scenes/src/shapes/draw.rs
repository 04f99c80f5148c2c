//! What shapes cover and what is painted on them.
//!
//! Additions, multiplications, divisions and comparisons of `f64` only, so the pixels are the same on every machine.

use dyrep_data::SampleRng;

/// The kinds of shapes, which are the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Circle,
    Square,
    Triangle,
    Star,
    Ring,
    Cross,
}

impl Kind {
    /// All of them with their names, by class.
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Circle, "circle"),
        (Self::Square, "square"),
        (Self::Triangle, "triangle"),
        (Self::Star, "star"),
        (Self::Ring, "ring"),
        (Self::Cross, "cross"),
    ];

    /// Whether the shape of radius 1 around the origin covers a point.
    fn covers(self, [u, v]: [f64; 2]) -> bool {
        let (wide, high) = (u.abs(), v.abs());
        let beyond = u * u + v * v;
        // Equilateral, its tips on the circle of radius 1; 1.732 is √3.
        let triangle = |v: f64| v <= 0.5 && v >= 1.732 * wide - 1.0;
        match self {
            Self::Circle => beyond <= 1.0,
            Self::Square => wide.max(high) <= 0.75,
            Self::Triangle => triangle(v),
            // Of six points: two triangles.
            Self::Star => triangle(v) || triangle(-v),
            Self::Ring => (0.36..=1.0).contains(&beyond),
            Self::Cross => wide.max(high) <= 0.95 && wide.min(high) <= 0.3,
        }
    }
}

/// How two colours are laid out.
#[derive(Clone, Copy, Debug)]
enum Texture {
    Stripes,
    Checks,
    Noise,
}

/// One shape in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) class: usize,
    kind: Kind,
    /// In pixels.
    centre: [f64; 2],
    radius: f64,
    /// Cosine and sine of its turn.
    turn: [f64; 2],
    texture: Texture,
    /// Stripes or checks in a radius.
    cells: f64,
    colours: [[f64; 3]; 2],
}

impl Figure {
    /// A figure with its centre in the picture, of a radius among those given, in pixels.
    pub(super) fn new([width, height]: [u32; 2], radii: [f64; 2], rng: &mut SampleRng) -> Self {
        let class = rng.below(Kind::ALL.len() as u32) as usize;
        let radius = rng.uniform(radii[0], radii[1]);
        let centre = [width, height].map(|side| rng.uniform(0.0, f64::from(side)));
        // A quarter turn either way, by half-angle tangents, without a sine that machines differ in.
        let tangent = rng.uniform(-1.0, 1.0);
        let (square, one) = (tangent * tangent, 1.0 + tangent * tangent);
        let turn = [(1.0 - square) / one, 2.0 * tangent / one];
        let textures = [Texture::Stripes, Texture::Checks, Texture::Noise];
        let texture = textures[rng.below(textures.len() as u32) as usize];
        let cells = rng.uniform(1.5, 4.0);
        let mut colour = || [0; 3].map(|_| rng.uniform(0.0, 256.0));
        let colours = [colour(), colour()];
        let kind = Kind::ALL[class].0;
        Self { class, kind, centre, radius, turn, texture, cells, colours }
    }

    /// A pixel's centre in the figure's own coordinates.
    fn local(&self, [x, y]: [u32; 2]) -> [f64; 2] {
        let [x, y] = [(x, 0), (y, 1)]
            .map(|(at, axis)| (f64::from(at) + 0.5 - self.centre[axis]) / self.radius);
        let [cosine, sine] = self.turn;
        [cosine * x + sine * y, cosine * y - sine * x]
    }

    /// The pixels of a picture that it covers, row by row.
    pub(super) fn pixels(&self, [width, height]: [u32; 2]) -> Vec<[u32; 2]> {
        // No shape leaves the circle of 1.35 radii; a cast saturates.
        let range = |axis: usize, side: u32| {
            let reach = 1.35 * self.radius;
            let (from, to) = (self.centre[axis] - reach, self.centre[axis] + reach);
            from as u32..(to.ceil() as u32).min(side)
        };
        let rows = range(1, height);
        let all = rows.flat_map(|y| range(0, width).map(move |x| [x, y]));
        all.filter(|pixel| self.kind.covers(self.local(*pixel))).collect()
    }

    /// The colour of one of its pixels.
    pub(super) fn colour(&self, pixel: [u32; 2], rng: &mut SampleRng) -> [u8; 3] {
        let [u, v] = self.local(pixel).map(|at| (at * self.cells).floor());
        let is_odd = |cell: f64| cell.rem_euclid(2.0) >= 1.0;
        let share = match self.texture {
            Texture::Stripes => f64::from(u8::from(is_odd(v))),
            Texture::Checks => f64::from(u8::from(is_odd(u + v))),
            Texture::Noise => rng.uniform(0.0, 1.0),
        };
        let grain = rng.uniform(-8.0, 8.0);
        let [first, second] = self.colours;
        // A cast saturates.
        [0, 1, 2].map(|at| (first[at] + share * (second[at] - first[at]) + grain) as u8)
    }
}
