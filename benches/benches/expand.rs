//! What the attributes cost while compiling: a crate with 200 fibers against the same crate with 200 plain functions,
//! each of which is spawned in a closure; by `cargo check` and `cargo build`, of that crate alone.
//!
//! Measured is the CPU time of cargo and all that it starts, so that what else the machine does counts less. Both
//! crates are built once beforehand, so that their dependencies are there; `incremental` is off, so that everything
//! is compiled anew each time.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;

use flux_benches::Fault;
use flux_benches::harness::{self, Args, Goal, Group, Sample};
use flux_benches::sys::children_cpu;

fn main() -> ExitCode {
    harness::main("expand", groups)
}

fn groups(args: &Args) -> Vec<Group<'static>> {
    let functions = args.size.pick(200, 3);
    let commands: &[&'static str] = args.size.pick(&["check", "build"], &["check"]);
    commands
        .iter()
        .map(|&command| {
            let title = format!("cargo {command}, {functions} functions");
            let mut group = Group::new(title, "ms", args.size.pick(15, 1));
            for kind in [Kind::Fibers, Kind::Plain] {
                // Made when it is first asked for, so that a filter that leaves it out makes nothing.
                let made: Rc<std::cell::OnceCell<PathBuf>> = Rc::default();
                group = group.contender(kind.name(), move || {
                    let package = match made.get() {
                        Some(package) => package,
                        None => {
                            let package = make(kind, functions)?;
                            cargo(command, &package)?;
                            made.get_or_init(|| package)
                        }
                    };
                    touch(&package.join("src/main.rs"))?;
                    let before = children_cpu()?;
                    cargo(command, package)?;
                    let spent = children_cpu()?.saturating_sub(before);
                    Ok(Sample::cost(spent.as_secs_f64() * 1e3, 1))
                });
            }
            group.goal(Goal::Ratio {
                contender: "fibers",
                over: "plain functions",
                at_most: 1.1,
            })
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Fibers,
    Plain,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Fibers => "fibers",
            Self::Plain => "plain functions",
        }
    }
}

/// The text of the program: functions as a bot has them, and a main fiber that spawns each.
fn source(kind: Kind, functions: usize) -> String {
    let mut text = String::from(
        "use std::io::{self, Read, Write};\nuse std::net::SocketAddr;\n\nuse flux::net::TcpStream;\n\n",
    );
    let mut spawns = String::new();
    for number in 0..functions {
        if kind == Kind::Fibers {
            text.push_str("#[flux::fiber(stack = \"small\")]\n");
        }
        // Writing to a `String` cannot fail, here and below.
        let _infallible = write!(
            text,
            "fn follow_{number}(address: SocketAddr, symbol: String, limit: usize) -> io::Result<u64> {{
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(symbol.as_bytes())?;
    let mut message = [0; 64];
    let mut seen = {number};
    while seen < limit as u64 {{
        let read = stream.read(&mut message)?;
        if read == 0 {{
            break;
        }}
        for byte in &message[..read] {{
            match byte {{
                b'b' => seen += 1,
                b'a' => seen += 2,
                _ if *byte > 100 => println!(\"{{symbol}}: {{byte}}\"),
                _ => {{}}
            }}
        }}
    }}
    Ok(seen)
}}

"
        );
        let call = format!("follow_{number}(address, String::from(\"BTCUSDT\"), {number})");
        let spawned = match kind {
            Kind::Fibers => call,
            Kind::Plain => format!("move || {call}"),
        };
        let _infallible = writeln!(spawns, "    seen += flux::spawn({spawned}).join()??;");
    }
    let _infallible = write!(
        text,
        "fn run(address: SocketAddr) -> io::Result<u64> {{\n    let mut seen = 0;\n{spawns}    Ok(seen)\n}}\n\n\
         fn main() {{\n    let address = ([127, 0, 0, 1], 9).into();\n    \
         let seen = flux::Config::new().run(move || run(address));\n    println!(\"{{}}\", seen.is_ok());\n}}\n"
    );
    text
}

/// A package of its own, beside this bench's other temporary files.
fn make(kind: Kind, functions: usize) -> Result<PathBuf, Fault> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let name = match kind {
        Kind::Fibers => "expand_fibers",
        Kind::Plain => "expand_plain",
    };
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             flux = {{ path = '{}' }}\n\n[profile.dev]\nincremental = false\n\n[workspace]\n",
            workspace.join("flux").display()
        ),
    )?;
    // The same versions as the workspace has, so that nothing is looked up.
    fs::copy(workspace.join("Cargo.lock"), package.join("Cargo.lock"))?;
    fs::write(package.join("src/main.rs"), source(kind, functions))?;
    Ok(package)
}

/// Makes a file newer than what was built of it.
fn touch(file: &Path) -> Result<(), Fault> {
    let text = fs::read(file)?;
    Ok(fs::write(file, text)?)
}

fn cargo(command: &str, package: &Path) -> Result<(), Fault> {
    let output = Command::new(env!("CARGO"))
        .args([command, "--offline", "--quiet"])
        .current_dir(package)
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("expand"),
        )
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}
