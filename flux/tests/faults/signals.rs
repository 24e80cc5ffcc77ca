//! Signals: a storm of them interrupts every wait, and a process is stopped for a second and continued.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::time::{Instant, sleep};

use crate::bystander::Bystander;
use crate::{LOCALHOST, PATIENCE, on_each_engine, unharmed};

static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: libc::c_int) {
    INTERRUPTS.fetch_add(1, Ordering::Relaxed);
}

/// A thread that interrupts the calling one several thousand times a second, until it is dropped.
struct Storm {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Storm {
    fn begin() -> Self {
        // SAFETY: all zeroes is a valid `sigaction`; without SA_RESTART, so that calls do end with EINTR.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = count as *const () as usize;
        // SAFETY: the action is in this frame, and its handler adds to an atomic number alone.
        let failed =
            unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
        assert_eq!(failed, 0);
        // SAFETY: has no conditions.
        let target = unsafe { libc::pthread_self() };
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                // SAFETY: the target joins this thread before it ends itself.
                unsafe { libc::pthread_kill(target, libc::SIGALRM) };
                thread::sleep(Duration::from_micros(100));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it sends signals, and no more");
        }
    }
}

#[test]
fn interrupts_without_end_lose_nothing() {
    on_each_engine("signals::interrupts_without_end_lose_nothing", || {
        unharmed(|| {
            let storm = Storm::begin();
            let echoes = [(); 4].map(|()| Bystander::start());
            let feed = feed(20_000);
            let churn = flux::spawn(churn);
            let began = Instant::now();
            let mut naps = 0;
            while INTERRUPTS.load(Ordering::Relaxed) < 3000 || naps < 50 {
                let (start, time) = (Instant::now(), Duration::from_millis(3));
                sleep(time).unwrap();
                assert!(start.elapsed() >= time, "an interrupt ended a sleep");
                naps += 1;
                assert!(began.elapsed() < PATIENCE, "the storm is a breeze");
            }
            assert_eq!(feed.join().unwrap(), 20_000);
            churn.join().unwrap();
            for echo in echoes {
                echo.end();
            }
            drop(storm);
        });
    });
}

/// A fiber that reads numbers which a thread writes, and expects each of them; answers how many there were.
fn feed(count: u64) -> flux::JoinHandle<u64> {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    let writer = thread::spawn(move || {
        let mut stream = StdStream::connect(address).expect("it listens");
        for number in 0..count {
            stream
                .write_all(&number.to_le_bytes())
                .expect("it is read to the end");
            if number % 500 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    });
    flux::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let seen = expect_numbers(stream);
        // It has closed its stream, and ends now.
        writer.join().expect("the writer wrote all");
        seen
    })
}

fn expect_numbers(mut stream: impl Read) -> u64 {
    let (mut seen, mut number) = (0, [0; 8]);
    while stream.read_exact(&mut number).is_ok() {
        assert_eq!(
            u64::from_le_bytes(number),
            seen,
            "in order, and none is lost"
        );
        seen += 1;
    }
    seen
}

/// Connections that come and go, so that accepts and connects are interrupted too.
pub(crate) fn churn() {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    for number in 0..100_u8 {
        let client = flux::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            answer[0]
        });
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[number]).unwrap();
        assert_eq!(client.join().unwrap(), number);
    }
}

const FEED: &str = "FLUX_TEST_FEED";
const STOPPED_FOR: Duration = Duration::from_secs(1);

#[test]
fn a_process_that_is_stopped_for_a_second_goes_on_where_it_was() {
    const TEST: &str = "signals::a_process_that_is_stopped_for_a_second_goes_on_where_it_was";
    if let Ok(address) = std::env::var(FEED) {
        return is_stopped(address.parse().expect("an address"));
    }
    let children: Vec<_> = ["io_uring", "epoll"]
        .map(|engine| thread::spawn(move || stops(TEST, engine)))
        .into();
    for child in children {
        child.join().expect("it goes on");
    }
}

/// Starts this test again as a process that it feeds, stops, and continues.
fn stops(test: &str, engine: &str) {
    let listener = StdListener::bind(("127.0.0.1", 0)).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FEED, listener.local_addr().unwrap().to_string())
        .env("FLUX_ENGINE", engine)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().cast_signed();
    let signal = move |signal| {
        // SAFETY: the process is a child that nobody has waited for, so the number is still its own.
        unsafe { libc::kill(pid, signal) }
    };
    // Dropped at the end of this, or else a child that hangs is killed.
    let (_ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(3 * PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            signal(libc::SIGKILL);
        }
    });
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while out.read_line(&mut text).unwrap() > 0 && !text.contains("ready") {
        if text.contains("SKIPPED") {
            eprintln!("{text}");
            child.wait().unwrap();
            return;
        }
    }
    let (mut feed, _) = listener.accept().unwrap();
    let writer = thread::spawn(move || {
        for number in 0..1500_u64 {
            feed.write_all(&number.to_le_bytes()).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    });
    thread::sleep(Duration::from_millis(200));
    assert_eq!(signal(libc::SIGSTOP), 0);
    thread::sleep(STOPPED_FOR);
    assert_eq!(signal(libc::SIGCONT), 0);
    writer.join().unwrap();
    out.read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{engine}: {text}");
}

/// What the process that is stopped does: an echo, a feed, a timer, and a deadline that passes meanwhile.
fn is_stopped(address: SocketAddr) {
    unharmed(move || {
        let echo = Bystander::start();
        let stream = TcpStream::connect(address).unwrap();
        let feed = flux::spawn(move || expect_numbers(stream));
        let longest = Rc::new(Cell::new(Duration::ZERO));
        let seen = Rc::clone(&longest);
        let ticks = flux::spawn(move || {
            let began = Instant::now();
            while seen.get() < STOPPED_FOR / 2 && began.elapsed() < PATIENCE {
                let start = Instant::now();
                sleep(Duration::from_millis(5)).unwrap();
                seen.set(seen.get().max(start.elapsed()));
            }
        });
        println!("ready");
        let began = Instant::now();
        let late = flux::timeout(Duration::from_millis(700), || sleep(PATIENCE));
        assert!(late.is_err(), "a deadline that passes meanwhile has passed");
        assert!(began.elapsed() < 3 * STOPPED_FOR, "{:?}", began.elapsed());
        ticks.join().unwrap();
        assert!(longest.get() >= STOPPED_FOR / 2, "it was not stopped");
        echo.goes_on(100);
        assert_eq!(feed.join().unwrap(), 1500);
        echo.end();
    });
}
