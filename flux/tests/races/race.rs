//! A fiber that waits, and what stops it: each way of stopping, each moment to do so, and what is legal then.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use flux::time::{Instant, sleep};
use flux::{JoinHandle, Stopped, shielded, spawn, timeout, yield_now};

use crate::common::{descriptors, settle};
use crate::contests::{Contest, Ended, Maker};
use crate::{LONG, spin_until, until};

/// Between the two deadlines of which one is nearer, and both pass in one turn.
const BETWEEN: Duration = Duration::from_micros(20);

/// What stops the fiber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancel,
    Timeout,
    /// The inner one of two deadlines; the outer one is far.
    Inner,
    /// The outer one; the inner one is far.
    Outer,
    /// Both in the same turn, the inner one nearer.
    InnerThenOuter,
    /// Both in the same turn, the outer one nearer.
    OuterThenInner,
    /// `set_read_timeout`, `set_write_timeout`.
    Own,
    /// The op's own time-out is nearer than the deadline around it, and both pass in the same turn.
    OwnThenOuter,
    /// A cancel that is hidden.
    Shielded,
    /// A cancel that is hidden, and a deadline that is not.
    ShieldedTimeout,
    /// A deadline, and a cancel in the same turn.
    TimeoutThenCancel,
}

impl Stop {
    pub(crate) const ALL: [Self; 11] = [
        Self::Cancel,
        Self::Timeout,
        Self::Inner,
        Self::Outer,
        Self::InnerThenOuter,
        Self::OuterThenInner,
        Self::Own,
        Self::OwnThenOuter,
        Self::Shielded,
        Self::ShieldedTimeout,
        Self::TimeoutThenCancel,
    ];

    fn cancels(self) -> bool {
        matches!(
            self,
            Self::Cancel | Self::Shielded | Self::ShieldedTimeout | Self::TimeoutThenCancel
        )
    }

    fn has_deadline(self) -> bool {
        !matches!(self, Self::Cancel | Self::Shielded)
    }

    pub(crate) fn is_own(self) -> bool {
        matches!(self, Self::Own | Self::OwnThenOuter)
    }

    /// Whether it can end the op, rather than be heard after it.
    pub(crate) fn ends_the_op(self) -> bool {
        self != Self::Shielded
    }

    /// How an attempt may end that is not done. `fresh` says that the cancel came before the deadline could
    /// have ended anything.
    fn may_end(self, ended: Ended, fresh: bool) -> bool {
        match ended {
            Ended::Done => true,
            Ended::Cancelled => matches!(self, Self::Cancel | Self::TimeoutThenCancel),
            Ended::TimedOut if self == Self::TimeoutThenCancel => !fresh,
            Ended::TimedOut => self.has_deadline(),
        }
    }
}

/// When a fiber is stopped, as seen from the completion of its op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It has ended before the op is completed.
    LongBefore,
    TurnsBefore(u32),
    /// In the same turn.
    JustBefore,
    JustAfter,
    TurnsAfter(u32),
    /// The op is done, and its fiber has not run yet.
    Done,
    /// The fiber has what it waited for.
    LongAfter,
}

impl Moment {
    pub(crate) const ALL: [Self; 9] = [
        Self::LongBefore,
        Self::TurnsBefore(2),
        Self::TurnsBefore(1),
        Self::JustBefore,
        Self::JustAfter,
        Self::TurnsAfter(1),
        Self::TurnsAfter(2),
        Self::Done,
        Self::LongAfter,
    ];
}

/// Runs `body` with a deadline, and tells whether that ended a call in it.
fn limited(after: Duration, body: impl FnOnce() -> Ended) -> (Ended, bool) {
    match timeout(after, body) {
        Ok(ended) => (ended, false),
        Err(elapsed) => (elapsed.into_inner(), true),
    }
}

/// Waits once, so that `stop` can end it, and looks at who says that his time is over.
fn attempt(contest: &dyn Contest, stop: Stop, after: Duration) -> Ended {
    let late = |ended| ended == Ended::TimedOut;
    let innermost = || {
        let ended = contest.attempt();
        // A deadline that has ended a call ends all that follow inside it; a socket's own one does not.
        if late(ended) && !stop.is_own() {
            assert!(yield_now().is_err(), "a deadline does not pass twice");
        }
        ended
    };
    let (ended, passed) = match stop {
        Stop::Cancel => (innermost(), false),
        Stop::Shielded => (shielded(innermost), false),
        Stop::Timeout | Stop::TimeoutThenCancel => limited(after, innermost),
        Stop::ShieldedTimeout => shielded(|| limited(after, innermost)),
        Stop::Inner => {
            let mut inner = None;
            let (ended, outer) = limited(LONG, || {
                let (ended, passed) = limited(after, innermost);
                assert_eq!(yield_now(), Ok(()), "the outer deadline is far");
                inner = Some(passed);
                ended
            });
            assert!(!outer, "an inner deadline is taken for the outer one");
            (ended, inner == Some(true))
        }
        Stop::Outer => limited(after, || {
            let (ended, inner) = limited(LONG, innermost);
            assert!(!inner, "an outer deadline is taken for the inner one");
            ended
        }),
        Stop::InnerThenOuter => {
            let start = Instant::now();
            let mut inner = false;
            let (ended, outer) = limited(after + BETWEEN, || {
                let (ended, passed) = limited(after, || {
                    // Where the system took the core in between, the inner one is not the nearer one.
                    inner = start.elapsed() >= BETWEEN;
                    innermost()
                });
                inner = passed || (inner && late(ended));
                assert_eq!(sleep(LONG), Err(Stopped::TimedOut));
                ended
            });
            assert!(outer, "the outer deadline passes as well");
            (ended, inner)
        }
        Stop::OuterThenInner => limited(after, || {
            let (ended, inner) = limited(after + BETWEEN, innermost);
            assert!(!inner, "an outer deadline is taken for the inner one");
            ended
        }),
        Stop::Own => {
            assert!(contest.set_timeout(Some(after)));
            let ended = innermost();
            contest.set_timeout(None);
            (ended, late(ended))
        }
        Stop::OwnThenOuter => {
            assert!(contest.set_timeout(Some(after)));
            // A little nearer when it is set, a little later when the op begins.
            let (ended, outer) = limited(after + BETWEEN, innermost);
            contest.set_timeout(None);
            assert!(!outer || late(ended));
            (ended, late(ended))
        }
    };
    assert_eq!(passed, late(ended), "{stop:?}: whose deadline ended it");
    ended
}

/// A fiber that waits for its contest, and is to be stopped.
pub(crate) struct Race {
    contest: Rc<dyn Contest>,
    stop: Stop,
    ended: Rc<Cell<Option<Ended>>>,
    fiber: JoinHandle<()>,
    /// No deadline of it passes before.
    earliest: Instant,
    after: Duration,
    /// Its cancel, if there was one, came before its deadline could pass.
    fresh: Cell<bool>,
}

impl Race {
    /// Begins a race; its deadline, if it has one, is so far away.
    pub(crate) fn begin(contest: Rc<dyn Contest>, stop: Stop, after: Duration) -> Self {
        let ended = Rc::new(Cell::new(None));
        let fiber = {
            let (contest, ended) = (Rc::clone(&contest), Rc::clone(&ended));
            spawn(move || {
                let first = attempt(&*contest, stop, after);
                ended.set(Some(first));
                if first == Ended::Cancelled {
                    // It stays cancelled, and takes nothing, though there may be something to take.
                    assert_eq!(contest.attempt_again(), Ended::Cancelled);
                }
                let then = if stop.cancels() {
                    sleep(LONG)
                } else {
                    yield_now()
                };
                let told = if stop.cancels() {
                    Err(Stopped::Cancelled)
                } else {
                    Ok(())
                };
                assert_eq!(then, told, "what follows {stop:?}, which ended {first:?}");
            })
        };
        Self {
            contest,
            stop,
            ended,
            fiber,
            earliest: Instant::now() + after,
            after,
            fresh: Cell::new(false),
        }
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended.get()
    }

    /// Whether the attempt has ended; by a panic too, which `settle_up` passes on.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get().is_some() || self.fiber.is_finished()
    }

    pub(crate) fn complete(&self) {
        self.contest.complete();
    }

    pub(crate) fn is_shielded(&self) -> bool {
        !self.stop.ends_the_op()
    }

    pub(crate) fn brings_nothing(&self) -> bool {
        self.contest.brings_nothing()
    }

    pub(crate) fn cancel(&self) {
        if self.stop.cancels() {
            self.fresh.set(Instant::now() < self.earliest);
            self.fiber.cancel();
        }
    }

    /// Stops the fiber now, keeping the core until its deadlines have passed.
    pub(crate) fn stop_now(&self) {
        let fresh = self.ended.get().is_none() && Instant::now() < self.earliest;
        if self.stop.has_deadline() {
            // It waits since a while, so that its deadlines began before now.
            spin_until(Instant::now() + self.after + BETWEEN);
        }
        self.cancel();
        self.fresh.set(fresh);
    }

    /// Waits for the fiber's end, and balances the books: everything has happened that was to.
    pub(crate) fn settle_up(self) -> Ended {
        until("a fiber that was stopped ends", || self.fiber.is_finished());
        let Self { fiber, contest, .. } = self;
        shielded(|| fiber.join()).unwrap_or_else(|error| panic!("{:?}: {error:?}", self.stop));
        let ended = self.ended.get().expect("it has ended");
        assert!(
            self.stop.may_end(ended, self.fresh.get()),
            "{:?} cannot end as {ended:?}",
            self.stop
        );
        contest.settle_up(ended);
        ended
    }
}

/// What became of many races.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: u32,
    pub(crate) cancelled: u32,
    pub(crate) late: u32,
    /// Stopped while the op was done and its fiber had not run yet.
    pub(crate) met: u32,
}

impl Tally {
    pub(crate) fn count(&mut self, ended: Ended) {
        *match ended {
            Ended::Done => &mut self.done,
            Ended::Cancelled => &mut self.cancelled,
            Ended::TimedOut => &mut self.late,
        } += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            done,
            cancelled,
            late,
            met,
        } = self;
        write!(f, "{done} done, {cancelled} cancelled, {late} late")?;
        if *met > 0 {
            write!(f, "; {met} stopped when done and not run yet")?;
        }
        Ok(())
    }
}

fn turns(count: u32) {
    for _ in 0..count {
        yield_now().unwrap();
    }
}

/// One race whose fiber is stopped at a moment that is known.
pub(crate) fn race(maker: Maker, stop: Stop, moment: Moment, tally: &mut Tally) {
    /// Long enough to get there, short enough to be spun away.
    const AFTER: Duration = Duration::from_micros(500);
    let open = descriptors();
    let contest = maker();
    // What the contest brings along has come to rest, so that it is not counted as the op.
    settle();
    let before = flux::stats();
    let race = Race::begin(contest, stop, AFTER);
    settle();
    let mut sure = None;
    match moment {
        Moment::LongBefore => {
            race.stop_now();
            if stop.ends_the_op() {
                until("a stop ends a wait", || race.has_ended());
                sure = Some(false);
            } else {
                settle();
                assert_eq!(race.ended(), None, "a shield hides the cancel");
                sure = Some(true);
            }
            race.complete();
        }
        Moment::TurnsBefore(_) | Moment::JustBefore => {
            race.stop_now();
            if let Moment::TurnsBefore(count) = moment {
                turns(count);
            }
            race.complete();
        }
        Moment::JustAfter | Moment::TurnsAfter(_) => {
            race.complete();
            if let Moment::TurnsAfter(count) = moment {
                turns(count);
            }
            race.stop_now();
        }
        Moment::Done => {
            race.complete();
            if race.brings_nothing() {
                turns(1);
            }
            until("what was completed is done", || {
                race.has_ended() || race.contest.is_done(&before)
            });
            let in_time = !stop.has_deadline() || Instant::now() < race.earliest;
            if race.ended().is_none() && in_time {
                tally.met += 1;
                sure = Some(true);
            }
            race.stop_now();
        }
        Moment::LongAfter => {
            race.complete();
            until("what was completed is told", || race.has_ended());
            if !stop.has_deadline() || Instant::now() < race.earliest {
                sure = Some(true);
            }
            race.stop_now();
        }
    }
    let brings_nothing = race.brings_nothing();
    let ended = race.settle_up();
    if let Some(done) = sure
        && !brings_nothing
    {
        assert_eq!(
            ended == Ended::Done,
            done,
            "{stop:?} at {moment:?}: {ended:?}"
        );
    }
    tally.count(ended);
    expect_nothing_left(open);
}

/// Expects that the reactor is as it was, and as many descriptors are open.
pub(crate) fn expect_nothing_left(open: usize) {
    let now = flux::stats();
    assert_eq!(
        (now.ops_in_flight, now.deadlines, now.overflow_depth),
        (0, 0, 0)
    );
    assert_eq!(now.fibers_in_use, 1);
    assert_eq!(now.fibers_live, 1);
    let stacks = now.stacks.map(|class| class.in_use);
    assert_eq!(stacks.iter().sum::<usize>(), 1);
    assert_eq!(descriptors(), open, "descriptors");
}
