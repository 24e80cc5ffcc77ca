//! One end of a WebSocket, for other libraries to be the other: see `.ci/peers`.
//!
//! ```text
//! ws_peer serve 127.0.0.1:9001      echoes what each client sends, until it is killed
//! ws_peer ask 127.0.0.1:9002        sends messages to a server that echoes, and checks what comes back
//! ws_peer autobahn 127.0.0.1:9003   plays the cases of Autobahn's fuzzing server, and has it write its report
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;

use flux::net::{Feed, TcpListener, TcpStream};
use flux::ws::{self, Config, Error, Kind, Message, Request, WebSocket, code};
use flux::{Builder, StackClass};

/// Autobahn's longest messages have 16 MiB, which the memory of a feed has to hold as a whole.
const FEED_BUFFER: usize = 32 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address] = &arguments[..] else {
        eprintln!("usage: ws_peer serve|ask|autobahn ADDRESS");
        return ExitCode::FAILURE;
    };
    let Ok(address) = address.parse() else {
        eprintln!("`{address}` is no address with a port");
        return ExitCode::FAILURE;
    };
    let mode = mode.clone();
    let done = flux::Config::new()
        .core(flux::Core::None)
        .feed_buffer(FEED_BUFFER)
        .run(move || match mode.as_str() {
            "serve" => serve(address),
            "ask" => ask(address),
            "autobahn" => autobahn(address),
            _ => Err("a mode is one of serve, ask, autobahn".into()),
        });
    match done.map_err(Into::into).and_then(|done| done) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: Fault = error;
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn config() -> Config {
    Config::new()
        .frame_max(FEED_BUFFER)
        .message_max(FEED_BUFFER)
}

fn connect(address: SocketAddr, path: &str) -> Result<WebSocket<Feed>, Fault> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = Request::new(address.to_string(), path).config(config());
    Ok(ws::connect(stream.into_feed()?, request)?)
}

/// Sends back each message as it came. What the other side does wrong ends it, having been told.
fn echo(socket: &mut WebSocket<Feed>) -> Result<(), Error> {
    let mut again = Vec::new();
    loop {
        let kind = match socket.read()? {
            Some(message) => {
                again.clear();
                again.extend_from_slice(message.as_bytes());
                message.kind()
            }
            None => return Ok(()),
        };
        socket.send(kind, &again, true)?;
    }
}

fn serve(address: SocketAddr) -> Result<(), Fault> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let fiber = Builder::new().stack(StackClass::Medium).spawn(move || {
            let ended = stream
                .into_feed()
                .map_err(Error::from)
                .and_then(|feed| ws::accept(feed, config()))
                .and_then(|mut socket| echo(&mut socket));
            if let Err(error) = ended {
                eprintln!("{error}");
            }
        });
        drop(fiber);
    }
}

/// Lengths around each limit of the format, and some that no buffer holds.
const LENGTHS: [usize; 11] = [
    0,
    1,
    125,
    126,
    127,
    4096,
    65_535,
    65_536,
    70_000,
    1 << 20,
    3 << 20,
];

fn ask(address: SocketAddr) -> Result<(), Fault> {
    let mut socket = connect(address, "/")?;
    for len in LENGTHS {
        let text: String = "0123456789€".chars().cycle().take(len / 2).collect();
        socket.send_text(&text)?;
        expect(&mut socket, Message::Text(&text))?;
        let bytes: Vec<u8> = (0..=255).cycle().take(len).collect();
        socket.send_binary(&bytes)?;
        expect(&mut socket, Message::Binary(&bytes))?;
        // In parts, with a ping between them.
        let (first, last) = text.as_bytes().split_at(text.len() / 3);
        socket.send(Kind::Text, first, false)?;
        socket.ping(b"still there?")?;
        socket.send(Kind::Text, last, true)?;
        expect(&mut socket, Message::Text(&text))?;
    }
    for number in 0..1000 {
        socket.ping(format!("{number}").as_bytes())?;
    }
    socket.send_text("after a thousand pings")?;
    expect(&mut socket, Message::Text("after a thousand pings"))?;
    let asked = LENGTHS.len() as u64 + 1000;
    if socket.pongs() == 0 || socket.pongs() > asked {
        return Err(format!("{} pongs came for {asked} pings", socket.pongs()).into());
    }
    socket.close(code::NORMAL, "done")?;
    if let Some(message) = socket.read()? {
        return Err(format!("after the close: {message:?}").into());
    }
    match socket.close_code() {
        Some(code::NORMAL) => Ok(()),
        other => Err(format!("closed with {other:?}").into()),
    }
}

fn expect(socket: &mut WebSocket<Feed>, expected: Message<'_>) -> Result<(), Fault> {
    match socket.read()? {
        Some(message) if message == expected => Ok(()),
        Some(message) => {
            let (is, should) = (message.as_bytes().len(), expected.as_bytes().len());
            Err(format!("a message of {is} bytes came for one of {should}").into())
        }
        None => Err("the server has closed".into()),
    }
}

fn autobahn(address: SocketAddr) -> Result<(), Fault> {
    let mut socket = connect(address, "/getCaseCount")?;
    let count: u32 = match socket.read()? {
        Some(Message::Text(count)) => count.parse()?,
        other => return Err(format!("no number of cases: {other:?}").into()),
    };
    for case in 1..=count {
        let mut socket = connect(address, &format!("/runCase?case={case}&agent=flux"))?;
        // Most cases end in an error: the report says whether it was the right one.
        if let Err(error @ Error::Misuse(_)) = echo(&mut socket) {
            return Err(error.into());
        }
    }
    let mut socket = connect(address, "/updateReports?agent=flux")?;
    while socket.read()?.is_some() {}
    println!("{count} cases");
    Ok(())
}
