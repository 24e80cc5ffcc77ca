//! The keys of a connection: what rustls hands out of its handshake and of later updates, as ours.
//!
//! Knows rustls's `KernelConnection`, which derives secrets and keeps tickets, and nothing of records.

use ring::aead::{self, LessSafeKey, UnboundKey};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{ConnectionTrafficSecrets, ProtocolVersion, SupportedCipherSuite};

use super::Version;
use super::fault::Fault;
use super::record::{Form, Key};

/// What stays of rustls once the handshake is done.
pub(super) struct Secrets {
    kernel: KernelConnection<ClientConnectionData>,
}

impl Secrets {
    pub(super) fn new(kernel: KernelConnection<ClientConnectionData>) -> Self {
        Self { kernel }
    }

    pub(super) fn version(&self) -> Version {
        match self.kernel.protocol_version() {
            ProtocolVersion::TLSv1_3 => Version::Tls13,
            _ => Version::Tls12,
        }
    }

    pub(super) fn suite(&self) -> SupportedCipherSuite {
        self.kernel.negotiated_cipher_suite()
    }

    /// How many records one key may protect, by the suite's confidentiality limit.
    pub(super) fn records_max(&self) -> u64 {
        match self.suite() {
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        }
    }

    /// The key that the peer's records are under from now on.
    pub(super) fn next_receiving(&mut self) -> Result<Key, Fault> {
        let (sequence, secrets) = self.kernel.update_rx_secret().map_err(|_| Fault::Keys)?;
        key(sequence, &secrets, Version::Tls13)
    }

    /// The key that our records are under from now on.
    pub(super) fn next_sending(&mut self) -> Result<Key, Fault> {
        let (sequence, secrets) = self.kernel.update_tx_secret().map_err(|_| Fault::Keys)?;
        key(sequence, &secrets, Version::Tls13)
    }

    /// Keeps a ticket for the next connection to the same host.
    pub(super) fn keep_ticket(&mut self, body: &[u8]) -> Result<(), Fault> {
        self.kernel
            .handle_new_session_ticket(body)
            .map_err(|_| Fault::BadMessage("session ticket"))
    }
}

/// Our key, of rustls's.
pub(super) fn key(
    sequence: u64,
    secrets: &ConnectionTrafficSecrets,
    version: Version,
) -> Result<Key, Fault> {
    let (algorithm, key, iv, form) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => {
            (&aead::AES_128_GCM, key, iv, Form::Tls12Gcm)
        }
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
            (&aead::AES_256_GCM, key, iv, Form::Tls12Gcm)
        }
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (&aead::CHACHA20_POLY1305, key, iv, Form::Tls12ChaCha)
        }
        _ => return Err(Fault::Keys),
    };
    let form = match version {
        Version::Tls13 => Form::Tls13,
        Version::Tls12 => form,
    };
    let cipher = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Fault::Keys)?;
    let iv = iv.as_ref().try_into().map_err(|_| Fault::Keys)?;
    Ok(Key::new(LessSafeKey::new(cipher), iv, sequence, form))
}
