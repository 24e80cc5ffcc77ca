//! The exchange's certificate, made anew at each start, so that nothing secret lies in a file.
//!
//! An authority of its own signs it and is what a client has to trust: exactly that one, and nobody
//! else's. Knows nothing of connections.

use std::fmt;
use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// Whom the certificate is for.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What connections over TLS are made with, and whom their clients have to trust.
#[derive(Clone)]
pub(super) struct Security {
    /// The server's side of TLS 1.3, and of 1.2 for those who know no better.
    pub(super) server: Arc<ServerConfig>,
    /// The authority's certificate, in PEM.
    pub(super) authority: Arc<str>,
}

impl Security {
    /// A new authority, and a certificate of it for this machine alone.
    pub(super) fn new() -> io::Result<Self> {
        let (authority, certificate, key) = sign().map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(io::Error::other)?;
        Ok(Self {
            server: Arc::new(server),
            authority: authority.into(),
        })
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security").finish_non_exhaustive()
    }
}

/// The authority in PEM, the certificate, and its key.
fn sign() -> Result<(String, rcgen::Certificate, PrivateKeyDer<'static>), rcgen::Error> {
    let named = |name: &str, hosts: &[&str]| {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok::<_, rcgen::Error>(params)
    };
    // Of another name than all before it: a client that trusts one of those is told that nobody whom
    // it trusts stands behind this one, and not that something is wrong with a signature.
    let key = KeyPair::generate()?;
    let name = format!("an exchange, {:08x}", crc32fast::hash(key.public_key_raw()));
    let mut params = named(&name, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key)?;
    let key = KeyPair::generate()?;
    let certificate = named("the exchange on loopback", &HOSTS)?.signed_by(&key, &authority)?;
    Ok((
        authority.pem(),
        certificate,
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    ))
}
