//! The bot and what it is made of.
//!
//! Each module is one room with one purpose, and none of them knows the runtime: they take bytes and
//! values and give values, so the same code runs under flux, under a plain thread, and in a test.
//! The bot itself (`src/bin/bot`) joins them: sockets from flux on one side, books on the other.

pub mod binance;
pub mod binance_book;
pub mod book;
pub mod coinbase;
pub mod decimal;
pub mod iex;
pub mod in_band;
pub mod kraken;
pub mod okx;
pub mod pcap;
pub mod scan;
pub mod sync;
