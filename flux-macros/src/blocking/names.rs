//! What a name means at a place in the body: an item that a `use` brings, or a variable of a known type.
//!
//! Knows what is written in the body alone. A name that it does not know may be anything.

use std::collections::HashMap;

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Ident, Item, Pat, Path, Stmt, Type, UseTree};

use super::known;

/// The scopes that are open, the outermost first.
pub(super) struct Names {
    /// The name of flux.
    flux: Option<String>,
    scopes: Vec<Scope>,
}

#[derive(Default)]
struct Scope {
    items: HashMap<String, Meaning>,
    /// Modules all of whose names were brought in.
    globs: Vec<String>,
    /// Variables, and their type where it is known.
    variables: HashMap<String, Option<&'static str>>,
}

/// What an item's name stands for.
#[derive(Clone)]
enum Meaning {
    /// What is found under this full path.
    Path(String),
    /// Something of the body's own, or from where the body does not show.
    Other,
}

/// How often a name may lead to another one.
const LEADS_MAX: usize = 8;

impl Names {
    pub(super) fn new(flux: Option<String>) -> Self {
        Names {
            flux,
            scopes: vec![Scope::default()],
        }
    }

    pub(super) fn open(&mut self) {
        self.scopes.push(Scope::default());
    }

    pub(super) fn close(&mut self) {
        self.scopes.pop();
    }

    /// Enters the items of a block, which are known in all of it.
    pub(super) fn items(&mut self, statements: &[Stmt]) {
        for statement in statements {
            let Stmt::Item(item) = statement else {
                continue;
            };
            match item {
                Item::Use(item) => self.brought(&item.tree, &mut Vec::new()),
                Item::Fn(item) => self.defined(&item.sig.ident),
                Item::Mod(item) => self.defined(&item.ident),
                Item::Struct(item) => self.defined(&item.ident),
                Item::Enum(item) => self.defined(&item.ident),
                Item::Type(item) => self.defined(&item.ident),
                Item::Trait(item) => self.defined(&item.ident),
                _ => {}
            }
        }
    }

    fn defined(&mut self, name: &Ident) {
        self.name_item(&name.unraw().to_string(), Meaning::Other);
    }

    fn name_item(&mut self, name: &str, meaning: Meaning) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.items.insert(name.to_string(), meaning);
        }
    }

    fn brought(&mut self, tree: &UseTree, front: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                front.push(path.ident.unraw().to_string());
                self.brought(&path.tree, front);
                front.pop();
            }
            UseTree::Name(name) => {
                let own = name.ident.unraw().to_string();
                self.bring(&own, None, front);
            }
            UseTree::Rename(rename) => {
                let own = rename.ident.unraw().to_string();
                self.bring(&own, Some(rename.rename.unraw().to_string()), front);
            }
            UseTree::Glob(_) => {
                let path = self.full(front).map(|path| path.join("::"));
                if let (Some(scope), Some(path)) = (self.scopes.last_mut(), path) {
                    scope.globs.push(path);
                }
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.brought(tree, front);
                }
            }
        }
    }

    /// Enters what `use front::own as new;` brings; `own` may be `self`.
    fn bring(&mut self, own: &str, new: Option<String>, front: &mut Vec<String>) {
        let meaning = |names: &Self, path: &[String]| match names.full(path) {
            Some(path) => Meaning::Path(path.join("::")),
            None => Meaning::Other,
        };
        if own == "self" {
            let name = new.or_else(|| front.last().cloned()).unwrap_or_default();
            let meaning = meaning(self, front);
            return self.name_item(&name, meaning);
        }
        front.push(own.to_string());
        let meaning = meaning(self, front);
        front.pop();
        self.name_item(new.as_deref().unwrap_or(own), meaning);
    }

    /// The full path, with `flux` for flux, if the body shows it.
    pub(super) fn path(&self, path: &Path) -> Option<String> {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.unraw().to_string())
            .collect();
        let full = if path.leading_colon.is_some() {
            Names::new(self.flux.clone()).full(&segments)
        } else {
            self.full(&segments)
        };
        full.map(|path| path.join("::"))
    }

    fn full(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut segments = segments.to_vec();
        for _ in 0..LEADS_MAX {
            let first = segments.first()?.clone();
            match self.item(&first) {
                Some(Meaning::Path(path)) => {
                    let mut longer: Vec<String> = path.split("::").map(String::from).collect();
                    longer.extend(segments.drain(1..));
                    segments = longer;
                }
                None if first == "std" => return Some(segments),
                None if Some(&first) == self.flux.as_ref() => {
                    let own = segments.first_mut()?;
                    *own = "flux".into();
                    return Some(segments);
                }
                Some(Meaning::Other) | None => return None,
            }
            // What a `use` brings is entered in full already.
            if segments
                .first()
                .is_some_and(|first| first == "flux" || first == "std")
            {
                return Some(segments);
            }
        }
        None
    }

    /// What an item's name stands for, if the body says anything of it.
    fn item(&self, name: &str) -> Option<Meaning> {
        for scope in self.scopes.iter().rev() {
            if let Some(meaning) = scope.items.get(name) {
                return Some(meaning.clone());
            }
            let mut globs = scope.globs.iter().map(|glob| format!("{glob}::{name}"));
            if let Some(path) = globs.find(|path| known::is_in_tables(path)) {
                return Some(Meaning::Path(path));
            }
        }
        None
    }

    /// The type, if it is one that has methods that block.
    pub(super) fn type_of(&self, ty: &Type) -> Option<&'static str> {
        match ty {
            Type::Path(path) if path.qself.is_none() => known::type_named(&self.path(&path.path)?),
            Type::Reference(reference) => self.type_of(&reference.elem),
            Type::Paren(inner) => self.type_of(&inner.elem),
            Type::Group(inner) => self.type_of(&inner.elem),
            _ => None,
        }
    }

    /// The type of the variable that is called so.
    pub(super) fn variable(&self, name: &Ident) -> Option<&'static str> {
        let name = name.unraw().to_string();
        let mut scopes = self.scopes.iter().rev();
        scopes
            .find_map(|scope| scope.variables.get(&name))
            .copied()?
    }

    /// Enters the variables of a pattern: of this type, where it is no more than a name.
    pub(super) fn bind(&mut self, pat: &Pat, ty: Option<&'static str>) {
        match pat {
            Pat::Ident(pat) if pat.subpat.is_none() => {
                let name = pat.ident.unraw().to_string();
                if let Some(scope) = self.scopes.last_mut() {
                    scope.variables.insert(name, ty);
                }
            }
            Pat::Type(pat) => {
                let written = self.type_of(&pat.ty);
                self.bind(&pat.pat, written);
            }
            Pat::Paren(pat) => self.bind(&pat.pat, ty),
            Pat::Reference(pat) => self.bind(&pat.pat, ty),
            // Whatever is in it is something else from here on; words that name no variable do no harm.
            pat => self.forget(pat.to_token_stream()),
        }
    }

    /// Enters the two parts of a pattern of two.
    pub(super) fn bind_pair(&mut self, pat: &Pat, types: [&'static str; 2]) {
        let Pat::Tuple(tuple) = pat else {
            return self.bind(pat, None);
        };
        for (pat, ty) in tuple.elems.iter().zip(types) {
            self.bind(pat, (!ty.is_empty()).then_some(ty));
        }
    }

    fn forget(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(ident) => {
                    if let Some(scope) = self.scopes.last_mut() {
                        scope.variables.insert(ident.unraw().to_string(), None);
                    }
                }
                proc_macro2::TokenTree::Group(group) => self.forget(group.stream()),
                _ => {}
            }
        }
    }
}
