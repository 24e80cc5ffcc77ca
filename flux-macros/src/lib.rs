//! The attributes of flux: `#[flux::main]`, `#[flux::fiber]`, and `flux::init!`.
//!
//! Use them through the `flux` crate, which re-exports them: what they generate names
//! `::flux::macro_support` and nothing else of flux.
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
//! mistake is one error.
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
/// | `core` | a number, a path to a `const` of type `usize`, `"auto"`, `"none"` | `"auto"`: an isolated core if this process may use one, else the core that it started on |
/// | `idle` | `"block"`, `"spin"`, `"spin 50us"` | `"block"`; `"spin 50us"` spins that long, then blocks |
/// | `stacks(small = n, medium = n, large = n)` | how many stacks of each class; `large` is at least 1 | 256, 32, 8 |
/// | `fibers` | the most that live at once, at least 1 | 1024 |
/// | `timers` | the most callback timers at once | 256 |
/// | `grace` | a duration: `"5s"`, `"250ms"` | `"5s"` |
///
/// A duration is a whole number with the unit `ns`, `us`, `ms`, or `s`. A count is a number, or a path
/// to a `const` of type `usize`. Environment variables (`FLUX_ENGINE`, `FLUX_CORE`, ..) override these
/// when the program starts.
///
/// # Errors
/// Each of these is a compile error, at the token at fault, and all of them show in one build:
/// - it is not on a plain `fn main()` in the root of the crate;
/// - a key that there is not, a key given twice, a value of the wrong type or out of range;
/// - a second `#[flux::main]` or [`flux::init!`](init!) in the same crate. In another crate of the same
///   program it is an error of the linker, whose symbol says what is wrong.
///
/// When the reactor cannot start (no such core, no memory for the stacks), the program prints one
/// sentence to stderr and exits with a failure.
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
///
/// # Errors
/// Each of these is a compile error, at the token at fault, and all of them show in one build:
/// - the function is `async`, `const`, `unsafe`, `extern`, or variadic, or has a `self` receiver;
/// - it takes borrowed arguments, since a fiber may outlive its caller (`flux::scope` is for those);
/// - `impl Trait` as an argument or as the result: name the type;
/// - its arguments or its result are larger than the 128 bytes that a control block has for them. For
///   types that depend on type parameters this shows in `cargo build`, not yet in `cargo check`;
/// - a key that there is not, a key given twice, an unknown stack class.
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
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test_attribute::run(arguments.into(), item.into()).into()
}

/// Makes the program's one reactor, for a program that wants its `main` to itself.
///
/// It takes the keys of [`#[flux::main]`](macro@main), all optional, and is an expression of type
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
