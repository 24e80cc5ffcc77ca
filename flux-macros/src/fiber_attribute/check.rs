//! What a fiber may look like. Sees only the model; finds every fault.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{FnArg, GenericParam, Safety, Signature, Type};

use super::lifetimes::borrows;
use crate::blocking::Leave;
use crate::entries::{self, Entry, Keys};
use crate::fault::{Faults, did_you_mean};
use crate::function::Function;
use crate::root::Root;
use crate::settings::keys::count;
use crate::value::Amount;

const KEYS: Keys = Keys {
    known: &["stack", "max", "blocking_ok", "crate"],
    later: &[],
};

const CLASSES: &str = "one of \"small\" (64 KiB), \"medium\" (256 KiB), \"large\" (1 MiB)";

/// What the attribute says, checked.
pub(crate) struct Attribute {
    pub(crate) class: Class,
    /// How many may live at once.
    pub(crate) max: Option<Amount<usize>>,
    pub(crate) leave: Leave,
    pub(crate) root: Root,
}

/// The stack that a fiber runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Small,
    Medium,
    Large,
}

/// Reads the attribute's tokens; what is faulty leaves the default.
pub(crate) fn attribute(tokens: TokenStream, faults: &mut Faults) -> Attribute {
    let mut attribute = Attribute {
        class: Class::Medium,
        max: None,
        leave: Leave::Refused,
        root: Root::default(),
    };
    let entries = entries::parse(tokens, faults);
    for entry in KEYS.sort_out(entries, faults) {
        match entry.name().as_str() {
            "stack" => attribute.class = class(&entry, faults).unwrap_or(Class::Medium),
            "max" => attribute.max = max(&entry, faults),
            "blocking_ok" => attribute.leave = Leave::read(&entry, faults),
            "crate" => attribute.root = Root::read(&entry, faults),
            // `sort_out` keeps nothing else.
            _ => {}
        }
    }
    attribute
}

fn class(entry: &Entry, faults: &mut Faults) -> Option<Class> {
    let (name, value) = entry.string("stack = \"medium\"", CLASSES, faults)?;
    match name.as_str() {
        "small" => return Some(Class::Small),
        "medium" => return Some(Class::Medium),
        "large" => return Some(Class::Large),
        _ => {}
    }
    let help = did_you_mean(&name, &["small", "medium", "large"])
        .map(|meant| format!("did you mean \"{meant}\"?"));
    let message = format!("unknown stack class `{name}`");
    faults.at(&value.tokens, &message, help.as_deref().unwrap_or(CLASSES));
    None
}

fn max(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    let (max, value) = count(entry, "max = 64", faults)?;
    if max.written() == Some(&0) {
        faults.at(
            &value.tokens,
            "a fiber of which there may be none can never be spawned",
            "`max` is at least 1; leave it out where there is no bound",
        );
        return None;
    }
    Some(max)
}

/// Whether the function can be a fiber; if not, the faults say why.
pub(crate) fn signature(function: &Function, faults: &mut Faults) -> bool {
    let mut found = Signatures {
        faults,
        sound: true,
    };
    found.qualifiers(&function.sig);
    found.lifetime_parameters(&function.sig);
    for input in &function.sig.inputs {
        match input {
            FnArg::Receiver(receiver) => found.fault(
                receiver,
                "a fiber cannot take `self`",
                "write a free function, or spawn a closure: `flux::spawn(move || this.run())`",
            ),
            FnArg::Typed(input) => found.argument(&input.ty, &function.sig),
        }
    }
    if let Some(variadic) = &function.sig.variadic {
        found.fault(
            &variadic.dots,
            "a fiber cannot be variadic",
            "take a `Vec`, or write each argument",
        );
    }
    if let Some(result) = function.result_type() {
        found.result(result, &function.sig);
    }
    found.sound
}

struct Signatures<'a> {
    faults: &'a mut Faults,
    sound: bool,
}

impl Signatures<'_> {
    fn fault(&mut self, place: &impl ToTokens, message: &str, help: &str) {
        self.faults.at(place, message, help);
        self.sound = false;
    }

    fn qualifiers(&mut self, sig: &Signature) {
        if let Some(constness) = &sig.constness {
            self.fault(
                constness,
                "a fiber cannot be `const`",
                "remove `const`; a fiber only runs at run time",
            );
        }
        if let Some(asyncness) = &sig.asyncness {
            self.fault(
                asyncness,
                "a fiber is not async",
                "remove `async` and each `.await`; a call that waits suspends the fiber by itself",
            );
        }
        if let Safety::Unsafe(safety) = &sig.safety {
            self.fault(
                safety,
                "a fiber cannot be `unsafe`",
                "remove `unsafe`, and put a block around what needs it: who spawns a fiber does not call it",
            );
        }
        if let Some(abi) = &sig.abi {
            self.fault(
                abi,
                "a fiber cannot be `extern`",
                "remove it; flux calls the body as Rust code",
            );
        }
    }

    fn lifetime_parameters(&mut self, sig: &Signature) {
        for param in &sig.generics.params {
            if let GenericParam::Lifetime(param) = param {
                self.fault(
                    &param.lifetime,
                    "a fiber cannot have a lifetime parameter, since it may outlive its caller",
                    "take owned data, or spawn a borrowing closure in `flux::scope`",
                );
            }
        }
    }

    fn argument(&mut self, ty: &Type, sig: &Signature) {
        if let Type::ImplTrait(argument) = ty {
            self.fault(
                &argument.impl_token,
                "a fiber's argument cannot be `impl Trait`",
                "name the type: `fn f<T: Trait>(argument: T)`",
            );
        }
        for borrow in borrows(ty)
            .iter()
            .filter(|borrow| !is_declared(&borrow.lifetime, sig))
        {
            self.fault(
                &borrow.place,
                "a fiber cannot take borrowed arguments, since it may outlive its caller",
                "take owned data, or spawn a borrowing closure in `flux::scope`",
            );
        }
    }

    fn result(&mut self, ty: &Type, sig: &Signature) {
        if let Some(token) = first_impl(ty.to_token_stream()) {
            self.fault(
                &token,
                "a fiber's result cannot be `impl Trait`",
                "name the type, or box it: `Box<dyn Trait>`",
            );
        }
        for borrow in borrows(ty)
            .iter()
            .filter(|borrow| !is_declared(&borrow.lifetime, sig))
        {
            self.fault(
                &borrow.place,
                "a fiber cannot give back a borrow, since its stack is gone by then",
                "give back owned data",
            );
        }
    }
}

/// A declared lifetime is one fault, at its declaration.
fn is_declared(lifetime: &str, sig: &Signature) -> bool {
    sig.generics
        .lifetimes()
        .any(|param| param.lifetime.ident == lifetime)
}

/// The first `impl` in a type, at whatever depth.
pub(crate) fn first_impl(ty: TokenStream) -> Option<proc_macro2::Ident> {
    ty.into_iter().find_map(|token| match token {
        proc_macro2::TokenTree::Ident(ident) if ident == "impl" => Some(ident),
        proc_macro2::TokenTree::Group(group) => first_impl(group.stream()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn signature_faults(item: &str, expected: &[&str]) {
        let mut faults = Faults::default();
        let function = Function::parse(item.parse().unwrap_or_default());
        let sound = function
            .map(|function| signature(&function, &mut faults))
            .ok();
        assert_eq!(sound, Some(expected.is_empty()), "{item}");
        let messages = faults.messages();
        let first_lines: Vec<&str> = messages
            .iter()
            .filter_map(|message| message.lines().next())
            .collect();
        assert_eq!(first_lines, expected, "{item}");
    }

    fn parsed_class(arguments: &str) -> (Class, Vec<String>) {
        let mut faults = Faults::default();
        let attribute = attribute(arguments.parse().unwrap_or_default(), &mut faults);
        (attribute.class, faults.messages())
    }

    #[test]
    fn the_classes_have_three_names() {
        assert_eq!(parsed_class(""), (Class::Medium, vec![]));
        assert_eq!(parsed_class("stack = \"small\""), (Class::Small, vec![]));
        assert_eq!(parsed_class("stack = \"medium\","), (Class::Medium, vec![]));
        assert_eq!(parsed_class("stack = \"large\""), (Class::Large, vec![]));
    }

    #[test]
    fn a_faulty_class_is_named_with_its_remedy() {
        for (arguments, message) in [
            (
                "stack = \"tiny\"",
                "unknown stack class `tiny`\nhelp: one of \"small\" (64 KiB), \"medium\" (256 KiB), \"large\" (1 MiB)",
            ),
            (
                "stack = Small",
                "`stack` takes a string, found `Small`\nhelp: one of \"small\" (64 KiB), \"medium\" (256 KiB), \"large\" (1 MiB)",
            ),
            (
                "stak = \"small\"",
                "unknown key `stak`\nhelp: did you mean `stack`?",
            ),
            (
                "stack = \"smal\"",
                "unknown stack class `smal`\nhelp: did you mean \"small\"?",
            ),
            (
                "max = 0",
                "a fiber of which there may be none can never be spawned\nhelp: `max` is at least 1; leave it out where there is no bound",
            ),
            (
                "max = \"4\"",
                "`max` takes a number, found the string \"4\"\nhelp: write `max = 64`, or a path to a `const` of type `usize`",
            ),
            (
                "stack",
                "`stack` needs a value\nhelp: write `stack = \"medium\"`",
            ),
        ] {
            assert_eq!(
                parsed_class(arguments),
                (Class::Medium, vec![message.to_string()]),
                "{arguments}"
            );
        }
    }

    #[test]
    fn plain_functions_are_sound() {
        signature_faults("fn f() {}", &[]);
        signature_faults(
            "pub(crate) fn f<T: Copy>(a: T, (b, _): (u8, u8), mut c: &'static str) -> Option<T> where T: Send {}",
            &[],
        );
        signature_faults(
            "fn f(call: fn(&str) -> &str, other: Box<dyn Fn(&u8)>) -> ! {}",
            &[],
        );
    }

    #[test]
    fn each_fault_of_a_signature_is_found() {
        signature_faults(
            "const unsafe extern \"C\" fn f(_: u8) {}",
            &[
                "a fiber cannot be `const`",
                "a fiber cannot be `unsafe`",
                "a fiber cannot be `extern`",
            ],
        );
        signature_faults(
            "async fn f(&self, a: impl Read) -> impl Write {}",
            &[
                "a fiber is not async",
                "a fiber cannot take `self`",
                "a fiber's argument cannot be `impl Trait`",
                "a fiber's result cannot be `impl Trait`",
            ],
        );
        signature_faults("fn f(self: Box<Self>) {}", &["a fiber cannot take `self`"]);
        signature_faults(
            "unsafe extern \"C\" fn f(a: u8, rest: ...) {}",
            &[
                "a fiber cannot be `unsafe`",
                "a fiber cannot be `extern`",
                "a fiber cannot be variadic",
            ],
        );
        signature_faults(
            "fn f(a: &str, b: Vec<&mut u8>) -> Cow<'_, str> {}",
            &[
                "a fiber cannot take borrowed arguments, since it may outlive its caller",
                "a fiber cannot take borrowed arguments, since it may outlive its caller",
                "a fiber cannot give back a borrow, since its stack is gone by then",
            ],
        );
    }

    #[test]
    fn a_declared_lifetime_is_one_fault_however_often_it_is_used() {
        signature_faults(
            "fn f<'a>(a: &'a str, b: Cow<'a, str>) -> &'a str {}",
            &["a fiber cannot have a lifetime parameter, since it may outlive its caller"],
        );
    }
}
