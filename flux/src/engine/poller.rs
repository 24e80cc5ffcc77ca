//! What an engine for readiness asks of its kernel: to tell of changes at descriptors, and of moments that come.
//!
//! Owns the words of that. Knows neither the kernels nor the ops that wait for a change; a timeout is its own
//! registration.

#![allow(unsafe_code, reason = "timers are known by the addresses of their ops")]

use std::io;
use std::os::fd::RawFd;

use super::Wait;
use crate::op::Op;

/// What has changed at a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side has finished, or the socket has failed: nothing will ever have to wait again, and no
    /// further edge may come.
    pub(crate) ended: bool,
    /// The error code with which the kernel refused to tell of these directions, after [`Poller::add`] had
    /// promised it; 0 if it did not.
    pub(crate) refused: i32,
}

/// What a [`Poller`] tells of.
pub(crate) enum Told<'a> {
    Edge(RawFd, Edge),
    /// The timer of an op has gone off, or was refused with an error code that is not 0, after
    /// [`Poller::add_timer`] had promised it. It is there no more.
    Timer(&'a Op, i32),
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is made, or will be with the next wait.
    Registered,
    /// There is no room for it before the next wait.
    #[cfg_attr(
        not(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat)),
        allow(dead_code, reason = "epoll registers at once")
    )]
    Full,
}

/// The kernel's way of telling what has changed.
pub(crate) trait Poller: Sized {
    /// Whether a read that got less than it asked for has emptied the socket, unless an [`Edge`] said that
    /// it `ended`. A read stops where urgent data stood, and not every system tells of those.
    const SHORT_MEANS_EMPTY: bool;

    /// Registers a descriptor for edges in both directions, now or with the next wait, which then reports a
    /// refusal. One that is registered already is fine: what has changed meanwhile is reported anew.
    fn add(&mut self, fd: RawFd) -> io::Result<Added>;

    /// Forgets a descriptor that is about to be closed.
    fn remove(&mut self, fd: RawFd);

    /// Sets a timer for the moment of a timeout, now or with the next wait, which then reports a refusal. It
    /// goes off once: by its clock, or before, where a kernel knows no better.
    ///
    /// # Safety
    /// The op stays where it is, alive, until it is reported, or removed.
    unsafe fn add_timer(&mut self, op: &Op) -> io::Result<Added>;

    /// Takes back the timer of a timeout, which is not reported after that.
    fn remove_timer(&mut self, op: &Op);

    /// Waits as told, and reports what has changed: at most one batch. Answers whether there may be more.
    fn wait(&mut self, wait: Wait, report: impl FnMut(Told<'_>)) -> io::Result<bool>;
}
