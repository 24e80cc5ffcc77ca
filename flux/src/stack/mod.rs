//! Stacks: slabs of them, one slab a class, all made at init.

pub(crate) mod slab;

pub(crate) use slab::{Slab, Stack};
