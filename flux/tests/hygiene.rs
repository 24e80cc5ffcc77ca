//! What the machine grants a reactor beside its core: a real-time priority, memory that stays, an isolated
//! core, and sockets that are told about latency. What is refused is said, and leaves nothing behind.
//!
//! Priorities, locks and mounts belong to a thread or a process, so each case has a process of its own.

#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    reason = "each changes what its own process may do: its user, its limits, its mounts"
)]

mod common;
#[path = "hygiene/cores.rs"]
mod cores;
#[path = "hygiene/granted.rs"]
mod granted;
#[path = "hygiene/refused.rs"]
mod refused;
#[path = "hygiene/sockets.rs"]
mod sockets;

use common::{alone, descriptors, status_kib, text};

/// CAP_SYS_NICE: priorities.
const SYS_NICE: u32 = 23;

/// Runs `body` in a process of its own, and passes on what it says that it did not check.
fn in_a_process_of_its_own(test: &str, body: fn()) {
    // Whatever engine the machine allows: one of these cases takes the ring's memory away.
    let Some(output) = alone(test, &[("FLUX_ENGINE", "auto")], body) else {
        return;
    };
    let text = text(&output);
    for line in text.lines() {
        if let Some(at) = line.find("SKIPPED") {
            eprintln!("{test}: {}", &line[at..]);
        }
    }
    assert!(text.contains("1 passed"), "{test}: {text}");
}

/// All that init may change of the thread and of the process.
#[derive(Debug, PartialEq)]
struct State {
    /// `0-3,6`, as the kernel writes it.
    cores: String,
    policy: i32,
    priority: i32,
    locked_kib: u64,
    descriptors: usize,
}

impl State {
    fn now() -> Self {
        // SAFETY: asks about the calling thread, and takes no pointer.
        let policy = unsafe { libc::sched_getscheduler(0) };
        let mut parameters = libc::sched_param { sched_priority: -1 };
        // SAFETY: the parameters are in this frame.
        assert_eq!(0, unsafe { libc::sched_getparam(0, &raw mut parameters) });
        Self {
            cores: allowed(),
            policy,
            priority: parameters.sched_priority,
            locked_kib: status_kib("VmLck"),
            descriptors: descriptors(),
        }
    }
}

/// The cores that the calling thread may run on.
fn allowed() -> String {
    std::fs::read_to_string("/proc/thread-self/status")
        .expect("Linux tells")
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(|list| list.trim().to_owned())
        .expect("the line is there")
}

/// Whether the process is root's; a line that says so if not.
fn root() -> bool {
    // SAFETY: has no conditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("SKIPPED: only root can make what is to be tested");
    }
    root
}

/// The first of the user numbers that these tests take, each process another.
const USERS: libc::uid_t = 1_800_000_000;

/// Becomes an ordinary user with these limits, for locked memory in bytes and for priorities; false, and a
/// line that says so, if that cannot be.
fn ordinary_user(memlock: libc::rlim_t, priority: libc::rlim_t) -> bool {
    limit(libc::RLIMIT_MEMLOCK, memlock);
    limit(libc::RLIMIT_RTPRIO, priority);
    // SAFETY: has no conditions.
    if unsafe { libc::geteuid() } != 0 {
        return true;
    }
    let user = USERS + std::process::id();
    // SAFETY: takes integers alone, and no other thread of this process cares who it is.
    if unsafe { libc::setresuid(user, user, user) } != 0 {
        println!(
            "SKIPPED: this root may not become another user: {}",
            std::io::Error::last_os_error()
        );
        return false;
    }
    // A process that has changed its user may not read what `/proc` says of it, unless it says so.
    // SAFETY: takes integers alone.
    assert_eq!(0, unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) });
    true
}

/// Lowers a limit.
fn limit(resource: libc::__rlimit_resource_t, most: libc::rlim_t) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit is in this frame, and lowering one is always allowed.
    assert_eq!(0, unsafe { libc::setrlimit(resource, &raw const limit) });
}

/// Takes a capability from the calling thread, which is root's.
fn drop_capability(capability: u32) {
    // `_LINUX_CAPABILITY_VERSION_3`, and the calling thread.
    let mut header = [0x2008_0522_u32, 0];
    // Effective, permitted, inheritable: of the lower 32 capabilities, then of the upper ones.
    let mut sets = [0_u32; 6];
    // SAFETY: header and sets are as large as this version has them.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    assert_eq!(got, 0);
    sets[0] &= !(1 << capability);
    // SAFETY: as above; the call reads them.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    assert_eq!(set, 0);
}

/// Expects one sentence: a line that starts small, has no full stop, and holds the parts.
#[track_caller]
fn says(error: &flux::InitError, parts: &[&str]) {
    let sentence = error.to_string();
    for part in parts {
        assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
    }
    let shape = !sentence.contains('\n')
        && !sentence.ends_with('.')
        && !sentence.starts_with(char::is_uppercase);
    assert!(shape, "not one sentence: {sentence}");
}
