//! Runs the programs of this package as a user would, with a watchdog on each.

#![allow(dead_code, reason = "each test takes what it needs of this")]

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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

/// Runs a program that refuses these arguments, in one sentence with these words.
#[track_caller]
pub(crate) fn refused(program: &str, arguments: &[&str], words: &str) {
    let ran = run(program, arguments);
    ran.expect(2, &[words]);
    assert!(ran.out.is_empty(), "{ran}");
    assert_eq!(ran.err.trim_end().lines().count(), 1, "{ran}");
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

/// Each client, plain and over TLS.
pub(crate) const WAYS: [&[&str]; 4] = [
    &[],
    &["--tls"],
    &["--client", "tungstenite"],
    &["--tls", "--client", "tungstenite"],
];

/// A program whose output is read line by line.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The program and its output; none once it has ended.
    running: Option<(Child, BufReader<ChildStdout>)>,
    read: String,
}

impl Watched {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = command(program, arguments).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            running: Some((child, out)),
            read: String::new(),
        }
    }

    /// The next line with these words; the program has ended if there is none.
    pub(crate) fn wait_for(&mut self, words: &str) -> &str {
        let (_, out) = self.running.as_mut().expect("it runs");
        loop {
            let start = self.read.len();
            let count = out.read_line(&mut self.read).expect("text");
            assert!(count > 0, "it ended without `{words}`: {}", self.read);
            if self.read[start..].contains(words) {
                return self.read[start..].trim_end();
            }
        }
    }

    /// Ends it as Ctrl-C would, and waits until it has.
    #[track_caller]
    pub(crate) fn interrupt(mut self) -> Ran {
        let (mut child, out) = self.running.take().expect("it runs");
        interrupt(child.id());
        let read = std::mem::take(&mut self.read) + &String::from_utf8_lossy(out.buffer());
        child.stdout = Some(out.into_inner());
        finish(child, read)
    }
}

/// Ends it at once, so that no program outlives the test that it was started for.
impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.running {
            // If it has ended by itself, all is well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn interrupt(process: u32) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -INT {process}")])
        .status();
    assert!(status.expect("there is a shell").success());
}

/// A file in the temporary folder; its name is that of the test process, so it is written over by
/// nobody else.
pub(crate) fn scratch(name: &str, content: &[u8]) -> String {
    let path: PathBuf =
        std::env::temp_dir().join(format!("flux-bot-{}-{name}", std::process::id()));
    std::fs::write(&path, content).expect("the temporary folder takes files");
    path.to_string_lossy().into_owned()
}

/// The recording of this name; none, and a line that says so, if there are no recordings.
pub(crate) fn recording(name: &str) -> Option<String> {
    let folder = std::env::var_os("FLUX_MARKET_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/market-data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.is_file() {
        return Some(path.to_string_lossy().into_owned());
    }
    println!(
        "SKIPPED: there is no {}; set FLUX_MARKET_DATA",
        path.display()
    );
    None
}
