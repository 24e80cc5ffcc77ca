//! What is done with a message's text: it is parsed, and the book changed. The same book for everybody.
//!
//! Knows no frames and no sockets.

use flux_examples::binance::{self, Diff, Message};
use flux_examples::binance_book::{BinanceBook, Outcome};
use flux_examples::sync::Answer as Loaded;

use super::tape::Tape;
use super::typed::{self, Depth};
use crate::Fault;

/// More levels than any diff of the recording changes on one side.
const LEVELS_MAX: usize = 4096;

/// What a job has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// How many messages there were.
    pub messages: usize,
    /// How many diffs changed the book.
    pub applied: u64,
    /// The checksum over all levels of the book.
    pub book_crc32: u32,
    /// The checksum over the best prices after each diff.
    pub path_crc32: u32,
}

/// A book that waits for the messages of a tape.
#[derive(Debug)]
pub struct Job<'t> {
    tape: &'t Tape,
    diff: Diff,
    book: BinanceBook,
    messages: usize,
}

impl<'t> Job<'t> {
    /// An empty book.
    #[must_use]
    pub fn new(tape: &'t Tape) -> Self {
        Self {
            tape,
            diff: Diff {
                bids: Vec::with_capacity(LEVELS_MAX),
                asks: Vec::with_capacity(LEVELS_MAX),
                ..Diff::default()
            },
            book: BinanceBook::new(&tape.symbol),
            messages: 0,
        }
    }

    /// A message, parsed by the examples' scanner.
    ///
    /// # Errors
    /// If it is none, or the book has lost its trust.
    #[inline]
    pub fn scan(&mut self, text: &[u8]) -> Result<(), Fault> {
        if let Message::Depth { .. } = binance::parse(text, self.tape.decimals, &mut self.diff)? {
            self.apply()?;
        }
        self.counted()
    }

    /// A message, parsed by serde_json into owned values: all of its fields, as most programs have it.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    #[inline]
    pub fn all_fields(&mut self, text: &str) -> Result<(), Fault> {
        if let Some(depth) = typed::all_fields(text)? {
            self.apply_typed(&depth)?;
        }
        self.counted()
    }

    /// The same for what is needed alone: the diffs, and of all else the symbol, which is what the scanner takes.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    #[inline]
    pub fn needed_fields(&mut self, text: &str) -> Result<(), Fault> {
        if let Some(depth) = typed::needed_fields(text)? {
            self.apply_typed(&depth)?;
        }
        self.counted()
    }

    /// Whether all messages of the tape have come.
    #[inline]
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.messages == self.tape.messages()
    }

    /// The messages and the book so far.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer {
            messages: self.messages,
            applied: self.book.counts().applied,
            book_crc32: self.book.book().crc32(),
            path_crc32: self.book.path_crc32(),
        }
    }

    fn apply_typed(&mut self, depth: &Depth) -> Result<(), Fault> {
        depth.read(self.tape.decimals, &mut self.diff)?;
        self.apply()
    }

    #[inline]
    fn apply(&mut self) -> Result<(), Fault> {
        match self.book.on_diff(&self.diff) {
            Outcome::Void(cause) => Err(format!("the book is void: {cause}").into()),
            Outcome::Applied | Outcome::NotApplied => Ok(()),
        }
    }

    #[inline]
    fn counted(&mut self) -> Result<(), Fault> {
        self.messages += 1;
        if self.messages == self.tape.snapshot_at {
            return self.load();
        }
        Ok(())
    }

    #[cold]
    fn load(&mut self) -> Result<(), Fault> {
        match self.book.on_snapshot(&self.tape.snapshot) {
            (Loaded::Load { .. }, Outcome::Applied) => Ok(()),
            other => Err(format!("the snapshot does not fit: {other:?}").into()),
        }
    }
}
