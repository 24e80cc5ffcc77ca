//! Calls that would take the core from every fiber, and calls that would make a second reactor.
//!
//! A macro sees tokens alone, so this finds what the body itself shows: paths that begin with `std` or
//! flux's name, names that a `use` in the body brings, and methods of values whose type stands in the
//! body or the signature. It never guesses: a name that comes from outside of the function means
//! nothing here, since it may be flux's own (`TcpStream`). Clippy, which knows every type, finds the rest
//! (`flux/lints/clippy.toml`).
//!
//! - `known` is the table: what blocks, and what to write instead.
//! - `names` says what a name means at a place in the body.
//! - `walk` goes through the body. It leaves out what need not run on the core: nested items, `async`
//!   blocks, and closures handed to somebody unknown.

mod known;
mod names;
mod walk;

use quote::ToTokens;

use crate::entries::Entry;
use crate::fault::Faults;
use crate::function::Function;
use crate::root::Root;

/// Whether a function may block: the key `blocking_ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leave {
    #[default]
    Refused,
    Given,
}

impl Leave {
    /// What `blocking_ok = "reason"` says. Given also where the reason is missing: that is fault enough.
    pub(crate) fn read(entry: &Entry, faults: &mut Faults) -> Self {
        let example = "blocking_ok = \"reads one small file before anything is connected\"";
        let help = "say in a few words why it may block the core: how long, and when";
        if let Some((reason, value)) = entry.string(example, help, faults)
            && reason.trim().is_empty()
        {
            faults.at(&value.tokens, "`blocking_ok` gives no reason", help);
        }
        Leave::Given
    }
}

/// The parts of std that have something that blocks.
const MODULES: &[&str] = &["fs", "io", "net", "process", "sync", "thread"];

/// Finds the calls in a function that runs as a fiber.
pub(crate) fn check(function: &Function, root: &Root, leave: Leave, faults: &mut Faults) {
    let flux = root.name();
    // Most bodies name nothing of what could be found, and need not be parsed.
    let mut text = function.block.to_string();
    text.push_str(&function.sig.inputs.to_token_stream().to_string());
    let of_std = text.contains("std") && MODULES.iter().any(|module| text.contains(module));
    let of_flux = flux
        .as_ref()
        .is_some_and(|flux| text.contains(flux.as_str()))
        && (text.contains("Config") || text.contains("init"));
    if !of_std && !of_flux {
        return;
    }
    let (_, statements) = function.statements();
    // What does not parse is for rustc to say.
    let Ok(statements) = syn::parse::Parser::parse2(syn::Block::parse_within, statements) else {
        return;
    };
    walk::body(&function.sig, &statements, flux, leave, faults);
}

#[cfg(test)]
mod tests;
