//! How often each kind of thing was done.

use std::cell::Cell;

/// What is counted, under the name that the report shows.
macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of thing that the drivers do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind,)* }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

kinds! {
    Connect "connects",
    Accept "accepts",
    Unserved "connections not served",
    Echo "bytes sent back",
    Partial "partial reads",
    Peek "peeks",
    HalfClose "half-closes",
    Reset "resets by a client",
    ResetByServer "resets by a server",
    Finish "ends by a server",
    Abandon "streams left half-read",
    Stall "writes to who does not read",
    ReadTimeout "read time-outs",
    WriteTimeout "write time-outs",
    ConnectTimeout "connect time-outs",
    Timeout "deadlines passed",
    Nested "nested deadlines",
    InTime "deadlines kept",
    Cancel "cancels",
    CancelLate "cancels that came too late",
    CancelRace "cancels beside bytes",
    Shield "shielded from a cancel",
    SpawnSmall "spawns on small stacks",
    SpawnMedium "spawns on medium stacks",
    SpawnLarge "spawns on large stacks",
    NoBlock "spawns refused: no block",
    Detach "fibers left to themselves",
    Scope "scopes",
    Child "children of scopes",
    Send "values through channels",
    Panic "panics joined",
    PanicAlone "panics that nobody joined",
    Sleep "sleeps",
    Yield "yields",
}

/// A counter for each kind.
#[derive(Debug)]
pub(crate) struct Tally(Box<[Cell<u64>]>);

impl Tally {
    pub(crate) fn new() -> Self {
        Self(vec![Cell::new(0); NAMES.len()].into())
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.add(kind, 1);
    }

    pub(crate) fn add(&self, kind: Kind, times: u64) {
        let counter = &self.0[kind as usize];
        counter.set(counter.get() + times);
    }

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize].get()
    }

    /// Prints all of it, two columns beside each other.
    pub(crate) fn report(&self) {
        let rows = NAMES.len().div_ceil(2);
        println!();
        for row in 0..rows {
            let mut separator = "";
            for at in [row, row + rows].into_iter().filter(|at| *at < NAMES.len()) {
                print!("{separator}{:<28} {:>12}", NAMES[at], self.0[at].get());
                separator = "    ";
            }
            println!();
        }
        println!();
    }
}
