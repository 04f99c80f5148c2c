//! Devices by name.
//!
//! `flex` and `ndarray` run on the CPU; `cuda`, `rocm`, `vulkan`, `wgpu` and `metal` on a GPU, the best one,
//! or with `:N` the N-th that the backend lists. A backend is there if its cargo feature is.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::error::DeviceError;

/// Opens the best device of a backend, or the one of the given number; `Err` says what is there.
type Open = fn(Option<usize>) -> Result<Device, String>;

/// A backend: its name, which is its feature's too, and how to open a device of it.
struct Backend {
    name: &'static str,
    /// None if it is not compiled in.
    open: Option<Open>,
    numbered: bool,
}

/// A backend that is there if `$feature` is.
macro_rules! backend {
    ($feature:literal, numbered: $numbered:literal, $open:expr) => {{
        #[cfg(feature = $feature)]
        let open: Option<Open> = Some($open);
        #[cfg(not(feature = $feature))]
        let open = None;
        Backend { name: $feature, open, numbered: $numbered }
    }};
}

/// Whether a device is this processor, so that its tensors may as well be computed here.
pub(crate) fn is_here(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    let here = device.clone().without_autodiff() == Device::flex();
    #[cfg(not(feature = "flex"))]
    let here = {
        let _ = device;
        false
    };
    here
}

/// The device that a module is on; its first, where it is on several.
pub(crate) fn home<M: Module>(module: &M) -> Device {
    module.devices().into_iter().next().unwrap_or_default()
}

/// All backends, the preferred first.
#[allow(deprecated, reason = "Burn will drop ndarray for flex; until then users ask for it")]
fn backends() -> [Backend; 7] {
    [
        backend!("cuda", numbered: true, |number| {
            numbered(number, Device::cuda, burn::tensor::DeviceType::Cuda)
        }),
        backend!("rocm", numbered: true, |number| {
            numbered(number, Device::rocm, burn::tensor::DeviceType::Rocm)
        }),
        backend!("metal", numbered: true, |number| {
            best_or_listed(number, Device::metal, burn::tensor::DeviceType::Metal)
        }),
        backend!("vulkan", numbered: true, |number| {
            best_or_listed(number, Device::vulkan, burn::tensor::DeviceType::Vulkan)
        }),
        backend!("wgpu", numbered: true, |number| {
            best_or_listed(number, Device::wgpu, burn::tensor::DeviceType::Wgpu)
        }),
        backend!("ndarray", numbered: false, |_| Ok(Device::ndarray())),
        backend!("flex", numbered: false, |_| Ok(Device::flex())),
    ]
}

/// CUDA and ROCm number their devices.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn numbered(
    number: Option<usize>,
    open: fn(usize) -> Device,
    kind: burn::tensor::DeviceType,
) -> Result<Device, String> {
    let number = number.unwrap_or(0);
    match Device::enumerate(kind).len() {
        count if number < count => Ok(open(number)),
        count => Err(format!("the backend lists {count} device(s)")),
    }
}

/// The wgpu family has a best device, and a list.
#[cfg(feature = "wgpu")]
fn best_or_listed(
    number: Option<usize>,
    open: fn(burn::tensor::DeviceKind) -> Device,
    kind: burn::tensor::DeviceType,
) -> Result<Device, String> {
    let listed = Device::enumerate(kind);
    match number {
        _ if listed.is_empty() => Err("the backend lists no device".to_owned()),
        None => Ok(open(burn::tensor::DeviceKind::DefaultDevice)),
        Some(number) => match listed.get(number) {
            Some(device) => Ok(device.clone()),
            None => Err(format!("the backend lists {} device(s)", listed.len())),
        },
    }
}

/// The names of the backends in this program, the preferred first.
#[must_use]
pub fn available() -> Vec<&'static str> {
    backends().iter().filter(|backend| backend.open.is_some()).map(|backend| backend.name).collect()
}

/// The name of the device to use if none is asked for: the first of [`available`].
#[must_use]
pub fn default_name() -> &'static str {
    available().first().copied().unwrap_or("flex")
}

/// Opens the device called `name`: a backend, or `BACKEND:N`. Without autodiff; tried out with a small sum.
///
/// # Errors
/// A name that is no device's, a backend that is not compiled in, a device that is not on this machine.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let (backend_name, number) = match name.split_once(':') {
        Some((backend, number)) => (backend, Some(number)),
        None => (name, None),
    };
    let available = available().join(", ");
    let Some(backend) = backends().into_iter().find(|backend| backend.name == backend_name) else {
        return Err(DeviceError::Unknown { name: name.to_owned(), available });
    };
    let Some(open) = backend.open else {
        let backend = backend.name.to_owned();
        return Err(DeviceError::NotCompiled { name: name.to_owned(), backend, available });
    };
    let bad_index = |expected: String| DeviceError::BadIndex { name: name.to_owned(), expected };
    let number = match number {
        None => None,
        Some(_) if !backend.numbered => {
            return Err(bad_index(format!("`{backend_name}` alone: it has one device")));
        }
        Some(number) => Some(number.parse::<usize>().map_err(|_| {
            bad_index(format!("`{backend_name}` or `{backend_name}:N` with a number N from 0"))
        })?),
    };
    try_out(open, number)
        .map_err(|reason| DeviceError::Unavailable { name: name.to_owned(), reason })
}

/// Threads that try out a device.
static TRYING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether panics of this thread are not told: they become errors.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps this thread's panics from being told, and no other's.
pub(crate) struct Quiet(bool);

impl Quiet {
    pub(crate) fn new() -> Self {
        static HOOK: Once = Once::new();
        // What tells of panics is the process's, and is put in place once.
        HOOK.call_once(|| {
            let told = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // Backends start devices on threads of their own.
                let starts = || {
                    let thread = std::thread::current();
                    TRYING.load(Ordering::Relaxed) > 0
                        && thread.name().is_some_and(|name| name.starts_with("DS"))
                };
                if !QUIET.get() && !starts() {
                    told(panic);
                }
            }));
        });
        TRYING.fetch_add(1, Ordering::Relaxed);
        Self(QUIET.replace(true))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        TRYING.fetch_sub(1, Ordering::Relaxed);
        QUIET.set(self.0);
    }
}

/// What a panic says, if it is a text.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())
}

/// Opens a device and computes on it. Backends panic where a driver is missing: that becomes the reason.
fn try_out(open: Open, number: Option<usize>) -> Result<Device, String> {
    let _quiet = Quiet::new();
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let device = open(number)?;
        let sum = Tensor::<1>::ones([2], &device).sum().into_data();
        match sum.iter::<f64>().next() {
            Some(2.0) => Ok(device),
            other => Err(format!("1 + 1 gave {other:?} on it")),
        }
    }));
    opened.unwrap_or_else(|panic| {
        Err(panic_text(&*panic).unwrap_or("the backend could not start").to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_device_computes() {
        device(default_name()).unwrap();
        device("flex").unwrap();
    }

    #[test]
    fn an_unknown_device_is_named_with_what_there_is() {
        let error = device("gpu0").unwrap_err().to_string();
        assert!(error.starts_with("unknown device `gpu0`; this program can use: "), "{error}");
        assert!(error.contains("flex"), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        let error = device("cuda:0").unwrap_err().to_string();
        assert!(error.contains("build with `--features cuda`"), "{error}");
    }

    #[test]
    fn a_number_is_refused_where_there_is_one_device() {
        let error = device("flex:1").unwrap_err().to_string();
        assert_eq!(error, "device `flex:1`: expected `flex` alone: it has one device");
    }
}
