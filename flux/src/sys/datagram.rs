//! A datagram where it lies: its payload, and in front of it who sent it, when it came, and what was lost before it.
//!
//! One buffer holds all of that, laid out as `io_uring` lays out what a receive of many messages brings
//! (`io_uring_prep_recvmsg_multishot(3)`), so that a single receive and one that goes on fill it alike:
//!
//! ```text
//! 0        16          48                   128
//! │ header │ sender    │ control messages   │ payload ▸
//! ```
//!
//! Owns the layout, and how the system is asked for what stands in it. Does not know who owns buffers, nor when one
//! is filled.

#![allow(unsafe_code, reason = "calls into libc, and reads what it wrote")]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

use crate::sys::socket::MessageHeader;

/// The bytes in front of the sender, in which `io_uring` says how much there is of each part.
const HEADER_BYTES: usize = 16;
/// The room for the sender: that of an address of IPv6, and a bit.
const NAME_BYTES: usize = 32;
/// The room for control messages: a time, a count, and some that a socket may have been told to bring too.
const CONTROL_BYTES: usize = 80;
/// Where the payload begins: at the third line of a cache.
pub(crate) const PAYLOAD_AT: usize = HEADER_BYTES + NAME_BYTES + CONTROL_BYTES;
const NAME_AT: usize = HEADER_BYTES;
const CONTROL_AT: usize = HEADER_BYTES + NAME_BYTES;

const _: () = assert!(PAYLOAD_AT.is_multiple_of(64) && CONTROL_AT.is_multiple_of(8));
const _: () = assert!(NAME_BYTES >= size_of::<libc::sockaddr_in6>());

/// How much of a buffer a datagram has filled. Small: a feed keeps one, and feeds move into fibers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    payload: u32,
    name: u8,
    control: u8,
    /// The datagram had more.
    pub(crate) cut: bool,
}

/// What the system says of a datagram beside its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// When it came, since 1970.
    pub(crate) time: Option<Duration>,
    /// How many the socket had dropped before, since it was made; the counter starts over after 2^32.
    pub(crate) dropped: Option<u32>,
}

/// What a receive of one datagram is told, and what it answers.
pub(crate) struct Slip {
    header: MessageHeader,
    part: libc::iovec,
}

impl Slip {
    pub(crate) const fn new() -> Self {
        Self {
            // SAFETY: all zeroes is a valid header: no name, no parts, no control messages.
            header: unsafe { mem::zeroed() },
            part: libc::iovec {
                iov_base: ptr::null_mut(),
                iov_len: 0,
            },
        }
    }

    /// Names the buffer, of `len` bytes, more than [`PAYLOAD_AT`], that the next receive fills. What is answered is
    /// good for as long as this stays where it is.
    pub(crate) fn aim(&mut self, buffer: NonNull<u8>, len: usize) -> *mut MessageHeader {
        debug_assert!(len > PAYLOAD_AT);
        let start = buffer.as_ptr();
        self.part = libc::iovec {
            iov_base: start.wrapping_add(PAYLOAD_AT).cast(),
            iov_len: len - PAYLOAD_AT,
        };
        self.header = outline();
        self.header.msg_name = start.wrapping_add(NAME_AT).cast();
        self.header.msg_control = start.wrapping_add(CONTROL_AT).cast();
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        &raw mut self.header
    }

    /// What the receive has filled, whose answer was so many bytes.
    pub(crate) fn arrived(&self, payload: usize) -> Arrived {
        #[allow(
            clippy::unnecessary_cast,
            reason = "the type of the length is each system's own"
        )]
        let control = self.header.msg_controllen as usize;
        Arrived::new(
            payload.min(self.part.iov_len),
            self.header.msg_namelen as usize,
            control,
            self.header.msg_flags,
        )
    }
}

/// A header that says how much room there is for each part, and nothing of where.
pub(crate) fn outline() -> MessageHeader {
    // SAFETY: all zeroes is a valid header: no name, no parts, no control messages.
    let mut header: MessageHeader = unsafe { mem::zeroed() };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "both are small, whatever the system's types"
    )]
    {
        header.msg_namelen = NAME_BYTES as _;
        header.msg_controllen = CONTROL_BYTES as _;
    }
    header
}

impl Arrived {
    #[inline]
    fn new(payload: usize, name: usize, control: usize, flags: libc::c_int) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a datagram is shorter than 64 KiB, and the others are cut to what there is room for"
        )]
        Self {
            payload: payload as u32,
            name: name.min(NAME_BYTES) as u8,
            control: control.min(CONTROL_BYTES) as u8,
            cut: flags & libc::MSG_TRUNC != 0,
        }
    }

    /// The bytes of the payload that are there.
    #[inline]
    pub(crate) fn payload(self) -> usize {
        self.payload as usize
    }

    /// Who sent what stands in a buffer; `None` for an address that is not of the internet.
    ///
    /// # Safety
    /// The buffer is that which a receive has filled, and said so much of.
    pub(crate) unsafe fn sender(self, buffer: NonNull<u8>) -> Option<SocketAddr> {
        // SAFETY: the name stands in the buffer (caller).
        let name = unsafe { buffer.add(NAME_AT) };
        if usize::from(self.name) < size_of::<libc::sockaddr_in>() {
            return None;
        }
        // SAFETY: there are at least as many bytes of a name as this has (above), and any bytes are good.
        let v4 = unsafe { name.cast::<libc::sockaddr_in>().read_unaligned() };
        match i32::from(v4.sin_family) {
            libc::AF_INET => Some(SocketAddr::V4(SocketAddrV4::new(
                Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)),
                u16::from_be(v4.sin_port),
            ))),
            libc::AF_INET6 if usize::from(self.name) >= size_of::<libc::sockaddr_in6>() => {
                // SAFETY: as above, by the line above.
                let v6 = unsafe { name.cast::<libc::sockaddr_in6>().read_unaligned() };
                Some(SocketAddr::V6(SocketAddrV6::new(
                    Ipv6Addr::from(v6.sin6_addr.s6_addr),
                    u16::from_be(v6.sin6_port),
                    v6.sin6_flowinfo,
                    v6.sin6_scope_id,
                )))
            }
            _ => None,
        }
    }

    /// What is said of the datagram in a buffer.
    ///
    /// # Safety
    /// As [`sender`](Self::sender).
    #[inline]
    pub(crate) unsafe fn notes(self, buffer: NonNull<u8>) -> Notes {
        // SAFETY: all zeroes is a valid header.
        let mut header: MessageHeader = unsafe { mem::zeroed() };
        header.msg_control = buffer.as_ptr().wrapping_add(CONTROL_AT).cast();
        #[allow(
            clippy::cast_lossless,
            clippy::cast_possible_truncation,
            clippy::unnecessary_cast,
            reason = "at most CONTROL_BYTES, whatever the system's type for it"
        )]
        {
            header.msg_controllen = self.control as _;
        }
        let mut notes = Notes::default();
        // SAFETY: the header names control messages as the kernel has written them (caller).
        let mut message = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        while !message.is_null() {
            // SAFETY: not null, so that it is one of the messages that the header names.
            unsafe { system::note(message, &mut notes) };
            // SAFETY: as above.
            message = unsafe { libc::CMSG_NXTHDR(&raw const header, message) };
        }
        notes
    }
}

/// The value of a control message.
///
/// # Safety
/// The message is one of a header's, and holds a `T`, for which any bytes are good.
unsafe fn value<T: Copy>(message: *const libc::cmsghdr) -> T {
    // SAFETY: the message is one of a header's (caller).
    let data = unsafe { libc::CMSG_DATA(message) };
    // SAFETY: it holds a `T` (caller).
    unsafe { data.cast::<T>().read_unaligned() }
}

/// Turns an option on, where the system has it: emulators of Linux know neither of the two.
fn turn_on(fd: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value and its length are those of an integer in this frame.
    let set = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const on).cast(),
            4,
        )
    };
    if set == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        error => Err(error),
    }
}

/// A time as the system writes it, since 1970; none before that.
fn since_1970(seconds: i64, nanoseconds: i64) -> Option<Duration> {
    Some(Duration::new(
        u64::try_from(seconds).ok()?,
        u32::try_from(nanoseconds).ok()?,
    ))
}

#[cfg(target_os = "linux")]
pub(crate) use system::of_multishot;
pub(crate) use system::want_notes;

#[cfg(target_os = "linux")]
mod system {
    use super::{Arrived, BorrowedFd, NonNull, Notes, PAYLOAD_AT, io, since_1970, turn_on, value};

    /// Lets every datagram from now on come with its time and the count of those dropped: socket(7).
    pub(crate) fn want_notes(fd: BorrowedFd<'_>) -> io::Result<()> {
        turn_on(fd, libc::SO_TIMESTAMPNS)?;
        turn_on(fd, libc::SO_RXQ_OVFL)
    }

    /// # Safety
    /// The message is one of a header's, as the kernel has written it.
    #[inline]
    pub(super) unsafe fn note(message: *const libc::cmsghdr, notes: &mut Notes) {
        // SAFETY: the message is one of a header's (caller).
        let header = unsafe { message.read_unaligned() };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: a message of this kind holds a `timespec`: socket(7).
                let time = unsafe { value::<libc::timespec>(message) };
                #[allow(clippy::useless_conversion, reason = "narrower on some architectures")]
                {
                    notes.time = since_1970(time.tv_sec.into(), time.tv_nsec.into());
                }
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                // SAFETY: a message of this kind holds a `u32`: socket(7).
                notes.dropped = Some(unsafe { value::<u32>(message) });
            }
            _ => {}
        }
    }

    /// What one of many receives has filled of a buffer, whose answer was so many bytes, header included; `None` for
    /// an answer that makes no sense.
    ///
    /// # Safety
    /// The kernel has filled the buffer, by a receive whose header was [`outline`](super::outline).
    #[inline]
    pub(crate) unsafe fn of_multishot(buffer: NonNull<u8>, answer: usize) -> Option<Arrived> {
        // SAFETY: four numbers stand in front (caller); any bytes are good.
        let [name, control, payload, flags] = unsafe { buffer.cast::<[u32; 4]>().read_unaligned() };
        let there = answer.checked_sub(PAYLOAD_AT)?;
        Some(Arrived::new(
            there.min(payload as usize),
            name as usize,
            control as usize,
            flags.cast_signed(),
        ))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{BorrowedFd, Notes, io, since_1970, turn_on, value};

    /// Lets every datagram from now on come with its time, in microseconds. These systems do not tell what a socket
    /// has dropped.
    pub(crate) fn want_notes(fd: BorrowedFd<'_>) -> io::Result<()> {
        turn_on(fd, libc::SO_TIMESTAMP)
    }

    /// # Safety
    /// The message is one of a header's, as the kernel has written it.
    #[inline]
    pub(super) unsafe fn note(message: *const libc::cmsghdr, notes: &mut Notes) {
        // SAFETY: the message is one of a header's (caller).
        let header = unsafe { message.read_unaligned() };
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMP) {
            // SAFETY: a message of this kind holds a `timeval`: setsockopt(2).
            let time = unsafe { value::<libc::timeval>(message) };
            #[allow(clippy::useless_conversion, reason = "narrower on some architectures")]
            {
                notes.time = since_1970(time.tv_sec.into(), i64::from(time.tv_usec) * 1000);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use crate::sys::socket::receive_into_now;

    #[repr(align(64))]
    struct Buffer([u8; 256]);

    /// Receives one datagram, which is there.
    fn receive(socket: &UdpSocket, buffer: &mut Buffer) -> Arrived {
        let mut slip = Slip::new();
        let header = slip.aim(NonNull::from(&mut buffer.0).cast(), buffer.0.len());
        // SAFETY: the header names the buffer, which this frame borrows for writing.
        let count = unsafe { receive_into_now(socket.as_fd(), header) }.unwrap();
        slip.arrived(count)
    }

    #[test]
    fn a_datagram_comes_with_its_sender_and_its_time() {
        for here in ["127.0.0.1:0", "[::1]:0"] {
            let (a, b) = (
                UdpSocket::bind(here).unwrap(),
                UdpSocket::bind(here).unwrap(),
            );
            want_notes(b.as_fd()).unwrap();
            a.send_to(b"tick", b.local_addr().unwrap()).unwrap();
            let mut buffer = Buffer([0; 256]);
            let arrived = receive(&b, &mut buffer);
            assert_eq!((arrived.payload(), arrived.cut), (4, false));
            assert_eq!(&buffer.0[PAYLOAD_AT..PAYLOAD_AT + 4], b"tick");
            let start = NonNull::from(&mut buffer.0).cast();
            // SAFETY: filled above.
            let sender = unsafe { arrived.sender(start) };
            assert_eq!(sender, Some(a.local_addr().unwrap()));
            // SAFETY: as above.
            let notes = unsafe { arrived.notes(start) };
            assert!(
                notes
                    .time
                    .is_some_and(|time| time.as_secs() > 1_700_000_000)
            );
        }
    }

    #[test]
    fn one_that_is_too_long_is_cut_and_says_so() {
        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        for len in [127, 128, 129] {
            a.send_to(&[7; 256][..len], b.local_addr().unwrap())
                .unwrap();
            let mut buffer = Buffer([0; 256]);
            let arrived = receive(&b, &mut buffer);
            assert_eq!((arrived.payload(), arrived.cut), (len.min(128), len > 128));
        }
    }
}
