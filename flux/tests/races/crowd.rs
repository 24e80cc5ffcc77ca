//! Many races at once: what completes, what is cancelled and what is late in one turn is far more than the
//! submission queue holds, and than a turn reaps.

use std::cell::Cell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::rc::Rc;
use std::time::Duration;

use flux::net::TcpStream;
use flux::sync::channel;
use flux::time::{Instant, sleep};
use flux::{StackClass, spawn, timeout, yield_now};
use proptest::prelude::*;

use crate::common::{config, descriptors, fibers, run, settle};
use crate::contests::{KINDS, Maker};
use crate::race::{Race, Stop, Tally, expect_nothing_left};
use crate::sockets::ends;
use crate::{LONG, WITH_OWN, on_each_engine, spin_until, until};

/// Turns after its begin within which a race is completed and stopped.
const TURNS: u32 = 6;

/// One race of many. The order within a turn is that of the list, unless it is `hasty`.
#[derive(Clone, Copy, Debug)]
struct Plan {
    kind: usize,
    stop: usize,
    after: Duration,
    begin: u32,
    complete: u32,
    stopped: u32,
    /// Stopped before it is completed, where both are due in one turn.
    hasty: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let turn = || 0..TURNS;
    let numbers = (0..KINDS.len(), 0..Stop::ALL.len(), 1_u64..600);
    (numbers, turn(), turn(), turn(), any::<bool>()).prop_map(
        |((kind, stop, after), begin, complete, stopped, hasty)| Plan {
            kind,
            stop,
            after: Duration::from_micros(after),
            begin,
            complete: begin + complete,
            stopped: begin + stopped,
            hasty,
        },
    )
}

/// Runs all of it, on a ring of so many entries.
fn play(plans: Vec<Plan>, entries: u32) -> Tally {
    run(
        config()
            .submission_entries(entries)
            .stacks(StackClass::Medium, 200),
        move || {
            let open = descriptors();
            let mut races: Vec<Option<Race>> = plans.iter().map(|_| None).collect();
            let mut signal_is_awaited = false;
            let mut tally = Tally::default();
            for turn in 0..2 * TURNS {
                for (plan, race) in plans.iter().zip(&mut races) {
                    if plan.begin == turn {
                        *race = Some(begin(*plan, &mut signal_is_awaited));
                    }
                    let Some(race) = race else { continue };
                    let complete = || {
                        // Time passes by itself.
                        if plan.complete == turn && !race.brings_nothing() {
                            race.complete();
                        }
                    };
                    if !plan.hasty {
                        complete();
                    }
                    if plan.stopped == turn {
                        race.cancel();
                    }
                    if plan.hasty {
                        complete();
                    }
                }
                yield_now().unwrap();
            }
            for race in races {
                tally.count(race.expect("each has begun").settle_up());
            }
            expect_nothing_left(open);
            tally
        },
    )
    .unwrap()
}

fn begin(plan: Plan, signal_is_awaited: &mut bool) -> Race {
    let (mut name, mut maker) = KINDS[plan.kind];
    if name == "signal" && std::mem::replace(signal_is_awaited, true) {
        // There is one of it.
        (name, maker) = KINDS[0];
    }
    let mut stop = Stop::ALL[plan.stop];
    if stop.is_own() && !WITH_OWN.contains(&name) {
        stop = Stop::Timeout;
    }
    Race::begin(maker(), stop, plan.after)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    fn crowds(
        plans in proptest::collection::vec(plan(), 20..120),
        entries in prop_oneof![Just(4_u32), Just(256)],
    ) {
        eprintln!("  {entries} entries: {}", play(plans, entries));
    }
}

#[test]
fn a_crowd_of_races_balances_its_books() {
    on_each_engine("crowd::a_crowd_of_races_balances_its_books", || {
        // From here on the signal is caught, whoever raises it first.
        crate::catch();
        crowds();
    });
}

/// Races of each kind of I/O, all completed in one turn and all cancelled so many turns later.
fn all_at_once(turns: u32, entries: u32) -> Tally {
    const EACH: usize = 100;
    let limits = config().fibers(1024).stacks(StackClass::Medium, 1000);
    run(limits.submission_entries(entries), move || {
        let open = descriptors();
        let makers: [Maker; 4] = [KINDS[0].1, KINDS[1].1, KINDS[2].1, KINDS[3].1];
        let contests: Vec<_> = (0..EACH)
            .flat_map(|_| makers.map(|maker| maker()))
            .collect();
        let races: Vec<_> = contests
            .iter()
            .map(|contest| Race::begin(Rc::clone(contest), Stop::Cancel, Duration::ZERO))
            .collect();
        drop(contests);
        settle();
        assert_eq!(flux::stats().ops_in_flight, races.len());
        for race in &races {
            race.complete();
        }
        for _ in 0..turns {
            yield_now().unwrap();
        }
        let mut tally = Tally::default();
        for race in &races {
            tally.met += u32::from(race.ended().is_none());
            race.cancel();
        }
        for race in races {
            tally.count(race.settle_up());
        }
        expect_nothing_left(open);
        tally
    })
    .unwrap()
}

#[test]
fn a_cancel_of_hundreds_that_are_done_and_not_reaped() {
    on_each_engine(
        "crowd::a_cancel_of_hundreds_that_are_done_and_not_reaped",
        || {
            for entries in [4, 256] {
                for turns in 0..5 {
                    let tally = all_at_once(turns, entries);
                    eprintln!("  {entries} entries, {turns} turns later: {tally}");
                    assert!(turns > 0 || tally.met == 400);
                }
            }
        },
    );
}

/// Reads a byte at a time with a time-out of its own, which passes again and again; how many came.
fn read_for_long(end: &TcpStream, count: usize) -> usize {
    let (mut came, mut late) = (0, 0);
    while came < count {
        let mut end = end;
        match end.read(&mut [0]) {
            Ok(1) => came += 1,
            Err(error) if error.kind() == ErrorKind::TimedOut => late += 1,
            // The request before this one stood at the same address.
            other => panic!("a cancel has reached the next request: {other:?}"),
        }
    }
    late
}

#[test]
fn a_cancel_that_its_op_does_not_wait_for_reaches_no_other() {
    on_each_engine(
        "crowd::a_cancel_that_its_op_does_not_wait_for_reaches_no_other",
        || {
            const READERS: usize = 200;
            const BYTES: usize = 20;
            const TIME: Duration = Duration::from_millis(2);
            let limits = config().stacks(StackClass::Medium, READERS);
            // Far more cancels in a turn than the queue holds, so that most of them wait for their turn.
            run(limits.submission_entries(4), || {
                let open = descriptors();
                let (ends, mut peers): (Vec<_>, Vec<_>) = (0..READERS).map(|_| ends()).unzip();
                let readers: Vec<_> = ends
                    .into_iter()
                    .map(|end| {
                        end.set_read_timeout(Some(TIME)).unwrap();
                        spawn(move || read_for_long(&end, BYTES))
                    })
                    .collect();
                for _ in 0..BYTES {
                    // All read, unless the machine is so slow that some are late at any time.
                    for _ in 0..20 {
                        if flux::stats().ops_in_flight == READERS {
                            break;
                        }
                        yield_now().unwrap();
                    }
                    spin_until(Instant::now() + TIME);
                    // The turn that this begins finds all of them late; then their bytes come, in that turn.
                    yield_now().unwrap();
                    for peer in &mut peers {
                        peer.write_all(&[1]).unwrap();
                    }
                }
                let late: usize = readers
                    .into_iter()
                    .map(|reader| reader.join().unwrap())
                    .sum();
                eprintln!("  {} bytes, {late} times late", READERS * BYTES);
                assert!(late > 0);
                drop(peers);
                expect_nothing_left(open);
            })
            .unwrap();
        },
    );
}

#[test]
fn a_wake_for_what_another_took_is_no_stop() {
    on_each_engine("crowd::a_wake_for_what_another_took_is_no_stop", || {
        fibers(|| {
            let (sender, receiver) = channel(1);
            let receiver = Rc::new(receiver);
            let (waiting, begun) = (Rc::clone(&receiver), Rc::new(Cell::new(false)));
            let begins = Rc::clone(&begun);
            let fiber = spawn(move || {
                // It was late once, and has slept to the end once: neither is heard again.
                let late = timeout(Duration::from_micros(50), || sleep(LONG));
                assert!(late.is_err());
                sleep(Duration::from_micros(50)).unwrap();
                begins.set(true);
                waiting.recv()
            });
            until("it waits for a value", || begun.get());
            for value in 0..10 {
                sender.try_send(value).unwrap();
                // It has been woken, and has not run.
                assert_eq!(receiver.try_recv().unwrap(), value);
                settle();
                assert!(!fiber.is_finished());
            }
            sender.try_send(10).unwrap();
            assert_eq!(fiber.join().unwrap(), Ok(10));
        });
    });
}
