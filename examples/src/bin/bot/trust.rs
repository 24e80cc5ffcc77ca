//! Whom to believe: the roots behind the certificates of servers, for either client.
//!
//! Made once, before anything connects. Knows nothing of connections.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use flux::tls::{Connector, Roots};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// How to connect over TLS.
#[derive(Clone)]
pub(crate) struct Trust {
    /// flux's.
    pub(crate) connector: Connector,
    /// rustls's own, for the comparison.
    pub(crate) rustls: Arc<ClientConfig>,
}

impl Trust {
    /// Believes in the public authorities.
    pub(crate) fn public() -> Result<Self, String> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        Self::new(Roots::public(), RootCertStore { roots })
    }

    /// Believes in those in a text of PEM, and in nobody else.
    pub(crate) fn pem(pem: &str) -> Result<Self, String> {
        let roots = Roots::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
        Self::with(roots, pem.as_bytes())
    }

    /// Believes in those in a file of PEM, and in nobody else.
    pub(crate) fn file(path: &Path) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| format!("`--ca`: {error}");
        let roots = Roots::from_pem_file(path).map_err(|error| wrong(&error))?;
        let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
        Self::with(roots, &pem)
    }

    fn with(roots: Roots, pem: &[u8]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        // What is wrong in it, the roots above have said.
        store.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
        Self::new(roots, store)
    }

    fn new(roots: Roots, store: RootCertStore) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let rustls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            connector: Connector::new(roots),
            rustls: Arc::new(rustls),
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
