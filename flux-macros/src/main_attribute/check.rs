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
    let arguments = "call `std::env::args()` in its body";
    if plain(function, "`main`", arguments, faults) {
        Verdict::Main
    } else {
        Verdict::FaultyMain
    }
}

/// Whether a function that is run as the main fiber can be: it takes nothing, and has no qualifiers.
///
/// `subject` is what the faults call it, `arguments` says what to do in place of taking any.
pub(crate) fn plain(
    function: &Function,
    subject: &str,
    arguments: &str,
    faults: &mut Faults,
) -> bool {
    let sig = &function.sig;
    let mut sound = true;
    let mut fault = |tokens: &dyn quote::ToTokens, message: &str, help: &str| {
        faults.at(
            &tokens.to_token_stream(),
            &format!("{subject} {message}"),
            help,
        );
        sound = false;
    };
    if let Some(constness) = &sig.constness {
        fault(constness, "cannot be `const`", "remove `const`");
    }
    if let Some(asyncness) = &sig.asyncness {
        fault(
            asyncness,
            "is not async",
            "remove `async` and each `.await`; a call that waits suspends the fiber by itself",
        );
    }
    if let Safety::Unsafe(safety) = &sig.safety {
        fault(
            safety,
            "cannot be `unsafe`",
            "remove `unsafe`, and put a block around what needs it",
        );
    }
    if let Some(abi) = &sig.abi {
        fault(
            abi,
            "cannot be `extern`",
            "remove it; flux calls it as a Rust function",
        );
    }
    if !sig.generics.params.is_empty() {
        fault(&sig.generics, "cannot be generic", "remove the parameters");
    }
    if let Some(clause) = &sig.generics.where_clause {
        fault(clause, "cannot have a `where` clause", "remove it");
    }
    if !sig.inputs.is_empty() {
        fault(&sig.inputs, "takes no arguments", arguments);
    }
    if let Some(variadic) = &sig.variadic {
        fault(&variadic.dots, "takes no arguments", arguments);
    }
    sound
}
