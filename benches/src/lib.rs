//! Contenders and harness.
