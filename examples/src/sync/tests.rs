//! Every order of events that a real feed has shown, as data: events in, actions out.

use super::*;

fn spot(first: u64, last: u64) -> Ids {
    Ids {
        first,
        last,
        previous: None,
    }
}

fn futures(previous: u64, first: u64, last: u64) -> Ids {
    Ids {
        first,
        last,
        previous: Some(previous),
    }
}

/// Plays `diffs` into a fresh machine.
fn after(diffs: &[Ids]) -> Machine {
    let mut machine = Machine::default();
    for &ids in diffs {
        machine.on_diff(ids);
    }
    machine
}

/// A machine that is in sync up to update 20.
fn synced() -> Machine {
    let mut machine = after(&[spot(11, 20)]);
    assert_eq!(machine.on_snapshot(15), Answer::Load { stale: 0 });
    assert_eq!(machine.state(), State::Synced(20));
    machine
}

#[test]
fn diffs_are_kept_until_a_snapshot_comes() {
    let mut machine = Machine::default();
    assert!(!machine.wants_snapshot());
    assert_eq!(machine.on_diff(spot(11, 20)), Action::Keep);
    assert_eq!(machine.on_diff(spot(21, 21)), Action::Keep);
    assert!(machine.wants_snapshot());
    assert_eq!(machine.on_snapshot(20), Answer::Load { stale: 1 });
    assert_eq!(machine.state(), State::Synced(21));
    assert_eq!(machine.on_diff(spot(22, 30)), Action::Apply);
    assert_eq!(
        machine.counts(),
        Counts {
            applied: 2,
            stale: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn spot_snapshot_ids_at_each_edge_of_the_buffer() {
    let play = |id| {
        let mut machine = after(&[spot(11, 20), spot(21, 30)]);
        (machine.on_snapshot(id), machine.state())
    };
    assert_eq!(play(9), (Answer::TooOld, State::Buffering));
    assert_eq!(
        play(10),
        (Answer::Load { stale: 0 }, State::Synced(30)),
        "S + 1 is the first update"
    );
    assert_eq!(play(19), (Answer::Load { stale: 0 }, State::Synced(30)));
    assert_eq!(play(20), (Answer::Load { stale: 1 }, State::Synced(30)));
    assert_eq!(play(29), (Answer::Load { stale: 1 }, State::Synced(30)));
    assert_eq!(play(30), (Answer::Load { stale: 2 }, State::CatchUp(30)));
    assert_eq!(play(99), (Answer::Load { stale: 2 }, State::CatchUp(99)));
}

#[test]
fn futures_snapshot_ids_at_each_edge_of_the_buffer() {
    let play = |id| {
        let mut machine = after(&[futures(8, 11, 20), futures(20, 25, 30)]);
        (machine.on_snapshot(id), machine.state())
    };
    assert_eq!(play(7), (Answer::TooOld, State::Buffering));
    assert_eq!(
        play(8),
        (Answer::Load { stale: 0 }, State::Synced(30)),
        "nothing is between pu and U"
    );
    assert_eq!(play(11), (Answer::Load { stale: 0 }, State::Synced(30)));
    assert_eq!(
        play(20),
        (Answer::Load { stale: 0 }, State::Synced(30)),
        "u == S is applied on futures"
    );
    assert_eq!(
        play(21),
        (Answer::Load { stale: 1 }, State::Synced(30)),
        "an id in the hole"
    );
    assert_eq!(play(30), (Answer::Load { stale: 1 }, State::Synced(30)));
    assert_eq!(play(31), (Answer::Load { stale: 2 }, State::CatchUp(31)));
}

#[test]
fn an_old_snapshot_is_asked_for_again_and_the_diffs_are_kept() {
    let mut machine = after(&[spot(11, 20), spot(21, 30)]);
    assert_eq!(machine.on_snapshot(5), Answer::TooOld);
    assert_eq!(machine.on_snapshot(7), Answer::TooOld);
    assert!(machine.wants_snapshot());
    assert_eq!(machine.on_snapshot(25), Answer::Load { stale: 1 });
    assert_eq!(machine.counts().old_snapshots, 2);
    assert_eq!(machine.counts().resyncs, 0);
}

#[test]
fn after_a_snapshot_from_the_future_stale_diffs_are_dropped_until_one_straddles_it() {
    let mut machine = after(&[spot(11, 20)]);
    assert_eq!(machine.on_snapshot(1_000), Answer::Load { stale: 1 });
    for id in 21..=1_000 {
        assert_eq!(machine.on_diff(spot(id, id)), Action::DropStale);
    }
    assert_eq!(machine.on_diff(spot(1_001, 1_010)), Action::Apply);
    assert_eq!(machine.state(), State::Synced(1_010));
}

#[test]
fn a_straddling_diff_may_begin_before_the_snapshot_but_not_after_it() {
    let catching_up = || {
        let mut machine = after(&[spot(11, 20)]);
        assert_eq!(machine.on_snapshot(40), Answer::Load { stale: 1 });
        machine
    };
    assert_eq!(catching_up().on_diff(spot(35, 45)), Action::Apply);
    assert_eq!(catching_up().on_diff(spot(41, 45)), Action::Apply);
    assert_eq!(
        catching_up().on_diff(spot(42, 45)),
        Action::Restart(Cause::Gap)
    );

    let mut machine = after(&[futures(8, 11, 20)]);
    assert_eq!(machine.on_snapshot(40), Answer::Load { stale: 1 });
    assert_eq!(machine.on_diff(futures(20, 22, 39)), Action::DropStale);
    assert_eq!(machine.on_diff(futures(39, 41, 45)), Action::Apply);
}

#[test]
fn a_gap_voids_the_book_and_buffers_anew() {
    let mut machine = synced();
    assert_eq!(machine.on_diff(spot(22, 30)), Action::Restart(Cause::Gap));
    assert!(machine.wants_snapshot());
    assert_eq!(machine.on_diff(spot(31, 40)), Action::Keep);
    assert_eq!(
        machine.on_snapshot(20),
        Answer::TooOld,
        "the answer to a request from before the gap"
    );
    assert_eq!(machine.on_snapshot(35), Answer::Load { stale: 1 });
    assert_eq!(
        machine.counts(),
        Counts {
            applied: 2,
            stale: 1,
            gaps: 1,
            resyncs: 1,
            old_snapshots: 1,
            duplicates: 0
        }
    );
}

#[test]
fn futures_chain_by_the_previous_id_and_not_by_the_first() {
    let mut machine = after(&[futures(8, 11, 20)]);
    assert_eq!(machine.on_snapshot(15), Answer::Load { stale: 0 });
    assert_eq!(
        machine.on_diff(futures(20, 55, 60)),
        Action::Apply,
        "a hole in the ids is no gap"
    );
    assert_eq!(
        machine.on_diff(futures(61, 62, 70)),
        Action::Restart(Cause::Gap)
    );
}

#[test]
fn an_overlapping_spot_diff_is_a_gap() {
    assert_eq!(synced().on_diff(spot(19, 30)), Action::Restart(Cause::Gap));
}

#[test]
fn a_gap_among_the_kept_diffs_starts_the_buffer_over() {
    let mut machine = after(&[spot(11, 20)]);
    assert_eq!(machine.on_diff(spot(30, 40)), Action::Restart(Cause::Gap));
    assert_eq!(
        machine.on_snapshot(15),
        Answer::TooOld,
        "it would have fitted the diff before the gap"
    );
    assert_eq!(machine.on_snapshot(30), Answer::Load { stale: 0 });
}

#[test]
fn duplicates_are_dropped_and_counted() {
    let mut machine = after(&[spot(11, 20)]);
    assert_eq!(
        machine.on_diff(spot(11, 20)),
        Action::DropDuplicate,
        "while buffering"
    );
    assert_eq!(machine.on_snapshot(15), Answer::Load { stale: 0 });
    assert_eq!(
        machine.on_diff(spot(11, 20)),
        Action::DropDuplicate,
        "while synced"
    );
    assert_eq!(machine.on_diff(spot(21, 21)), Action::Apply);
    assert_eq!(machine.counts().duplicates, 2);
    assert_eq!(machine.counts().resyncs, 0);
}

#[test]
fn ids_that_stay_in_the_past_are_a_restart_of_the_exchange() {
    let mut machine = synced();
    for id in 0..u64::from(PAST_IN_A_ROW_MAX) {
        assert_eq!(machine.on_diff(spot(1, 1)), Action::DropDuplicate, "{id}");
    }
    assert_eq!(
        machine.on_diff(spot(1, 1)),
        Action::Restart(Cause::IdsRestarted)
    );
    assert_eq!(machine.on_diff(spot(2, 2)), Action::Keep);
    assert_eq!(machine.on_snapshot(1), Answer::Load { stale: 1 });
    assert_eq!(machine.state(), State::Synced(2));
}

#[test]
fn the_buffer_has_a_bound() {
    let mut machine = Machine::default();
    for id in 1..=DIFFS_BUFFERED_MAX as u64 {
        assert_eq!(machine.on_diff(spot(id, id)), Action::Keep);
    }
    let next = DIFFS_BUFFERED_MAX as u64 + 1;
    assert_eq!(
        machine.on_diff(spot(next, next)),
        Action::Restart(Cause::BufferFull)
    );
    assert!(machine.wants_snapshot());
    assert_eq!(machine.on_snapshot(next), Answer::Load { stale: 1 });
}

#[test]
fn trouble_empties_the_machine_until_the_next_diff() {
    let mut machine = synced();
    machine.on_trouble(Cause::Crossed);
    assert_eq!(machine.state(), State::Empty);
    assert_eq!(machine.on_snapshot(20), Answer::NotWanted);
    assert_eq!(machine.on_diff(spot(21, 30)), Action::Keep);
    assert_eq!(machine.on_snapshot(30), Answer::Load { stale: 1 });
    machine.on_trouble(Cause::Lost);
    machine.on_trouble(Cause::Lost);
    assert_eq!(
        machine.counts().resyncs,
        2,
        "an empty machine has nothing to lose"
    );
}

#[test]
fn a_late_or_second_snapshot_is_not_wanted() {
    let mut machine = Machine::default();
    assert_eq!(machine.on_snapshot(7), Answer::NotWanted);
    let mut machine2 = synced();
    assert_eq!(machine2.on_snapshot(18), Answer::NotWanted);
    assert_eq!(machine2.state(), State::Synced(20));
    assert_eq!(machine.counts(), Counts::default());
}

#[test]
fn senseless_and_extreme_ids_are_survived() {
    let mut machine = synced();
    assert_eq!(
        machine.on_diff(spot(30, 29)),
        Action::Restart(Cause::SenselessIds)
    );
    assert_eq!(machine.state(), State::Empty);
    assert_eq!(machine.on_diff(spot(u64::MAX, u64::MAX)), Action::Keep);
    assert_eq!(machine.on_snapshot(u64::MAX), Answer::Load { stale: 1 });
    assert_eq!(machine.on_diff(spot(0, 0)), Action::DropStale);
}

#[test]
fn a_snapshot_that_the_stream_never_reaches_is_given_up() {
    let mut machine = after(&[spot(1, 1)]);
    assert_eq!(machine.on_snapshot(u64::MAX - 1), Answer::Load { stale: 1 });
    for id in 0..u64::from(CATCH_UP_MAX) {
        assert_eq!(machine.on_diff(spot(id + 2, id + 2)), Action::DropStale);
    }
    let next = u64::from(CATCH_UP_MAX) + 2;
    assert_eq!(
        machine.on_diff(spot(next, next)),
        Action::Restart(Cause::SnapshotAhead)
    );
}
