//! A thread that ends the process when the core stands still, or an interval does not end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The longest that the core may be busy with one thing.
const STILL_MAX: Duration = Duration::from_secs(10);
/// How much longer than expected an interval may take.
const LATE_MAX: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Shared {
    beats: AtomicU64,
    /// Milliseconds after the watchdog's start.
    end_expected_ms: AtomicU64,
    stop: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    began: Instant,
    thread: JoinHandle<()>,
}

impl Watchdog {
    pub(crate) fn start(seed: u64) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            beats: AtomicU64::new(0),
            end_expected_ms: AtomicU64::new(u64::MAX),
            stop: AtomicBool::new(false),
        });
        let began = Instant::now();
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || watch(&watched, began, seed))
            .map_err(|error| format!("cannot start the watchdog: {error}"))?;
        Ok(Self {
            shared,
            began,
            thread,
        })
    }

    /// Says that the core is alive.
    pub(crate) fn alive(&self) {
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Says by when the present interval should be over.
    pub(crate) fn expect_end_in(&self, time: Duration) {
        let at = millis(self.began.elapsed() + time);
        self.shared.end_expected_ms.store(at, Ordering::Relaxed);
        self.alive();
    }

    /// Ends the watch.
    pub(crate) fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // It looks every tenth of a second, so that this does not keep the core for long; a thread that
        // panicked has said so.
        let _said = self.thread.join();
    }
}

fn watch(shared: &Shared, began: Instant, seed: u64) {
    if let Err(error) = flux::unpin_thread() {
        eprintln!("soak: the watchdog shares the reactor's core: {error}");
    }
    let (mut beats, mut since) = (0, Instant::now());
    while !shared.stop.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
        let now = shared.beats.load(Ordering::Relaxed);
        let expected = shared.end_expected_ms.load(Ordering::Relaxed);
        if now != beats {
            (beats, since) = (now, Instant::now());
        }
        if millis(began.elapsed()) > expected.saturating_add(millis(LATE_MAX)) {
            bark(
                &format!("an interval has not ended {LATE_MAX:?} after its time: a driver hangs"),
                seed,
            );
        }
        // While the main fiber waits for the drivers to end it does not beat.
        let interval_over = millis(began.elapsed()) > expected;
        if since.elapsed() > STILL_MAX && !interval_over {
            bark(
                &format!("nothing has run for {STILL_MAX:?}: the core hangs"),
                seed,
            );
        }
    }
}

fn bark(sentence: &str, seed: u64) -> ! {
    eprintln!("soak: {sentence} (seed {seed})");
    std::process::exit(1);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
