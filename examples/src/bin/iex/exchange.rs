//! The exchange: which packets it sends on which line, in which order, and which it loses.
//!
//! All of it follows from the seed before anything is sent. Knows no sockets.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;

use flate2::read::GzDecoder;
use flux_examples::iex::Header;
use flux_examples::pcap::Capture;
use flux_examples::random::Random;

use crate::options::Options;

/// The furthest that a packet is moved, in packets of its line.
const MOVED_MAX: u64 = 8;
/// What begins a gzipped file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is sent.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) packets: Vec<Vec<u8>>,
    /// Line and packet, in the order in which they are sent; and how many packets had their turn by then.
    pub(crate) order: Vec<Sent>,
    pub(crate) session: u32,
    /// The first sequence number, and the one behind the last.
    pub(crate) sequence: Range<u64>,
    /// What all lines lose: sequence numbers, apart from each other, in order.
    pub(crate) lost: Vec<Range<u64>>,
    /// For each line, how many packets it loses, and how many it sends late.
    pub(crate) faults: [(u64, u64); 2],
}

/// One packet on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sent {
    /// Its turn: when the packet of that number would have been sent.
    pub(crate) turn: u64,
    pub(crate) line: usize,
    pub(crate) packet: usize,
}

impl Plan {
    /// Reads the capture, and draws what becomes of each packet.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        let packets = read(options)?;
        let unfit = |error| format!("`{}`: {error}", options.capture.display());
        let headers: Vec<Header> = packets
            .iter()
            .map(|packet| Header::of(packet).map_err(unfit))
            .collect::<Result<_, _>>()?;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Err(format!("`{}` holds no packets", options.capture.display()));
        };
        let (session, sequence) = (first.session, first.first..last.end());
        let mut random = Random::new(options.seed);
        let (mut order, mut faults) = (Vec::new(), [(0, 0); 2]);
        let mut lost_by = vec![0; packets.len()];
        for (packet, lost_by) in lost_by.iter_mut().enumerate() {
            for (line, (lost, late)) in faults.iter_mut().enumerate().take(options.lines) {
                // Drawn in any case, so that one flag does not change what another does.
                let (loses, moves) = (random.below(1 << 32), random.below(1 << 32));
                let moved = 1 + random.below(MOVED_MAX);
                if options.loses[line] && of_100(loses) < options.lose {
                    *lost += 1;
                    *lost_by += 1;
                    continue;
                }
                let moves = of_100(moves) < options.reorder;
                *late += u64::from(moves);
                let turn = packet as u64 + if moves { moved } else { 0 };
                order.push(Sent { turn, line, packet });
            }
        }
        order.sort();
        let lost = headers.iter().zip(lost_by);
        let lost = lost.filter(|(_, by)| *by == options.lines);
        Ok(Self {
            lost: joined(lost.map(|(header, _)| header.first..header.end())),
            packets,
            order,
            session,
            sequence,
            faults,
        })
    }
}

/// Ranges in order, as few as there can be, and none that is empty.
pub(crate) fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// A number below 2^32 as one below 100.
fn of_100(drawn: u64) -> f64 {
    // Below 2^32, so that nothing is lost.
    #[allow(clippy::cast_precision_loss, reason = "see the line above")]
    let drawn = drawn as f64;
    drawn * 100.0 / f64::from(u32::MAX)
}

fn read(options: &Options) -> Result<Vec<Vec<u8>>, String> {
    let path = options.capture.display();
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read `{path}`: {error}");
    let open = || File::open(&options.capture).map_err(|error| cannot(&error));
    let mut begins = [0; 2];
    let zipped = open()?.read_exact(&mut begins).is_ok() && begins == GZIP;
    let file = BufReader::new(open()?);
    let input: Box<dyn Read> = if zipped {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut capture = Capture::new(input).map_err(|error| cannot(&error))?;
    let mut packets = Vec::new();
    while let Some((_, payload)) = capture.next_payload().map_err(|error| cannot(&error))? {
        packets.push(payload.to_vec());
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = [1..3, 3..4, 4..4, 6..9].into_iter();
        assert_eq!(joined(ranges), [1..4, 6..9]);
    }
}
