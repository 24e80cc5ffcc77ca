//! An arbiter by examples, and against a model that knows each message by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn bounds() -> Bounds {
    Bounds {
        packets: 3,
        packet_bytes: 24,
        patience: ms(10),
        ..Bounds::default()
    }
}

/// Plays a script and answers what was given, a word each: `5` a message, `?5..7` missing, `#1` a session. In the
/// script `5+2` is a packet of messages 5 and 6, `b` before it that it comes on line B, `@20` sets the clock,
/// `#1` the session of what follows, `!` ends the stream, `~5` is a packet too long to be held.
fn play(arbiter: &mut Arbiter, script: &str) -> String {
    let (mut given, mut now, mut session) = (Vec::new(), ms(0), 1);
    for word in script.split_whitespace() {
        let mut deliver = |event: Sequenced<'_>| match event {
            Sequenced::Fresh(fresh) => {
                assert_eq!(fresh.bytes[..8], fresh.first.to_le_bytes());
                given.extend(
                    (fresh.skip..fresh.count).map(|at| (fresh.first + u64::from(at)).to_string()),
                );
            }
            Sequenced::Missing(missing) => {
                given.push(format!("?{}..{}", missing.start, missing.end));
            }
            Sequenced::Session(session) => given.push(format!("#{session}")),
        };
        if let Some(at) = word.strip_prefix('@') {
            now = ms(at.parse().unwrap());
            arbiter.expire(now, deliver);
        } else if let Some(number) = word.strip_prefix('#') {
            session = number.parse().unwrap();
        } else if word == "!" {
            arbiter.flush(deliver);
        } else {
            let (line, packet) = word
                .strip_prefix('b')
                .map_or((0, word), |packet| (1, packet));
            let (long, packet) = packet
                .strip_prefix('~')
                .map_or((0, packet), |packet| (100, packet));
            let (first, count) = packet.split_once('+').unwrap_or((packet, "1"));
            let span = Span {
                session,
                first: first.parse().unwrap(),
                count: count.parse().unwrap(),
            };
            let mut bytes = span.first.to_le_bytes().to_vec();
            bytes.resize(8 + long, 0);
            arbiter.offer(line, span, &bytes, now, &mut deliver);
        }
    }
    given.join(" ")
}

#[track_caller]
fn check(script: &str, given: &str) -> Counts {
    let mut arbiter = Arbiter::new(bounds());
    assert_eq!(play(&mut arbiter, script), given, "{script}");
    arbiter.counts()
}

#[test]
fn the_first_line_wins_and_the_second_is_a_duplicate() {
    let counts = check("1+2 b1+2 b3 3 4", "#1 1 2 3 4");
    assert_eq!((counts.fresh, counts.duplicates, counts.gaps), (4, 3, 0));
}

#[test]
fn what_one_line_loses_the_other_brings() {
    check("1 3 b1 b2 b3 4", "#1 1 2 3 4");
    check("1 b3 4 b2+2", "#1 1 2 3 4");
}

#[test]
fn a_gap_on_both_lines_is_told_when_patience_ends_and_not_before() {
    check("1 @5 3 @14 b4", "#1 1");
    let counts = check("1 @5 3 @14 b4 @15", "#1 1 ?2..3 3 4");
    assert_eq!((counts.gaps, counts.missing), (1, 1));
    // The second gap was seen later, and is waited for longer.
    check("1 @5 3 @9 5 @15 @18", "#1 1 ?2..3 3");
    check("1 @5 3 @9 5 @15 @19", "#1 1 ?2..3 3 ?4..5 5");
    // A packet that comes when patience has ended still fills its gap, and ends the wait for others.
    check("1 @5 3 5 @14 @15", "#1 1 ?2..3 3 ?4..5 5");
}

#[test]
fn a_gap_is_given_up_when_more_come_than_are_held() {
    check("1 3 5 7", "#1 1");
    let counts = check("1 3 5 7 9", "#1 1 ?2..3 3");
    assert_eq!(counts.held_most, 3);
    check("1 5 7 9 3 2", "#1 1 ?2..3 3");
    check("1 5 7 9 4 2", "#1 1 ?2..4 4 5");
}

#[test]
fn a_packet_too_long_to_be_held_ends_the_wait_for_all_before_it() {
    check("1 3 5 ~7 8", "#1 1 ?2..3 3 ?4..5 5 ?6..7 7 8");
}

#[test]
fn what_comes_too_late_is_counted_once() {
    let counts = check("1 4 @10 2 b2 b3+2 1", "#1 1 ?2..4 4");
    assert_eq!((counts.late, counts.duplicates), (2, 3));
}

#[test]
fn a_packet_that_is_half_new_gives_its_new_half() {
    let counts = check("1+3 2+4 9 4+3 @10 7+4", "#1 1 2 3 4 5 6 ?7..9 9 10");
    assert_eq!((counts.duplicates, counts.late), (5, 2));
    check("1 4+3 3+2 2+9", "#1 1 2 3 4 5 6 7 8 9 10");
}

#[test]
fn a_heartbeat_shows_what_is_missing_before_it() {
    check("1 b2+0 2 3+0", "#1 1 2");
    check("1 4+0 @10 4", "#1 1 ?2..4 4");
    check("1 4+0 b4+0 5+0 6+0 7+0 2+2", "#1 1 ?2..4");
}

#[test]
fn a_session_begins_with_what_comes_first_or_where_it_is_said_to_begin() {
    let counts = check("7 b6 8", "#1 7 8");
    assert_eq!(counts.late, 1);
    let mut arbiter = Arbiter::new(Bounds {
        first: Some(1),
        ..bounds()
    });
    assert_eq!(arbiter.next_sequence(), None);
    assert_eq!(play(&mut arbiter, "2 b1 #2 3 !"), "#1 1 2 #2 ?1..3 3");
    assert_eq!(arbiter.next_sequence(), Some(4));
}

#[test]
fn a_new_session_ends_the_old_one_and_what_is_late_of_that_does_not_bring_it_back() {
    let counts = check("1 3 #2 1 #1 b4+3 #2 2", "#1 1 ?2..3 3 #2 1 2");
    assert_eq!(counts.old_session, 3);
    // A third is new again.
    check("1 #2 1 #3 1 #1 9", "#1 1 #2 1 #3 1 #1 9");
}

#[test]
fn a_reset_takes_any_session_for_new() {
    let mut arbiter = Arbiter::new(bounds());
    play(&mut arbiter, "1 3 #2 1 3 5");
    arbiter.reset();
    assert_eq!((arbiter.held(), arbiter.deadline()), (0, None));
    assert_eq!(play(&mut arbiter, "9 10"), "#1 9 10");
}

#[test]
fn numbers_end_where_they_end() {
    const MAX: u64 = u64::MAX;
    let script = format!("{} {}+2 {}+1 {MAX}+1 {MAX}+0 !", MAX - 4, MAX - 2, MAX - 1);
    let given = format!(
        "#1 {} ?{}..{} {} {}",
        MAX - 4,
        MAX - 3,
        MAX - 2,
        MAX - 2,
        MAX - 1
    );
    let counts = check(&script, &given);
    assert_eq!((counts.unusable, counts.missing), (1, 1));
    let counts = check(
        &format!("0 {}+1 !", MAX - 1),
        &format!("#1 0 ?1..{} {}", MAX - 1, MAX - 1),
    );
    assert_eq!(counts.missing, MAX - 2);
}

#[test]
fn lines_are_counted_and_there_are_no_others() {
    let mut arbiter = Arbiter::new(bounds());
    play(&mut arbiter, "1 b1 b2 2 4 b3");
    let fresh = arbiter
        .lines()
        .iter()
        .map(|line| (line.packets, line.fresh));
    assert_eq!(fresh.collect::<Vec<_>>(), [(3, 2), (3, 2)]);
    let span = Span {
        session: 1,
        first: 1,
        count: 1,
    };
    let offer = std::panic::AssertUnwindSafe(|| arbiter.offer(2, span, b"", ms(0), |_| ()));
    assert!(std::panic::catch_unwind(offer).is_err());
}

#[test]
fn given_up_ranges_are_forgotten_from_the_oldest_on() {
    let mut given_up = GivenUp::new();
    for at in 0..65 {
        given_up.push(10 * at..10 * at + 5);
    }
    assert_eq!(given_up.take(0..10), 0, "forgotten");
    assert_eq!(
        given_up.take(12..13),
        1,
        "in two now, and the lower one forgotten for it"
    );
    assert_eq!(given_up.take(10..20), 2);
    assert_eq!(given_up.take(0..1000), 63 * 5);
    assert_eq!(given_up.take(0..1000), 0);
}

/// What is given, message by message, of packets of one session: by looking at each message, with no thought of cost.
struct Model {
    next: u64,
    packets: Vec<(u64, u64, Duration)>,
    seen: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
    given: Vec<Result<u64, u64>>,
    late: u64,
    old: u64,
    window: usize,
    patience: Duration,
}

impl Model {
    fn offer(&mut self, first: u64, count: u64, now: Duration) {
        let (mut news, before) = (false, self.seen.clone());
        for number in first..first + count {
            if self.given_up.remove(&number) {
                self.late += 1;
            } else if number < self.next || !self.seen.insert(number) {
                self.old += 1;
            } else {
                news = true;
            }
        }
        let announces = count == 0
            && first > self.next
            && !before.iter().any(|number| *number + 1 >= first)
            && !self.packets.iter().any(|(other, _, _)| *other >= first);
        if news || announces {
            self.packets.push((first, first + count, now));
        }
        self.run();
        while self.packets.len() > self.window {
            self.give_up();
        }
        self.expire(now);
    }

    fn expire(&mut self, now: Duration) {
        while self
            .packets
            .iter()
            .any(|(_, _, at)| *at + self.patience <= now)
        {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        if let Some(until) = self.packets.iter().map(|(first, _, _)| *first).min() {
            for number in self.next..until {
                self.given_up.insert(number);
                self.given.push(Err(number));
            }
            self.next = self.next.max(until);
            self.run();
        }
    }

    fn run(&mut self) {
        while self.seen.remove(&self.next) {
            self.given.push(Ok(self.next));
            self.next += 1;
        }
        self.packets.retain(|(first, _, _)| *first > self.next);
    }
}

mod against_the_model {
    use super::*;
    use proptest::prelude::*;

    /// Packets of a stream that both lines send, lost, moved, cut in other places, and at odd times.
    fn scripts() -> impl Strategy<Value = Vec<(usize, u64, u32, u64)>> {
        let packet = (0..2_usize, 0..60_u64, 0..5_u32, 0..6_u64);
        let nearly_in_order = proptest::collection::vec(packet, 1..80).prop_map(|mut all| {
            // Mostly forward, with a wobble.
            for (at, (_, first, _, _)) in all.iter_mut().enumerate() {
                *first = (at as u64 + *first % 7).saturating_sub(3);
            }
            all
        });
        let packet = (0..2_usize, 0..60_u64, 0..5_u32, 0..6_u64);
        prop_oneof![nearly_in_order, proptest::collection::vec(packet, 1..80)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_arbiter_gives_what_the_model_gives(
            script in scripts(),
            window in 1..6_usize,
            patience in 1..40_u64,
            base in prop_oneof![Just(0), Just(u64::MAX - 100)],
        ) {
            let mut model = Model {
                next: 0,
                packets: Vec::new(),
                seen: BTreeSet::new(),
                given_up: BTreeSet::new(),
                given: Vec::new(),
                late: 0,
                old: 0,
                window,
                patience: ms(patience),
            };
            let mut arbiter = Arbiter::new(Bounds {
                packets: window,
                packet_bytes: 16,
                patience: ms(patience),
                first: Some(base),
                ..Bounds::default()
            });
            let given = std::cell::RefCell::new(Vec::new());
            let copies = std::cell::RefCell::new(BTreeMap::new());
            let deliver = |event: Sequenced<'_>| match event {
                Sequenced::Fresh(fresh) => {
                    let tag = u64::from_le_bytes(fresh.bytes[8..16].try_into().unwrap());
                    let offered = copies.borrow_mut().remove(&tag).expect("given once");
                    assert_eq!(offered, (fresh.line, fresh.first, fresh.count, fresh.at));
                    assert!(fresh.skip < fresh.count);
                    let new = u64::from(fresh.skip)..u64::from(fresh.count);
                    given.borrow_mut().extend(new.map(|at| Ok(fresh.first - base + at)));
                }
                Sequenced::Missing(missing) => {
                    assert!(!missing.is_empty());
                    given.borrow_mut().extend(missing.map(|number| Err(number - base)));
                }
                Sequenced::Session(_) => {}
            };
            let (mut now, mut messages) = (ms(0), 0);
            for (tag, (line, first, count, later)) in script.into_iter().enumerate() {
                now += ms(later);
                if later == 5 {
                    model.expire(now);
                    arbiter.expire(now, deliver);
                }
                let span = Span { session: 9, first: base + first, count };
                copies.borrow_mut().insert(tag as u64, (line, span.first, count, now));
                messages += u64::from(count);
                let mut bytes = span.first.to_le_bytes().to_vec();
                bytes.extend((tag as u64).to_le_bytes());
                model.offer(first, count.into(), now);
                arbiter.offer(line, span, &bytes, now, deliver);
                prop_assert_eq!(&model.given, &*given.borrow());
                let since = model.packets.iter().map(|(_, _, at)| *at).min();
                prop_assert_eq!(arbiter.deadline(), since.map(|since| since + ms(patience)));
                prop_assert!(arbiter.held() <= window);
            }
            while !model.packets.is_empty() {
                model.give_up();
            }
            arbiter.flush(deliver);
            prop_assert_eq!(&model.given, &*given.borrow());
            let counts = arbiter.counts();
            prop_assert_eq!(counts.late, model.late);
            prop_assert_eq!(counts.duplicates, model.old);
            prop_assert_eq!(counts.fresh + counts.late + counts.duplicates, messages);
            let missing = given.borrow().iter().filter(|one| one.is_err()).count() as u64;
            prop_assert_eq!(counts.missing, missing);
        }
    }
}
