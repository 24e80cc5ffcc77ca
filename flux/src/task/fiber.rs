//! A fiber that has not been spawned: a closure, a stack class, and a name. Nothing runs yet.

use std::fmt;

use crate::budget::FiberFn;
use crate::config::StackClass;

/// The name of a fiber that was spawned from a closure and given none; reports show where, beside it.
pub(super) const CLOSURE: &str = "closure";

/// A fiber that does nothing until it is spawned; what a `#[flux::fiber]` function returns.
///
/// # Example
/// ```
/// #[flux::fiber(stack = "small")]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// # fn main() -> Result<(), flux::RunError> {
/// let sum = flux::Config::new().run(|| flux::spawn(add(2, 3)).join().unwrap())?;
/// assert_eq!(sum, 5);
/// # Ok(())
/// # }
/// ```
#[must_use = "a fiber does nothing until it is spawned: pass it to `flux::spawn`"]
pub struct Fiber<F> {
    pub(super) class: StackClass,
    pub(super) name: &'static str,
    /// The function that bounds how many of these live, if one does.
    pub(super) bound: Option<&'static FiberFn>,
    pub(super) body: F,
}

impl<F> Fiber<F> {
    /// A fiber of a class, under a name that reports show, that runs `body`.
    pub fn new<T>(class: StackClass, name: &'static str, body: F) -> Self
    where
        F: FnOnce() -> T,
    {
        Self {
            class,
            name,
            bound: None,
            body,
        }
    }

    /// A fiber of a function that bounds how many of them live: for generated code.
    #[doc(hidden)]
    pub fn bounded<T>(function: &'static FiberFn, body: F) -> Self
    where
        F: FnOnce() -> T,
    {
        Self {
            class: function.class(),
            name: function.name(),
            bound: Some(function),
            body,
        }
    }

    /// The name that reports show.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The class of stack that it will run on.
    pub fn class(&self) -> StackClass {
        self.class
    }
}

impl<F> fmt::Debug for Fiber<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("name", &self.name)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// What can be spawned: a [`Fiber`], or a closure, which runs on a medium stack.
///
/// The closure and what it returns must fit a control block (128 bytes each); larger ones go into a `Box`.
pub trait IntoFiber: Sized {
    /// What the fiber returns.
    type Output: 'static;
    /// What the fiber runs.
    type Body: FnOnce() -> Self::Output + 'static;

    /// The fiber that this is.
    fn into_fiber(self) -> Fiber<Self::Body>;

    /// What it was before [`into_fiber`](Self::into_fiber).
    fn from_fiber(fiber: Fiber<Self::Body>) -> Self;
}

impl<F, T> IntoFiber for F
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    type Output = T;
    type Body = F;

    fn into_fiber(self) -> Fiber<F> {
        Fiber::new(StackClass::Medium, CLOSURE, self)
    }

    fn from_fiber(fiber: Fiber<F>) -> Self {
        fiber.body
    }
}

impl<F, T> IntoFiber for Fiber<F>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    type Output = T;
    type Body = F;

    fn into_fiber(self) -> Self {
        self
    }

    fn from_fiber(fiber: Self) -> Self {
        fiber
    }
}
