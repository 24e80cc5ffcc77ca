//! Isolated cores, on a machine whose kernel is made to say that it has some.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use flux::{Config, Core};

use crate::common::{allowed_cores, says};
use crate::{in_a_process_of_its_own, root};

const ISOLATED: &str = "/sys/devices/system/cpu/isolated";

/// Shows the calling thread, and nobody else, another list of isolated cores; false, and a line that says
/// so, if that cannot be.
fn isolate(list: &str) -> bool {
    let fixture = std::env::temp_dir().join(format!("flux-isolated-{}", std::process::id()));
    fs::write(&fixture, list).unwrap();
    let mount = |from: &std::path::Path, to: &str, flags: libc::c_ulong| {
        let from = CString::new(from.as_os_str().as_bytes()).unwrap();
        let to = CString::new(to).unwrap();
        // SAFETY: both paths are strings of C that are alive during the call; the rest are numbers and nulls.
        let result = unsafe {
            libc::mount(
                from.as_ptr(),
                to.as_ptr(),
                std::ptr::null(),
                flags,
                std::ptr::null(),
            )
        };
        result == 0
    };
    // SAFETY: takes flags alone; from here on this thread has mounts of its own.
    let apart = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
    let shown = apart
        && mount("none".as_ref(), "/", libc::MS_REC | libc::MS_PRIVATE)
        && mount(&fixture, ISOLATED, libc::MS_BIND);
    fs::remove_file(&fixture).unwrap();
    if !shown {
        println!(
            "SKIPPED: this root may not change what it sees of {ISOLATED}: {}",
            std::io::Error::last_os_error()
        );
    }
    shown
}

/// The first and the last core of a list such as `0-3,6`.
fn ends(list: &str) -> (usize, usize) {
    let number = |text: Option<&str>| text.unwrap().parse().unwrap();
    (
        number(list.split([',', '-']).next()),
        number(list.rsplit([',', '-']).next()),
    )
}

fn pin(core: usize) {
    // SAFETY: all zeroes is a valid, empty `cpu_set_t`: a plain array of integers.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the core is one of this thread's, which are below the number of bits in the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is as large as the size says.
    let pinned =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    assert_eq!(pinned, 0);
}

#[test]
fn an_isolated_core_of_the_mask_is_taken_and_another_one_by_its_number_alone() {
    in_a_process_of_its_own(
        "cores::an_isolated_core_of_the_mask_is_taken_and_another_one_by_its_number_alone",
        || {
            let (first, last) = ends(&allowed_cores());
            if first == last {
                println!("SKIPPED: there is one core alone");
                return;
            }
            if !root() || !isolate(&format!("{last},900\n")) {
                return;
            }
            let on = |core: Core| Config::new().core(core).run(allowed_cores);
            let before = allowed_cores();
            // Whichever core init runs on, the isolated one is taken.
            for _ in 0..10 {
                assert_eq!(on(Core::Auto).unwrap(), last.to_string());
                assert_eq!(allowed_cores(), before);
            }
            assert_eq!(on(Core::Number(first)).unwrap(), first.to_string());
            // As on a machine that has isolated it: it is in nobody's mask.
            pin(first);
            assert_eq!(on(Core::Auto).unwrap(), first.to_string());
            assert_eq!(on(Core::Number(last)).unwrap(), last.to_string());
            assert_eq!(allowed_cores(), first.to_string());
            // The kernel has the last word.
            let error = Config::new().core(Core::Number(900)).init().map(drop);
            says(
                &error.unwrap_err(),
                &[&format!(
                    "core 900 is not one that this process may use; it may use {first}"
                )],
            );
            assert_eq!(allowed_cores(), first.to_string());
            let moved = Config::new().run(move || {
                flux::pin_to_core(last).unwrap();
                allowed_cores()
            });
            assert_eq!(moved.unwrap(), last.to_string());
            assert_eq!(allowed_cores(), first.to_string());
        },
    );
}

#[test]
fn a_list_of_isolated_cores_that_nobody_can_read_isolates_none() {
    in_a_process_of_its_own(
        "cores::a_list_of_isolated_cores_that_nobody_can_read_isolates_none",
        || {
            let (first, _) = ends(&allowed_cores());
            if !root() || !isolate("all of them\n") {
                return;
            }
            pin(first);
            let on = Config::new().run(allowed_cores).unwrap();
            assert_eq!(on, first.to_string());
        },
    );
}
