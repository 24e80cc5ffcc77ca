//! What the compiler says to those who misuse flux; see `tests/ui.rs`.
