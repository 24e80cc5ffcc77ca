//! The attributes of flux: `#[flux::main]`, `#[flux::fiber]`, `#[flux::test]`, and `flux::init!`.
//!
//! Use them through the `flux` crate, which re-exports them: what they generate names
//! `::flux::macro_support` and nothing else of flux. A crate that has flux under another name says so by
//! `crate = path` in each.
//!
//! Every macro takes the same way, and every step is a plain function over token streams, so that the
//! tests call it without a compiler around it:
//!
//! ```text
//! tokens ──parse──▶ model ──check──▶ checked model ──expand──▶ tokens
//!    (entries, value, function)  └──▶ faults, all of them ──▶ compile_error!
//! ```
//!
//! Parsing keeps whatever it is given, checking sees only the model and collects every fault, and
//! expanding cannot fail. A faulty item is still emitted as a stub of the right shape, so that one
//! mistake is one error. The tokens of a body are passed on as they came.
//!
//! What a macro cannot know, since it is a constant or a type, generated code asserts while it is compiled.
//!
//! Knows nothing of how a fiber runs: that is `flux`.

// Whatever tokens come, a macro answers with tokens: a panic would be shown in place of every message.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod blocking;
mod entries;
mod fault;
mod fiber_attribute;
mod function;
mod init_macro;
mod limits;
mod main_attribute;
mod root;
mod settings;
#[cfg(test)]
mod soup;
mod test_attribute;
mod units;
mod value;

use proc_macro::TokenStream;

/// Runs `fn main` as the main fiber of the program's one reactor.
///
/// The function takes no arguments and returns whatever [`std::process::Termination`] takes: nothing,
/// a `Result`, an `ExitCode`. It runs on a stack of class large. When it returns, all other fibers are
/// cancelled and get `grace` to end.
///
/// # Keys
/// All are optional.
///
/// | key | values | default |
/// |---|---|---|
/// | `engine` | `"auto"`, `"io_uring"`, `"epoll"`, `"kqueue"` | `"auto"`: the best that this machine allows |
/// | `core` | a count, `"auto"`, `"none"` | `"auto"`: an isolated core if this process may use one, else the core that it started on |
/// | `idle` | `"block"`, `"spin"`, `"spin 50us"` | `"block"`; `"spin 50us"` spins that long, then blocks |
/// | `stacks(small = n, medium = n, large = n)` | how many stacks of each class; `large` is at least 1 | 256, 32, 8 |
/// | `stacks(auto)` | as many as the `max` of all fibers add up to; a number beside `auto` is for its class | |
/// | `stack_sizes(small = s, medium = s, large = s)` | sizes, which rise from small to large | `"64KiB"`, `"256KiB"`, `"1MiB"` |
/// | `fibers` | the most that live at once, at least 1 | 1024 |
/// | `feeds` | the most open feeds | 16 |
/// | `feed_buffer` | a size: the memory of each feed, in whole pages | `"256KiB"` |
/// | `timers` | the most callback timers at once | 256 |
/// | `grace` | a duration | `"5s"` |
/// | `blocking_ok` | why this function may block the core | |
/// | `crate` | the path of flux, where it has another name | `::flux` |
///
/// A count is a number, or a path to a `const` of type `usize`. A size is a text with the unit `B`, `KiB`,
/// `MiB`, or `GiB`, or a path to a `const` of type `usize`, in bytes. A duration is a text with the unit `ns`,
/// `us`, `ms`, or `s`, or a path to a `const` of type `Duration`. All are whole numbers, and checked while
/// compiling, constants included. Environment variables (`FLUX_ENGINE`, `FLUX_CORE`, ..) override these when
/// the program starts.
///
/// # What must not block
/// The body runs on the core that all fibers share, so that calls in it which plainly take that away are errors:
/// see [`#[flux::fiber]`](macro@fiber).
///
/// # Errors
/// Each of these is a compile error, at the token at fault, and all of them show in one build:
/// - it is not on a plain `fn main()` in the root of the crate;
/// - a key that there is not, a key given twice, a value of the wrong type or out of range;
/// - an engine that the system does not have;
/// - a call in the body that blocks, or that makes a second reactor (`Config::run`, `flux::init`);
/// - a second `#[flux::main]` or [`flux::init!`](init!) in the same crate. In another crate of the same
///   program it is an error of the linker, whose symbol says what is wrong.
///
/// When the reactor cannot start (no such core, no memory for the stacks, fewer stacks than the `max` of all
/// fibers add up to), the program prints one sentence to stderr and exits with a failure. `FLUX_REPORT=1` prints
/// what all fibers may need, and what there is of it.
///
/// # Example
/// ```ignore
/// // Ignored here, since this crate cannot depend on `flux`; it is compiled and run as
/// // `ui-tests/cases/pass/main_with_every_key.rs`.
/// #[flux::main(engine = "epoll", core = "auto", idle = "spin 50us", stacks(small = 512), fibers = 600)]
/// fn main() -> std::io::Result<()> {
///     let answer = flux::spawn(|| 42).join()?;
///     println!("{answer}");
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    main_attribute::run(arguments.into(), item.into()).into()
}

/// Makes a function whose calls make fibers.
///
/// Calling the function runs nothing yet: it moves the arguments into a `Fiber`, which `flux::spawn`
/// or `scope.spawn` starts. The body is ordinary blocking Rust; a call in it that waits suspends the
/// fiber, never the core.
///
/// `fn follow(feed: Feed) -> u64` becomes `fn follow(feed: Feed) -> Fiber<impl FnOnce() -> u64 + 'static>`.
/// Its documentation, attributes, and visibility stay. Arguments are dropped when the body ends, in
/// the order that a plain function has. Type parameters get the bound `'static`. A result `!` becomes
/// [`Infallible`](std::convert::Infallible).
///
/// # Keys
///
/// | key | values | default |
/// |---|---|---|
/// | `stack` | `"small"` (64 KiB), `"medium"` (256 KiB), `"large"` (1 MiB) | `"medium"` |
/// | `max` | how many live at once: a number, or a path to a `const` of type `usize` | no bound |
/// | `blocking_ok` | why this function may block the core | |
/// | `crate` | the path of flux, where it has another name | `::flux` |
///
/// # `max`
/// A spawn beyond it suspends until one of these fibers ends; `try_spawn` hands the fiber back. Whatever the
/// parameters of a generic function are, it has one `max`.
///
/// Each fiber function of a program, those of libraries included and called or not, is known before `main` runs:
/// init adds up what they may need, and refuses a program whose stacks or `fibers` are fewer, by their names.
/// `stacks(auto)` in `#[flux::main]` makes as many as they need.
///
/// # What must not block
/// A fiber that waits suspends. One that blocks takes the core from every other one, so that these are compile
/// errors at the call, which say what to write instead: `std::thread::sleep`, `park`, and the `join` of a thread;
/// connecting, accepting, reading and writing by `std::net` and `std::os::unix::net`; all of `std::fs`; `output`,
/// `status` and `wait` of a process; `recv` of `std::sync::mpsc`; condition variables and barriers; reading the
/// terminal. Printing is allowed. `blocking_ok = "reads a small file before anything is connected"` lets a function
/// block.
///
/// A macro sees tokens, not types. Seen is what the body itself shows:
/// - paths that begin with `std`, and names that a `use` *inside* of the body brings;
/// - methods of a value that such a call made, or whose type is written so in the body or as an argument;
/// - closures that flux's own functions, or `map`, `for_each` and their like, call at once; and the arguments of
///   `println!`, `assert!`, and such.
///
/// Not seen are names from outside of the function (`thread::sleep` under a `use` at the head of the file might be
/// the program's own), functions that the body calls, closures that are handed to others (a thread may block), and
/// other macros' arguments. For those there is [clippy](https://doc.rust-lang.org/clippy), which knows every type:
/// the documentation of the crate `flux` has a `clippy.toml` for it.
///
/// # Errors
/// Each of these is a compile error, at the token at fault, and all of them show in one build:
/// - the function is `async`, `const`, `unsafe`, `extern`, or variadic, or has a `self` receiver;
/// - it takes borrowed arguments, since a fiber may outlive its caller (`flux::scope` is for those);
/// - `impl Trait` as an argument or as the result: name the type;
/// - its arguments or its result are larger than the 128 bytes that a control block has for them. For
///   types that depend on type parameters this shows in `cargo build`, not yet in `cargo check`;
/// - a call in the body that blocks, or that makes a second reactor;
/// - a key that there is not, a key given twice, an unknown stack class, a `max` of 0.
///
/// A fiber that is made and not spawned is an `unused_must_use` warning.
///
/// # Example
/// ```ignore
/// // Ignored here, since this crate cannot depend on `flux`; it is compiled and run as
/// // `ui-tests/cases/pass/fiber_of_each_class.rs`.
/// #[flux::fiber(stack = "small")]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// #[flux::main]
/// fn main() {
///     assert_eq!(flux::spawn(add(1, 2)).join().ok(), Some(3));
/// }
/// ```
#[proc_macro_attribute]
pub fn fiber(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fiber_attribute::run(arguments.into(), item.into()).into()
}

/// Runs a test as the main fiber of a reactor of its own.
///
/// It is a test of std's harness, so that `#[should_panic]`, `#[ignore]`, filters, and a `Result` or anything else
/// that [`Termination`](std::process::Termination) has as the type of the result mean what they always do. A panic
/// of the main fiber fails the test; so does a reactor that could not be made, or ended with an error, such as a
/// deadlock, with its sentence.
///
/// A process has one reactor: these tests run one at a time within one (`cargo test`), and beside each other in
/// several (`cargo nextest`). Tests that make a reactor by themselves (`Config::run`) do not know of that, and find
/// one running; make them all by this attribute.
///
/// # Keys
/// Those of [`#[flux::main]`](macro@main). `core` is `"none"` where it is not given, since other tests run beside.
///
/// # Errors
/// Each of these is a compile error, at the token at fault, and all of them show in one build: the function is
/// `async`, `const`, `unsafe`, `extern` or generic, or takes arguments; it is a `#[test]` besides; whatever
/// `#[flux::main]` says of keys and bodies.
///
/// # Example
/// ```ignore
/// // Ignored here, since this crate cannot depend on `flux`; such tests are in `ui-tests/tests/attribute.rs`.
/// #[flux::test(fibers = 16)]
/// fn a_fiber_adds() -> std::io::Result<()> {
///     assert_eq!(flux::spawn(|| 1 + 2).join()?, 3);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test_attribute::run(arguments.into(), item.into()).into()
}

/// Makes the program's one reactor, for a program that wants its `main` to itself.
///
/// It takes the keys of [`#[flux::main]`](macro@main) but for `blocking_ok`, all optional, and is an expression of type
/// `Result<Reactor, InitError>`; `reactor.run(..)` then runs a closure as the main fiber.
///
/// # Errors
/// The same compile errors as for the attribute. A second `flux::init!` in a crate, or one beside
/// `#[flux::main]`, does not build. The function `flux::init` does the same without that check, and
/// finds a second reactor when it runs.
///
/// # Example
/// ```ignore
/// // Ignored here, since this crate cannot depend on `flux`; it is compiled and run as
/// // `ui-tests/cases/pass/init_with_keys.rs`.
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let reactor = flux::init!(engine = "epoll", core = "none", stacks(small = 16))?;
///     reactor.run(|| println!("in the main fiber"))?;
///     Ok(())
/// }
/// ```
#[proc_macro]
pub fn init(arguments: TokenStream) -> TokenStream {
    init_macro::run(arguments.into()).into()
}
