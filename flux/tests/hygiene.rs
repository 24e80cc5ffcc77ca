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
#[path = "common/process.rs"]
mod process;
#[path = "hygiene/refused.rs"]
mod refused;
#[path = "hygiene/sockets.rs"]
mod sockets;

use common::{allowed_cores, alone, descriptors, status_kib, text};
use process::{becomes_ordinary, is_root, limit};

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
            cores: allowed_cores(),
            policy,
            priority: parameters.sched_priority,
            locked_kib: status_kib("VmLck"),
            descriptors: descriptors(),
        }
    }
}

/// Whether the process is root's; a line that says so if not.
fn root() -> bool {
    let root = is_root();
    if !root {
        println!("SKIPPED: only root can make what is to be tested");
    }
    root
}

/// Becomes an ordinary user with these limits, for locked memory in bytes and for priorities; false, and a
/// line that says so, if that cannot be.
fn ordinary_user(memlock: libc::rlim_t, priority: libc::rlim_t) -> bool {
    limit(libc::RLIMIT_MEMLOCK, memlock);
    limit(libc::RLIMIT_RTPRIO, priority);
    !is_root() || becomes_ordinary()
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
