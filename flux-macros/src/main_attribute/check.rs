//! What a `main` may look like. Sees only the model; finds every fault.

use syn::Safety;

use crate::fault::Faults;
use crate::function::Function;

/// Where the attribute belongs, as a `help:`.
pub(crate) const PLACE: &str =
    "put `#[flux::main]` on `fn main` in the root of the program's crate";

pub(crate) enum Verdict {
    Main,
    /// It is called `main`, but cannot run as it stands.
    FaultyMain,
    NotMain,
}

pub(crate) fn function(function: &Function, faults: &mut Faults) -> Verdict {
    let sig = &function.sig;
    if sig.ident != "main" {
        let help = if sig.ident == "init" || sig.receiver().is_some() {
            PLACE.to_string()
        } else {
            format!(
                "rename `{}` to `main`, or make it a fiber by `#[flux::fiber]`",
                sig.ident
            )
        };
        faults.at(
            &sig.ident,
            "`#[flux::main]` goes on `fn main` of the program",
            &help,
        );
        return Verdict::NotMain;
    }
    let mut sound = true;
    let mut fault = |tokens: &dyn quote::ToTokens, message: &str, help: &str| {
        faults.at(&tokens.to_token_stream(), message, help);
        sound = false;
    };
    if let Some(constness) = &sig.constness {
        fault(constness, "`main` cannot be `const`", "remove `const`");
    }
    if let Some(asyncness) = &sig.asyncness {
        fault(
            asyncness,
            "the main fiber is not async",
            "remove `async` and each `.await`; a call that waits suspends the fiber by itself",
        );
    }
    if let Safety::Unsafe(safety) = &sig.safety {
        fault(
            safety,
            "`main` cannot be `unsafe`",
            "remove `unsafe`, and put a block around what needs it",
        );
    }
    if let Some(abi) = &sig.abi {
        fault(
            abi,
            "`main` cannot be `extern`",
            "remove it; flux calls `main` as a Rust function",
        );
    }
    if !sig.generics.params.is_empty() {
        fault(
            &sig.generics,
            "`main` cannot be generic",
            "remove the parameters",
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        fault(clause, "`main` cannot have a `where` clause", "remove it");
    }
    if !sig.inputs.is_empty() {
        fault(
            &sig.inputs,
            "`main` takes no arguments",
            "call `std::env::args()` in its body",
        );
    }
    if let Some(variadic) = &sig.variadic {
        fault(
            &variadic.dots,
            "`main` takes no arguments",
            "call `std::env::args()` in its body",
        );
    }
    if sound {
        Verdict::Main
    } else {
        Verdict::FaultyMain
    }
}
