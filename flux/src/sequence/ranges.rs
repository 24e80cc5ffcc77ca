//! What was given up lately: so that what comes of it after all is told from what comes twice.

use std::collections::VecDeque;
use std::ops::Range;

/// The most ranges that are remembered.
const RANGES_MAX: usize = 64;

/// Ranges of numbers, the lowest in front. Where there are too many, the lowest is forgotten.
#[derive(Debug)]
pub(super) struct GivenUp(VecDeque<Range<u64>>);

impl GivenUp {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(RANGES_MAX))
    }

    /// Remembers a range above all that are there.
    pub(super) fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if self.0.len() == RANGES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(range);
    }

    /// Forgets what is in a range, and says how many numbers that were.
    pub(super) fn take(&mut self, range: Range<u64>) -> u64 {
        let (mut taken, mut at) = (0, 0);
        while at < self.0.len() {
            let known = self.0[at].clone();
            let (start, end) = (known.start.max(range.start), known.end.min(range.end));
            if start >= end {
                at += 1;
                continue;
            }
            taken += end - start;
            match (known.start < start, end < known.end) {
                (false, false) => {
                    self.0.remove(at);
                }
                (true, false) => {
                    self.0[at].end = start;
                    at += 1;
                }
                (false, true) => {
                    self.0[at].start = end;
                    at += 1;
                }
                (true, true) => {
                    self.0[at].end = start;
                    if self.0.len() < RANGES_MAX {
                        self.0.insert(at + 1, end..known.end);
                    } else if at > 0 {
                        self.0.pop_front();
                        self.0.insert(at, end..known.end);
                    } else {
                        self.0[at] = end..known.end;
                    }
                    // A range is inside of one alone.
                    return taken;
                }
            }
        }
        taken
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
