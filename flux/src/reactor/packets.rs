//! Feeds of datagrams that the kernel fills: opening one, keeping its request in flight, waiting for what lands.
//!
//! As with feeds of bytes ([`feeds`](super::feeds)), a fiber waits for packets and not for the request: an end of the
//! wait before its time loses nothing. The request is made when the feed is opened, and again by whoever asks for the
//! next packet, as soon as there are buffers for it.
//!
//! Does not know what a packet is, nor who reads it.

#![allow(
    unsafe_code,
    reason = "hands the engine requests that lie in the slots of feeds"
)]

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::Reactor;
use super::park::end_of;
use crate::feeds::{NOBODY, Slot};

impl Reactor {
    /// A slot for a new feed of datagrams with buffers of so many bytes, whose request is made if the kernel fills
    /// feeds by itself: the slot's number, and whether it does.
    ///
    /// # Errors
    /// `QuotaExceeded` when all are in use; `StorageFull` when a slot has no room for two buffers; what the kernel
    /// says.
    pub(crate) fn open_packets(
        &self,
        fd: RawFd,
        buffer_bytes: usize,
        buffers_min: usize,
    ) -> io::Result<(u32, bool)> {
        let slot = self.free_slot()?;
        let (landing, tray) = (slot.landing(), slot.tray());
        if usize::from(tray.renew(buffer_bytes)) < buffers_min {
            self.feeds.release(slot);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let by_kernel = self.packets_by_kernel();
        if by_kernel {
            if let Err(error) = self.engine.borrow_mut().open_packets(landing, tray) {
                self.feeds.release(slot);
                return Err(error);
            }
            self.keep_asking(slot, fd);
        }
        Ok((landing.index(), by_kernel))
    }

    /// Lends what is free, and makes the request again where it has ended and may be.
    #[inline]
    fn keep_asking(&self, slot: &Slot, fd: RawFd) {
        let (landing, tray) = (slot.landing(), slot.tray());
        let armed = slot.is_armed();
        if !armed && !tray.may_ask() {
            return;
        }
        let mut engine = self.engine.borrow_mut();
        engine.lend_packets(landing, tray);
        if armed {
            return;
        }
        tray.asks();
        let op = slot.prepare_datagrams(fd, NOBODY);
        // SAFETY: the op stays in its slot, and what it points to beside it, until it is done: `prepare` writes no
        // other one before, and `drain_feeds` waits for it before the slots go.
        unsafe { engine.submit(op) };
        self.feeds.nobody_waits();
    }

    /// Whether the kernel fills feeds of datagrams by itself.
    pub(crate) fn packets_by_kernel(&self) -> bool {
        self.feeds_by_kernel
    }

    /// Takes back the buffer that was read, and lets the kernel have it.
    #[inline]
    pub(crate) fn packet_was_read(&self, slot: u32, fd: RawFd, buffer: Option<u16>) {
        let slot = self.feeds.slot(slot);
        if let Some(buffer) = buffer {
            slot.tray().give_back(buffer);
        }
        self.keep_asking(slot, fd);
    }

    /// Waits until something stands in line in a feed of datagrams that the kernel fills.
    ///
    /// # Errors
    /// `TimedOut` and `ECANCELED` as everywhere; nothing that a receive brings, which stands in line.
    #[inline]
    #[track_caller]
    pub(crate) fn wait_for_packet(
        &self,
        slot: u32,
        fd: RawFd,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let slot = self.feeds.slot(slot);
        let tray = slot.tray();
        self.may_go_on()?;
        if tray.has_more() {
            self.spend();
            return Ok(());
        }
        let own_end = timeout.map(|timeout| end_of(self.clock.precise(), timeout));
        while !tray.has_more() {
            self.may_wait()?;
            self.keep_asking(slot, fd);
            self.wait_at(slot, own_end, || tray.has_more() || !slot.is_armed())?;
        }
        Ok(())
    }
}
