//! Recordings that are whole, cut, or none at all.

use std::io::Write as _;

use super::*;

/// A file that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path =
            std::env::temp_dir().join(format!("flux-recording-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("the temporary folder takes files");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that stays behind in the temporary folder harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

const LINES: &str = concat!(
    "5 {\"stream\":\"x@bookTicker\",\"data\":{\"u\":1}}\n",
    "6 {\"stream\":\"x@depth@0ms\",\"data\":{\"e\":\"depthUpdate\",\"s\":\"X\",\"U\":1,\"u\":2,\"pu\":0,\"b\":[],\"a\":[]}}\n",
    "7 {\"lastUpdateId\":2,\"bids\":[],\"asks\":[]}\n",
);

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

#[test]
fn a_recording_is_read_zipped_and_plain() {
    for (name, content) in [
        ("plain", LINES.as_bytes().to_vec()),
        ("zipped", gzip(LINES.as_bytes())),
    ] {
        let file = Scratch::new(name, &content);
        let recording = Recording::inspect(&file.0).expect("a recording");
        assert_eq!(
            (
                recording.venue,
                recording.symbol.as_str(),
                recording.futures
            ),
            (Venue::Binance, "X", true)
        );
        assert_eq!(recording.streams, ["x@bookTicker", "x@depth@0ms"]);
        let mut entries = recording.entries().expect("readable");
        let mut seen = Vec::new();
        while let Some(entry) = entries.next_entry().expect("whole") {
            seen.push((entry.at_ns, entry.kind, entry.body.len()));
        }
        assert_eq!(
            seen.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(),
            [(5, Kind::Text), (6, Kind::Text), (7, Kind::Rest)]
        );
    }
}

#[test]
fn what_is_no_recording_says_what_is_wrong_with_it() {
    for (name, content, words) in [
        ("empty", &b""[..], "it is empty"),
        (
            "prose",
            b"Dear diary,\n",
            "a line is not `<time in nanoseconds> <message>`",
        ),
        (
            "binary",
            &[0x7f, b'E', b'L', b'F', 0, 0, 0, b'\n'],
            "a line is not",
        ),
        ("number", b"17 is a prime\n", "no JSON message"),
        ("unknown", b"17 {\"a\":1}\n", "no venue"),
        (
            "no-depth",
            b"17 {\"stream\":\"x@trade\",\"data\":{}}\n",
            "no depth update",
        ),
        (
            "bad-gzip",
            &[0x1f, 0x8b, 8, 0, 1, 2, 3],
            "cannot be unpacked",
        ),
        (
            "cut-capture",
            &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0],
            "does not begin as a pcap capture",
        ),
    ] {
        let file = Scratch::new(name, content);
        let error = Recording::inspect(&file.0).expect_err(name).to_string();
        assert!(error.contains(words) && error.contains(name), "{error}");
    }
    let error = Recording::inspect(Path::new("/nonexistent/file"))
        .expect_err("no such file")
        .to_string();
    assert!(
        error.starts_with("cannot read recording `/nonexistent/file`: "),
        "{error}"
    );
    let error = Recording::inspect(&std::env::temp_dir())
        .expect_err("a folder")
        .to_string();
    assert!(error.ends_with("it is a folder"), "{error}");
}

#[test]
fn a_recording_that_breaks_off_says_where() {
    let cut = gzip(&LINES.as_bytes()[..LINES.len() - 3]);
    let file = Scratch::new("cut", &cut);
    let mut entries = Entries::open(&file.0).expect("it begins well");
    assert!(entries.next_entry().is_ok() && entries.next_entry().is_ok());
    let error = entries.next_entry().expect_err("cut").to_string();
    assert!(
        error.contains("breaks off after message 2: its last line is cut off"),
        "{error}"
    );
}

#[test]
fn venues_are_told_by_their_messages() {
    for (text, venue) in [
        (
            r#"{"connectionID":1,"event":"systemStatus"}"#,
            Some(Venue::Kraken),
        ),
        (
            r#"{"channelID":1,"event":"subscriptionStatus"}"#,
            Some(Venue::Kraken),
        ),
        (r#"[1,{},"book-10","A/B"]"#, Some(Venue::Kraken)),
        (r#"{"event":"subscribe","arg":{}}"#, Some(Venue::Okx)),
        (
            r#"{"type":"subscriptions","channels":[]}"#,
            Some(Venue::Coinbase),
        ),
        (r#"{"stream":"a","data":{}}"#, Some(Venue::Binance)),
        (r#"{"event":"heartbeat"}"#, None),
        ("{", None),
    ] {
        assert_eq!(venue_of(text.as_bytes()), venue, "{text}");
    }
}
