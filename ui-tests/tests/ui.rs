//! Every message of the macros, word for word, and every use that must compile and run.
//!
//! A case is one file with one fault, named by it:
//!
//! | directory | what happens to it |
//! |---|---|
//! | `cases/fail/{main,fiber,init,test,blocking,reactor}/*.rs` | `cargo check` must fail with exactly the `.stderr` beside it |
//! | `cases/fail/built/*.rs` | the same with `cargo build`, for what shows only when code is generated |
//! | `cases/pass/*.rs` | must compile and run to success; they assert what they show |
//!
//! To add a failing case, write the `.rs` file, run `TRYBUILD=overwrite cargo test -p flux-ui-tests --test ui`,
//! and read the new `.stderr` as the one who made the mistake would: is the span the smallest, is there
//! one error for one fault, does the `help:` say what to write? After a new toolchain the same command
//! brings rustc's own wording up to date; look at the difference before committing it.
//!
//! To run one case: `cargo test -p flux-ui-tests --test ui -- trybuild=async_fn`.

/// All at once in one `cargo check`, since none of them is ever run.
#[test]
fn misuse_is_refused_with_these_words() {
    let cases = trybuild::TestCases::new();
    for folder in ["main", "fiber", "init", "test", "blocking", "reactor"] {
        cases.compile_fail(format!("cases/fail/{folder}/*.rs"));
    }
}

/// Cases that pass make trybuild use `cargo build`, which the failing ones among these need.
#[test]
fn use_is_accepted_and_runs() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("cases/fail/built/*.rs");
    cases.pass("cases/pass/*.rs");
}
