//! Records that bring no data: what a stream does about them, and about what breaks it.
//!
//! Knows what follows from a message, and leaves to `post` what it says.

use std::io;

use super::Version;
use super::alert::Alert;
use super::fault::Fault;
use super::post::{self, Asked, Told};
use super::record::kind;
use super::stream::{Reading, Session, Stream};
use crate::net::Wire;

/// How many records in a row may bring no data: tickets, updates of keys, warnings, empty ones.
const WITHOUT_DATA_MAX: u32 = 32;

impl<W: Wire> Stream<W> {
    /// A record that brings no data.
    #[cold]
    pub(super) fn control(&mut self, kind: u8, start: usize, end: usize) -> Result<(), Fault> {
        self.session.without_data += 1;
        if self.session.without_data > WITHOUT_DATA_MAX {
            return Err(Fault::NoData {
                max: WITHOUT_DATA_MAX,
            });
        }
        if self.session.messages.is_begun() && kind != kind::HANDSHAKE {
            return Err(Fault::Interleaved);
        }
        let content = &self.wire.unread()[start..end];
        match kind {
            kind::APPLICATION_DATA => Ok(()),
            kind::ALERT => match post::alert(content, self.session.version)? {
                Told::Finished => {
                    self.session.reading = Reading::Ended;
                    Ok(())
                }
                Told::Warned => Ok(()),
            },
            kind::HANDSHAKE => {
                let Session {
                    messages,
                    secrets,
                    version,
                    ..
                } = &mut *self.session;
                let ticket = |body: &[u8]| secrets.keep_ticket(body);
                match messages.read(content, *version, ticket)? {
                    Asked::Nothing => Ok(()),
                    Asked::KeyUpdate { ours_too } => self.peer_changed_keys(ours_too),
                    Asked::Renegotiation => {
                        // A server that is not told has asked for something that it need not get.
                        drop(
                            self.session
                                .sender
                                .alert(&mut self.wire, Alert::NO_RENEGOTIATION),
                        );
                        Ok(())
                    }
                }
            }
            _ => Err(Fault::UnexpectedRecord(kind)),
        }
    }

    fn peer_changed_keys(&mut self, ours_too: bool) -> Result<(), Fault> {
        self.session.receiving = self.session.secrets.next_receiving()?;
        if ours_too && self.session.sender.may_write().is_ok() {
            self.session.sender.update_due = true;
            // What did not leave now does so before the next data (RFC 8446 section 4.6.3); what broke the way back
            // is told to who writes next.
            drop(self.change_keys(true));
        }
        Ok(())
    }

    /// Says that our keys change, and changes them.
    fn change_keys(&mut self, at_once: bool) -> io::Result<()> {
        let (wire, message) = (&mut self.wire, post::OUR_KEY_UPDATE);
        if at_once {
            self.session
                .sender
                .at_once(wire, kind::HANDSHAKE, &message)?;
        } else {
            let message = std::iter::once(&message[..]);
            self.session.sender.record(wire, kind::HANDSHAKE, message)?;
        }
        match self.session.secrets.next_sending() {
            Ok(key) => {
                self.session.sender.change(key);
                Ok(())
            }
            Err(fault) => {
                self.session.sender.fail(fault);
                Err(fault.into())
            }
        }
    }

    /// What is to be done before the next record of data, if anything is.
    #[cold]
    pub(super) fn prepare_key(&mut self) -> io::Result<()> {
        if self.session.version == Version::Tls13 {
            return self.change_keys(false);
        }
        let fault = Fault::KeysWornOut {
            records_max: self.session.sender.records_max(),
        };
        Err(self.fail(fault))
    }

    /// Breaks the stream, and tells the peer.
    #[cold]
    pub(super) fn fail(&mut self, fault: Fault) -> io::Error {
        self.session.reading = Reading::Broken(fault);
        if let Some(alert) = fault.alert() {
            // It is broken whether the peer hears of it or not.
            drop(self.session.sender.alert(&mut self.wire, alert));
        }
        self.session.sender.fail(fault);
        fault.into()
    }
}
