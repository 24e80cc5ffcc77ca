//! What one would pick instead: libraries of tokio's world on its `current_thread` runtime.

use std::net::TcpStream as StdStream;

use fastwebsockets::{FragmentCollector, OpCode, Role as FastRole, WebSocket};
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message};

use super::job::{Answer, Job};
use super::secure::Secure;
use super::tape::Tape;
use crate::Fault;
use crate::tasks::tokio::{Drivers, runtime};
use crate::watch::Watch;

/// What tungstenite reads at once where it is tuned: its own default of 128 KiB is filled with zeros for each read.
pub const TUNED_READ_BYTES: usize = 8 * 1024;

/// Which library reads the frames, and what parses the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// tungstenite with a small buffer, and serde_json for all fields.
    Tungstenite,
    /// The same with tungstenite as it comes.
    TungsteniteUntuned,
    /// tungstenite with a small buffer, and serde_json for what is needed.
    TungsteniteLeast,
    /// fastwebsockets, and the scanner that flux has here.
    FastWebSockets,
}

trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

pub(super) fn receive(
    library: Library,
    stream: StdStream,
    tape: &Tape,
    watch: &impl Watch,
    secure: Option<&Secure>,
) -> Result<Answer, Fault> {
    runtime(Drivers::All)?.block_on(async {
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        let mut job = Job::new(tape);
        match secure {
            None => read(library, stream, &mut job, watch).await?,
            Some(secure) => {
                let connector = TlsConnector::from(secure.client.clone());
                let stream = connector.connect(Secure::host()?, stream).await?;
                read(library, stream, &mut job, watch).await?;
            }
        }
        Ok(job.answer())
    })
}

async fn read(
    library: Library,
    stream: impl Socket,
    job: &mut Job<'_>,
    watch: &impl Watch,
) -> Result<(), Fault> {
    let tuned = WebSocketConfig::default().read_buffer_size(TUNED_READ_BYTES);
    match library {
        Library::Tungstenite => tungstenite(stream, tuned, job, watch, Job::all_fields).await,
        Library::TungsteniteUntuned => {
            let untuned = WebSocketConfig::default();
            tungstenite(stream, untuned, job, watch, Job::all_fields).await
        }
        Library::TungsteniteLeast => {
            tungstenite(stream, tuned, job, watch, Job::needed_fields).await
        }
        Library::FastWebSockets => fast(stream, job, watch).await,
    }
}

async fn tungstenite<'t>(
    stream: impl Socket,
    config: WebSocketConfig,
    job: &mut Job<'t>,
    watch: &impl Watch,
    parse: impl Fn(&mut Job<'t>, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
    while !job.is_done() {
        match socket.next().await.ok_or(Error::AlreadyClosed)?? {
            Message::Text(text) => parse(job, text.as_str())?,
            other => return Err(format!("{other:?} came, which nobody sent").into()),
        }
        watch.seen(1);
    }
    Ok(())
}

async fn fast(stream: impl Socket, job: &mut Job<'_>, watch: &impl Watch) -> Result<(), Fault> {
    let socket = WebSocket::after_handshake(stream, FastRole::Client);
    let mut socket = FragmentCollector::new(socket);
    while !job.is_done() {
        let frame = socket.read_frame().await?;
        if frame.opcode != OpCode::Text {
            return Err(format!("{:?} came, which nobody sent", frame.opcode).into());
        }
        job.scan(&frame.payload)?;
        watch.seen(1);
    }
    Ok(())
}
