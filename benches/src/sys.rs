//! The few system calls that std lacks: the thread's CPU clock, pinning, one send and one receive that cannot block.
//!
//! Does not know what is measured.

#![allow(unsafe_code, reason = "system calls through libc")]

use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// CPU time that this thread has used, user and system.
///
/// # Panics
/// If the system has no such clock: POSIX requires it, and without it nothing here means anything.
#[must_use]
pub fn thread_cpu() -> Duration {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is valid for a timespec; the call fills it or fails.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, now.as_mut_ptr()) };
    assert_eq!(result, 0, "no CPU clock for threads on this system");
    // SAFETY: the call succeeded, so it has filled the value in.
    let now = unsafe { now.assume_init() };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

/// CPU time of all children that have ended and were waited for, with theirs, user and system.
///
/// # Errors
/// The system's, if it does not tell.
pub fn children_cpu() -> io::Result<Duration> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is valid for an rusage; the call fills it or fails.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled the value in.
    let usage = unsafe { usage.assume_init() };
    let spent = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let microseconds = u64::try_from(time.tv_usec).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(microseconds)
    };
    Ok(spent(usage.ru_utime) + spent(usage.ru_stime))
}

/// CPU time of this thread, and wall time, from one moment on.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    cpu: Duration,
    wall: Instant,
}

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: thread_cpu(),
        }
    }

    /// CPU time and wall time since the start. To be asked on the thread that started it.
    #[must_use]
    pub fn elapsed(self) -> (Duration, Duration) {
        (thread_cpu().saturating_sub(self.cpu), self.wall.elapsed())
    }
}

/// Pins the calling thread to one core.
///
/// # Errors
/// The system's, if there is no such core for this process or the system cannot pin.
#[cfg(target_os = "linux")]
pub fn pin_to_core(core: usize) -> io::Result<()> {
    // SAFETY: all-zero is a valid, empty cpu_set_t.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid, and CPU_SET ignores numbers past its end.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: 0 names the calling thread; the set is valid for the size given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Pins the calling thread to one core.
///
/// # Errors
/// Always, on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin_to_core(_core: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How often this thread has been taken off its core while it wanted to run: by another process, as a rule.
#[cfg(target_os = "linux")]
#[must_use]
pub fn involuntary_switches() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is valid for a rusage; the call fills it or fails.
    if unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so it has filled the value in.
    let usage = unsafe { usage.assume_init() };
    u64::try_from(usage.ru_nivcsw).unwrap_or(0)
}

/// How often this thread has been taken off its core: not known on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn involuntary_switches() -> u64 {
    0
}

/// The three load averages, where the system shows them as Linux does.
#[must_use]
pub fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// `send` that neither waits nor raises SIGPIPE: how many bytes went out.
///
/// # Errors
/// `WouldBlock` if the socket's buffer is full, or the system's.
#[cfg(target_os = "linux")]
pub fn send_now(socket: std::os::fd::RawFd, bytes: &[u8]) -> io::Result<usize> {
    const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length are of one live slice.
    let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), FLAGS) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// `recv` that does not wait: how many bytes came, 0 at the end of the stream.
///
/// # Errors
/// `WouldBlock` if none are there, or the system's.
#[cfg(target_os = "linux")]
#[inline]
pub fn recv_now(socket: std::os::fd::RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the pointer and the length are of one live slice.
    let received = unsafe { libc::recv(socket, start, length, libc::MSG_DONTWAIT) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}
