//! Documentation, visibility and attributes stay, and generated code upsets no lint.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, non_local_definitions, rust_2018_idioms)]
#![deny(unused_qualifications, unused_lifetimes, let_underscore_drop, unused_results)]

/// Fibers that another module may use.
pub mod fibers {
    /// Adds.
    ///
    /// Two numbers.
    #[inline]
    #[flux::fiber(stack = "small")]
    pub fn add(a: u32, b: u32) -> u32 {
        #![allow(unused_variables)]
        let unused = 0;
        hidden(a) + b
    }

    #[must_use]
    fn hidden(a: u32) -> u32 {
        a
    }

    #[deprecated = "for the test"]
    #[flux::fiber]
    pub(crate) fn old(_guard: std::sync::Arc<u8>, _: std::sync::Arc<u8>) {}
}

#[flux::main(core = "none")]
fn main() -> std::io::Result<()> {
    assert_eq!(flux::spawn(fibers::add(1, 2)).join()?, 3);
    #[expect(deprecated, reason = "the attribute stays on the function")]
    let fiber = fibers::old(1.into(), 2.into());
    flux::spawn(fiber).join()?;
    Ok(())
}
