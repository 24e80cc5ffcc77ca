//! The reactor: one a process, on one core, with the engine that this system has.

use flux::{Config, Core, EventEngine, InitError, spawn};

use super::machine::{allowed, running_on};
use super::{config, fibers, quoter, run, turn};

/// Whether the environment overrides what a test asks for.
fn engine_is_chosen() -> bool {
    let chosen = std::env::var_os("FLUX_ENGINE").is_some();
    if chosen {
        eprintln!("not checked: `FLUX_ENGINE` chooses the engine");
    }
    chosen
}

#[test]
fn a_second_reactor_is_refused_and_the_place_of_the_first_is_named() {
    fibers(|| {
        let error = flux::init(EventEngine::Auto).map(drop).unwrap_err();
        assert!(matches!(error, InitError::AlreadyRunning(_)));
        assert!(error.to_string().contains("portable.rs"), "{error}");
        let elsewhere = std::thread::spawn(|| config().run(|| ()).unwrap_err().to_string());
        assert!(elsewhere.join().unwrap().contains("there is a reactor"));
    });
}

#[test]
fn auto_takes_what_this_system_has_and_says_why_it_is_not_a_better_one() {
    if engine_is_chosen() {
        return;
    }
    let stats = fibers(flux::stats);
    let expected: &[&str] = if cfg!(target_os = "linux") {
        &["io_uring", "epoll"]
    } else if cfg!(windows) {
        &["park"]
    } else {
        &["kqueue"]
    };
    // Where the kernel is known to have one of them alone, `.ci/emulated` says which.
    let known = std::env::var("FLUX_TEST_ENGINE").ok();
    assert!(known.is_none_or(|known| known == stats.engine), "{stats:?}");
    assert!(expected.contains(&stats.engine), "{stats:?}");
    // The first of them is the best.
    match stats.engine_refused {
        None => assert_eq!(stats.engine, expected[0]),
        Some(why) => {
            let first = format!("the `{}` engine cannot be used here: ", expected[0]);
            assert!(
                stats.engine != expected[0] && why.starts_with(&first),
                "{why}"
            );
        }
    }
}

#[test]
fn an_engine_of_another_system_is_refused_in_a_sentence_that_names_it() {
    if engine_is_chosen() {
        return;
    }
    let foreign: &[(EventEngine, &str)] = if cfg!(windows) {
        &[
            (EventEngine::IoUring, "it belongs to Linux; use `auto`"),
            (EventEngine::Epoll, "it belongs to Linux; use `auto`"),
            (
                EventEngine::Kqueue,
                "it belongs to macOS and the BSDs; use `auto`",
            ),
        ]
    } else if cfg!(all(target_os = "linux", not(flux_kqueue_compat))) {
        &[(
            EventEngine::Kqueue,
            "it belongs to macOS and the BSDs; use `auto`",
        )]
    } else {
        &[]
    };
    for (engine, why) in foreign {
        let error = run(config().engine(*engine), || ())
            .unwrap_err()
            .to_string();
        let name = engine.name();
        assert!(
            error.contains(&format!("the `{name}` engine cannot be used here: {why}")),
            "{error}"
        );
    }
}

#[test]
fn the_reactor_runs_on_its_core_and_gives_its_thread_back() {
    let before = allowed();
    let Some(first) = before.first().copied() else {
        eprintln!("not checked: this system lets no program choose its core");
        return;
    };
    let last = *before.last().expect("there is a first");
    run(config().core(Core::Number(last)), move || {
        assert_eq!(allowed(), [last]);
        assert!(running_on().is_none_or(|core| core == last));
        flux::pin_to_core(first).unwrap();
        assert_eq!(allowed(), [first]);
        let sentence = flux::pin_to_core(9999).unwrap_err().to_string();
        assert!(sentence.starts_with("core 9999 is not one that this process may use"));
        let cores = std::thread::spawn(|| {
            flux::unpin_thread().unwrap();
            allowed()
        });
        let cores = cores.join().unwrap();
        assert!(cores == [first] || !cores.contains(&first), "{cores:?}");
    })
    .unwrap();
    assert_eq!(allowed(), before);
    let auto = run(Config::new(), || (allowed(), running_on())).unwrap();
    assert_eq!(auto.0.len(), 1, "auto pins to one core");
    assert!(auto.1.is_none_or(|core| [core] == *auto.0));
    assert_eq!(allowed(), before);
}

#[test]
fn the_macro_makes_a_reactor_like_any_other() {
    let _turn = turn();
    let reactor = flux::init!(core = "none", stacks(small = 4), fibers = 8).unwrap();
    assert_eq!(
        reactor
            .run(|| spawn(quoter(6)).join().unwrap() * 6)
            .unwrap(),
        42
    );
}
