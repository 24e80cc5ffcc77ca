//! A server whose records are made by hand, under the keys of a handshake that went well: it can say what no good
//! server says.

use std::cell::RefCell;
use std::rc::Rc;

use flux::tls::Stream;
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;

use crate::certificates::Offer;
use crate::memory::{Memory, Peer};
use crate::{connected, fill_all};

/// One direction.
struct Side {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Side {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            panic!("the forger knows AES-128 alone");
        };
        let key = UnboundKey::new(&aead::AES_128_GCM, key.as_ref()).unwrap();
        Self {
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().unwrap(),
            sequence,
        }
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, mixed) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= mixed;
        }
        self.sequence += 1;
        nonce
    }
}

pub(crate) struct Forger {
    sending: Side,
    receiving: Side,
    thirteen: bool,
    peer: Rc<RefCell<Peer>>,
}

impl Forger {
    /// A connection by `offer`, of AES-128, whose server is the forger from now on.
    #[allow(deprecated, reason = "no keys are updated, and no tickets sent")]
    pub(crate) fn connected(offer: &Offer) -> (Stream<Memory>, Self) {
        let (mut stream, peer) = connected(offer);
        fill_all(&mut stream);
        let server = peer.borrow_mut().server.take().unwrap();
        let thirteen = server.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let secrets = server.dangerous_extract_secrets().unwrap();
        let forger = Self {
            sending: Side::new(secrets.tx),
            receiving: Side::new(secrets.rx),
            thirteen,
            peer,
        };
        (stream, forger)
    }

    /// A record, with so many zeros behind its content as its padding, which TLS 1.2 has none of.
    pub(crate) fn record(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let nonce = self.sending.nonce();
        let mut inside = content.to_vec();
        let (outer, explicit) = if self.thirteen {
            inside.push(kind);
            inside.resize(inside.len() + padding, 0);
            (23, &[][..])
        } else {
            assert_eq!(padding, 0);
            (kind, &nonce[4..])
        };
        let len = u16::try_from(explicit.len() + inside.len() + 16).unwrap();
        let [high, low] = len.to_be_bytes();
        let header = [outer, 3, 3, high, low];
        let associated = self.associated(&self.sending, header, inside.len());
        self.sending
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                &mut inside,
            )
            .unwrap();
        [&header, explicit, &inside].concat()
    }

    /// Sends a record.
    pub(crate) fn send(&mut self, kind: u8, content: &[u8]) {
        let record = self.record(kind, content, 0);
        self.send_raw(&record);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.peer.borrow_mut().to_client.extend(bytes);
    }

    /// The client's next write fails before a byte has left.
    pub(crate) fn refuse_write(&mut self) {
        let refusal = Err(std::io::ErrorKind::TimedOut.into());
        self.peer.borrow_mut().writes.push_back(refusal);
    }

    /// No more will come.
    pub(crate) fn end(&mut self) {
        self.peer.borrow_mut().ended = true;
    }

    /// The next record that the client has sent.
    pub(crate) fn heard(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut peer = self.peer.borrow_mut();
        let &[kind, _, _, high, low] = peer.from_client.first_chunk()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let mut record: Vec<u8> = peer.from_client.drain(..5 + len).collect();
        drop(peer);
        let mut nonce = self.receiving.nonce();
        let head = if self.thirteen { 5 } else { 13 };
        if !self.thirteen {
            nonce[4..].copy_from_slice(&record[5..13]);
        }
        let header = record[..5].try_into().unwrap();
        let associated = self.associated(&self.receiving, header, len + 5 - head - 16);
        let content = self
            .receiving
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                &mut record[head..],
            )
            .expect("the client seals well");
        let mut content = content.to_vec();
        let kind = if self.thirteen {
            content.pop().unwrap()
        } else {
            kind
        };
        Some((kind, content))
    }

    /// What is authenticated with the record whose nonce was made last.
    fn associated(&self, side: &Side, header: [u8; 5], len: usize) -> Vec<u8> {
        if self.thirteen {
            return header.to_vec();
        }
        let len = u16::try_from(len).unwrap().to_be_bytes();
        let sequence = (side.sequence - 1).to_be_bytes();
        [&sequence[..], &header[..3], &len].concat()
    }
}
