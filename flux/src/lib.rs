//! flux.
