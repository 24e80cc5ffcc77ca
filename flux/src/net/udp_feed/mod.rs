//! Datagrams where the kernel has put them: borrowed, with the time at which they came, and losses as events.
//!
//! Owns what a user sees of such a feed, and the order of what he sees: a loss comes before the packet that shows it.
//! Where buffers come from, and how one is filled, is in [`source`].

#![allow(
    unsafe_code,
    reason = "lends what the kernel has written into the feed's memory"
)]

mod source;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::time::{Duration, SystemTime};

use self::source::{Source, Taken};
use crate::net::UdpSocket;
use crate::sys::datagram::{self, Arrived, PAYLOAD_AT};

/// The longest packet that [`UdpSocket::into_feed`] has room for, in bytes: with what stands in front of it, 2 KiB.
const PACKET_BYTES: usize = 2048 - PAYLOAD_AT;
/// The longest packet that any feed has room for; a datagram cannot be longer.
const PACKET_BYTES_MAX: usize = 65_535;

impl UdpSocket {
    /// Makes a feed of the socket, for packets of at most 1920 bytes: what an Ethernet of the usual 1500 carries.
    ///
    /// What has arrived before, and was not received, is its first packets.
    ///
    /// # Errors
    /// - [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) when all feeds are in use, with the setting that raises
    ///   their number; it is the same for feeds of every kind.
    /// - `Unsupported` outside of a fiber.
    /// - What the system says.
    ///
    /// The socket is closed then.
    ///
    /// # Example
    /// See [`UdpFeed`].
    pub fn into_feed(self) -> io::Result<UdpFeed> {
        self.into_feed_with(PACKET_BYTES)
    }

    /// As [`into_feed`](Self::into_feed), for packets of at most so many bytes. Longer ones are cut, and
    /// [say so](Packet::is_truncated).
    ///
    /// # Errors
    /// As there, and `InvalidInput` for a size of 0, or beyond 65535, which no datagram has; or of which there is
    /// room for less than two in a feed's memory ([`Config::feed_buffer`](crate::Config::feed_buffer)).
    ///
    /// # Example
    /// ```no_run
    /// # fn follow(socket: flux::net::UdpSocket) -> std::io::Result<()> {
    /// let jumbo = socket.into_feed_with(9000)?;
    /// # drop(jumbo);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_feed_with(self, packet_bytes: usize) -> io::Result<UdpFeed> {
        if !(1..=PACKET_BYTES_MAX).contains(&packet_bytes) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a feed cannot be for packets of {packet_bytes} bytes, but for some from 1 to \
                     {PACKET_BYTES_MAX}"
                ),
            ));
        }
        datagram::want_notes(self.as_fd())?;
        Ok(UdpFeed {
            source: Source::open(self, packet_bytes)?,
            drops_told: 0,
            owed: None,
            not_send: PhantomData,
        })
    }
}

/// A UDP socket whose datagrams are received while the fiber works, and handed out where they lie: nothing is copied,
/// and nothing is lost without a word.
///
/// Each [`recv`](Self::recv) gives one [`UdpEvent`]: a packet, or the news that some were lost, which comes before
/// the packet that shows it. A packet is borrowed from the feed; asking for the next one ends the borrow.
///
/// Its memory is that of a [`Feed`](super::Feed), cut into buffers of one size
/// ([`Config::feed_buffer`](crate::Config::feed_buffer), of which it uses room for at most 256 packets). On `io_uring`
/// the kernel goes on receiving into them by itself while the fiber works, by one request that lasts; elsewhere each
/// call is one receive into the same memory.
///
/// What is late stays with the kernel, in the socket's receive buffer
/// ([`set_recv_buffer_size`](UdpSocket::set_recv_buffer_size)); only what does not fit there is dropped.
///
/// A feed that is dropped leaves its groups, and frees its address, with the next turn of the loop: the kernel is asked
/// to end what it has in flight first.
///
/// # Example
/// ```
/// use flux::net::{UdpEvent, UdpSocket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// flux::Config::new().run(|| -> std::io::Result<()> {
///     let exchange = UdpSocket::bind("127.0.0.1:0")?;
///     let mut feed = UdpSocket::bind("127.0.0.1:0")?.into_feed()?;
///     exchange.send_to(b"61659.70", feed.socket().local_addr()?)?;
///     match feed.recv()? {
///         UdpEvent::Packet(packet) => {
///             assert_eq!(&packet[..], b"61659.70");
///             assert_eq!(packet.sender(), Some(exchange.local_addr()?));
///         }
///         UdpEvent::Dropped { datagrams } => println!("the kernel has dropped {datagrams}"),
///         UdpEvent::Starved { packets } => println!("{packets} packets wait, and no room was left"),
///     }
///     Ok(())
/// })??;
/// # Ok(())
/// # }
/// ```
pub struct UdpFeed {
    source: Source,
    /// The kernel's count of drops, as far as they have been told of.
    drops_told: u32,
    /// A packet that comes next: the losses before it have been told.
    owed: Option<Received>,
    not_send: PhantomData<*mut ()>,
}

/// What a feed has to tell.
#[derive(Debug)]
pub enum UdpEvent<'a> {
    /// A datagram.
    Packet(Packet<'a>),
    /// The kernel has dropped datagrams for want of room in the socket's receive buffer (or with a wrong checksum).
    ///
    /// They came after the packet before this event, and before the one after it. Drops are told along with the first
    /// datagram that was kept after them: while none comes, none are known of. The first event counts from when the
    /// socket was made, and a clone of a socket counts the same drops. Linux alone tells.
    Dropped {
        /// How many there were, exactly.
        datagrams: u32,
    },
    /// The feed's buffers were full of packets that were not asked for yet, so that the kernel stopped receiving into
    /// them. Nothing was lost by that: what has come meanwhile, if anything has, waits in the socket's receive buffer,
    /// and is received from there since half of the buffers have come free.
    ///
    /// It comes after the packet that took the last buffer. A feed that sees it has a fiber that is late; where each
    /// call is a receive of its own there is no such thing.
    Starved {
        /// How many packets the feed had room for.
        packets: usize,
    },
}

/// A datagram, borrowed from its feed: its bytes, by [`Deref`], and what the kernel says of it.
///
/// It has no bytes where the sender has sent none.
pub struct Packet<'a> {
    bytes: &'a [u8],
    received: Received,
}

/// A datagram in its buffer.
#[derive(Clone, Copy)]
struct Received {
    buffer: NonNull<u8>,
    arrived: Arrived,
    time: Option<Duration>,
}

impl UdpFeed {
    /// Waits for what comes next: a packet, or the news of a loss.
    ///
    /// # Suspends
    /// Until there is something, the [time-out](Self::set_read_timeout) or the deadline of an enclosing
    /// [`timeout`](crate::timeout) passes, or the fiber is cancelled. No packet is lost by an end before its time:
    /// the next call gives it.
    ///
    /// # Errors
    /// - `TimedOut`; `ECANCELED` (raw); `Unsupported` outside of a fiber.
    /// - `ConnectionRefused` on a connected socket, when nobody received what was sent there.
    /// - What else the network brings. The feed goes on after an error.
    #[inline]
    #[track_caller]
    pub fn recv(&mut self) -> io::Result<UdpEvent<'_>> {
        if let Some(received) = self.owed.take() {
            return Ok(self.packet(received));
        }
        let taken = self.source.take()?;
        Ok(self.event(&taken))
    }

    /// What has come, without waiting; `None` when nothing has.
    ///
    /// An engine may look at the network when the fiber suspends, and not before: between two calls that find
    /// nothing there must be one that suspends, [`yield_now`](crate::yield_now) for example.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), but for those of waiting.
    #[inline]
    pub fn try_recv(&mut self) -> io::Result<Option<UdpEvent<'_>>> {
        if let Some(received) = self.owed.take() {
            return Ok(Some(self.packet(received)));
        }
        match self.source.try_take()? {
            Some(taken) => Ok(Some(self.event(&taken))),
            None => Ok(None),
        }
    }

    /// The socket: to join and leave groups, to set options, to send. What is received with it directly is not
    /// received by the feed.
    pub fn socket(&self) -> &UdpSocket {
        self.source.socket()
    }

    /// How long [`recv`](Self::recv) waits; `None` for ever. At first it is what the socket had.
    ///
    /// # Errors
    /// `InvalidInput` for a time of zero, as in std.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket().set_read_timeout(timeout)
    }

    /// How long [`recv`](Self::recv) waits; `None` for ever.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.socket().read_timeout_now()
    }

    /// The longest packet that comes whole, in bytes: at least what was asked for.
    pub fn packet_bytes(&self) -> usize {
        self.source.packet_bytes()
    }

    /// How many packets there is room for, beside what the kernel keeps.
    pub fn packets(&self) -> usize {
        self.source.buffers()
    }

    #[inline]
    fn event(&mut self, taken: &Taken) -> UdpEvent<'_> {
        match *taken {
            Taken::Buffer(buffer, arrived) => {
                // SAFETY: a receive has just filled the buffer, and said so much of it.
                let notes = unsafe { arrived.notes(buffer) };
                let received = Received {
                    buffer,
                    arrived,
                    time: notes.time,
                };
                // Absent while there were none.
                let dropped = notes.dropped.unwrap_or(self.drops_told);
                if dropped != self.drops_told {
                    let datagrams = dropped.wrapping_sub(self.drops_told);
                    self.drops_told = dropped;
                    self.owed = Some(received);
                    return UdpEvent::Dropped { datagrams };
                }
                self.packet(received)
            }
            Taken::Starved => UdpEvent::Starved {
                packets: self.source.buffers(),
            },
        }
    }

    #[inline]
    #[allow(clippy::unused_self, reason = "the packet borrows the feed")]
    fn packet(&self, received: Received) -> UdpEvent<'_> {
        // SAFETY: the payload stands there in the buffer, by what the receive has answered.
        let start = unsafe { received.buffer.add(PAYLOAD_AT) };
        // SAFETY: as above; and nothing is written to the buffer before it is given back, which takes the feed for
        // writing: not while this borrow of it lasts.
        let bytes =
            unsafe { std::slice::from_raw_parts(start.as_ptr(), received.arrived.payload()) };
        UdpEvent::Packet(Packet { bytes, received })
    }
}

impl fmt::Debug for UdpFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpFeed")
            .field("socket", self.socket())
            .field("packets", &self.packets())
            .field("packet_bytes", &self.packet_bytes())
            .finish_non_exhaustive()
    }
}

impl<'a> Packet<'a> {
    /// The bytes, for as long as the feed is borrowed.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Who has sent it; `None` for an address that is not of the internet.
    pub fn sender(&self) -> Option<SocketAddr> {
        // SAFETY: the buffer was filled, and is not written to while the packet is borrowed.
        unsafe { self.received.arrived.sender(self.received.buffer) }
    }

    /// When the kernel received it, by the wall clock: `SO_TIMESTAMPNS`, nanoseconds on Linux, microseconds
    /// elsewhere. `None` on a system that does not tell, and for what came before the socket was made a feed.
    #[inline]
    pub fn received_at(&self) -> Option<SystemTime> {
        self.received
            .time
            .and_then(|time| SystemTime::UNIX_EPOCH.checked_add(time))
    }

    /// Whether it was longer than the feed's [`packet_bytes`](UdpFeed::packet_bytes): what is here is its beginning,
    /// and the rest is lost. [`into_feed_with`](UdpSocket::into_feed_with) makes room.
    #[inline]
    pub fn is_truncated(&self) -> bool {
        self.received.arrived.cut
    }
}

impl Deref for Packet<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl AsRef<[u8]> for Packet<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("bytes", &self.bytes)
            .field("sender", &self.sender())
            .field("received_at", &self.received_at())
            .field("truncated", &self.is_truncated())
            .finish()
    }
}
