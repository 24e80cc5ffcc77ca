//! Messages of the shape and sizes that the recording has, for where it is absent.

use std::fmt::Write as _;

use flux_examples::decimal::Decimals;
use flux_examples::random::Random;

use super::tape::Tape;
use crate::Fault;

const SEED: u64 = 5;
/// Between the bids and the asks: no book is ever crossed.
const MIDDLE: u64 = 600_000;
/// How far from it prices are.
const WIDTH: u64 = 2_000;
/// One message in so many is a diff; the others are tickers.
const DIFF_ONE_IN: u64 = 14;
/// Levels of a diff on each side, at the most.
const LEVELS_MAX: u64 = 68;
/// How many diffs wait for the snapshot.
const KEPT: u64 = 4;

/// A tape of so many messages, the same each time.
pub(super) fn tape(messages: usize) -> Result<Tape, Fault> {
    let mut random = Random::new(SEED);
    let decimals = Decimals {
        price: 1,
        quantity: 3,
    };
    let mut tape = Tape::empty("BTCUSDT", decimals);
    let (mut id, mut diffs) = (1_000, 0);
    while tape.messages() < messages {
        if !random.one_in(DIFF_ONE_IN) {
            tape.add(ticker(&mut random, id).as_bytes());
            continue;
        }
        let bids = levels(&mut random, MIDDLE - WIDTH);
        let asks = levels(&mut random, MIDDLE + 1);
        tape.add(
            format!(
                r#"{{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":{},"u":{},"pu":{id},"b":[{bids}],"a":[{asks}]}}}}"#,
                id + 1,
                id + 9,
            )
            .as_bytes(),
        );
        id += 9;
        diffs += 1;
        if diffs == KEPT {
            let bids = levels(&mut random, MIDDLE - WIDTH);
            let asks = levels(&mut random, MIDDLE + 1);
            let text = format!(r#"{{"lastUpdateId":{id},"bids":[{bids}],"asks":[{asks}]}}"#);
            tape.add_snapshot(text.as_bytes())?;
        }
    }
    tape.play()?;
    Ok(tape)
}

fn ticker(random: &mut Random, id: u64) -> String {
    let quantity = quantity(random);
    let (bid, ask) = (price(MIDDLE - 1), price(MIDDLE + 1));
    format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{id},"s":"BTCUSDT","b":"{bid}","B":"{quantity}","a":"{ask}","A":"{quantity}","T":1723161256313,"E":1723161256313}}}}"#
    )
}

fn levels(random: &mut Random, from: u64) -> String {
    let mut text = String::new();
    for level in 0..=random.below(LEVELS_MAX) {
        let comma = if level == 0 { "" } else { "," };
        let (price, quantity) = (price(from + random.below(WIDTH)), quantity(random));
        // Writing to a `String` cannot fail.
        let _ = write!(text, r#"{comma}["{price}","{quantity}"]"#);
    }
    text
}

fn price(tenths: u64) -> String {
    format!("{}.{}0", tenths / 10, tenths % 10)
}

/// One in three is zero: the level goes.
fn quantity(random: &mut Random) -> String {
    if random.one_in(3) {
        return "0.000".to_owned();
    }
    format!("{}.{:03}", random.below(20), random.below(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_leads_to_a_book() {
        let tape = tape(2_500).expect("messages");
        assert_eq!(tape.messages(), 2_500);
        assert_eq!(tape.answer().messages, 2_500);
        assert!(tape.answer().applied > 100);
        let again = super::tape(2_500).expect("messages").cut(2_499);
        let again = again.expect("long enough").answer();
        assert_ne!((again.messages, again.path_crc32), (2_500, 0));
    }
}
