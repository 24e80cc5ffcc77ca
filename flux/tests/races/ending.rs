//! The end of everything: `shutdown`, and a main fiber that returns or panics, while ops complete.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use flux::time::sleep;
use flux::{Stopped, shielded, spawn, yield_now};

use crate::common::{config, descriptors, fibers, run, settle};
use crate::contests::{Contest, Ended, KINDS};
use crate::race::{Moment, Race, Stop, Tally, expect_nothing_left, race};
use crate::{LONG, PATIENCE, catch, on_each_engine, on_each_engine_saying, until};

/// Who ends it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Shutdown,
    MainReturns,
    MainPanics,
}

/// The turn in which it ends. The races are completed around that.
const END: u32 = 3;

/// One of each kind is shielded or not, completed in a turn of its own, and stopped by the end of it all.
///
/// A fiber that is shielded looks after them, and is the last.
fn conduct(round: u32, mut end: impl FnMut()) -> Tally {
    let races: Vec<_> = KINDS
        .iter()
        .zip(0..)
        .map(|((_, maker), number): (_, u32)| {
            let stop = if (number + round).is_multiple_of(3) {
                Stop::Shielded
            } else {
                Stop::Cancel
            };
            (
                Race::begin(maker(), stop, Duration::ZERO),
                (number * 5 + round) % (2 * END),
            )
        })
        .collect();
    settle();
    let mut tally = Tally::default();
    for turn in 0..2 * END {
        // Before the end where it is the turn of both, or after it.
        let hasty = round.is_multiple_of(2);
        if turn == END && hasty {
            end();
            if round.is_multiple_of(4) {
                // What has not come is not waited for.
                until("who is not shielded is stopped", || {
                    races
                        .iter()
                        .all(|(race, _)| race.is_shielded() || race.has_ended())
                });
            }
        }
        for (race, _) in races.iter().filter(|(_, at)| *at == turn) {
            race.complete();
        }
        if turn == END && !hasty {
            end();
        }
        yield_now().unwrap();
    }
    for (race, _) in races {
        tally.count(race.settle_up());
    }
    until("the main fiber ends", || flux::stats().fibers_in_use == 1);
    tally
}

fn end_it(how: End, round: u32) -> Tally {
    let outcome = Rc::new(Cell::new(None));
    let seen = Rc::clone(&outcome);
    let open = descriptors();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        run(config().grace(PATIENCE), move || {
            let leave = Rc::new(Cell::new(false));
            let go = Rc::clone(&leave);
            drop(spawn(move || {
                shielded(|| {
                    let open = descriptors();
                    let tally = conduct(round, || match how {
                        End::Shutdown => flux::shutdown(),
                        End::MainReturns | End::MainPanics => go.set(true),
                    });
                    expect_nothing_left(open);
                    seen.set(Some(tally));
                });
                assert_eq!(yield_now(), Err(Stopped::Cancelled));
            }));
            while !leave.get() && yield_now().is_ok() {}
            assert!(how != End::MainPanics, "the main fiber panics");
        })
    }));
    match ended {
        Ok(answer) => answer.unwrap(),
        Err(_) => assert_eq!(how, End::MainPanics),
    }
    assert_eq!(descriptors(), open);
    outcome.get().expect("the last fiber came to its end")
}

#[test]
fn an_end_that_meets_completions() {
    on_each_engine("ending::an_end_that_meets_completions", || {
        // Panics on purpose say nothing worth reading.
        std::panic::set_hook(Box::new(|panic| {
            let text = panic.to_string();
            if !text.contains("the main fiber panics") {
                eprintln!("{text}");
            }
        }));
        catch();
        for how in [End::Shutdown, End::MainReturns, End::MainPanics] {
            let mut all = Tally::default();
            for round in 0..30 {
                let tally = end_it(how, round);
                all.done += tally.done;
                all.cancelled += tally.cancelled;
            }
            eprintln!("  {how:?}: {} done, {} cancelled", all.done, all.cancelled);
            assert!(all.done > 0 && all.cancelled > 0);
        }
    });
}

#[test]
fn a_fiber_that_is_stopped_while_it_shuts_down_is_told_too() {
    on_each_engine(
        "ending::a_fiber_that_is_stopped_while_it_shuts_down_is_told_too",
        || {
            let told = Rc::new(Cell::new(false));
            let (tell, ended) = (Rc::clone(&told), Rc::clone(&told));
            let main = run(config().grace(PATIENCE), move || {
                let late = flux::timeout(LONG, || {
                    let fiber = spawn(move || {
                        assert_eq!(yield_now(), Ok(()));
                        flux::shutdown();
                        assert_eq!(yield_now(), Err(Stopped::Cancelled));
                        flux::shutdown();
                        assert_eq!(sleep(LONG), Err(Stopped::Cancelled));
                        let born_late = spawn(|| (shielded(yield_now), yield_now()));
                        let born_late = shielded(|| born_late.join()).unwrap();
                        assert_eq!(born_late, (Ok(()), Err(Stopped::Cancelled)));
                        tell.set(true);
                    });
                    let joined = fiber.join();
                    assert!(joined.is_err(), "the main fiber was cancelled meanwhile");
                    // Its end would cancel those that are born late once more.
                    until("the one that shuts down ends", || ended.get());
                    sleep(LONG)
                });
                late.expect("no deadline has passed")
            });
            assert_eq!(main.unwrap(), Err(Stopped::Cancelled));
            assert!(told.get());
        },
    );
}

/// Leaves fibers behind in each kind of op; completes half of them within their grace.
fn leave() {
    catch();
    // Held here, so that what completes them outlives the reactor that gave them up.
    let contests: Rc<Cell<Vec<Rc<dyn Contest>>>> = Rc::default();
    let kept = Rc::clone(&contests);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let answer = run(config().grace(Duration::from_secs(1)), move || {
        let mut left = Vec::new();
        for (name, maker) in KINDS {
            for completed in [true, false] {
                if name == "sleep" || (name == "signal" && completed) {
                    continue;
                }
                let contest = maker();
                if !completed {
                    left.push(Rc::clone(&contest));
                }
                let count = Rc::clone(&count);
                let late = Rc::clone(&contest);
                drop(spawn(move || {
                    assert_eq!(shielded(|| contest.attempt()), Ended::Done);
                    assert_eq!(yield_now(), Err(Stopped::Cancelled));
                    count.set(count.get() + 1);
                }));
                if completed {
                    drop(spawn(move || {
                        assert_eq!(sleep(LONG), Err(Stopped::Cancelled));
                        // Within the grace, and in a turn of its own.
                        shielded(settle);
                        late.complete();
                    }));
                }
            }
        }
        settle();
        kept.set(left);
        flux::shutdown();
        flux::stats().ops_in_flight
    });
    assert!(answer.unwrap() > 0, "they are in the kernel");
    assert_eq!(told.get(), 7, "completed within the grace");
    let left = contests.take();
    assert_eq!(left.len(), 8);
    // Completed when nobody can be told any more, outside of a reactor and in the next one.
    for contest in left.iter().step_by(2) {
        contest.complete();
    }
    fibers(move || {
        for contest in left.iter().skip(1).step_by(2) {
            contest.complete();
        }
        // What came for one who was left is taken by those who come.
        let signal = [flux::signal::Signal::USER1];
        let kept = flux::timeout(PATIENCE, || flux::signal::wait(&signal));
        kept.expect("it is kept").unwrap();
        for (_, maker) in KINDS {
            for moment in Moment::ALL {
                race(maker, Stop::Cancel, moment, &mut Tally::default());
            }
        }
        assert_eq!(told.get(), 7);
        std::mem::forget(left);
    });
}

#[test]
fn fibers_that_are_left_in_an_op_are_named_and_do_no_harm() {
    on_each_engine_saying(
        "ending::fibers_that_are_left_in_an_op_are_named_and_do_no_harm",
        leave,
        // Those that were never completed, and the one that one of them joins.
        "flux: 9 fibers were cancelled and have not ended",
    );
}
