//! What the compiler says to those who misuse flux, and what it accepts.
//!
//! Everything is in `tests/ui.rs` (one file a case) and `tests/programs.rs` (whole crates).
