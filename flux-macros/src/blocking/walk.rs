//! Through the body, statement by statement, with the names that are known there.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprAsync, ExprCall, ExprClosure, ExprConst, ExprForLoop, ExprIf, ExprLet,
    ExprMethodCall, ExprWhile, FnArg, Item, Local, Macro, Signature, Stmt, Token,
};

use super::Leave;
use super::known::{self, Instead};
use super::names::Names;
use crate::fault::Faults;

/// Macros of std whose arguments are expressions, and are evaluated.
const EVALUATE: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "format",
    "panic",
    "print",
    "println",
    "vec",
    "write",
    "writeln",
];

pub(super) fn body(
    sig: &Signature,
    statements: &[Stmt],
    flux: Option<String>,
    leave: Leave,
    faults: &mut Faults,
) {
    let mut walk = Walk {
        names: Names::new(flux),
        leave,
        faults,
    };
    // Types of the arguments are resolved outside of the body: before its items are known.
    for input in &sig.inputs {
        if let FnArg::Typed(input) = input {
            let ty = walk.names.type_of(&input.ty);
            walk.names.bind(&input.pat, ty);
        }
    }
    walk.block(statements);
}

struct Walk<'a> {
    names: Names,
    leave: Leave,
    faults: &'a mut Faults,
}

impl Walk<'_> {
    fn block(&mut self, statements: &[Stmt]) {
        self.names.open();
        self.names.items(statements);
        for statement in statements {
            self.visit_stmt(statement);
        }
        self.names.close();
    }

    /// What a value is, as far as the body shows it.
    fn type_of(&self, value: &Expr) -> Option<&'static str> {
        match value {
            Expr::Path(path) if path.qself.is_none() => self.names.variable(path.path.get_ident()?),
            Expr::Call(call) => known::returned_by(&self.called(call)?),
            Expr::MethodCall(call) => {
                let owner = self.type_of(&call.receiver)?;
                known::returned_by_method(owner, &call.method.to_string())
            }
            Expr::Try(value) => self.type_of(&value.expr),
            Expr::Reference(value) => self.type_of(&value.expr),
            Expr::Paren(value) => self.type_of(&value.expr),
            Expr::Group(value) => self.type_of(&value.expr),
            _ => None,
        }
    }

    /// The full path of the function that is called.
    fn called(&self, call: &ExprCall) -> Option<String> {
        match &*call.func {
            Expr::Path(path) if path.qself.is_none() => self.names.path(&path.path),
            _ => None,
        }
    }

    fn say(&mut self, place: &impl ToTokens, what: &str, instead: Instead) {
        let blocks = format!("{what} blocks the core, and every fiber with it");
        let (message, help) = match instead {
            Instead::NoReactor => (
                format!("{what} makes a second reactor, and a program has one"),
                "this runs in the first already: spawn a fiber with `flux::spawn`, and set the \
                 reactor up by the keys of its attribute"
                    .to_string(),
            ),
            _ if self.leave == Leave::Given => return,
            Instead::Flux(name) => (blocks, format!("`{name}` suspends this fiber alone")),
            Instead::Fiber => (
                blocks,
                "`flux::spawn` makes a fiber instead, whose `join` suspends this one alone"
                    .to_string(),
            ),
            Instead::Thread => (
                blocks,
                "do it on a thread; or, where nothing is urgent, say so: \
                 `blocking_ok = \"reason\"` in the attribute"
                    .to_string(),
            ),
        };
        self.faults.at(place, &message, &help);
    }

    /// The arguments of a call; closures only if the call runs them here and now.
    fn arguments<'a>(&mut self, arguments: impl Iterator<Item = &'a Expr>, runs_closures: bool) {
        for argument in arguments {
            match argument {
                Expr::Closure(closure) if runs_closures => {
                    self.names.open();
                    for input in &closure.inputs {
                        self.names.bind(input, None);
                    }
                    self.visit_expr(&closure.body);
                    self.names.close();
                }
                argument => self.visit_expr(argument),
            }
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_block(&mut self, block: &'ast Block) {
        self.block(&block.stmts);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        let Some(init) = &local.init else {
            return self.names.bind(&local.pat, None);
        };
        self.visit_expr(&init.expr);
        if let Some((_, diverges)) = &init.diverge {
            self.visit_expr(diverges);
        }
        if let Expr::Call(call) = &*init.expr
            && let Some(ends) = self
                .called(call)
                .and_then(|path| known::pair_returned_by(&path))
        {
            return self.names.bind_pair(&local.pat, ends);
        }
        let ty = self.type_of(&init.expr);
        self.names.bind(&local.pat, ty);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let called = self.called(call);
        if let Some(path) = &called
            && let Some(instead) = known::call(path)
        {
            self.say(&call.func, &format!("`{path}`"), instead);
        }
        if !matches!(&*call.func, Expr::Path(_)) {
            self.visit_expr(&call.func);
        }
        // Of flux's own functions, only those that hand work to threads run a closure elsewhere.
        let elsewhere = ["flux::blocking", "flux::remote"];
        let here = called.is_some_and(|path| {
            path.starts_with("flux::") && !elsewhere.iter().any(|front| path.starts_with(front))
        });
        self.arguments(call.args.iter(), here);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        self.visit_expr(&call.receiver);
        if let Some(owner) = self.type_of(&call.receiver)
            && let Some(instead) = known::method(owner, &name)
        {
            self.say(&call.method, &format!("`{name}` of `{owner}`"), instead);
        }
        let here = known::CALL_AT_ONCE.contains(&name.as_str());
        self.arguments(call.args.iter(), here);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        if self.names.path(&called.path).as_deref() == Some("flux::init") {
            return self.say(&called.path, "`flux::init!`", Instead::NoReactor);
        }
        let Some(name) = called.path.segments.last() else {
            return;
        };
        if EVALUATE.iter().any(|known| name.ident == known) {
            let arguments = Punctuated::<Expr, Token![,]>::parse_terminated;
            let parsed = arguments.parse2(TokenStream::clone(&called.tokens));
            for argument in parsed.iter().flatten() {
                self.visit_expr(argument);
            }
        }
    }

    // Variables of patterns end with what stands behind them.

    fn visit_arm(&mut self, arm: &'ast Arm) {
        self.names.open();
        self.names.bind(&arm.pat, None);
        visit::visit_arm(self, arm);
        self.names.close();
    }

    fn visit_expr_for_loop(&mut self, each: &'ast ExprForLoop) {
        self.visit_expr(&each.expr);
        self.names.open();
        self.names.bind(&each.pat, None);
        self.visit_block(&each.body);
        self.names.close();
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        self.names.open();
        self.visit_expr(&branch.cond);
        self.visit_block(&branch.then_branch);
        self.names.close();
        if let Some((_, otherwise)) = &branch.else_branch {
            self.visit_expr(otherwise);
        }
    }

    fn visit_expr_while(&mut self, each: &'ast ExprWhile) {
        self.names.open();
        self.visit_expr(&each.cond);
        self.visit_block(&each.body);
        self.names.close();
    }

    fn visit_expr_let(&mut self, condition: &'ast ExprLet) {
        self.visit_expr(&condition.expr);
        self.names.bind(&condition.pat, None);
    }

    // What need not run here, or not now.

    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}

    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}

    fn visit_expr_const(&mut self, _: &'ast ExprConst) {}
}
