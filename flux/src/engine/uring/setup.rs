//! Making a ring: the newest set-up that the kernel takes, or who refuses it, in words.
//!
//! Does not know what the ring is used for.

use std::io;

use io_uring::IoUring;

use crate::sys::limits::{self, Limit};

/// The completion queue is so many times as long as the submission queue.
const COMPLETIONS_PER_SUBMISSION: u32 = 8;
/// The most entries that a completion queue can have (`IORING_MAX_CQ_ENTRIES`).
const COMPLETIONS_MAX: u32 = 65_536;

/// The set-ups to try, newest first: each drops what a kernel before the release named does not know.
///
/// - 6.6, no array of indices between this side and the entries (`NO_SQARRAY`);
/// - 6.1, completions during entries of ours alone (`SINGLE_ISSUER`, `DEFER_TASKRUN`);
/// - 6.0, what flux cannot do without: multishot receives, which `prove` tries.
const SETUPS: [Setup; 3] = [Setup::Linux6_6, Setup::Linux6_1, Setup::Linux6_0];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setup {
    Linux6_0,
    Linux6_1,
    Linux6_6,
}

impl Setup {
    /// Whether completions are put into their queue during entries of ours alone.
    pub(super) fn defers(self) -> bool {
        self >= Self::Linux6_1
    }

    fn build(self, entries: u32) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_cqsize(
            entries
                .next_power_of_two()
                .saturating_mul(COMPLETIONS_PER_SUBMISSION)
                .min(COMPLETIONS_MAX),
        );
        builder
            .setup_submit_all()
            .setup_coop_taskrun()
            .setup_taskrun_flag();
        if self.defers() {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        if self >= Self::Linux6_6 {
            builder.setup_no_sqarray();
        }
        builder.build(entries)
    }
}

/// The newest set-up that this kernel takes.
pub(super) fn build_ring(entries: u32) -> io::Result<(IoUring, Setup)> {
    let mut refused = io::ErrorKind::Unsupported.into();
    for setup in SETUPS {
        match setup.build(entries) {
            Ok(ring) => return Ok((ring, setup)),
            // A flag that this kernel does not know: the next set-up has fewer.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

/// What the sysctl that can forbid `io_uring` says, where there is one.
fn sysctl_disabled() -> Option<&'static str> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    ["0", "1", "2"]
        .into_iter()
        .find(|value| *value == text.trim())
}

/// Who refuses, in words, and what to do.
pub(super) fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring, or a container's filter hides it; \
             run outside of the container, or let its seccomp profile pass io_uring_setup, \
             io_uring_enter and io_uring_register"
            .into(),
        Some(libc::EPERM | libc::EACCES) => match sysctl_disabled() {
            Some(value @ ("1" | "2")) => format!(
                "the sysctl `kernel.io_uring_disabled` is {value}, which forbids it to {}; set it to 0",
                if value == "1" { "users without privilege" } else { "everybody" }
            ),
            _ => "a filter forbids it, as the seccomp profiles of most containers do; let the profile pass \
                  io_uring_setup, io_uring_enter and io_uring_register"
                .into(),
        },
        Some(libc::EINVAL) => {
            "the kernel is too old for every set-up that flux knows: it needs Linux 6.0 or later".into()
        }
        Some(libc::ENOMEM) => format!(
            "the memory for its queues is over this user's limit (`ulimit -l` is {}); raise that, or lower \
             `submission_entries`",
            limits::in_words(Limit::LockedMemory)
        ),
        Some(libc::EMFILE | libc::ENFILE) => format!(
            "no file descriptor is left for the ring (`ulimit -n` is {}); raise that limit",
            limits::in_words(Limit::Descriptors)
        ),
        _ => format!("the kernel says: {error}"),
    }
}
