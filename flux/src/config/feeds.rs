//! How many feeds there can be, and how much each holds.
//!
//! Owns the two settings and their ranges. Does not know how a feed is filled.

use crate::config::Config;
use crate::error::InitError;
use crate::sys::memory::page_size;

/// The most feeds: each takes a number of its own with the kernel, of 16 bits, of which the trial takes the last.
pub(crate) const FEEDS_MAX: usize = 32_768;
/// The fewest bytes of a feed: it is lent to the kernel in [`PARTS`], and holds a TLS record beside what is unread.
pub(crate) const FEED_BYTES_MIN: usize = 32 * 1024;
pub(crate) const FEED_BYTES_MAX: usize = 1 << 30;
/// In how many parts a feed's memory is lent to the kernel. A part comes back as a whole, so that the last unread
/// byte of one keeps it.
pub(crate) const PARTS: u16 = 8;

impl Config {
    /// How many feeds are open at once; their memory, [`feed_buffer`](Self::feed_buffer) for each, is set up at
    /// init.
    pub const fn feeds(mut self, feeds_max: usize) -> Self {
        self.feeds = feeds_max;
        self
    }

    /// How many bytes each feed holds that have arrived and were not consumed: whole pages, from 32 KiB.
    ///
    /// It is resident memory. A message that is looked at as a whole has to fit into seven eighths of it.
    pub const fn feed_buffer(mut self, bytes: usize) -> Self {
        self.feed_buffer = bytes;
        self
    }

    /// Refuses what is no memory for feeds.
    pub(super) fn check_feeds(&self) -> Result<(), InitError> {
        let refuse = |sentence: String| Err(InitError::Config(sentence));
        if self.feeds > FEEDS_MAX {
            return refuse(format!(
                "`feeds` is {}, but {FEEDS_MAX} is the most",
                self.feeds
            ));
        }
        if !(FEED_BYTES_MIN..=FEED_BYTES_MAX).contains(&self.feed_buffer) {
            return refuse(format!(
                "`feed_buffer` is {} bytes, but must be from {FEED_BYTES_MIN} to {FEED_BYTES_MAX}",
                self.feed_buffer
            ));
        }
        let page = page_size();
        if !self.feed_buffer.is_multiple_of(page) {
            return refuse(format!(
                "`feed_buffer` is {} bytes, but must be whole pages of {page} bytes: the next is {}",
                self.feed_buffer,
                self.feed_buffer.next_multiple_of(page)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_no_feed_can_use_is_refused_with_its_key() {
        for (config, words) in [
            (Config::new().feeds(FEEDS_MAX + 1), "`feeds` is 32769"),
            (Config::new().feed_buffer(0), "`feed_buffer` is 0 bytes"),
            (
                Config::new().feed_buffer(FEED_BYTES_MAX + 4096),
                "from 32768 to",
            ),
            (Config::new().feed_buffer(100_000), "must be whole pages"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Config::new().feeds(0).check().is_ok());
    }
}
