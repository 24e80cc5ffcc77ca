//! The messages of a market, framed as a server would, and the book that they lead to.
//!
//! The real recording of BTCUSDT futures if it is there, and otherwise messages of the same shape that are made up, and
//! called so. Does not know how they travel, nor who reads them.

use std::path::{Path, PathBuf};

use flux_examples::binance::{self, Snapshot};
use flux_examples::decimal::Decimals;
use flux_examples::expected::{self, Expected};
use flux_examples::recording::{Kind, Recording};

use super::job::{Answer, Job};
use super::made_up;
use crate::Fault;
use crate::floor;
use crate::harness::Size;

const WHOLE: &str = "binance-usdm-btcusdt.txt.gz";
const TEN_SECONDS: &str = "binance-usdm-btcusdt-10s.txt.gz";

/// All messages of a recording, in order.
#[derive(Debug)]
pub struct Tape {
    frames: Vec<u8>,
    /// Where each message's frame ends.
    ends: Vec<usize>,
    /// The REST snapshot, and how many messages come before it.
    pub(super) snapshot: Snapshot,
    pub(super) snapshot_at: usize,
    pub(super) symbol: String,
    pub(super) decimals: Decimals,
    answer: Answer,
}

impl Tape {
    /// The recording: whole in a bench, its first ten seconds in a test.
    ///
    /// # Errors
    /// If it is there, and cannot be read, or does not lead to the book that it should.
    pub fn load(size: Size) -> Result<Self, Fault> {
        let folder = std::env::var_os("FLUX_MARKET_DATA").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/market-data"),
            PathBuf::from,
        );
        let name = size.pick(WHOLE, TEN_SECONDS);
        if folder.join(name).is_file() {
            return Self::of(&folder, name);
        }
        println!(
            "NO RECORDING in {}: the messages are MADE UP, and no figure is worth anything beyond its ratio; set \
             FLUX_MARKET_DATA",
            folder.display()
        );
        made_up::tape(size.pick(94_000, 2_500))
    }

    fn of(folder: &Path, name: &str) -> Result<Self, Fault> {
        let recording = Recording::inspect(&folder.join(name))?;
        let all = Expected::load(&folder.join(expected::FILE_NAME))?;
        let expected = all.of(name).ok_or("the recording has no expected result")?;
        let decimals = expected.decimals().ok_or("the recording has no decimals")?;
        let mut tape = Self::empty(&recording.symbol, decimals);
        let mut entries = recording.entries()?;
        while let Some(entry) = entries.next_entry()? {
            match entry.kind {
                Kind::Rest => tape.add_snapshot(entry.body)?,
                _ => tape.add(entry.body),
            }
        }
        tape.play()?;
        let found = tape.answer;
        let wanted = [expected.text("book_crc32"), expected.text("path_crc32")];
        let found = [found.book_crc32, found.path_crc32].map(|crc| format!("{crc:08x}"));
        if wanted.map(Option::unwrap_or_default) != found {
            return Err(format!("{name} leads to {found:?}, and should to {wanted:?}").into());
        }
        Ok(tape)
    }

    /// A tape without messages.
    pub(super) fn empty(symbol: &str, decimals: Decimals) -> Self {
        Self {
            frames: Vec::new(),
            ends: Vec::new(),
            snapshot: Snapshot::default(),
            snapshot_at: 0,
            symbol: symbol.to_owned(),
            decimals,
            answer: Answer::default(),
        }
    }

    pub(super) fn add(&mut self, text: &[u8]) {
        floor::write(text, &mut self.frames);
        self.ends.push(self.frames.len());
    }

    /// The snapshot comes now: the machine that keeps diffs until then is part of the job.
    pub(super) fn add_snapshot(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.snapshot = binance::parse_snapshot(text, self.decimals)?;
        self.snapshot_at = self.messages();
        Ok(())
    }

    /// How many messages there are.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.ends.len()
    }

    /// The frames of so many messages from `from` on, in one piece; fewer at the end.
    #[must_use]
    pub fn frames(&self, from: usize, count: usize) -> &[u8] {
        let end_of = |messages: usize| match messages.min(self.ends.len()) {
            0 => 0,
            messages => self.ends[messages - 1],
        };
        &self.frames[end_of(from)..end_of(from + count)]
    }

    /// What the messages lead to.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// The first `messages` messages of it.
    ///
    /// # Errors
    /// If it has fewer, or they end before the snapshot.
    pub fn cut(mut self, messages: usize) -> Result<Self, Fault> {
        if !(self.snapshot_at + 1..=self.messages()).contains(&messages) {
            return Err(format!(
                "a tape of {} messages cannot be cut to {messages}",
                self.messages()
            )
            .into());
        }
        self.ends.truncate(messages);
        self.play()?;
        Ok(self)
    }

    /// Finds out what it leads to, in the simplest way.
    pub(super) fn play(&mut self) -> Result<(), Fault> {
        let mut job = Job::new(self);
        let mut rest = self.frames(0, self.messages());
        while let Some((text, end)) = floor::frame(rest, floor::Check::Std)? {
            job.scan(text.as_bytes())?;
            rest = &rest[end..];
        }
        self.answer = job.answer();
        Ok(())
    }
}
