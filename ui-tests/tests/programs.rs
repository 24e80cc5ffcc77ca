//! Whole crates: what the linker says, and what another edition accepts.
//!
//! Each program is a package of its own, written to cargo's directory for temporary files of tests and
//! built offline against this flux. All share one target directory, so that flux is compiled once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SENTENCE: &str = "there_can_be_only_one_flux_main_or_init_in_a_program";

/// A package with the given files under `src`.
struct Program {
    directory: PathBuf,
}

impl Program {
    fn new(name: &str, edition: &str, files: &[(&str, &str)]) -> std::io::Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let sources = directory.join("src");
        fs::create_dir_all(&sources)?;
        let flux = workspace.join("flux");
        fs::write(
            directory.join("Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"{edition}\"\n\n\
                 [dependencies]\nflux = {{ path = '{}' }}\n\n[workspace]\n",
                flux.display()
            ),
        )?;
        // The same versions as the workspace has, so that nothing is looked up.
        fs::copy(workspace.join("Cargo.lock"), directory.join("Cargo.lock"))?;
        for (file, text) in files {
            fs::write(sources.join(file), text)?;
        }
        Ok(Program { directory })
    }

    fn cargo(&self, command: &str) -> std::io::Result<Output> {
        Command::new(env!("CARGO"))
            .args([command, "--offline", "--quiet", "--color=never"])
            .current_dir(&self.directory)
            .env(
                "CARGO_TARGET_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs"),
            )
            .env_remove("RUSTFLAGS")
            .env_remove("RUST_BACKTRACE")
            .output()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn two_crates_of_one_program_with_a_reactor_each_do_not_link() -> std::io::Result<()> {
    let program = Program::new(
        "two_reactors",
        "2024",
        &[
            (
                "lib.rs",
                "pub fn start() -> bool {\n    flux::init!().is_ok()\n}\n",
            ),
            (
                "main.rs",
                "#[flux::main]\nfn main() {\n    two_reactors::start();\n}\n",
            ),
        ],
    )?;
    let output = program.cargo("build")?;
    let said = stderr(&output);
    assert!(!output.status.success(), "it must not link");
    assert!(said.contains("linking with"), "{said}");
    let line = said.lines().find(|line| line.contains(SENTENCE));
    let line = line.unwrap_or_else(|| panic!("the linker does not name the symbol:\n{said}"));
    assert!(
        line.contains("duplicate symbol") || line.contains("multiple definition"),
        "{line}"
    );
    Ok(())
}

#[test]
fn a_strict_crate_of_edition_2021_builds_and_runs() -> std::io::Result<()> {
    let program = Program::new(
        "edition_2021",
        "2021",
        &[(
            "main.rs",
            "\
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, rust_2018_idioms, rust_2024_compatibility)]
//! A program of edition 2021.

#[flux::fiber(stack = \"small\")]
fn add<T: std::ops::Add<Output = T>>(a: T, b: T) -> T {
    a + b
}

#[flux::main(core = \"none\")]
fn main() -> std::io::Result<()> {
    assert_eq!(flux::spawn(add(1, 2)).join()?, 3);
    Ok(())
}
",
        )],
    )?;
    let output = program.cargo("run")?;
    assert!(output.status.success(), "{}", stderr(&output));
    Ok(())
}

#[test]
fn clippy_finds_nothing_in_generated_code() -> std::io::Result<()> {
    let program = Program::new(
        "clippy_pedantic",
        "2024",
        &[(
            "main.rs",
            "\
#![deny(warnings, clippy::all, clippy::pedantic)]
//! A program that clippy looks at closely.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

type Log = Rc<RefCell<Vec<u32>>>;

#[flux::fiber(stack = \"small\")]
fn write(log: Log, mut value: u32, _guard: Arc<u8>, _: Arc<u8>, (_, more): (u8, u32)) {
    value += more;
    log.borrow_mut().push(value);
}

#[flux::fiber]
fn locked(_: MutexGuard<'static, u32>) {}

#[flux::fiber]
fn pick<T, const N: usize>(values: [T; N]) -> Option<T>
where
    T: Copy + Send,
{
    values.first().copied()
}

#[flux::main(core = \"none\", idle = \"spin 50us\", stacks(small = 4))]
fn main() -> std::io::Result<()> {
    static MUTEX: Mutex<u32> = Mutex::new(0);
    let log = Log::default();
    flux::spawn(write(Rc::clone(&log), 1, Arc::new(1), Arc::new(2), (1, 2))).join()?;
    if let Ok(guard) = MUTEX.lock() {
        flux::spawn(locked(guard)).join()?;
    }
    assert_eq!(flux::spawn(pick([1, 2])).join()?, Some(1));
    Ok(())
}
",
        )],
    )?;
    let output = program.cargo("clippy")?;
    let said = stderr(&output);
    if said.contains("no such command") || said.contains("is not installed") {
        println!("SKIPPED: clippy is not installed for this toolchain");
        return Ok(());
    }
    assert!(output.status.success(), "{said}");
    Ok(())
}

/// Nothing in flux unwinds a fiber from outside, so that a program that aborts on panic can cancel, too.
#[test]
fn a_program_that_aborts_on_panic_cancels_fibers_and_runs_their_destructors() -> std::io::Result<()>
{
    let program = Program::new(
        "panic_abort",
        "2024",
        &[(
            "main.rs",
            "\
use std::io::Read;
use std::time::Duration;

struct Says(&'static str);

impl Drop for Says {
    fn drop(&mut self) {
        println!(\"{}\", self.0);
    }
}

#[flux::fiber(stack = \"small\")]
fn reads(stream: flux::net::TcpStream) -> std::io::Result<usize> {
    let _says = Says(\"the reader has left\");
    (&stream).read(&mut [0; 64])
}

#[flux::main(core = \"none\")]
fn main() -> std::io::Result<()> {
    let listener = flux::net::TcpListener::bind(\"127.0.0.1:0\")?;
    let stream = flux::net::TcpStream::connect(listener.local_addr()?)?;
    let reader = flux::spawn(reads(stream));
    // Ends with main, by its cancel.
    drop(flux::spawn(|| {
        let _says = Says(\"the sleeper has left\");
        flux::time::sleep(Duration::from_secs(3600))
    }));
    flux::yield_now()?;
    reader.cancel();
    let error = reader.join()?.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(125));
    Ok(())
}
",
        )],
    )?;
    let manifest = program.directory.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    fs::write(
        &manifest,
        format!("{text}\n[profile.dev]\npanic = \"abort\"\n"),
    )?;
    let output = program.cargo("run")?;
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "the reader has left\nthe sleeper has left\n");
    Ok(())
}
