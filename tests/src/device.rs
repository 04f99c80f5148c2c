//! The device that the tests run on, and what its arithmetic is held to.
//!
//! It is flex, or what `DYREP_TEST_DEVICE` names, as `--device` of the program does; its backend must be compiled in:
//!
//! ```text
//! DYREP_TEST_DEVICE=wgpu cargo test --workspace --features dyrep-tests/wgpu
//! ```
//!
//! What tests compare *with* stays on flex: the CPU in double precision or by tensor operations is the reference.

// What is skipped is told.
#![allow(clippy::print_stderr)]

use std::sync::LazyLock;

use burn::tensor::{DType, Device, TensorData};

use crate::close::relative_difference_of;

/// Names the device.
const VARIABLE: &str = "DYREP_TEST_DEVICE";

/// How a backend computes.
#[derive(Clone, Copy, Debug)]
struct Arithmetic {
    /// Its name.
    backend: &'static str,
    /// Of a result's largest value: what is allowed at least, whatever a test asks for in single precision.
    rounding: f64,
    /// Whether the same operations give the same bits.
    repeats: bool,
    /// Of the random cases of a test, how many are tried: a backend that compiles a kernel for each shape takes long.
    cases: f64,
}

/// Products of `f32` in tf32, which has 11 bits: 2⁻¹¹ a factor, and sums of them.
const TF32: f64 = 5e-3;

/// Of the random cases, where each new shape costs a compilation of seconds.
const COMPILED: f64 = 0.014;

const BACKENDS: [Arithmetic; 7] = [
    Arithmetic { backend: "flex", rounding: 0.0, repeats: true, cases: 1.0 },
    Arithmetic { backend: "ndarray", rounding: 0.0, repeats: true, cases: 1.0 },
    Arithmetic { backend: "wgpu", rounding: 1e-5, repeats: false, cases: COMPILED },
    Arithmetic { backend: "vulkan", rounding: 1e-5, repeats: false, cases: COMPILED },
    Arithmetic { backend: "metal", rounding: 1e-5, repeats: false, cases: COMPILED },
    Arithmetic { backend: "cuda", rounding: TF32, repeats: false, cases: COMPILED },
    Arithmetic { backend: "rocm", rounding: TF32, repeats: false, cases: COMPILED },
];

/// The name asked for.
static NAME: LazyLock<String> =
    LazyLock::new(|| std::env::var(VARIABLE).unwrap_or_else(|_| "flex".to_owned()));

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    dyrep_train::device(&NAME).unwrap_or_else(|error| panic!("{VARIABLE}: {error}"))
});

fn arithmetic() -> Arithmetic {
    let backend = NAME.split(':').next().unwrap_or_default();
    let known = BACKENDS.into_iter().find(|known| known.backend == backend);
    known.unwrap_or_else(|| panic!("{VARIABLE}: no backend is called `{backend}`"))
}

/// The device under test, without autodiff.
///
/// # Panics
/// If `DYREP_TEST_DEVICE` names a device that is not there.
pub fn under_test() -> Device {
    DEVICE.clone()
}

/// Whether the device is the reference itself: then its kernels are tested too, and what they do to the bit.
pub fn is_flex() -> bool {
    arithmetic().backend == "flex"
}

/// What the device under test is allowed where flex is allowed `tolerance`; both relative to a largest value.
pub fn allowed(tolerance: f64) -> f64 {
    tolerance.max(arithmetic().rounding)
}

/// `count` random cases on flex, fewer where every shape costs a compilation; at least one.
pub fn fewer(count: u64) -> u64 {
    ((count as f64 * arithmetic().cases) as u64).max(1)
}

/// Whether the device computes in a type; a test says that it skips what is not there.
pub fn computes(dtype: DType) -> bool {
    let there = under_test().supports_dtype(dtype);
    if !there {
        eprintln!("skipped on {}: {dtype:?}", *NAME);
    }
    there
}

/// Fails unless two results of the same operations are the same: to the bit where the device repeats itself.
///
/// # Panics
/// Then.
pub fn assert_repeated(what: &str, got: &TensorData, want: &TensorData) {
    if arithmetic().repeats {
        assert_eq!(got, want, "{what}");
        return;
    }
    assert_eq!((got.shape(), got.dtype()), (want.shape(), want.dtype()), "{what}");
    let [got, want] = [got, want].map(|data| data.iter::<f64>().collect::<Vec<_>>());
    let difference = relative_difference_of(&got, &want);
    assert!(difference <= allowed(0.0), "{what}: {difference:.1e}");
}
