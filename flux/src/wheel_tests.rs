//! The wheel against a plain list of deadlines, and what it promises about work.

use super::*;
use proptest::prelude::*;

/// Far more work than a test of a few timers may need: one that goes on for ever ends here.
const NO_LIMIT: u32 = 1 << 20;

/// Takes out all that is due, and says how many timers were looked at.
fn expire_all(wheel: &mut Wheel, now_ns: u64) -> (Vec<u32>, u32) {
    let mut work = NO_LIMIT;
    let due = std::iter::from_fn(|| wheel.expire(now_ns, &mut work)).collect();
    assert!(work > 0, "the timers are looked at again and again");
    (due, NO_LIMIT - work)
}

/// The list that is being taken apart, read from both ends.
fn pending(wheel: &Wheel) -> Vec<u32> {
    let read = |first: u32, onward: fn(&Node) -> u32| -> Vec<u32> {
        let valid = |id: u32| (id != NIL).then_some(id);
        std::iter::successors(valid(first), |id| valid(onward(&wheel.nodes[*id as usize])))
            .take(wheel.nodes.len() + 1)
            .collect()
    };
    let forth = read(wheel.pending.head, |node| node.next);
    let mut back = read(wheel.pending.tail, |node| node.prev);
    back.reverse();
    assert_eq!(forth, back);
    forth
}

// Against a model.

/// A moment, in the words of what is hard for a wheel.
#[derive(Clone, Copy, Debug)]
enum Moment {
    After(u64),
    Before(u64),
    /// Around the first tick of the next slot of a level.
    Boundary {
        level: u32,
        off_ns: i64,
    },
    /// The deadline that was set last.
    Again,
    Absolute(u64),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Set(u32, Moment),
    Remove(u32),
    /// Lets time pass, and takes out what is due with as much work.
    Expire(Moment, u32),
    /// Lets time pass until `next`.
    Wake(u32),
}

const TIMERS: u32 = 24;

fn span_ns() -> impl Strategy<Value = u64> {
    const YEAR_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;
    prop_oneof![
        4 => 0_u64..4,
        4 => 0_u64..2048,
        4 => 0_u64..100_000,
        2 => 0_u64..1_000_000_000,
        2 => (0_u64..10).prop_map(|millis| millis * 1_000_000),
        1 => 0_u64..10_000_000_000_000,
        1 => 0..100 * YEAR_NS,
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        8 => span_ns().prop_map(Moment::After),
        1 => span_ns().prop_map(Moment::Before),
        4 => (0..LEVELS, -600_i64..600)
            .prop_map(|(level, off_ns)| Moment::Boundary { level, off_ns }),
        3 => Just(Moment::Again),
        1 => prop_oneof![
            Just(0),
            LAST_NS - 2..LAST_NS + 2,
            Just(u64::MAX),
            any::<u64>(),
        ]
        .prop_map(Moment::Absolute),
    ]
}

/// How time passes: hardly ever so far that nothing can be set after it any more.
fn passing() -> impl Strategy<Value = Moment> {
    prop_oneof![
        200 => span_ns().prop_map(Moment::After),
        100 => (0..LEVELS - 1, -600_i64..600)
            .prop_map(|(level, off_ns)| Moment::Boundary { level, off_ns }),
        100 => Just(Moment::Again),
        1 => Just(Moment::Absolute(LAST_NS - 1)),
        1 => Just(Moment::Absolute(u64::MAX)),
    ]
}

fn work() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(NO_LIMIT), 1 => 0_u32..8]
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0..TIMERS;
    prop_oneof![
        6 => (id(), moment()).prop_map(|(id, at)| Step::Set(id, at)),
        2 => id().prop_map(Step::Remove),
        2 => (passing(), work()).prop_map(|(now, work)| Step::Expire(now, work)),
        1 => work().prop_map(Step::Wake),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at_ns: u64,
    order: usize,
    /// Was set while a slot was being taken apart, or is left from one when the work was used up.
    may_overtake: bool,
}

/// A wheel beside the plain list that it is to agree with.
struct Pair {
    wheel: Wheel,
    model: Vec<Option<Deadline>>,
    now_ns: u64,
    last_set_ns: u64,
    sets: usize,
    /// Nothing was removed, or set anew, since the wheel was last empty.
    exact: bool,
}

impl Pair {
    fn new() -> Self {
        Self {
            wheel: Wheel::new(TIMERS as usize),
            model: vec![None; TIMERS as usize],
            now_ns: 0,
            last_set_ns: 0,
            sets: 0,
            exact: true,
        }
    }

    fn at_ns(&self, moment: Moment) -> u64 {
        match moment {
            Moment::After(ns) => self.now_ns.saturating_add(ns),
            Moment::Before(ns) => self.now_ns.saturating_sub(ns),
            Moment::Boundary { level, off_ns } => {
                let span_ns = 1 << (TICK_BITS + level * GROUP_BITS);
                (self.now_ns / span_ns + 1)
                    .saturating_mul(span_ns)
                    .saturating_add_signed(off_ns)
            }
            Moment::Again => self.last_set_ns,
            Moment::Absolute(ns) => ns,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Set(id, moment) => {
                let at_ns = self.at_ns(moment);
                self.last_set_ns = at_ns;
                self.wheel.set(id, at_ns);
                self.sets += 1;
                let deadline = Deadline {
                    at_ns: at_ns.min(LAST_NS),
                    order: self.sets,
                    may_overtake: self.wheel.pending.head != NIL,
                };
                if self.model[id as usize].replace(deadline).is_some() {
                    self.exact = false;
                }
            }
            Step::Remove(id) => {
                self.wheel.remove(id);
                if self.model[id as usize].take().is_some() {
                    self.exact = false;
                }
            }
            Step::Expire(moment, work) => self.expire(self.at_ns(moment), work),
            Step::Wake(work) => self.expire(self.wheel.next().unwrap_or(0), work),
        }
    }

    fn expire(&mut self, at_ns: u64, limit: u32) {
        let mut work = limit;
        self.now_ns = self.now_ns.max(at_ns);
        while let Some(id) = self.wheel.expire(self.now_ns, &mut work) {
            let deadline = self.model[id as usize]
                .take()
                .expect("it is set, and comes out once");
            assert!(deadline.at_ns <= self.now_ns, "{id} came early");
            let overtaken =
                |other: &Deadline| other.at_ns == deadline.at_ns && other.order < deadline.order;
            assert!(
                deadline.may_overtake || !self.model.iter().flatten().any(overtaken),
                "{id} came before an equal one that was set earlier"
            );
        }
        for id in pending(&self.wheel) {
            let left = self.model[id as usize].as_mut();
            left.expect("what is left is set").may_overtake = true;
        }
        assert!(work > 0 || limit < NO_LIMIT, "it goes on for ever");
        if work > 0 {
            let late = |left: &&Deadline| left.at_ns <= self.now_ns;
            let late = self.model.iter().flatten().find(late);
            assert!(late.is_none(), "{late:?} is left at {}", self.now_ns);
        }
    }

    fn check(&mut self) {
        let set = self.model.iter().flatten().count();
        assert_eq!(self.wheel.len(), set);
        for (id, deadline) in (0_u32..).zip(&self.model) {
            assert_eq!(self.wheel.is_set(id), deadline.is_some());
        }
        let nearest_ns = self.model.iter().flatten().map(|left| left.at_ns).min();
        let next_ns = self.wheel.next();
        assert_eq!(next_ns.is_none(), nearest_ns.is_none());
        assert!(next_ns <= nearest_ns, "{next_ns:?} after {nearest_ns:?}");
        self.exact |= set == 0;
        if self.exact && pending(&self.wheel).is_empty() {
            assert_eq!(next_ns, nearest_ns);
        }
    }

    /// Follows each step, then lets all the time pass that there is.
    fn follow(mut self, steps: Vec<Step>) {
        for step in steps {
            self.take(step);
            self.check();
        }
        self.expire(u64::MAX, NO_LIMIT);
        self.check();
        assert_eq!(self.wheel.len(), 0, "some were lost");
    }
}

proptest! {
    #[test]
    fn deadlines_come_due_as_in_a_plain_list(
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        Pair::new().follow(steps);
    }

    #[test]
    fn without_removals_the_next_deadline_is_exact(
        sets in proptest::collection::vec((moment(), moment(), passing(), work()), 0..100),
    ) {
        let mut pair = Pair::new();
        for (first, second, now, work) in sets {
            for moment in [first, second] {
                // One that is not set: setting it removes nothing.
                if let Some(id) = (0..TIMERS).find(|id| !pair.wheel.is_set(*id)) {
                    pair.take(Step::Set(id, moment));
                    pair.check();
                }
            }
            pair.take(Step::Expire(now, work));
            assert!(pair.exact);
            pair.check();
        }
        pair.follow(Vec::new());
    }

    #[test]
    fn from_wake_to_wake_each_deadline_is_met_to_the_nanosecond(
        deadlines in proptest::collection::vec(moment(), 1..TIMERS as usize),
        started_ns in span_ns(),
    ) {
        let mut pair = Pair::new();
        pair.expire(started_ns, NO_LIMIT);
        for (id, at) in (0_u32..).zip(deadlines) {
            pair.take(Step::Set(id, at));
        }
        while let Some(next_ns) = pair.wheel.next() {
            let left = pair.wheel.len();
            pair.expire(next_ns, NO_LIMIT);
            assert!(pair.wheel.len() < left, "woken at {next_ns} for nothing");
        }
    }
}

// What it promises about work.

#[test]
fn a_slot_of_100_000_timers_is_taken_apart_256_at_a_time() {
    const COUNT: u32 = 100_000;
    const EACH: u32 = 256;
    let hour_ns = 3600 * 1_000_000_000;
    let at_ns = |id: u32| hour_ns + u64::from(id);
    let mut wheel = Wheel::new(COUNT as usize);
    for id in 0..COUNT {
        wheel.set(id, at_ns(id));
    }
    // Only the first is due: the others are looked at, and placed again.
    let (mut due, mut looked_at) = (Vec::new(), 0);
    while wheel.next() <= Some(hour_ns) {
        let mut work = EACH;
        due.extend(std::iter::from_fn(|| wheel.expire(hour_ns, &mut work)));
        looked_at += EACH - work;
    }
    // Those of the first tick are looked at there again.
    assert_eq!((due, wheel.next()), (vec![0], Some(at_ns(1))));
    assert!((COUNT..COUNT + 1024).contains(&looked_at), "{looked_at}");
    // All that are left are due, each in its turn.
    let last_ns = at_ns(COUNT - 1);
    let (mut expected, mut looked_at) = (1_u32, 0);
    while wheel.len() > 0 {
        assert!(wheel.next() <= Some(last_ns), "there is work left");
        let mut work = EACH;
        while let Some(id) = wheel.expire(last_ns, &mut work) {
            assert_eq!(id, expected);
            expected += 1;
        }
        looked_at += EACH - work;
    }
    assert_eq!((expected, wheel.next()), (COUNT, None));
    assert!(looked_at < 3 * COUNT, "{looked_at}");
}

#[test]
fn what_is_due_in_one_turn_comes_in_the_order_of_its_ticks() {
    let mut wheel = Wheel::new(1000);
    let at_ns = |id: u32| 1_000_000 + u64::from(id * 7919 % 1000) * 3_000_000;
    for id in 0..1000 {
        wheel.set(id, at_ns(id));
    }
    let (out, _) = expire_all(&mut wheel, 10_000_000_000);
    assert_eq!(out.len(), 1000);
    assert!(out.is_sorted_by_key(|id| at_ns(*id)), "{out:?}");
}

#[test]
fn a_far_timer_is_not_touched_until_it_is_due() {
    let (far_ns, turn_ns) = (3_600_123_456_789, 1_000_000_007);
    let mut wheel = Wheel::new(2);
    wheel.set(0, far_ns);
    for now_ns in (0..far_ns).step_by(turn_ns) {
        assert_eq!(wheel.next(), Some(far_ns));
        assert_eq!(expire_all(&mut wheel, now_ns), (vec![], 0));
    }
    assert_eq!(expire_all(&mut wheel, far_ns - 1), (vec![], 0));
    assert_eq!(expire_all(&mut wheel, far_ns), (vec![0], 1));
}

#[test]
fn a_timer_is_looked_at_once_a_level_at_the_most() {
    let mut wheel = Wheel::new(2);
    let far_ns = LAST_NS - 1;
    wheel.set(0, far_ns);
    let (mut now_ns, mut looked_at) = (0, 0);
    // The other one is set for a time before it, ever nearer, and drags their slot apart.
    while far_ns - now_ns >= 1 << TICK_BITS {
        now_ns += (far_ns - now_ns) / 2;
        wheel.set(1, now_ns);
        assert_eq!(wheel.next(), Some(now_ns));
        let (due, work) = expire_all(&mut wheel, now_ns);
        assert_eq!(due, [1]);
        // The other one is looked at where it stands, and again at level 0.
        looked_at += work.saturating_sub(2);
    }
    assert!(looked_at <= LEVELS, "{looked_at} times");
    assert_eq!(expire_all(&mut wheel, far_ns), (vec![0], 1));
}

#[test]
fn what_is_set_is_placed_by_its_distance_from_the_last_turn() {
    let second_ns = 1_000_000_000;
    let mut wheel = Wheel::new(3);
    wheel.set(0, 3600 * second_ns);
    assert_eq!(expire_all(&mut wheel, 10 * second_ns), (vec![], 0));
    // Seen from the start they share a slot, which is 8.6 s long; seen from here they don't.
    wheel.set(1, 10 * second_ns + 1_000_000);
    wheel.set(2, 13 * second_ns);
    for (id, at_ns) in [(1, 10 * second_ns + 1_000_000), (2, 13 * second_ns)] {
        assert_eq!(expire_all(&mut wheel, at_ns), (vec![id], 1));
    }
}

#[test]
fn an_early_wake_after_a_removal_makes_the_next_one_exact() {
    let mut wheel = Wheel::new(2);
    wheel.set(0, 1_000_000);
    wheel.set(1, 1_000_900);
    wheel.remove(0);
    assert_eq!(wheel.next(), Some(1_000_000));
    assert_eq!(expire_all(&mut wheel, 1_000_000), (vec![], 1));
    assert_eq!(wheel.next(), Some(1_000_900));
}

#[test]
fn a_slot_that_was_emptied_forgets_its_earliest_moment() {
    let mut wheel = Wheel::new(1);
    wheel.set(0, 1_000_000);
    wheel.set(0, 1_000_100);
    assert_eq!(wheel.next(), Some(1_000_100));
    wheel.remove(0);
    wheel.remove(0);
    assert_eq!((wheel.next(), wheel.len()), (None, 0));
}

// The corners.

#[test]
fn equal_deadlines_come_in_the_order_of_setting_from_whatever_distance() {
    let mut wheel = Wheel::new(4);
    let at_ns = 5_000_000_000;
    for (id, now_ns) in [
        (2, 0),
        (0, 4_000_000_000),
        (3, at_ns - 3000),
        (1, at_ns - 1),
    ] {
        assert_eq!(expire_all(&mut wheel, now_ns).0, []);
        wheel.set(id, at_ns);
    }
    assert_eq!(expire_all(&mut wheel, at_ns).0, [2, 0, 3, 1]);
}

#[test]
fn while_a_slot_is_taken_apart_its_timers_can_be_removed_and_set_anew() {
    let mut wheel = Wheel::new(8);
    for id in 0..6 {
        wheel.set(id, 1_000_000 + u64::from(id) * 600);
    }
    let mut work = 1;
    // The first has been placed again, where it is due, and waits for the others to be.
    assert_eq!(wheel.expire(1_000_000, &mut work), None);
    assert_eq!(pending(&wheel), [1, 2, 3, 4, 5]);
    assert_eq!(wheel.next(), Some(0));
    // The slot that they came from, and still name, is in use again.
    wheel.set(6, 1_000_000);
    wheel.set(7, 1_000_000 + 600);
    for id in [1, 3, 5] {
        wheel.remove(id);
    }
    wheel.set(2, 900_000);
    assert_eq!(pending(&wheel), [4]);
    wheel.remove(4);
    assert_eq!((pending(&wheel), wheel.len()), (vec![], 4));
    assert_eq!(expire_all(&mut wheel, 1_000_000).0, [0, 6, 2]);
    assert_eq!(expire_all(&mut wheel, 1_000_599).0, []);
    assert_eq!(expire_all(&mut wheel, 1_000_600).0, [7]);
}

#[test]
fn what_has_passed_is_due_at_once() {
    let mut wheel = Wheel::new(3);
    let now_ns = 7_000_000_123;
    assert_eq!(expire_all(&mut wheel, now_ns), (vec![], 0));
    for (id, at_ns) in [(0, now_ns - 1_000_000), (1, 0), (2, now_ns)] {
        wheel.set(id, at_ns);
    }
    assert_eq!(wheel.next(), Some(0));
    assert_eq!(expire_all(&mut wheel, now_ns).0, [0, 1, 2]);
}

#[test]
fn a_moment_past_the_last_counts_as_the_last() {
    let mut wheel = Wheel::new(2);
    wheel.set(0, u64::MAX);
    wheel.set(1, LAST_NS);
    assert_eq!(wheel.next(), Some(LAST_NS));
    assert_eq!(expire_all(&mut wheel, LAST_NS - 1).0, []);
    assert_eq!(expire_all(&mut wheel, LAST_NS).0, [0, 1]);
    assert_eq!(expire_all(&mut wheel, u64::MAX).0, []);
    wheel.set(0, u64::MAX);
    assert_eq!(expire_all(&mut wheel, u64::MAX).0, [0]);
}

#[test]
#[cfg_attr(
    debug_assertions,
    should_panic(expected = "time went backwards, from 2000000 ns to 1000000 ns")
)]
fn an_older_moment_counts_as_the_newest() {
    let mut wheel = Wheel::new(1);
    assert_eq!(expire_all(&mut wheel, 2_000_000).0, []);
    wheel.set(0, 1_500_000);
    assert_eq!(expire_all(&mut wheel, 1_000_000).0, [0]);
}

#[test]
fn no_memory_is_taken_after_it_was_made() {
    let mut wheel = Wheel::new(4);
    let memory = |wheel: &Wheel| (wheel.nodes.as_ptr_range(), wheel.slots.as_ptr_range());
    let made = memory(&wheel);
    for round in 0..1000_u64 {
        for id in 0..4 {
            wheel.set(id, round << (round % 50 + u64::from(id)));
        }
        expire_all(&mut wheel, round << 20);
    }
    assert_eq!(memory(&wheel), made);
}
