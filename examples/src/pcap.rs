//! Captures: the classic pcap file format, and the UDP payloads in it.
//!
//! Reads what market-data captures are: little- or big-endian classic pcap with micro- or nanoseconds,
//! Ethernet with or without VLAN tags, IPv4, UDP. Packets of other kinds are counted and skipped.
//!
//! Knows nothing of what is in a payload.

use std::fmt;
use std::io::{self, Read};

/// The largest packet that is believed: Ethernet jumbo frames are 9 KiB, loopback's 64 KiB.
const PACKET_MAX: usize = 1 << 18;

/// The link type of Ethernet, the only one that is read.
const ETHERNET: u32 = 1;

/// Why a capture could not be read.
#[derive(Debug)]
pub enum PcapError {
    /// The file could not be read.
    Io(io::Error),
    /// The file does not begin as a capture does.
    NotACapture,
    /// The packets are not Ethernet.
    LinkType(u32),
    /// The file ends within a packet, or a length in it cannot be right.
    Broken,
}

impl fmt::Display for PcapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotACapture => f.write_str("it does not begin as a pcap capture does"),
            Self::LinkType(number) => write!(
                f,
                "its packets have link type {number}, and only Ethernet (1) is read"
            ),
            Self::Broken => f.write_str("it ends in the middle of a packet"),
        }
    }
}

impl std::error::Error for PcapError {}

impl From<io::Error> for PcapError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Broken
        } else {
            Self::Io(error)
        }
    }
}

/// Whether a file that begins with these four bytes is a classic pcap capture.
#[must_use]
pub fn is_capture(magic: [u8; 4]) -> bool {
    Format::of(magic).is_some()
}

#[derive(Debug, Clone, Copy)]
struct Format {
    big_endian: bool,
    nanoseconds: bool,
}

impl Format {
    fn of(magic: [u8; 4]) -> Option<Self> {
        let (big_endian, nanoseconds) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
            _ => return None,
        };
        Some(Self {
            big_endian,
            nanoseconds,
        })
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture<R> {
    input: R,
    format: Format,
    packet: Vec<u8>,
    skipped: u64,
}

impl<R: Read> Capture<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// The file is no capture, or not one of Ethernet packets.
    pub fn new(mut input: R) -> Result<Self, PcapError> {
        let mut header = [0; 24];
        input
            .read_exact(&mut header)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => PcapError::NotACapture,
                _ => PcapError::Io(error),
            })?;
        let format = Format::of([header[0], header[1], header[2], header[3]])
            .ok_or(PcapError::NotACapture)?;
        let link = format.u32([header[20], header[21], header[22], header[23]]) & 0x0fff_ffff;
        if link != ETHERNET {
            return Err(PcapError::LinkType(link));
        }
        Ok(Self {
            input,
            format,
            packet: Vec::with_capacity(2048),
            skipped: 0,
        })
    }

    /// How many packets were no UDP over IPv4 over Ethernet.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next UDP payload and when it was captured, in nanoseconds of Unix time.
    ///
    /// # Errors
    /// The file could not be read, or ends within a packet.
    pub fn next_payload(&mut self) -> Result<Option<(u64, &[u8])>, PcapError> {
        let (time, range) = loop {
            let Some(time) = self.read_packet()? else {
                return Ok(None);
            };
            match udp_payload(&self.packet) {
                Some(range) => break (time, range),
                None => self.skipped += 1,
            }
        };
        Ok(Some((time, &self.packet[range])))
    }

    fn read_packet(&mut self) -> Result<Option<u64>, PcapError> {
        let mut header = [0; 16];
        let mut filled = 0;
        while filled < header.len() {
            match self.input.read(&mut header[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(PcapError::Broken),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let field = |at: usize| {
            self.format
                .u32([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let fraction = u64::from(field(4)) * if self.format.nanoseconds { 1 } else { 1000 };
        let length = field(8) as usize;
        if length > PACKET_MAX {
            return Err(PcapError::Broken);
        }
        self.packet.resize(length, 0);
        self.input.read_exact(&mut self.packet)?;
        Ok(Some(u64::from(field(0)) * 1_000_000_000 + fraction))
    }
}

/// Where the UDP payload of an Ethernet frame is; nothing if it has none.
fn udp_payload(frame: &[u8]) -> Option<std::ops::Range<usize>> {
    let u16_at = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut at = 12;
    while matches!(u16_at(at)?, 0x8100 | 0x88a8) {
        at += 4; // a VLAN tag
    }
    if u16_at(at)? != 0x0800 {
        return None;
    }
    let ip = at + 2;
    let first = *frame.get(ip)?;
    let header = usize::from(first & 0x0f) * 4;
    let fragment = u16_at(ip + 6)? & 0x3fff;
    if first >> 4 != 4 || header < 20 || fragment != 0 || *frame.get(ip + 9)? != 17 {
        return None;
    }
    let udp = ip + header;
    let length = usize::from(u16_at(udp + 4)?);
    let end = udp + length;
    (length >= 8 && end <= frame.len()).then_some(udp + 8..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend(
            u16::try_from(28 + payload.len())
                .expect("short")
                .to_be_bytes(),
        );
        frame.extend([
            0, 0, 0x40, 0, 64, 17, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2,
        ]);
        frame.extend(
            u16::try_from(8 + payload.len())
                .expect("short")
                .to_be_bytes(),
        );
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
        ];
        for frame in frames {
            let length = u32::try_from(frame.len()).expect("short").to_le_bytes();
            file.extend([7, 0, 0, 0, 5, 0, 0, 0]);
            file.extend(length);
            file.extend(length);
            file.extend(frame);
        }
        file
    }

    #[test]
    fn payloads_come_out_with_their_times_and_other_packets_are_counted() {
        let arp = {
            let mut f = vec![0; 12];
            f.extend([0x08, 0x06, 1, 2]);
            f
        };
        let file = capture(&[frame(b"one"), arp, frame(b"")]);
        let mut capture = Capture::new(&file[..]).expect("a capture");
        assert_eq!(
            capture.next_payload().expect("read"),
            Some((7_000_005_000, &b"one"[..]))
        );
        assert_eq!(
            capture.next_payload().expect("read"),
            Some((7_000_005_000, &b""[..]))
        );
        assert_eq!(capture.next_payload().expect("read"), None);
        assert_eq!(capture.skipped(), 1);
    }

    #[test]
    fn what_is_no_capture_or_cut_is_refused() {
        assert!(matches!(
            Capture::new(&b"hello"[..]),
            Err(PcapError::NotACapture)
        ));
        assert!(matches!(
            Capture::new(&[0u8; 64][..]),
            Err(PcapError::NotACapture)
        ));
        let file = capture(&[frame(b"one")]);
        for end in 25..file.len() {
            let mut capture = Capture::new(&file[..end]).expect("the header is whole");
            assert!(
                matches!(capture.next_payload(), Err(PcapError::Broken)),
                "{end}"
            );
        }
        let whole = frame(b"one");
        for end in 0..whole.len() {
            assert_eq!(udp_payload(&whole[..end]), None, "{end}");
        }
    }
}
