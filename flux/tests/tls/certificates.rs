//! Certificates of all ages and for all hosts, and a rustls server that shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flux::tls::Roots;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

/// The host of all certificates that are good.
pub(crate) const HOST: &str = "feed.example";

/// How many authorities were made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// An authority, whose certificates the client believes.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // A name of its own, so that one authority is not taken for another.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("authority {number}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(self.pem().as_bytes()).unwrap()
    }

    /// A server with a certificate for `host`, valid from the one year to the other.
    pub(crate) fn server(&self, host: &str, years: (i32, i32), offer: &Offer) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut provider = rustls::crypto::ring::default_provider();
        if let Some(suite) = offer.suite {
            provider.cipher_suites = vec![suite];
        }
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[offer.version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], key)
            .unwrap();
        config.enable_secret_extraction = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// What a server can do.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) version: &'static SupportedProtocolVersion,
    pub(crate) suite: Option<SupportedCipherSuite>,
}

/// The three ciphers, of each of the two versions.
pub(crate) fn offers() -> [Offer; 6] {
    use rustls::crypto::ring::cipher_suite as suites;
    let offer = |version, suite| Offer {
        version,
        suite: Some(suite),
    };
    let (twelve, thirteen) = (&rustls::version::TLS12, &rustls::version::TLS13);
    [
        offer(thirteen, suites::TLS13_AES_128_GCM_SHA256),
        offer(thirteen, suites::TLS13_AES_256_GCM_SHA384),
        offer(thirteen, suites::TLS13_CHACHA20_POLY1305_SHA256),
        offer(twelve, suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        offer(twelve, suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        offer(
            twelve,
            suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ]
}
