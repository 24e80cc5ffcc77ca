//! One stream of numbered messages out of packets that come twice, late, out of order, or never.
//!
//! Exchanges send each packet over two lines or more (A and B), so that what one loses the other brings. An
//! [`Arbiter`] is told of each packet as it comes, on whichever line, and gives each message once and in order:
//! the first line wins, what is ahead of the sequence is held until the gap before it fills, and a gap that does
//! not fill is told of exactly, when room or patience is at an end.
//!
//! A pure value: it knows neither sockets nor clocks, and all its memory is made at the start. It fits every
//! protocol whose packets say which session they belong to, which number their first message has, and how many
//! there are: MoldUDP64, IEX-TP, and those made after them.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use flux::sequence::{Arbiter, Bounds, Sequenced, Span};
//!
//! let mut arbiter = Arbiter::new(Bounds { lines: 2, ..Bounds::default() });
//! let mut seen = Vec::new();
//! let now = Duration::ZERO; // by any clock that does not go back
//! for (line, first, bytes) in [(0, 1, b"a"), (1, 1, b"a"), (0, 3, b"c"), (1, 2, b"b")] {
//!     let span = Span { session: 7, first, count: 1 };
//!     arbiter.offer(line, span, bytes, now, |event| match event {
//!         Sequenced::Fresh(packet) => seen.push((packet.first, packet.line, packet.bytes.to_vec())),
//!         Sequenced::Missing(numbers) => println!("{numbers:?} are lost"),
//!         Sequenced::Session(session) => println!("session {session} begins"),
//!     });
//! }
//! assert_eq!(seen, [(1, 0, b"a".to_vec()), (2, 1, b"b".to_vec()), (3, 0, b"c".to_vec())]);
//! assert_eq!(arbiter.counts().duplicates, 1);
//! ```

mod held;
mod ranges;
#[cfg(test)]
#[path = "arbiter_tests.rs"]
mod tests;

use std::ops::Range;
use std::time::Duration;

use held::{Entry, Held};
use ranges::GivenUp;

/// How much an arbiter holds and how long it waits; set once, and all memory is made by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many lines there are.
    pub lines: usize,
    /// The most packets that are held because they are ahead of the sequence; from 1 to 65535. When they are that
    /// many, the oldest gap is given up.
    pub packets: usize,
    /// The longest packet that can be held, in bytes. One that is longer, and ahead, ends the wait for all before it.
    pub packet_bytes: usize,
    /// How long a gap is waited for, from when it was first seen.
    pub patience: Duration,
    /// The number of a session's first message, where each session has the same: what is lost before the first packet
    /// that comes is then a gap. `None` begins with whichever packet comes first.
    pub first: Option<u64>,
}

impl Default for Bounds {
    /// Two lines, 64 packets of 2048 bytes, 50 ms, and a session that begins with its first packet.
    fn default() -> Self {
        Self {
            lines: 2,
            packets: 64,
            packet_bytes: 2048,
            patience: Duration::from_millis(50),
            first: None,
        }
    }
}

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The session, a number or the bytes of a name: MoldUDP64 has ten.
    pub session: u128,
    /// The number of its first message; of a heartbeat, which has none, that of the message that comes next.
    pub first: u64,
    /// How many messages it has.
    pub count: u32,
}

/// What comes next in the one stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Sequenced<'a> {
    /// New messages: those of a packet, but for as many at its head as [`skip`](Fresh::skip) says.
    Fresh(Fresh<'a>),
    /// Messages that have come on no line and are not waited for any more. Never empty.
    Missing(Range<u64>),
    /// A session begins, the very first one too: what was built from the one before does not hold any more.
    Session(u128),
}

/// A packet with new messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh<'a> {
    /// The line that brought it.
    pub line: usize,
    /// The number of the packet's first message.
    pub first: u64,
    /// How many messages the packet has, old ones included.
    pub count: u32,
    /// How many messages at its head are not new: they have been given, or given up.
    pub skip: u32,
    /// The packet, as it was offered.
    pub bytes: &'a [u8],
    /// When it was offered.
    pub at: Duration,
    /// Whether it had to wait for what comes before it.
    pub held: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It had something new, which was given at once.
    Fresh,
    /// It is ahead of the sequence, and was copied.
    Held,
    /// It has nothing new: another line was first, or it is a heartbeat that announces nothing.
    Duplicate,
    /// It has nothing new, and some of its messages had been given up: they came too late.
    Late,
    /// It is of the session before the present one.
    OldSession,
    /// Its numbers go beyond those that there are.
    Unusable,
}

/// What an arbiter has counted since it was made. Every message of every packet is in one of the first four, or held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages given.
    pub fresh: u64,
    /// Messages that had been given before, or were held already.
    pub duplicates: u64,
    /// Messages that came after they had been given up, or from before the one that the session began with. Of the last
    /// 64 gaps; those of older ones count as duplicates.
    pub late: u64,
    /// Messages of packets of the session before.
    pub old_session: u64,
    /// Messages given up.
    pub missing: u64,
    /// Gaps given up.
    pub gaps: u64,
    /// Packets whose numbers go beyond those that there are.
    pub unusable: u64,
    /// The most packets that were held at a time.
    pub held_most: usize,
}

/// What an arbiter has counted of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Packets offered.
    pub packets: u64,
    /// Messages that this line was the first to bring.
    pub fresh: u64,
}

/// Makes one stream of several lines: see the [module](self).
#[derive(Debug)]
pub struct Arbiter {
    patience: Duration,
    begins_with: Option<u64>,
    session: Option<u128>,
    session_before: Option<u128>,
    /// The number that comes next: all before it were given, or given up.
    next: u64,
    held: Held,
    given_up: GivenUp,
    counts: Counts,
    lines: Box<[LineCounts]>,
}

impl Arbiter {
    /// Makes all the memory that it will use.
    ///
    /// # Panics
    /// For no lines, for a count of packets that is not from 1 to 65535, or if there is no such memory.
    #[track_caller]
    pub fn new(bounds: Bounds) -> Self {
        assert!(bounds.lines > 0, "an arbiter is for one line at the least");
        assert!(
            (1..=usize::from(u16::MAX)).contains(&bounds.packets),
            "an arbiter holds from 1 to 65535 packets, not {}",
            bounds.packets
        );
        Self {
            patience: bounds.patience,
            begins_with: bounds.first,
            session: None,
            session_before: None,
            next: 0,
            held: Held::new(bounds.packets, bounds.packet_bytes),
            given_up: GivenUp::new(),
            counts: Counts::default(),
            lines: vec![LineCounts::default(); bounds.lines].into(),
        }
    }

    /// Takes a packet that has come on a line, and gives what can be given now, in order: nothing, its own messages,
    /// those that were held for want of it, gaps that are waited for no more.
    ///
    /// `at` is the time by a clock of the caller's, any one that does not go back; gaps older than
    /// [`patience`](Bounds::patience) by it are given up. While no packets come, that is for
    /// [`expire`](Self::expire).
    ///
    /// # Panics
    /// For a line that there is not. If `deliver` panics, what it was to be given after that is still held.
    #[track_caller]
    pub fn offer(
        &mut self,
        line: usize,
        span: Span,
        bytes: &[u8],
        at: Duration,
        mut deliver: impl FnMut(Sequenced<'_>),
    ) -> Verdict {
        assert!(
            line < self.lines.len(),
            "there is no line {line}: the arbiter was made for {}",
            self.lines.len()
        );
        self.lines[line].packets += 1;
        let Some(end) = span.first.checked_add(span.count.into()) else {
            self.counts.unusable += 1;
            return Verdict::Unusable;
        };
        if self.session != Some(span.session) {
            if self.session_before == Some(span.session) {
                self.counts.old_session += u64::from(span.count);
                return Verdict::OldSession;
            }
            self.begin(span, &mut deliver);
        }
        let verdict = self.place(line, span, end, bytes, at, &mut deliver);
        self.expire(at, deliver);
        verdict
    }

    /// Gives up the gaps that have been waited for long enough at this time, and gives what was held for them.
    pub fn expire(&mut self, now: Duration, mut deliver: impl FnMut(Sequenced<'_>)) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up_front(&mut deliver);
        }
    }

    /// When the oldest gap will have been waited for long enough; `None` while there is none. Then is the time for
    /// [`expire`](Self::expire).
    pub fn deadline(&self) -> Option<Duration> {
        self.held
            .oldest()
            .map(|since| since.saturating_add(self.patience))
    }

    /// Gives up all gaps at once, and gives all that is held: at the end of a stream.
    pub fn flush(&mut self, mut deliver: impl FnMut(Sequenced<'_>)) {
        while self.held.front().is_some() {
            self.give_up_front(&mut deliver);
        }
    }

    /// Forgets the session, and gives nothing of what is held: the next packet begins one, whichever it is of.
    pub fn reset(&mut self) {
        self.session = None;
        self.session_before = None;
        self.held.clear();
        self.given_up.clear();
    }

    /// The number of the message that comes next, in the present session.
    pub fn next_sequence(&self) -> Option<u64> {
        self.session.map(|_| self.next)
    }

    /// How many packets are held now.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What was counted since it was made.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What was counted of each line.
    pub fn lines(&self) -> &[LineCounts] {
        &self.lines
    }

    /// Ends the present session, if there is one, and begins that of a packet.
    #[cold]
    fn begin(&mut self, span: Span, deliver: &mut impl FnMut(Sequenced<'_>)) {
        self.flush(&mut *deliver);
        self.session_before = self.session.replace(span.session);
        self.next = self.begins_with.unwrap_or(span.first);
        self.given_up.clear();
        self.given_up.push(0..self.next);
        deliver(Sequenced::Session(span.session));
    }

    /// Gives a packet, or holds it, or finds that it has nothing new.
    #[inline]
    fn place(
        &mut self,
        line: usize,
        span: Span,
        end: u64,
        bytes: &[u8],
        at: Duration,
        deliver: &mut impl FnMut(Sequenced<'_>),
    ) -> Verdict {
        let entry = Entry {
            first: span.first,
            end,
            at,
            line,
            len: bytes.len(),
            place: 0,
        };
        if end <= self.next {
            let late = self.count_old(span.first..end);
            return if late {
                Verdict::Late
            } else {
                Verdict::Duplicate
            };
        }
        if span.first > self.next {
            if self.held.covers(span.first..end) {
                self.counts.duplicates += u64::from(span.count);
                return Verdict::Duplicate;
            }
            if self.wait(entry, bytes, deliver) {
                return Verdict::Held;
            }
        }
        if span.first < self.next {
            self.count_old(span.first..self.next.min(end));
        }
        // Room for it may have been made by giving the same messages from another packet; and a heartbeat has none.
        let new = end > self.next;
        if new {
            let fresh = self.advance(&entry);
            deliver(Sequenced::Fresh(Fresh { bytes, ..fresh }));
        }
        self.drain(deliver);
        if new {
            Verdict::Fresh
        } else {
            Verdict::Duplicate
        }
    }

    /// Holds a packet that is ahead; false if it is to be given now, since all before it was given up for it.
    #[cold]
    fn wait(
        &mut self,
        entry: Entry,
        bytes: &[u8],
        deliver: &mut impl FnMut(Sequenced<'_>),
    ) -> bool {
        while entry.first > self.next {
            if self.held.hold(entry, bytes) {
                self.counts.held_most = self.counts.held_most.max(self.held.len());
                return true;
            }
            let front = self.held.front().map_or(u64::MAX, |front| front.first);
            self.miss(front.min(entry.first), deliver);
            self.drain(deliver);
        }
        false
    }

    fn give_up_front(&mut self, deliver: &mut impl FnMut(Sequenced<'_>)) {
        if let Some(front) = self.held.front() {
            self.miss(front.first, deliver);
            self.drain(deliver);
        }
    }

    /// Gives up what comes before a number.
    fn miss(&mut self, until: u64, deliver: &mut impl FnMut(Sequenced<'_>)) {
        let missing = self.next..until;
        if missing.is_empty() {
            return;
        }
        self.next = until;
        self.counts.gaps += 1;
        let count = missing.end - missing.start;
        self.counts.missing = self.counts.missing.saturating_add(count);
        self.given_up.push(missing.clone());
        deliver(Sequenced::Missing(missing));
    }

    /// Gives what is held and comes next.
    #[inline]
    fn drain(&mut self, deliver: &mut impl FnMut(Sequenced<'_>)) {
        while let Some(entry) = self.held.take_up_to(self.next) {
            if entry.end <= self.next {
                self.counts.duplicates += entry.end - entry.first;
                continue;
            }
            self.counts.duplicates += self.next - entry.first;
            let fresh = self.advance(&entry);
            deliver(Sequenced::Fresh(Fresh {
                bytes: self.held.bytes(&entry),
                held: true,
                ..fresh
            }));
        }
    }

    /// Counts a packet's new messages, and goes behind them.
    fn advance(&mut self, entry: &Entry) -> Fresh<'static> {
        let new = entry.end - self.next;
        self.counts.fresh += new;
        self.lines[entry.line].fresh += new;
        // A packet's count is a `u32`, and so is every part of it.
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let skip = narrow(self.next - entry.first);
        self.next = entry.end;
        Fresh {
            line: entry.line,
            first: entry.first,
            count: narrow(entry.end - entry.first),
            skip,
            bytes: &[],
            at: entry.at,
            held: false,
        }
    }

    /// Counts messages that are not waited for; whether some of them had been given up.
    fn count_old(&mut self, old: Range<u64>) -> bool {
        let count = old.end - old.start;
        let late = self.given_up.take(old);
        self.counts.late += late;
        self.counts.duplicates += count - late;
        late > 0
    }
}
