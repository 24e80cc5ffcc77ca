//! A TLS client for `.ci/tls-peers`, which starts the servers of others and tells this where they are:
//!
//!     cargo run -p flux --features tls --example tls_peer -- PORT ROOTS.pem HOST WORK
//!
//! `WORK` is one of: `reverse` (lines come back reversed), `lines` (answers each line of the server's with the same
//! line, until it ends cleanly), `get` (one page by HTTP), `refused` (expects to be refused, and says why).

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use flux::net::{Feed, TcpStream, Wire};
use flux::tls::{Connector, Roots, Stream};

/// How long a server may take for all of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a line, and hands out where it ends; `None` at a clean end.
fn line(stream: &mut Stream<Feed>) -> io::Result<Option<usize>> {
    loop {
        if let Some(end) = stream.unread().iter().position(|byte| *byte == b'\n') {
            return Ok(Some(end + 1));
        }
        let before = stream.unread().len();
        if stream.fill()? == before {
            return Ok(None);
        }
    }
}

/// Lines of many lengths, each of which the server sends back reversed.
fn reverse(stream: &mut Stream<Feed>) -> io::Result<()> {
    for len in (1..200).chain([1_000, 5_000]) {
        let text: Vec<u8> = (b'a'..=b'z').cycle().skip(len).take(len).collect();
        stream.write_all(&[&text[..], b"\n"].concat())?;
        let end = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let reversed: Vec<u8> = text.iter().rev().copied().collect();
        if stream.unread()[..end - 1] != reversed {
            return Err(io::Error::other("a line did not come back reversed"));
        }
        stream.consume(end);
    }
    stream.close()
}

/// Each line goes back as it came, until the server says `close_notify`.
fn lines(stream: &mut Stream<Feed>) -> io::Result<()> {
    while let Some(end) = line(stream)? {
        let text = stream.unread()[..end].to_vec();
        print!("line: {}", String::from_utf8_lossy(&text));
        stream.write_all(&[b"back: ", &text[..]].concat())?;
        stream.consume(end);
    }
    println!("a clean end");
    stream.close()
}

/// One page, whose end the server says.
fn get(stream: &mut Stream<Feed>, host: &str) -> io::Result<()> {
    let request = format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut count = 0;
    let mut head = String::new();
    while stream.fill()? > 0 {
        let unread = stream.unread();
        if count == 0 {
            let end = unread.iter().position(|byte| *byte == b'\r');
            head = String::from_utf8_lossy(&unread[..end.unwrap_or(0)]).into_owned();
        }
        count += unread.len();
        stream.consume(unread.len());
    }
    println!("{head}: {count} bytes and a clean end");
    stream.close()
}

fn work(port: u16, roots: &str, host: &str, work: &str) -> io::Result<()> {
    let connector = Connector::new(Roots::from_pem_file(roots)?).alpn(&["http/1.1"]);
    let feed = || TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?.into_feed();
    let connected = connector.connect(feed()?, host);
    if work == "refused" {
        return match connected {
            Ok(_) => Err(io::Error::other("it was believed")),
            Err(error) => {
                println!("refused: {error}");
                Ok(())
            }
        };
    }
    let mut stream = connected?;
    println!("{:?} {}", stream.version(), stream.cipher_suite());
    match work {
        "reverse" => reverse(&mut stream),
        "lines" => lines(&mut stream),
        "get" => {
            get(&mut stream, host)?;
            let mut again = connector.connect(feed()?, host)?;
            println!("resumed: {}", again.is_resumed());
            get(&mut again, host)
        }
        other => Err(io::Error::other(format!("`{other}` is no work"))),
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let [port, roots, host, what] = arguments else {
        return Err(io::Error::other("PORT ROOTS.pem HOST WORK"));
    };
    let port = port.parse().map_err(io::Error::other)?;
    flux::timeout(PATIENCE, || work(port, roots, host, what))?
}

#[flux::main(core = "none")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
