//! What the kernel reads of an op, and how it names the op in its answer.
//!
//! Does not know when entries leave.

#![allow(unsafe_code, reason = "follows the pointer of a feed's request")]

use std::ptr;

use io_uring::types::{Fd, TimeoutFlags, Timespec};
use io_uring::{opcode, squeue};

use super::feed::group;
use crate::op::{Moment, Op, Request};

/// What stands in the user data of a request that lasts, beside its op's address.
pub(super) const LASTS: u64 = 1;

/// The user data of a cancel's own completion, which nobody waits for. No op has this address.
pub(super) const IGNORE: u64 = 2;

/// The address of an op, as the kernel carries it back.
fn user_data_of(op: &Op) -> u64 {
    let lasts = op.request().lasts().is_some();
    ptr::from_ref(op).expose_provenance() as u64 | if lasts { LASTS } else { 0 }
}

pub(super) fn op_of(user_data: u64) -> *const Op {
    // An address of this process, so it fits.
    #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
    ptr::with_exposed_provenance((user_data & !LASTS) as usize)
}

const _: () = assert!(align_of::<Op>() as u64 > LASTS);

pub(super) fn cancel_entry(op: &Op) -> squeue::Entry {
    opcode::AsyncCancel::new(user_data_of(op))
        .build()
        .user_data(IGNORE)
}

/// The kernel reads a moment as it reads its own `timespec`.
const _: () = assert!(
    size_of::<Moment>() == size_of::<Timespec>() && align_of::<Moment>() >= align_of::<Timespec>()
);

#[cold]
fn timeout_entry(op: &Op, wall: bool) -> squeue::Entry {
    let moment: *const Moment = op.timeout().map_or(ptr::null(), |(at, _)| at);
    let clock = if wall {
        TimeoutFlags::REALTIME
    } else {
        TimeoutFlags::empty()
    };
    opcode::Timeout::new(moment.cast())
        .flags(TimeoutFlags::ABS | clock)
        .build()
}

/// What an op is told of a completion: a timeout that has run to its end is an error for the kernel alone.
#[inline]
pub(super) fn answer(op: &Op, result: i32) -> i32 {
    if result == -libc::ETIME && op.timeout().is_some() {
        return 0;
    }
    result
}

#[inline]
pub(super) fn entry(op: &Op) -> squeue::Entry {
    match *op.request() {
        Request::Nothing => opcode::Nop::new().build(),
        Request::Receive {
            fd,
            buffer,
            len,
            peek,
        }
        | Request::ReceiveOne {
            fd,
            buffer,
            len,
            peek,
        } => opcode::Recv::new(Fd(fd), buffer, len)
            .flags(if peek { libc::MSG_PEEK } else { 0 })
            .build(),
        Request::ReceiveMessage { fd, message, peek } => opcode::RecvMsg::new(Fd(fd), message)
            .flags(if peek { libc::MSG_PEEK } else { 0 }.cast_unsigned())
            .build(),
        Request::Send { fd, bytes, len } => opcode::Send::new(Fd(fd), bytes, len)
            .flags(libc::MSG_NOSIGNAL)
            .build(),
        Request::SendMessage { fd, message } => opcode::SendMsg::new(Fd(fd), message)
            .flags(libc::MSG_NOSIGNAL.cast_unsigned())
            .build(),
        Request::Stream { fd, landing } => {
            // SAFETY: alive: it lies beside its op, which is about to be in flight.
            let landing = unsafe { &*landing };
            opcode::RecvMulti::new(Fd(fd), group(landing)).build()
        }
        Request::Datagrams { fd, landing, tray } => {
            // SAFETY: alive: it lies beside its op, which is about to be in flight.
            let landing = unsafe { &*landing };
            // SAFETY: as above.
            let tray = unsafe { &*tray };
            opcode::RecvMsgMulti::new(Fd(fd), tray.outline(), group(landing)).build()
        }
        Request::Accept { fd, address, len } => {
            opcode::Accept::new(Fd(fd), address.cast(), len.cast())
                .flags(libc::SOCK_CLOEXEC)
                .build()
        }
        Request::Connect { fd, address, len } => {
            opcode::Connect::new(Fd(fd), address.cast(), len).build()
        }
        Request::Ready { fd, write } => {
            let events = if write { libc::POLLOUT } else { libc::POLLIN };
            opcode::PollAdd::new(Fd(fd), events.cast_unsigned().into()).build()
        }
        Request::Timeout { wall, .. } => timeout_entry(op, wall),
    }
    .user_data(user_data_of(op))
}
