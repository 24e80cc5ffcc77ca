//! What a contender is expected to reach.

/// What a contender is expected to reach, printed beside what it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The contender's cost, in the unit of the group.
    Cost {
        /// Who.
        contender: &'static str,
        /// The most it may cost.
        at_most: f64,
    },
    /// The contender's cost over another's, in the same round.
    Ratio {
        /// Who.
        contender: &'static str,
        /// Over whom.
        over: &'static str,
        /// The largest ratio.
        at_most: f64,
    },
}
