//! Scopes: fibers that may borrow from the one that spawns them, since it waits for them.
//!
//! A closure and not a guard object: a guard that is forgotten would leave children behind whose borrows
//! have ended. The wait for the children stands after a `catch_unwind`, in a frame that nothing unwinds.

#![allow(
    unsafe_code,
    reason = "children borrow for `'scope`, which the control block does not know"
)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use crate::config::StackClass;
use crate::error::JoinError;
use crate::fiber::block::{Children, Waiting};
use crate::reactor::current;
use crate::reactor::park::not_nested;
use crate::task::fiber::{CLOSURE, Fiber};
use crate::task::handle::JoinHandle;
use crate::task::spawn::{fill, fill_bounded, has_stacks, wait_for_block, wait_for_both};

/// Where children are spawned that may borrow from outside of the closure of [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    children: Children,
    // Invariant in both, as in std.
    lifetimes: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
    not_send: PhantomData<*mut ()>,
}

/// Runs `f`, which may spawn children that borrow from what is around it, and waits for them all.
///
/// Works as [`std::thread::scope`] does. A cancel of the calling fiber does not end the wait: the children
/// were not cancelled with it, and hold borrows.
///
/// # Suspends
/// Until the children have ended.
///
/// # Panics
/// With what `f` panicked with; or when a child panicked that nobody joined. Outside of a fiber.
///
/// # Example
/// ```
/// use std::cell::Cell;
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let seen = Cell::new(0); // all run on one core: no lock, no atomic
///     flux::scope(|s| {
///         for _ in 0..3 {
///             s.spawn(|| seen.set(seen.get() + 1));
///         }
///     });
///     assert_eq!(seen.get(), 3);
/// })
/// # }
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        children: Children {
            parent: current::with(|reactor| reactor.sched.current()),
            live: Cell::new(0),
            unheard_panics: Cell::new(0),
        },
        lifetimes: PhantomData,
        not_send: PhantomData,
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    while scope.children.live.get() > 0 {
        current::with(|reactor| {
            if reactor.sched.current() != scope.children.parent {
                not_nested("scope");
            }
            // `spawn` made sure that this fiber may suspend here.
            reactor.park(Waiting::Scope);
        });
    }
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.children.unheard_panics.get() > 0 => {
            panic!("a fiber of this scope panicked, and nobody joined it")
        }
        Ok(value) => value,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a child on a medium stack. It may borrow whatever outlives the scope.
    ///
    /// # Suspends
    /// As [`spawn`](crate::spawn): when all control blocks are in use, until one is free.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn); and where the scope could not wait for its children: inside
    /// [`no_suspend`](crate::no_suspend), and in a destructor that runs while a panic unwinds.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, body: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        self.spawn_fiber(Fiber::new(StackClass::Medium, CLOSURE, body))
    }

    /// Spawns a child on a stack, and under a name, of the caller's choice.
    ///
    /// # Suspends
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Example
    /// ```
    /// use flux::{Fiber, StackClass};
    ///
    /// # fn main() -> Result<(), flux::RunError> {
    /// flux::Config::new().run(|| {
    ///     let symbols = ["BTCUSDT", "ETHUSDT"];
    ///     flux::scope(|s| {
    ///         for symbol in &symbols {
    ///             s.spawn_fiber(Fiber::new(StackClass::Small, "follow", move || symbol.len()));
    ///         }
    ///     });
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_fiber<F, T>(&'scope self, fiber: Fiber<F>) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        let Fiber {
            class,
            name,
            bound,
            body,
        } = fiber;
        let at = Location::caller();
        current::with(|reactor| {
            assert!(
                reactor.can_suspend(),
                "cannot spawn fiber `{name}` in a scope here: the scope could not wait for it, inside \
                 `no_suspend` or while a panic unwinds"
            );
            has_stacks(reactor, class, name);
            // Counted first, so that the scope waits also while this call does; nothing panics from here on.
            let children = &self.children;
            children.live.set(children.live.get() + 1);
            let family = &raw const *children;
            let handle = match bound {
                None => {
                    let index = wait_for_block(reactor, class, name, at);
                    fill(reactor, index, class, body, family)
                }
                Some(function) => {
                    let index = wait_for_both(reactor, function, at);
                    fill_bounded(reactor, index, class, body, family)
                }
            };
            ScopedJoinHandle { handle, children }
        })
    }
}

impl std::fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("live", &self.children.live.get())
            .finish_non_exhaustive()
    }
}

/// The right to join a child of a [`scope`]. Dropping it leaves the child to the scope, which waits for it.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    children: &'scope Children,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the child and returns what it returned: see [`JoinHandle::join`].
    ///
    /// # Suspends
    /// As [`JoinHandle::join`].
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        let result = self.handle.join();
        if matches!(result, Err(JoinError::Panicked(_))) {
            let unheard = &self.children.unheard_panics;
            unheard.set(unheard.get() - 1);
        }
        result
    }

    /// Cancels the child: see [`JoinHandle::cancel`].
    ///
    /// # Panics
    /// As [`JoinHandle::cancel`].
    #[track_caller]
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The child's name.
    pub fn name(&self) -> &'static str {
        self.handle.name()
    }
}
