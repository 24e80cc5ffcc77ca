//! Recordings of market data: what is in a file, and its messages one after another.
//!
//! Two kinds, gzipped or not: text, one message a line behind the nanosecond at which it was received
//! (`1723161255030314667 {"stream":..}`), and pcap captures of UDP feeds. Which venue a recording is
//! from is read from its content, never from its name.
//!
//! Knows nothing of books: it says what was received, and when.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::binance::{self, Diff, Message};
use crate::decimal::Decimals;
use crate::pcap::{self, Capture, PcapError};
use crate::scan::Cursor;

/// The longest line that is believed; the longest recorded so far is a snapshot of 64 kB.
const LINE_MAX: u64 = 16 << 20;

/// How many lines are read to find out what a recording is.
const LINES_INSPECTED: usize = 2000;

/// Which exchange a recording is from, and so what its messages look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venue {
    /// Binance: spot, USD-M futures, or COIN-M futures.
    Binance,
    /// Kraken, WebSocket v1.
    Kraken,
    /// Coinbase Exchange.
    Coinbase,
    /// OKX v5.
    Okx,
    /// IEX DEEP in a capture.
    Iex,
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Binance => "Binance",
            Self::Kraken => "Kraken",
            Self::Coinbase => "Coinbase",
            Self::Okx => "OKX",
            Self::Iex => "IEX",
        })
    }
}

/// Why a file could not be replayed. Each names the file.
#[derive(Debug)]
pub enum RecordingError {
    /// It cannot be opened or read.
    Io(PathBuf, io::Error),
    /// It can be read, and is no recording; the sentence says what is wrong with it.
    NotARecording(PathBuf, String),
    /// It began as a recording and broke off; the number says at which message.
    Broken(PathBuf, u64, String),
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => {
                write!(f, "cannot read recording `{}`: {error}", path.display())
            }
            Self::NotARecording(path, why) => {
                write!(f, "`{}` is no recording: {why}", path.display())
            }
            Self::Broken(path, message, why) => {
                write!(
                    f,
                    "recording `{}` breaks off after message {message}: {why}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for RecordingError {}

/// A file that has been found to be a recording.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Where it is.
    pub path: PathBuf,
    /// Which exchange it is from.
    pub venue: Venue,
    /// Binance: the symbol, in upper case.
    pub symbol: String,
    /// Binance: whether the diffs are those of futures.
    pub futures: bool,
    /// Binance: the streams that were recorded, in order of appearance.
    pub streams: Vec<String>,
}

/// What a recorded message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text message of a WebSocket.
    Text,
    /// The answer to a REST snapshot request.
    Rest,
    /// The payload of one UDP packet.
    Packet,
}

/// One recorded message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was received, in nanoseconds of Unix time.
    pub at_ns: u64,
    /// What it was.
    pub kind: Kind,
    /// Exactly what was received.
    pub body: &'a [u8],
}

impl Recording {
    /// Looks at a file and finds out what it is.
    ///
    /// # Errors
    /// It cannot be read, or it is no recording.
    pub fn inspect(path: &Path) -> Result<Self, RecordingError> {
        let not = |why: String| RecordingError::NotARecording(path.to_owned(), why);
        let mut found = Self {
            path: path.to_owned(),
            venue: Venue::Iex,
            symbol: String::new(),
            futures: false,
            streams: Vec::new(),
        };
        let mut entries = Entries::open(path)?;
        if matches!(entries.source, Source::Packets(_)) {
            return match entries.next_entry()? {
                Some(_) => Ok(found),
                None => Err(not("the capture has no UDP packets".to_owned())),
            };
        }
        let mut venue = None;
        let mut diff = Diff::default();
        for _ in 0..LINES_INSPECTED {
            let Some(entry) = entries.next_entry()? else {
                break;
            };
            venue = venue.or_else(|| venue_of(entry.body));
            if venue.is_some_and(|venue| venue != Venue::Binance) {
                break;
            }
            if let Some(stream) = stream_of(entry.body)
                && !found.streams.iter().any(|known| known.as_bytes() == stream)
            {
                found
                    .streams
                    .push(String::from_utf8_lossy(stream).into_owned());
            }
            if found.symbol.is_empty()
                && let Ok(Message::Depth { symbol }) =
                    binance::parse(entry.body, Decimals::EIGHT, &mut diff)
            {
                found.symbol = String::from_utf8_lossy(symbol).into_owned();
                found.futures = diff.ids.previous.is_some();
            }
        }
        let why =
            format!("its first {LINES_INSPECTED} messages are of no venue that is known here");
        found.venue = venue.ok_or_else(|| not(why))?;
        if found.venue == Venue::Binance && found.symbol.is_empty() {
            return Err(not(format!(
                "its first {LINES_INSPECTED} messages have no depth update"
            )));
        }
        Ok(found)
    }

    /// The name without its folders, as `expected.json` has it.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// What to call the recording in a table: the file name without its endings.
    #[must_use]
    pub fn short_name(&self) -> String {
        let name = self.file_name();
        name.split('.').next().unwrap_or(&name).to_owned()
    }

    /// Starts reading from the beginning.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn entries(&self) -> Result<Entries, RecordingError> {
        Entries::open(&self.path)
    }
}

enum Source {
    Lines(Box<dyn BufRead + Send>, Vec<u8>),
    Packets(Capture<Box<dyn BufRead + Send>>),
}

/// The messages of a recording, in order.
pub struct Entries {
    path: PathBuf,
    source: Source,
    read: u64,
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("path", &self.path)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl Entries {
    fn open(path: &Path) -> Result<Self, RecordingError> {
        let io_error = |error| RecordingError::Io(path.to_owned(), error);
        let file = File::open(path).map_err(io_error)?;
        if file.metadata().map_err(io_error)?.is_dir() {
            return Err(RecordingError::NotARecording(
                path.to_owned(),
                "it is a folder".to_owned(),
            ));
        }
        let mut raw = BufReader::with_capacity(64 << 10, file);
        let zipped = raw.fill_buf().map_err(io_error)?.starts_with(&[0x1f, 0x8b]);
        let mut input: Box<dyn BufRead + Send> = if zipped {
            Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        let start = input.fill_buf().map_err(|error| {
            RecordingError::NotARecording(
                path.to_owned(),
                format!("it cannot be unpacked: {error}"),
            )
        })?;
        if start.is_empty() {
            return Err(RecordingError::NotARecording(
                path.to_owned(),
                "it is empty".to_owned(),
            ));
        }
        let capture = start
            .first_chunk::<4>()
            .is_some_and(|magic| pcap::is_capture(*magic));
        let source = if capture {
            let capture = Capture::new(input).map_err(|error| {
                RecordingError::NotARecording(path.to_owned(), error.to_string())
            })?;
            Source::Packets(capture)
        } else {
            Source::Lines(input, Vec::with_capacity(64 << 10))
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            read: 0,
        })
    }

    /// The next message; nothing at the end.
    ///
    /// # Errors
    /// The file cannot be read, or what comes next is no message.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, RecordingError> {
        let (path, read) = (&self.path, self.read);
        let wrong = |why: String| {
            if read == 0 {
                RecordingError::NotARecording(path.clone(), why)
            } else {
                RecordingError::Broken(path.clone(), read, why)
            }
        };
        let entry = match &mut self.source {
            Source::Packets(capture) => match capture.next_payload() {
                Ok(Some((at_ns, body))) => Some(Entry {
                    at_ns,
                    kind: Kind::Packet,
                    body,
                }),
                Ok(None) => None,
                Err(PcapError::Io(error)) => return Err(RecordingError::Io(path.clone(), error)),
                Err(error) => return Err(wrong(error.to_string())),
            },
            Source::Lines(input, line) => {
                line.clear();
                let mut bounded = input.as_mut().take(LINE_MAX);
                bounded
                    .read_until(b'\n', line)
                    .map_err(|error| wrong(format!("it cannot be unpacked: {error}")))?;
                if line.is_empty() {
                    None
                } else {
                    Some(parse_line(line).map_err(|why| wrong(why.to_owned()))?)
                }
            }
        };
        self.read += u64::from(entry.is_some());
        Ok(entry)
    }
}

/// Takes `<nanoseconds> <message>\n` apart.
fn parse_line(line: &[u8]) -> Result<Entry<'_>, &'static str> {
    const WANTED: &str = "a line is not `<time in nanoseconds> <message>`";
    let line = line.strip_suffix(b"\n").ok_or("its last line is cut off")?;
    let space = line.iter().position(|&byte| byte == b' ').ok_or(WANTED)?;
    let (digits, body) = (&line[..space], &line[space + 1..]);
    let at_ns = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(WANTED)?;
    if !body.first().is_some_and(|byte| matches!(byte, b'{' | b'['))
        || std::str::from_utf8(body).is_err()
    {
        return Err("a line holds no JSON message behind its time");
    }
    let kind = if is_rest_snapshot(body) {
        Kind::Rest
    } else {
        Kind::Text
    };
    Ok(Entry { at_ns, kind, body })
}

/// Whether a message is a REST depth snapshot: it has an id, and no stream around it.
fn is_rest_snapshot(body: &[u8]) -> bool {
    !body.starts_with(b"{\"stream\"")
        && has_key(body, &[b"lastUpdateId"])
        && !has_key(body, &[b"stream"])
}

/// Whether a JSON object has one of these keys at its top level.
fn has_key(body: &[u8], keys: &[&[u8]]) -> bool {
    let mut found = false;
    let mut cursor = Cursor::new(body);
    if cursor.peek() != Some(b'{') {
        return false;
    }
    // A message that breaks off has no more keys to find; that it is broken shows where it is used.
    let _ = cursor.object(|key, value| {
        found |= keys.contains(&key);
        value.skip()
    });
    found
}

/// The stream that a combined message of Binance names.
fn stream_of(body: &[u8]) -> Option<&[u8]> {
    let rest = body.strip_prefix(b"{\"stream\":\"")?;
    rest.iter()
        .position(|&byte| byte == b'"')
        .map(|end| &rest[..end])
}

/// The venue that sends messages of this shape; nothing if more than one does.
fn venue_of(body: &[u8]) -> Option<Venue> {
    if body.first() == Some(&b'[') {
        return Some(Venue::Kraken);
    }
    [
        (Venue::Binance, &[&b"stream"[..], b"lastUpdateId"][..]),
        (Venue::Kraken, &[b"connectionID", b"channelID"]),
        (Venue::Okx, &[b"arg"]),
        (Venue::Coinbase, &[b"product_id", b"channels"]),
    ]
    .into_iter()
    .find_map(|(venue, keys)| has_key(body, keys).then_some(venue))
}

#[cfg(test)]
mod tests;
