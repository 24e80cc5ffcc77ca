//! What the core does while nothing is ready, and how that is changed; hot sockets.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use common::{config, fibers, pair, passes_alone, run};
use flux::time::{Instant, sleep};
use flux::{Idle, idle, set_idle, spawn, timeout, yield_now};

const MS: Duration = Duration::from_millis(1);
const POLICIES: [Idle; 3] = [
    Idle::Block,
    Idle::Spin,
    Idle::SpinThenBlock(Duration::from_micros(50)),
];

#[test]
fn the_policy_can_be_changed_while_the_program_runs() {
    run(config().idle(Idle::SpinThenBlock(MS)), || {
        assert_eq!(idle(), Idle::SpinThenBlock(MS));
        for policy in POLICIES {
            set_idle(policy);
            assert_eq!(idle(), policy);
            let before = Instant::now();
            sleep(2 * MS).unwrap();
            assert!(before.elapsed() >= 2 * MS);
        }
    })
    .unwrap();
}

#[test]
fn a_core_that_sleeps_enters_the_kernel_once_and_one_that_spins_not_at_all() {
    fibers(|| {
        let entered_for = |policy| {
            set_idle(policy);
            yield_now().unwrap();
            let (turns, entries) = (flux::stats().turns, flux::stats().kernel_entries);
            sleep(5 * MS).unwrap();
            let after = flux::stats();
            (after.turns - turns, after.kernel_entries - entries)
        };
        let (turns, entries) = entered_for(Idle::Block);
        assert!(
            (1..20).contains(&entries),
            "{entries} entries in {turns} turns"
        );
        let (turns, entries) = entered_for(Idle::Spin);
        assert!(turns > 50, "{turns} turns");
        // Nothing is in flight, so that no engine has anything to ask.
        assert_eq!(entries, 0, "in {turns} turns");
        // With a read in flight the ring tells in memory that is shared; others have to be asked.
        let (client, mut server) = pair();
        let reading = spawn(move || server.read(&mut [0; 8]));
        let (turns, entries) = entered_for(Idle::Spin);
        if flux::stats().engine == "io_uring" {
            assert!(entries <= 1, "{entries} entries in {turns} turns");
        } else {
            assert!(entries + 20 > turns, "{entries} entries in {turns} turns");
        }
        drop(client);
        assert_eq!(reading.join().unwrap().unwrap(), 0);
    });
}

#[test]
fn a_hot_socket_gives_the_same_bytes_whatever_the_core_does() {
    for policy in POLICIES {
        run(config().idle(policy), move || {
            let (mut client, mut server) = pair();
            server.set_hot(true);
            assert!(server.hot() && !client.hot());
            let reading = spawn(move || {
                let mut all = Vec::new();
                server.read_to_end(&mut all).unwrap();
                all
            });
            let mut sent = Vec::new();
            for round in 0..200_u8 {
                client.write_all(&[round; 3]).unwrap();
                sent.extend([round; 3]);
                match round % 8 {
                    0 => sleep(MS / 10).unwrap(),
                    1 => set_idle(POLICIES[usize::from(round / 8 % 3)]),
                    2 => yield_now().unwrap(),
                    _ => {}
                }
            }
            drop(client);
            assert_eq!(reading.join().unwrap(), sent);
            assert_eq!(flux::stats().ops_in_flight, 0);
        })
        .unwrap();
    }
}

#[test]
fn more_hot_sockets_than_the_core_asks_itself_are_left_to_the_engine() {
    run(config().idle(Idle::Spin), || {
        let pairs: Vec<_> = (0..7).map(|_| pair()).collect();
        let readers: Vec<_> = pairs
            .iter()
            .map(|(_, server)| {
                let server = server.try_clone().unwrap();
                server.set_hot(true);
                spawn(move || {
                    let mut byte = [0];
                    (&server).read_exact(&mut byte).map(|()| byte[0])
                })
            })
            .collect();
        sleep(MS).unwrap();
        for (number, (client, _)) in (0..).zip(&pairs) {
            (&*client).write_all(&[number]).unwrap();
        }
        for (number, reader) in (0..).zip(readers) {
            assert_eq!(reader.join().unwrap().unwrap(), number);
        }
    })
    .unwrap();
}

#[test]
fn a_hot_read_ends_early_as_every_read_does() {
    run(config().idle(Idle::Spin), || {
        let (mut client, server) = pair();
        server.set_hot(true);
        let late = timeout(MS, || (&server).read(&mut [0; 8]));
        assert_eq!(
            late.unwrap_err().into_inner().unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        server.set_read_timeout(Some(MS)).unwrap();
        let late = (&server).read(&mut [0; 8]).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        server.set_read_timeout(None).unwrap();
        let reading = spawn({
            let server = server.try_clone().unwrap();
            server.set_hot(true);
            move || {
                (&server)
                    .read(&mut [0; 8])
                    .map_err(|error| error.raw_os_error())
            }
        });
        sleep(MS).unwrap();
        reading.cancel();
        assert_eq!(reading.join().unwrap(), Err(Some(125)));
        // Nothing of it is left that would take these bytes.
        client.write_all(b"later").unwrap();
        let mut bytes = [0; 8];
        assert_eq!((&server).read(&mut bytes).unwrap(), 5);
        assert_eq!(server.peek(&mut []).unwrap(), 0);
    })
    .unwrap();
}

#[test]
fn fibers_that_wait_for_each_other_are_found_although_the_core_spins() {
    passes_alone(
        "fibers_that_wait_for_each_other_are_found_although_the_core_spins",
        &[],
        || {
            let ended = run(config().idle(Idle::Spin), || {
                let (_sender, receiver) = flux::sync::channel::<u8>(1);
                receiver.recv().map_err(|error| error.to_string())
            });
            let error = ended.unwrap_err();
            assert!(matches!(error, flux::RunError::Deadlock(_)), "{error}");
        },
    );
}
