//! The bot and what it is made of.
//!
//! Each module is one room with one purpose, and none of them knows the runtime: they take bytes and
//! values and give values, so the same code runs under flux, under a plain thread, and in a test.
//! (`stamp` knows one trait of it, that of whatever brings bytes to be read in place.)
//! The bot itself (`src/bin/bot`) joins them: sockets from flux on one side, books on the other.

pub mod backoff;
pub mod binance;
pub mod binance_book;
pub mod book;
pub mod books;
pub mod coinbase;
pub mod decimal;
pub mod exchange;
pub mod expected;
pub mod http;
pub mod iex;
pub mod in_band;
pub mod kraken;
pub mod okx;
pub mod pcap;
pub mod random;
pub mod recording;
pub mod report;
pub mod scan;
mod side;
pub mod stamp;
pub mod sync;
pub mod text_book;
pub mod verify;
