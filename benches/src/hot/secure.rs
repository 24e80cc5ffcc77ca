//! Both ends of TLS: a certificate that is made anew for each process, and who trusts it.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

use super::tape::Tape;
use crate::Fault;

/// What the certificate says.
pub(super) const HOST: &str = "localhost";

/// A server's side and a client's, which trusts nobody else.
#[derive(Clone, Debug)]
pub struct Secure {
    server: Arc<ServerConfig>,
    /// The client's, for those who bring their own rustls.
    pub(super) client: Arc<ClientConfig>,
    /// The certificate, for those who do not.
    pub(super) certificate_pem: String,
}

impl Secure {
    /// The one of this process.
    ///
    /// # Errors
    /// If none can be made.
    pub fn of_process() -> Result<Self, Fault> {
        static SECURE: OnceLock<Result<Secure, String>> = OnceLock::new();
        let made = SECURE.get_or_init(|| Self::make().map_err(|fault| fault.to_string()));
        made.clone().map_err(Into::into)
    }

    fn make() -> Result<Self, Fault> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let certificate = made.cert.der().clone();
        let certificate_pem = made.cert.pem();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
            certificate_pem,
        })
    }

    /// Whom a client expects.
    pub(super) fn host() -> Result<ServerName<'static>, Fault> {
        Ok(ServerName::try_from(HOST)?)
    }

    /// Shakes hands as the server, upgrades the connection if `upgrade` says so, and seals a record for each message, all before the first is sent: what is there to
    /// send, and where each message ends.
    pub(super) fn seal(
        &self,
        stream: &mut TcpStream,
        tape: &Tape,
        upgrade: bool,
    ) -> Result<(Vec<u8>, Vec<usize>), Fault> {
        let mut connection = ServerConnection::new(Arc::clone(&self.server))?;
        while connection.is_handshaking() {
            connection.complete_io(stream)?;
        }
        if upgrade {
            accept(rustls::Stream::new(&mut connection, stream))?;
        }
        let messages = tape.messages();
        let mut sealed = Vec::with_capacity(tape.frames(0, messages).len() + messages * 32);
        let mut ends = Vec::with_capacity(messages);
        for message in 0..messages {
            connection.writer().write_all(tape.frames(message, 1))?;
            while connection.wants_write() {
                connection.write_tls(&mut sealed)?;
            }
            ends.push(sealed.len());
        }
        Ok((sealed, ends))
    }
}

/// Answers a client that asks for a WebSocket; the stream carries frames from then on.
pub(super) fn accept(stream: impl io::Read + io::Write) -> Result<(), Fault> {
    // Drops tungstenite's own socket: the frames are ready-made. The client sends nothing that it could have read.
    let accepted = tungstenite::accept(stream).map(drop);
    accepted.map_err(|error| format!("the client's handshake failed: {error}").into())
}

/// What a peer that has gone says, where it does not matter.
pub(super) fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionReset | ConnectionAborted
    )
}
