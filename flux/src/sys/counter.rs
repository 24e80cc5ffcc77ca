//! The processor's own counter of time, and the system's clock that it is compared with.
//!
//! Reads, and says whether the counter can be relied on. Knows no rate: `clock` compares the two.

#![allow(
    unsafe_code,
    reason = "calls into libc, and instructions that have no safe form"
)]

/// The counter of the processor that the calling thread runs on; 0 on a processor whose counter flux does not
/// know.
///
/// Means something only where [`usable`].
#[inline]
pub(crate) fn counter() -> u64 {
    processor::counter()
}

/// Whether the counter runs at one rate whatever the processor does, and the kernel itself keeps its time by it.
///
/// The kernel watches its clock source, on all cores, and gives up one that proves bad: nobody knows better.
/// False wherever it does not say what it uses, as on every system but Linux.
pub(crate) fn usable() -> bool {
    processor::steady() && kernel_uses(processor::CLOCK_SOURCE)
}

#[cfg(target_os = "linux")]
fn kernel_uses(wanted: &str) -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|used| used.trim() == wanted)
}

#[cfg(not(target_os = "linux"))]
fn kernel_uses(_wanted: &str) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod processor {
    use std::arch::x86_64::{__cpuid, _rdtsc};

    /// What Linux calls it.
    pub(super) const CLOCK_SOURCE: &str = "tsc";
    /// The highest of the extended leaves is in EAX of this one.
    const EXTENDED: u32 = 0x8000_0000;
    /// "Advanced power management" of the manuals of both AMD and Intel.
    const POWER: u32 = 0x8000_0007;
    /// In its EDX: the counter runs at one rate in all states of sleep and speed.
    const INVARIANT_TSC: u32 = 1 << 8;

    #[inline]
    pub(super) fn counter() -> u64 {
        // SAFETY: every x86_64 processor has the instruction. Where a system forbids it to programs (Linux:
        // `PR_SET_TSC`), it ends the program; nothing else can go wrong.
        unsafe { _rdtsc() }
    }

    pub(super) fn steady() -> bool {
        __cpuid(EXTENDED).eax >= POWER && __cpuid(POWER).edx & INVARIANT_TSC != 0
    }
}

#[cfg(target_arch = "aarch64")]
mod processor {
    use std::arch::asm;

    /// What Linux calls it.
    pub(super) const CLOCK_SOURCE: &str = "arch_sys_counter";

    #[inline]
    pub(super) fn counter() -> u64 {
        let count;
        // SAFETY: reads one register, which Linux, macOS and the BSDs let programs read, and touches neither
        // memory nor flags.
        unsafe {
            asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags));
        }
        count
    }

    /// Always: the architecture wants it to (Arm ARM, "The Generic Timer").
    pub(super) fn steady() -> bool {
        true
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod processor {
    pub(super) const CLOCK_SOURCE: &str = "none";

    #[inline]
    pub(super) fn counter() -> u64 {
        0
    }

    pub(super) fn steady() -> bool {
        false
    }
}

/// Nanoseconds on the clock that `std::time::Instant` reads: `CLOCK_MONOTONIC`, and `CLOCK_UPTIME_RAW` on macOS.
/// It never goes back, and stands still while the machine is suspended.
///
/// # Panics
/// If the system has no such clock, as std does.
#[cfg(unix)]
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    #[cfg(target_os = "macos")]
    const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;
    #[cfg(not(target_os = "macos"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a whole `timespec`, which the call fills.
    let result = unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    assert!(result == 0, "this system has no monotonic clock");
    // Neither is negative: the clock starts at zero, and nanoseconds stay below a second. Lasts 584 years.
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Nanoseconds of `std::time::Instant` since the first call.
#[cfg(not(unix))]
#[allow(
    clippy::disallowed_methods,
    reason = "read here on behalf of `crate::clock`"
)]
pub(crate) fn monotonic_ns() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
    // Read after the base, which the first caller sets: `elapsed` cannot saturate. Lasts 584 years.
    let elapsed = BASE.elapsed();
    elapsed
        .as_secs()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::from(elapsed.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usable_counter_counts_upwards() {
        if !usable() {
            eprintln!("not checked: the kernel keeps its time by something else");
            return;
        }
        let first = counter();
        let start = monotonic_ns();
        while monotonic_ns() - start < 100_000 {}
        let counts = counter().wrapping_sub(first);
        // The slowest counter in use is that of the first Arm servers, at 1 MHz; none runs at 100 GHz.
        assert!((100..10_000_000_000).contains(&counts), "{counts}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_clock_source_of_another_name_is_not_ours() {
        assert!(!kernel_uses("no such source"));
        assert!(!kernel_uses(""));
    }

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let mut last = monotonic_ns();
        for _ in 0..10_000 {
            let now = monotonic_ns();
            assert!(now >= last);
            last = now;
        }
    }
}
