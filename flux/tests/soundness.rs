//! The corners in which a runtime of stackful fibers breaks, each in a process of its own: a case that goes
//! wrong may hang, or take the process with it.
//!
//! What a library cannot treat (scoped thread-locals, `thread_local!` initialisers that suspend) is in the
//! soundness contract of the crate's docs.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use common::{alone, config, fibers, pair, passes_alone, run, settle, text};
use flux::net::{TcpListener, TcpStream};
use flux::time::sleep;
use flux::{Builder, Fiber, JoinHandle, StackClass, Stopped, spawn, yield_now};

const LONG: Duration = Duration::from_hours(1);

#[test]
fn the_kernel_never_writes_into_the_frame_of_the_next_fiber_on_a_stack() {
    passes_alone(
        "the_kernel_never_writes_into_the_frame_of_the_next_fiber_on_a_stack",
        &[],
        || {
            run(config().stacks(StackClass::Small, 1), || {
                let (stream, mut peer) = pair();
                let stream = Rc::new(stream);
                for _ in 0..200 {
                    let reader = {
                        let stream = Rc::clone(&stream);
                        spawn(Fiber::new(StackClass::Small, "reader", move || {
                            let mut buffer = [0_u8; 256];
                            (&*stream).read(&mut buffer).is_err()
                        }))
                    };
                    // Takes the one small stack as soon as the reader has left it.
                    let next = spawn(Fiber::new(StackClass::Small, "next", || {
                        let frame = std::hint::black_box([0x55_u8; 2048]);
                        for _ in 0..10 {
                            yield_now().unwrap();
                        }
                        std::hint::black_box(&frame)
                            .iter()
                            .all(|byte| *byte == 0x55)
                    }));
                    settle();
                    reader.cancel();
                    // The bytes come while the cancel is on its way, and after it.
                    peer.write_all(&[0xAA; 256]).unwrap();
                    // It got its bytes, or was cancelled before: both are fine.
                    reader.join().unwrap();
                    peer.write_all(&[0xAA; 256]).unwrap();
                    assert!(next.join().unwrap(), "a frame was overwritten");
                    flux::timeout(Duration::from_millis(1), || {
                        while (&*stream).read(&mut [0; 4096]).is_ok() {}
                    })
                    .unwrap_err();
                }
            })
            .unwrap();
        },
    );
}

#[test]
fn a_catch_unwind_around_a_blocking_call_swallows_no_cancel() {
    passes_alone(
        "a_catch_unwind_around_a_blocking_call_swallows_no_cancel",
        &[],
        || {
            fibers(|| {
                let handle = spawn(|| {
                    let mut rounds = 0;
                    loop {
                        rounds += 1;
                        match catch_unwind(|| sleep(LONG)) {
                            Ok(Err(Stopped::Cancelled)) => return rounds,
                            other => drop(other),
                        }
                    }
                });
                settle();
                handle.cancel();
                assert_eq!(handle.join().unwrap(), 1);
            });
        },
    );
}

#[test]
fn panics_caught_around_suspensions_in_two_fibers_stay_apart() {
    passes_alone(
        "panics_caught_around_suspensions_in_two_fibers_stay_apart",
        &[],
        || {
            fibers(|| {
                let work = |name: &'static str| {
                    move || {
                        for _ in 0..100 {
                            let caught = catch_unwind(|| {
                                yield_now().unwrap();
                                std::panic::resume_unwind(Box::new(name));
                            });
                            let payload = caught.map(drop).unwrap_err();
                            assert_eq!(payload.downcast_ref(), Some(&name));
                            assert!(!std::thread::panicking());
                            yield_now().unwrap();
                        }
                    }
                };
                let (a, b) = (spawn(work("a")), spawn(work("b")));
                a.join().unwrap();
                b.join().unwrap();
            });
        },
    );
}

/// Does I/O, sleeps and yields in its destructor, and keeps what came of it.
struct SuspendsInDrop(Rc<RefCell<Vec<String>>>, Rc<TcpStream>);

impl Drop for SuspendsInDrop {
    fn drop(&mut self) {
        let mut results = self.0.borrow_mut();
        let mut note = |result: Result<(), String>| results.push(result.err().unwrap_or_default());
        note(yield_now().map_err(|stopped| stopped.to_string()));
        note(sleep(LONG).map_err(|stopped| stopped.to_string()));
        let read = (&*self.1).read(&mut [0; 8]);
        note(
            read.map(drop)
                .map_err(|error| format!("{:?}", error.raw_os_error())),
        );
        let write = (&*self.1).write_all(b"last words");
        note(write.map_err(|error| error.to_string()));
        let spawned = catch_unwind(|| flux::scope(|s| s.spawn(|| ()).join().is_ok()));
        note(spawned.map(drop).map_err(|_| "no scope".into()));
    }
}

#[test]
fn nothing_switches_while_a_panic_unwinds_and_io_tries_once() {
    passes_alone(
        "nothing_switches_while_a_panic_unwinds_and_io_tries_once",
        &[],
        || {
            fibers(|| {
                let (stream, mut peer) = pair();
                let results = Rc::new(RefCell::new(Vec::new()));
                let saw_a_panic = Rc::new(Cell::new(false));
                let watcher = {
                    let saw_a_panic = Rc::clone(&saw_a_panic);
                    spawn(move || {
                        while yield_now().is_ok() {
                            saw_a_panic.set(saw_a_panic.get() || std::thread::panicking());
                        }
                    })
                };
                let guard = SuspendsInDrop(Rc::clone(&results), Rc::new(stream));
                let panicking = spawn(move || {
                    let _guard = guard;
                    yield_now().unwrap();
                    panic!("in a fiber");
                });
                assert!(panicking.join().is_err());
                settle();
                let cancelled = "the fiber was cancelled";
                let expected = [cancelled, cancelled, "Some(125)", "", "no scope"];
                assert_eq!(*results.borrow(), expected);
                assert!(
                    !saw_a_panic.get(),
                    "another fiber ran while a panic unwound"
                );
                let mut words = [0; 10];
                peer.read_exact(&mut words).unwrap();
                assert_eq!(&words, b"last words");
                watcher.cancel();
                watcher.join().unwrap();
            });
        },
    );
}

#[test]
fn a_mutex_of_another_fiber_is_not_poisoned_by_a_panic_that_is_not_its_own() {
    passes_alone(
        "a_mutex_of_another_fiber_is_not_poisoned_by_a_panic_that_is_not_its_own",
        &[],
        || {
            struct Yields;
            impl Drop for Yields {
                fn drop(&mut self) {
                    for _ in 0..5 {
                        assert!(yield_now().is_err(), "nothing switches here");
                    }
                }
            }
            fibers(|| {
                let mutex = Mutex::new(0);
                flux::scope(|s| {
                    let panicking = s.spawn(|| {
                        let _yields = Yields;
                        panic!("mine");
                    });
                    s.spawn(|| {
                        for _ in 0..5 {
                            *mutex.lock().unwrap() += 1;
                            yield_now().unwrap();
                        }
                    });
                    assert!(panicking.join().is_err());
                });
                assert!(!mutex.is_poisoned());
            });
        },
    );
}

#[test]
fn a_panic_hook_that_would_suspend_does_not() {
    passes_alone("a_panic_hook_that_would_suspend_does_not", &[], || {
        std::panic::set_hook(Box::new(|_| {
            assert_eq!(yield_now(), Err(Stopped::Cancelled));
            assert_eq!(sleep(LONG), Err(Stopped::Cancelled));
        }));
        fibers(|| {
            let both: Vec<JoinHandle<()>> = (0..2)
                .map(|_| {
                    spawn(|| {
                        yield_now().unwrap();
                        panic!("hooked");
                    })
                })
                .collect();
            for handle in both {
                assert!(handle.join().is_err());
            }
        });
    });
}

#[test]
fn a_std_lock_held_over_a_suspension_is_found_by_no_suspend() {
    passes_alone(
        "a_std_lock_held_over_a_suspension_is_found_by_no_suspend",
        &[],
        || {
            fibers(|| {
                let mutex = Mutex::new(());
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    flux::no_suspend(|| {
                        let _guard = mutex.lock().unwrap();
                        yield_now()
                    })
                }));
                assert!(outcome.is_err());
            });
        },
    );
}

#[test]
fn a_ref_cell_borrowed_over_a_suspension_panics_the_other_fiber_cleanly() {
    passes_alone(
        "a_ref_cell_borrowed_over_a_suspension_panics_the_other_fiber_cleanly",
        &[],
        || {
            fibers(|| {
                let cell = RefCell::new(0);
                flux::scope(|s| {
                    s.spawn(|| {
                        let mut value = cell.borrow_mut();
                        yield_now().unwrap();
                        *value += 1;
                    });
                    let other = s.spawn(|| *cell.borrow_mut());
                    let error = other.join().unwrap_err();
                    let message = error.panic_message().unwrap().to_owned();
                    assert!(message.contains("borrowed"), "{message}");
                });
                assert_eq!(cell.into_inner(), 1);
            });
        },
    );
}

#[test]
fn dropping_one_clone_of_a_socket_leaves_the_others_request_alone() {
    passes_alone(
        "dropping_one_clone_of_a_socket_leaves_the_others_request_alone",
        &[],
        || {
            fibers(|| {
                let (stream, mut peer) = pair();
                let clone = stream.try_clone().unwrap();
                let reading = spawn(move || {
                    let mut buffer = [0; 5];
                    (&stream).read(&mut buffer).map(|n| (n, buffer)).unwrap()
                });
                settle();
                drop(clone);
                peer.write_all(b"hello").unwrap();
                assert_eq!(reading.join().unwrap(), (5, *b"hello"));
            });
        },
    );
}

#[test]
fn a_fiber_that_is_left_behind_keeps_its_stack_for_ever() {
    passes_alone(
        "a_fiber_that_is_left_behind_keeps_its_stack_for_ever",
        &[],
        || {
            // The kernel holds a pointer into the frame of the fiber that is left.
            let peer = Rc::new(RefCell::new(None));
            let kept = Rc::clone(&peer);
            run(config().grace(Duration::from_millis(10)), move || {
                let (stream, peer) = pair();
                *kept.borrow_mut() = Some(peer.into_std().unwrap());
                drop(spawn(move || {
                    flux::shielded(|| (&stream).read(&mut [0; 256]).map(drop))
                }));
                settle();
            })
            .unwrap();
            for _ in 0..20 {
                // If that memory had been given back, this reactor's stacks would stand there.
                let peer = Rc::clone(&peer);
                fibers(move || {
                    let frame = std::hint::black_box([0x55_u8; 4096]);
                    let mut peer = peer.borrow_mut();
                    peer.as_mut().unwrap().write_all(&[0xAA; 16]).unwrap();
                    settle();
                    assert!(
                        std::hint::black_box(&frame)
                            .iter()
                            .all(|byte| *byte == 0x55)
                    );
                });
            }
        },
    );
}

#[test]
fn an_overflow_names_the_fiber_and_what_to_change() {
    fn recurse(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if depth == 0 {
            return 0;
        }
        recurse(depth - 1) + frame[63]
    }
    let test = "an_overflow_names_the_fiber_and_what_to_change";
    let Some(output) = alone(test, &[], || {
        fibers(|| {
            let deep = Builder::new()
                .name("quoter")
                .stack(StackClass::Small)
                .spawn(|| recurse(1_000_000));
            deep.join().unwrap()
        });
    }) else {
        return;
    };
    let said = text(&output);
    assert!(
        said.contains("stack overflow in fiber `quoter`: its small stack"),
        "{said}"
    );
    assert!(said.contains("`stack = \"medium\"`"), "{said}");
    assert!(!output.status.success());
}

#[test]
fn another_fault_is_left_to_who_handled_it_before() {
    let test = "another_fault_is_left_to_who_handled_it_before";
    let Some(output) = alone(test, &[], || {
        fibers(|| {
            #[allow(unsafe_code, reason = "this is the fault that the test is about")]
            // SAFETY: none: the address is never mapped, and the process is to die of it.
            unsafe {
                std::ptr::without_provenance::<u8>(8).read_volatile()
            }
        });
    }) else {
        return;
    };
    let said = text(&output);
    assert!(!said.contains("stack overflow"), "{said}");
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(11), "{said}");
}

#[test]
fn a_panic_with_a_backtrace_fits_a_small_stack() {
    passes_alone(
        "a_panic_with_a_backtrace_fits_a_small_stack",
        &[("RUST_BACKTRACE", "1")],
        || {
            fibers(|| {
                let panicking = Builder::new()
                    .stack(StackClass::Small)
                    .spawn(|| panic!("with a backtrace"));
                let error = panicking.join().unwrap_err();
                assert_eq!(error.panic_message(), Some("with a backtrace"));
            });
        },
    );
}

// What a review found, and what holds since.

#[test]
fn a_handle_of_a_reactor_that_gave_up_fibers_fits_no_fiber_of_the_next() {
    passes_alone(
        "a_handle_of_a_reactor_that_gave_up_fibers_fits_no_fiber_of_the_next",
        &[],
        || {
            let config = || config().grace(Duration::from_millis(10));
            let stale: JoinHandle<[usize; 3]> = run(config(), || {
                spawn(|| {
                    flux::shielded(|| sleep(LONG)).unwrap();
                    [0; 3]
                })
            })
            .unwrap();
            run(config(), move || {
                let _other = spawn(|| String::from("not three integers"));
                yield_now().unwrap();
                assert!(stale.is_finished());
                let joined = catch_unwind(AssertUnwindSafe(|| stale.join().is_ok()));
                assert!(joined.is_err(), "there is nothing to join");
            })
            .unwrap();
        },
    );
}

#[test]
fn a_join_that_is_refused_leaves_no_trace_of_the_one_who_tried() {
    passes_alone(
        "a_join_that_is_refused_leaves_no_trace_of_the_one_who_tried",
        &[],
        || {
            run(config().stacks(StackClass::Small, 1), || {
                let small = || Builder::new().stack(StackClass::Small);
                let (gate, at_gate) = flux::sync::channel::<()>(1);
                let (hold, at_hold) = flux::sync::channel::<()>(1);
                let child = spawn(move || at_gate.recv());
                let tries = spawn(move || {
                    catch_unwind(AssertUnwindSafe(|| flux::no_suspend(|| child.join()))).is_err()
                });
                assert!(tries.join().unwrap());
                let holder = small().spawn(move || at_hold.recv());
                yield_now().unwrap();
                // Takes the block of the one who tried, and waits for the one small stack.
                let waits = small().spawn(yield_now);
                yield_now().unwrap();
                drop(gate);
                settle();
                assert_eq!(flux::stats().stacks[0].waiting, 1, "nobody woke it");
                drop(hold);
                assert!(holder.join().unwrap().is_err());
                waits.join().unwrap().unwrap();
                let one = small().spawn(|| 1).join().unwrap();
                assert_eq!(one + small().spawn(|| 2).join().unwrap(), 3);
            })
            .unwrap();
        },
    );
}

#[test]
fn what_waits_behind_a_full_queue_is_handed_over_before_the_reactor_sleeps() {
    passes_alone(
        "what_waits_behind_a_full_queue_is_handed_over_before_the_reactor_sleeps",
        &[],
        || {
            for entries in [1_u32, 2, 8, 64] {
                run(config().submission_entries(entries), move || {
                    let (idle, _peer) = pair();
                    let (ready, mut peer) = pair();
                    peer.write_all(b"here").unwrap();
                    let idle = Rc::new(idle);
                    for _ in 0..entries {
                        let idle = Rc::clone(&idle);
                        drop(
                            Builder::new()
                                .stack(StackClass::Small)
                                .spawn(move || (&*idle).read(&mut [0; 8]).is_err()),
                        );
                    }
                    let reader = spawn(move || (&ready).read(&mut [0; 8]).unwrap());
                    assert_eq!(reader.join().unwrap(), 4);
                })
                .unwrap();
            }
        },
    );
}

#[test]
fn a_socket_that_gets_the_number_of_one_that_failed_is_not_taken_for_it() {
    for engine in ["io_uring", "epoll"] {
        passes_alone(
            "a_socket_that_gets_the_number_of_one_that_failed_is_not_taken_for_it",
            &[("FLUX_ENGINE", engine)],
            || {
                fibers(|| {
                    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
                    let refused = closed.local_addr().unwrap();
                    drop(closed);
                    for _ in 0..10 {
                        TcpStream::connect(refused).unwrap_err();
                        let (mut stream, mut peer) = pair();
                        let reader = spawn(move || stream.read(&mut [0; 8]).unwrap());
                        settle();
                        peer.write_all(b"late").unwrap();
                        assert_eq!(reader.join().unwrap(), 4);
                    }
                });
            },
        );
    }
}

#[test]
fn a_listener_whose_clone_was_made_blocking_does_not_block_the_core() {
    passes_alone(
        "a_listener_whose_clone_was_made_blocking_does_not_block_the_core",
        &[("FLUX_ENGINE", "epoll")],
        || {
            fibers(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let client = spawn(move || TcpStream::connect(address).unwrap());
                drop(listener.accept().unwrap());
                drop(client.join().unwrap());
                let _blocking = listener.try_clone().unwrap().into_std().unwrap();
                let late = flux::timeout(Duration::from_millis(5), || listener.accept().map(drop));
                assert!(late.is_err());
            });
        },
    );
}

#[test]
fn a_main_fiber_that_never_ends_is_an_error_and_what_it_holds_stays() {
    passes_alone(
        "a_main_fiber_that_never_ends_is_an_error_and_what_it_holds_stays",
        &[],
        || {
            let config = config().fibers(1).grace(Duration::from_millis(10));
            let data = vec![7_u64; 1024];
            let outcome = run(config, move || {
                std::thread::scope(|s| {
                    s.spawn(|| {
                        for _ in 0..200 {
                            assert_eq!(data.iter().sum::<u64>(), 7 * 1024);
                            std::thread::yield_now();
                        }
                    });
                    // No control block, for ever.
                    drop(spawn(|| ()));
                });
            });
            assert!(outcome.unwrap_err().to_string().contains("deadlock"));
            let _other = vec![9_u64; 1024];
            std::thread::yield_now();
        },
    );
}

#[test]
fn a_stderr_that_is_closed_changes_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["fibers_that_are_left_are_named_twice", "--exact"])
        .stdout(std::process::Stdio::null())
        .stderr(writer)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn fibers_that_are_left_are_named_twice() {
    for _ in 0..2 {
        run(config().grace(Duration::from_millis(10)), || {
            drop(spawn(|| flux::shielded(|| sleep(LONG))));
            settle();
        })
        .unwrap();
    }
}

#[test]
fn channels_of_a_reactor_that_gave_up_fibers_wake_nobody_else() {
    passes_alone(
        "channels_of_a_reactor_that_gave_up_fibers_wake_nobody_else",
        &[],
        || {
            let (sender, receiver) = flux::sync::channel::<u8>(4);
            run(config().grace(Duration::from_millis(10)), move || {
                for _ in 0..20 {
                    yield_now().unwrap();
                }
                drop(spawn(move || flux::shielded(|| receiver.recv().map(drop))));
                settle();
            })
            .unwrap();
            run(config().fibers(2), move || {
                let sleeper = spawn(|| sleep(Duration::from_millis(5)));
                yield_now().unwrap();
                sender.try_send(1).unwrap();
                assert_eq!(sleeper.join().unwrap(), Ok(()));
            })
            .unwrap();
        },
    );
}

#[test]
fn a_fiber_that_talks_to_itself_does_not_starve_the_others() {
    passes_alone(
        "a_fiber_that_talks_to_itself_does_not_starve_the_others",
        &[],
        || {
            fibers(|| {
                let (sender, receiver) = flux::sync::channel(1);
                let talks = spawn(
                    move || {
                        while sender.send(1).is_ok() && receiver.recv().is_ok() {}
                    },
                );
                sleep(Duration::from_millis(1)).unwrap();
                talks.cancel();
                talks.join().unwrap();
            });
        },
    );
}

#[test]
fn a_class_without_stacks_is_refused_at_the_spawn() {
    passes_alone(
        "a_class_without_stacks_is_refused_at_the_spawn",
        &[],
        || {
            run(config().stacks(StackClass::Small, 0), || {
                let small = || Builder::new().stack(StackClass::Small).name("quoter");
                for refused in [
                    catch_unwind(|| drop(small().spawn(|| ()))),
                    catch_unwind(|| drop(small().try_spawn(|| ()))),
                    catch_unwind(|| {
                        flux::scope(|s| {
                            s.spawn_fiber(Fiber::new(StackClass::Small, "quoter", || ()));
                        });
                    }),
                ] {
                    let payload = refused.unwrap_err();
                    let sentence = payload.downcast_ref::<String>().unwrap();
                    assert!(sentence.contains("no small stacks"), "{sentence}");
                }
            })
            .unwrap();
        },
    );
}
