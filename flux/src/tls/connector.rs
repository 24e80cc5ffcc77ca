//! What is decided before any connection: whom to believe, and what to ask for.
//!
//! Knows certificates and rustls's configuration, and nothing of a connection that is made.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::{ClientConfig, RootCertStore};

use super::error::Error;
use super::handshake;
use super::record::{RECORD_MAX, SEALED_MAX};
use super::stream::Stream;
use crate::net::Wire;

/// The least memory of a wire: the longest record, and some that is left over. The smallest feed has more.
const CAPACITY_MIN: usize = 24 << 10;
const _: () = assert!(RECORD_MAX + (4 << 10) < CAPACITY_MIN);

/// The certificates that stand behind those of servers.
///
/// # Example
/// ```
/// # #[cfg(feature = "tls")] {
/// use flux::tls::Roots;
///
/// assert!(Roots::public().len() > 100);
/// let error = Roots::from_pem(b"no certificate").unwrap_err();
/// assert!(error.to_string().contains("it holds no certificate"), "{error}");
/// # }
/// ```
#[derive(Clone)]
pub struct Roots(RootCertStore);

impl Roots {
    /// Those of the public authorities that Mozilla trusts, as the crate `webpki-roots` has them: no file is read.
    pub fn public() -> Self {
        Self(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
    }

    /// Those in a file of PEM, and nothing else. Blocks the thread while it is read: for before connecting.
    ///
    /// # Errors
    /// [`Error::RootsFile`] when it cannot be read, [`Error::Roots`] when it holds no certificate, or one that is none.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let pem = std::fs::read(path).map_err(|error| Error::RootsFile {
            path: path.into(),
            error,
        })?;
        Self::parse(&pem, &format!("`{}`", path.display()))
    }

    /// Those in a text of PEM, and nothing else.
    ///
    /// # Errors
    /// [`Error::Roots`] when it holds no certificate, or one that is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        Self::parse(pem, "the given text")
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.roots.extend(others.0.roots);
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, so that no server would be believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn parse(pem: &[u8], from: &str) -> Result<Self, Error> {
        let fault = |why: String| Error::Roots {
            from: from.into(),
            why: why.into(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error: PemError| fault(error.to_string()))?;
            let at = roots.len() + 1;
            roots
                .add(certificate)
                .map_err(|error| fault(format!("certificate {at} of it is none: {error}")))?;
        }
        if roots.is_empty() {
            return Err(fault("it holds no certificate".to_owned()));
        }
        Ok(Self(roots))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.len())
    }
}

/// Makes connections over TLS 1.3, or 1.2 where a server knows no better.
///
/// Made once, up front. Copies share the tickets that servers give, so that a host that was connected to before is
/// connected to with less to compute.
///
/// # Example
/// ```no_run
/// use std::io::Write;
///
/// use flux::net::Wire;
/// use flux::tls::{Connector, Roots};
///
/// /// Asks for quotes over `feed`, which is connected to the exchange: a socket's, for one.
/// fn subscribe<W: Wire>(feed: W) -> std::io::Result<flux::tls::Stream<W>> {
///     let connector = Connector::new(Roots::public()).alpn(&["http/1.1"]);
///     let mut stream = connector.connect(feed, "fstream.binance.com")?;
///     stream.write_all(b"GET /ws/btcusdt@bookTicker HTTP/1.1\r\n")?;
///     Ok(stream)
/// }
/// ```
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    records_max: u64,
}

impl Connector {
    /// One that believes in `roots`, offers TLS 1.3 and 1.2, and asks for no protocol.
    ///
    /// # Panics
    /// When ring could not be set up, which does not happen on a system that this crate is built for.
    pub fn new(roots: Roots) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots.0)
            .with_no_client_auth();
        // The keys are handed out after the handshake: the records are ours.
        config.enable_secret_extraction = true;
        Self {
            config: Arc::new(config),
            records_max: u64::MAX,
        }
    }

    /// Asks for one of these protocols, the best first (ALPN): `http/1.1` for WebSockets. Without it none is asked for.
    ///
    /// # Panics
    /// For a name that is empty or longer than 255 bytes, for which TLS has no room (RFC 7301, section 3.1).
    #[must_use]
    #[track_caller]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        for name in protocols {
            assert!(
                (1..=255).contains(&name.len()),
                "a protocol's name has from 1 to 255 bytes, and `{name}` has {}",
                name.len()
            );
        }
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    /// How many records leave under one key, less than the cipher's own limit of 2^24 for AES and none for ChaCha20.
    /// Then TLS 1.3 changes the key, and TLS 1.2 fails by [`Fault::KeysWornOut`](super::Fault::KeysWornOut). 0 counts
    /// as 1.
    #[must_use]
    pub fn records_per_key(mut self, records_max: u64) -> Self {
        self.records_max = records_max.max(1);
        self
    }

    /// Shakes hands with `host`, whose certificate has to be for that name or address, over a wire that is connected
    /// to it.
    ///
    /// Allocates, as does the server's ticket that comes a little later; nothing does after that.
    ///
    /// # Suspends
    /// For two round trips, one with TLS 1.3. Put a [`timeout`](crate::timeout) around: a server that sends a byte now
    /// and then is waited for until 128 KiB have come.
    ///
    /// # Errors
    /// An [`Error`] that says what is wrong with the wire, the host, its certificate, or its TLS; the server has been
    /// sent the alert for it then. [`Error::Io`] for what the wire brings, with `TimedOut` and `ECANCELED` among it.
    /// The connection is of no further use, and is dropped.
    pub fn connect<W: Wire>(&self, mut wire: W, host: &str) -> Result<Stream<W>, Error> {
        let capacity = wire.capacity();
        if capacity < CAPACITY_MIN {
            return Err(Error::SmallWire {
                capacity,
                least: CAPACITY_MIN,
            });
        }
        let mut out = vec![0; SEALED_MAX].into_boxed_slice();
        let shaken = handshake::shake(&mut wire, self.config.clone(), host, &mut out)?;
        Stream::new(wire, shaken, out, self.records_max)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_whose_name_tls_has_no_room_for_is_refused_with_its_length() {
        let connector = Connector::new(Roots::public()).alpn(&["x", &"y".repeat(255)]);
        for wrong in [String::new(), "z".repeat(256)] {
            let asked = std::panic::AssertUnwindSafe(|| connector.clone().alpn(&[&wrong]));
            let panicked = std::panic::catch_unwind(asked).unwrap_err();
            let sentence = panicked.downcast_ref::<String>().unwrap();
            assert!(sentence.contains("from 1 to 255 bytes"), "{sentence}");
        }
    }
}
