//! The allocator's habit of giving memory back, and how a program that trains breaks it.

/// A parameter of the allocator, its new value, and what it is unless somebody changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    parameter: i32,
    value: i32,
    default: i32,
}

/// `M_MMAP_THRESHOLD`, `M_TRIM_THRESHOLD` and `M_ARENA_MAX` of glibc's `malloc.h`.
///
/// The threshold is first: it is what a C library may refuse, as being too large, and then nothing has changed. What
/// one thread has freed is there for all with a single arena; large tensors are few, so threads hardly meet.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu")), allow(dead_code))]
const SETTINGS: [Setting; 3] = [
    Setting { parameter: -3, value: 1 << 30, default: 128 << 10 },
    Setting { parameter: -1, value: i32::MAX, default: 128 << 10 },
    Setting { parameter: -8, value: 1, default: 0 },
];

/// Makes all settings, or none: where one is refused, those before it are taken back.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu")), allow(dead_code))]
fn set_all(settings: &[Setting], mut set: impl FnMut(i32, i32) -> bool) -> bool {
    for (number, setting) in settings.iter().enumerate() {
        if !set(setting.parameter, setting.value) {
            for earlier in settings[..number].iter().rev() {
                set(earlier.parameter, earlier.default);
            }
            return false;
        }
    }
    true
}

/// Tells the C library's allocator to keep what is freed for the next allocation instead of giving it back to the
/// system, for the whole process. Returns whether it does so now: false where the C library is not glibc on Linux, and
/// where it has refused, in which case all is as it was by default.
///
/// A training step allocates and frees the same large tensors again and again; that the system takes the pages away
/// and clears new ones each time costs up to a fifth of a step. A program that trains calls this once when it starts;
/// a library leaves it alone. The price is memory, up to a third more at the peak.
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }

        // SAFETY: declared as in glibc's `malloc.h`; it takes two numbers, touches nothing of ours, and may be called
        // at any time.
        set_all(&SETTINGS, |parameter, value| unsafe { mallopt(parameter, value) } == 1)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_are_made_or_none() {
        for refused in 0..=SETTINGS.len() {
            // Of an allocator that refuses one parameter.
            let mut state = SETTINGS.map(|setting| (setting.parameter, setting.default));
            let mut asked = vec![];
            let kept = set_all(&SETTINGS, |parameter, value| {
                asked.push(parameter);
                let place = SETTINGS.iter().position(|setting| setting.parameter == parameter);
                let place = place.unwrap();
                if place != refused {
                    state[place].1 = value;
                }
                place != refused
            });
            let all = refused == SETTINGS.len();
            assert_eq!(kept, all);
            let expected = SETTINGS.map(|setting| {
                (setting.parameter, if all { setting.value } else { setting.default })
            });
            assert_eq!(state, expected, "{refused} is refused");
            assert!(refused > 0 || asked == [SETTINGS[0].parameter], "nothing else was touched");
        }
    }
}
