//! What the suite asks the system itself, behind the runtime's back.

#![allow(
    unsafe_code,
    reason = "asks Windows where a thread may run, which std does not tell"
)]

/// The cores that the calling thread may run on, ascending; none where a program does not choose.
#[cfg(target_os = "linux")]
pub(crate) fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux tells");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("Linux tells this too");
    let number = |text: &str| text.parse::<usize>().expect("a core is a number");
    list.trim()
        .split(',')
        .flat_map(|part| match part.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        })
        .collect()
}

/// The cores that the calling thread may run on, ascending.
#[cfg(windows)]
pub(crate) fn allowed() -> Vec<usize> {
    use windows_sys::Win32::System::Threading::{GetCurrentThread, SetThreadAffinityMask};
    // Not as the runtime asks: a change says what was there before.
    let change = |mask| {
        // SAFETY: takes nothing, and answers with a handle that needs no closing.
        let thread = unsafe { GetCurrentThread() };
        // SAFETY: the handle is good for the calling thread; a mask is a number.
        unsafe { SetThreadAffinityMask(thread, mask) }
    };
    let mask = (0..usize::BITS)
        .map(|core| change(1 << core))
        .find(|before| *before != 0)
        .expect("a process has a core");
    assert_ne!(change(mask), 0, "what was there can be put back");
    let bits = 0..usize::BITS as usize;
    bits.filter(|core| mask & (1 << core) != 0).collect()
}

/// The cores that the calling thread may run on, ascending; none where a program does not choose.
#[cfg(not(any(target_os = "linux", windows)))]
pub(crate) fn allowed() -> Vec<usize> {
    Vec::new()
}

/// The core that the calling thread runs on at this moment, where the system tells.
#[cfg(windows)]
pub(crate) fn running_on() -> Option<usize> {
    use windows_sys::Win32::System::Threading::GetCurrentProcessorNumber;
    // SAFETY: takes nothing, and answers with a number.
    Some(unsafe { GetCurrentProcessorNumber() } as usize)
}

/// The core that the calling thread runs on at this moment, where the system tells.
#[cfg(target_os = "linux")]
pub(crate) fn running_on() -> Option<usize> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The name may hold anything, so what comes before its bracket is not counted; field 39 of proc(5).
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(36)?.parse().ok()
}

/// The core that the calling thread runs on at this moment, where the system tells.
#[cfg(not(any(target_os = "linux", windows)))]
pub(crate) fn running_on() -> Option<usize> {
    None
}
