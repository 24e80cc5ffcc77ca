//! Every recording, straight through the book builders, against results computed elsewhere.
//!
//! The recordings stay out of the repository. They are looked for in the folder that
//! `FLUX_MARKET_DATA` names, and else beside the workspace; without them the tests say so and pass.

use std::path::{Path, PathBuf};

use flux_examples::book::Crc;
use flux_examples::books::{Books, Effect};
use flux_examples::decimal::Decimals;
use flux_examples::expected::{self, Expected};
use flux_examples::recording::{Kind, Recording, Venue};
use flux_examples::sync::Answer;
use flux_examples::verify::verify;

/// The folder with the recordings, or nothing and a line that says so.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("FLUX_MARKET_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/market-data"),
        PathBuf::from,
    );
    if folder.join(expected::FILE_NAME).is_file() {
        return Some(folder);
    }
    println!(
        "SKIPPED: no recordings in {}; set FLUX_MARKET_DATA",
        folder.display()
    );
    None
}

/// Plays one recording into books; a REST snapshot is given to the book when it comes.
fn play(recording: &Recording, decimals: Decimals) -> (Books, Crc, i64) {
    let mut books = Books::new(
        recording.venue,
        std::slice::from_ref(&recording.symbol),
        decimals,
    );
    let (mut transport, mut messages) = (Crc::default(), 0);
    let mut entries = recording.entries().expect("readable");
    while let Some(entry) = entries.next_entry().expect("whole") {
        messages += 1;
        transport.bytes(entry.body);
        if entry.kind == Kind::Rest {
            let (answer, effect) = books.on_snapshot(0, entry.body).expect("a snapshot");
            assert!(
                matches!(answer, Answer::Load { .. }),
                "{}: {answer:?}",
                recording.short_name()
            );
            assert_eq!(effect, Effect::Updated(0));
        } else {
            let effect = books.apply(entry.body);
            assert!(
                matches!(effect, Ok(Effect::Updated(_) | Effect::Nothing)),
                "{effect:?}"
            );
        }
    }
    (books, transport, messages)
}

#[test]
fn every_recording_leads_to_the_books_that_were_expected() {
    let Some(folder) = folder() else { return };
    let expected = Expected::load(&folder.join(expected::FILE_NAME)).expect("expected results");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let recording = Recording::inspect(&file).expect("a recording");
        let entry = expected
            .of(&recording.file_name())
            .expect("an entry per recording");
        let (books, transport, messages) =
            play(&recording, entry.decimals().unwrap_or(Decimals::EIGHT));
        let checks = verify(&books, entry, true);
        assert!(checks.iter().any(|check| check.is_book) || recording.venue == Venue::Okx);
        assert!(checks.len() >= 8, "{}: {checks:?}", recording.short_name());
        for check in &checks {
            assert!(check.agrees(), "{}: {check:?}", recording.short_name());
        }
        if let Some(crc) = entry.text("json_crc32") {
            assert_eq!(
                format!("{:08x}", transport.value()),
                crc,
                "{}",
                recording.short_name()
            );
            assert_eq!(entry.number("messages"), Some(messages));
        }
        println!(
            "{}: {} checks, all agree",
            recording.short_name(),
            checks.len()
        );
    }
}
