//! Runs the programs of this package as a user would, with a watchdog on each.

#![allow(dead_code, reason = "each test takes what it needs of this")]

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take before it counts as hanging. Nothing is measured by it.
const WATCHDOG: Duration = Duration::from_mins(2);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit status; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ran {
    /// Makes sure that it ended with this status, said these words, and didn't panic.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(!self.err.contains("panicked"), "{self}");
        for word in words {
            assert!(
                self.out.contains(word) || self.err.contains(word),
                "`{word}` is missing\n{self}"
            );
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "status {:?}\n--- out\n{}\n--- err\n{}",
            self.code, self.out, self.err
        )
    }
}

/// A command without the settings of whoever runs the tests.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env_remove("RUST_BACKTRACE");
    for (name, _) in std::env::vars_os() {
        // The engine is a choice that a test run may make; all else would change what is tested.
        if name.to_string_lossy().starts_with("FLUX_") && name != "FLUX_ENGINE" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> Ran {
    finish(
        command(program, arguments)
            .spawn()
            .expect("the program starts"),
        String::new(),
    )
}

/// Waits for a program to end; `read` is what has been read of its output already.
#[track_caller]
pub(crate) fn finish(mut child: Child, read: String) -> Ran {
    let drain = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // A stream that fails has ended.
            let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = drain(
        child
            .stdout
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>),
    );
    let err = drain(
        child
            .stderr
            .take()
            .map(|stream| Box::new(stream) as Box<dyn Read + Send>),
    );
    let until = Instant::now() + WATCHDOG;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break Some(status);
        }
        if Instant::now() >= until {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let out = read + &out.join().expect("the reader ends");
    let err = err.join().expect("the reader ends");
    let ran = Ran {
        code: status.and_then(|status| status.code()),
        out,
        err,
    };
    assert!(status.is_some(), "it hangs\n{ran}");
    ran
}
