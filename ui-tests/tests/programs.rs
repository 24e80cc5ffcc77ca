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
        Self::with_flux_as("flux", name, edition, files)
    }

    /// A package that knows flux by another name.
    fn with_flux_as(
        flux_name: &str,
        name: &str,
        edition: &str,
        files: &[(&str, &str)],
    ) -> std::io::Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let sources = directory.join("src");
        fs::create_dir_all(&sources)?;
        let flux = workspace.join("flux");
        fs::write(
            directory.join("Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"{edition}\"\n\n\
                 [dependencies]\n{flux_name} = {{ package = \"flux\", path = '{}' }}\n\n[workspace]\n",
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
        self.command(command).output()
    }

    fn command(&self, command: &str) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([command, "--offline", "--quiet", "--color=never"])
            .current_dir(&self.directory)
            .env(
                "CARGO_TARGET_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs"),
            )
            .env_remove("RUSTFLAGS")
            .env_remove("RUST_BACKTRACE");
        cargo
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

#[test]
fn a_crate_that_renamed_flux_says_so_in_each_attribute() -> std::io::Result<()> {
    let program = Program::with_flux_as(
        "fl",
        "renamed_flux",
        "2021",
        &[(
            "main.rs",
            "\
#![forbid(unsafe_code)]
#![deny(warnings)]

#[fl::fiber(crate = fl, stack = \"small\", max = 3)]
fn add(a: [u8; 4], b: u8) -> u8 {
    a[0] + b
}

#[fl::main(crate = fl, core = \"none\", idle = \"spin 1us\", grace = \"1s\")]
fn main() -> std::io::Result<()> {
    assert_eq!(fl::spawn(add([1; 4], 2)).join()?, 3);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[fl::test(crate = fl)]
    fn adds() {
        assert_eq!(fl::spawn(super::add([1; 4], 2)).join().unwrap(), 3);
    }
}
",
        )],
    )?;
    for command in ["run", "test"] {
        let output = program.cargo(command)?;
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    Ok(())
}

/// The functions of a library are in the program's budget, wherever they stand and whoever calls them, in a
/// release build too.
#[test]
fn a_budget_is_over_all_crates_and_holds_before_main_runs() -> std::io::Result<()> {
    let program = Program::new(
        "budget",
        "2024",
        &[
            (
                "lib.rs",
                "\
pub mod deep {
    #[flux::fiber(stack = \"small\", max = 64)]
    pub fn handler(value: u32) -> u32 {
        value
    }
}

#[flux::fiber(stack = \"small\", max = 8)]
pub fn never_called() {}

#[flux::fiber(stack = \"medium\", max = 1)]
pub fn generic<T>(value: T) -> T {
    value
}
",
            ),
            (
                "main.rs",
                "\
#[flux::fiber(stack = \"small\")]
fn own() {}

#[flux::main(core = \"none\", stacks(small = 72))]
fn main() -> std::io::Result<()> {
    flux::spawn(own()).join()?;
    assert_eq!(flux::spawn(budget::deep::handler(3)).join()?, 3);
    assert_eq!(flux::spawn(budget::generic(4)).join()?, 4);
    println!(\"main ran\");
    Ok(())
}
",
            ),
        ],
    )?;
    let manifest = program.directory.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let profile = "[profile.release]\nlto = \"fat\"\ncodegen-units = 1\n";
    fs::write(&manifest, format!("{text}\n{profile}"))?;
    for release in [false, true] {
        let run = |variables: &[(&str, &str)]| {
            let mut command = program.command("run");
            command.args(release.then_some("--release"));
            command.envs(variables.iter().copied()).output()
        };
        let output = run(&[("FLUX_REPORT", "1")])?;
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        for line in [
            "handler          small        64",
            "never_called     small         8",
            "own              small         -",
            "generic         medium         1",
            "small stacks        72        72",
        ] {
            assert!(said.contains(line), "no `{line}` in {said}");
        }
        let output = run(&[("FLUX_STACKS", "small=48")])?;
        let said = stderr(&output);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{said}"
        );
        assert!(
            said.contains(
                "error: `handler` (64) and `never_called` (8) together may need 72 small stacks, and the \
                 pool has 48: raise `stacks(small = 72)` (or `FLUX_STACKS`), or lower a `max`"
            ),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn two_crates_of_one_program_with_an_init_each_do_not_link() -> std::io::Result<()> {
    let program = Program::new(
        "two_inits",
        "2024",
        &[
            (
                "lib.rs",
                "pub fn start() -> bool {\n    flux::init!().is_ok()\n}\n",
            ),
            (
                "main.rs",
                "fn main() {\n    two_inits::start();\n    let _reactor = flux::init!();\n}\n",
            ),
        ],
    )?;
    let said = stderr(&program.cargo("build")?);
    let is_the_sentence = |line: &str| {
        line.contains(SENTENCE)
            && (line.contains("duplicate symbol") || line.contains("multiple definition"))
    };
    assert!(said.lines().any(is_the_sentence), "{said}");
    Ok(())
}

/// The `clippy.toml` that the documentation shows, on a crate that does all that it forbids, and on one that does
/// the same with flux.
#[test]
fn the_clippy_file_of_the_documentation_finds_what_it_lists_and_nothing_of_flux()
-> std::io::Result<()> {
    // What each entry is called by; types are inferred from what stands around it.
    const CALLS: &str = include_str!("programs/blocking_calls.rs");
    const OF_FLUX: &str = include_str!("programs/calls_of_flux.rs");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flux/lints/clippy.toml");
    let lints = fs::read_to_string(&file)?;
    let paths: Vec<&str> = lints
        .lines()
        .filter_map(|line| line.split_once("path = \"")?.1.split('"').next())
        .collect();
    assert!(paths.len() > 40, "the file has another shape");

    let program = Program::new("clippy_blocking", "2024", &[("lib.rs", CALLS)])?;
    fs::copy(&file, program.directory.join("clippy.toml"))?;
    let output = program.cargo("clippy")?;
    let said = stderr(&output);
    if said.contains("no such command") || said.contains("is not installed") {
        println!("SKIPPED: clippy is not installed for this toolchain");
        return Ok(());
    }
    for path in &paths {
        let words = format!("use of a disallowed method `{path}`");
        assert!(
            said.contains(&words),
            "nothing calls, or finds, `{path}`: {said}"
        );
    }
    assert!(!output.status.success());

    let program = Program::new("clippy_of_flux", "2024", &[("lib.rs", OF_FLUX)])?;
    fs::copy(&file, program.directory.join("clippy.toml"))?;
    let output = program.cargo("clippy")?;
    assert!(output.status.success(), "{}", stderr(&output));
    Ok(())
}
