//! The port: looks at the first request of a connection, and upgrades it or answers it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::CloseCode;

use super::faults::FaultKind;
use super::market::{Event, Subscription};
use super::session::{Ended, Session};
use super::{MarketKind, Shared};

/// The longest request head.
const HEAD_MAX: usize = 8 << 10;

/// How long a client may take to send its request.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// How long a request that is never to be answered is held.
const HANG: Duration = Duration::from_mins(1);

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    path: String,
    query: String,
    upgrade: bool,
    length: usize,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(head).ok()? else {
            return None;
        };
        let target = request.path?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let upgrade = request.headers.iter().any(|header| {
            header.name.eq_ignore_ascii_case("upgrade")
                && header.value.eq_ignore_ascii_case(b"websocket")
        });
        Some(Self {
            path: path.to_owned(),
            query: query.to_owned(),
            upgrade,
            length,
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The number of the recording, and the path behind it.
    fn replay(&self) -> Option<(usize, &str)> {
        let (number, rest) = self.path.strip_prefix("/replay/")?.split_once('/')?;
        Some((number.parse().ok()?, rest))
    }
}

/// Serves one connection to its end.
pub(super) fn serve(mut stream: TcpStream, shared: &Shared) {
    let Some(request) = peek_request(&stream) else {
        // Nothing that can be answered; closing says so.
        return;
    };
    if request.upgrade {
        upgrade(stream, &request, shared);
    } else {
        // A client that went away does not need its answer.
        let _ = answer(&mut stream, &request, shared);
    }
}

/// Looks at the request without taking it from the stream: an upgrade is tungstenite's to read.
fn peek_request(stream: &TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(REQUEST_WAIT)).ok()?;
    let (mut head, until) = ([0; HEAD_MAX], Instant::now() + REQUEST_WAIT);
    while Instant::now() < until {
        match stream.peek(&mut head) {
            Ok(0) | Err(_) => return None,
            Ok(count) => {
                if let Some(request) = Request::parse(&head[..count]) {
                    return Some(request);
                }
                if count == HEAD_MAX {
                    return None;
                }
            }
        }
        // The rest of the head is on its way.
        thread::sleep(Duration::from_millis(1));
    }
    None
}

fn upgrade(stream: TcpStream, request: &Request, shared: &Shared) {
    let market = match request.path.as_str() {
        "/stream" | "/ws" => shared.market(MarketKind::Spot),
        "/public/stream" => shared.market(MarketKind::Futures),
        _ => None,
    };
    let replay = request
        .replay()
        .and_then(|(number, _)| shared.replays.get(number));
    if market.is_none() && replay.is_none() {
        let mut stream = stream;
        // A client that went away does not need its answer.
        let _ = discard_head(&mut stream, request)
            .and_then(|()| respond(&mut stream, "404 Not Found", "", "no such stream"));
        return;
    }
    let Ok(mut session) = Session::accept(stream, shared) else {
        return;
    };
    if let Some(replay) = replay {
        return replay.run(session, shared);
    }
    let Some(market) = market else { return };
    let subscriptions = market.subscriptions(request.parameter("streams").unwrap_or(""));
    let events = market.listen();
    let mut seen = vec![false; subscriptions.len()];
    for event in &events {
        let Some(wanted) = subscriptions.get(event.symbol) else {
            continue;
        };
        seen[event.symbol] = true;
        match send(&mut session, *wanted, &event) {
            Ok(()) => {}
            Err(Ended::Gone) => return,
            Err(Ended::Stalled) => {
                // The market shall not wait for this connection any more.
                drop(events);
                return session.stall();
            }
        }
    }
    for (symbol, wanted) in subscriptions
        .iter()
        .enumerate()
        .filter(|(symbol, _)| !seen[*symbol])
    {
        if let Some(event) = market.last_event(symbol)
            && send(&mut session, *wanted, &event).is_err()
        {
            return;
        }
    }
    if session.flush().is_ok() {
        session.close(CloseCode::Normal, "the market has closed");
    }
}

fn send(session: &mut Session<'_>, wanted: Subscription, event: &Event) -> Result<(), Ended> {
    if wanted.diffs {
        session.send_text(&event.diff, true)?;
    }
    if wanted.ticker {
        session.send_text(&event.ticker, false)?;
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    discard_head(stream, request)?;
    stream.set_write_timeout(Some(REQUEST_WAIT))?;
    if !request.path.ends_with("/depth") {
        return respond(stream, "404 Not Found", "", "no such page");
    }
    let count = shared.snapshots_asked.fetch_add(1, Ordering::Relaxed) + 1;
    let fault = shared.faults.of_http(count);
    let old = fault == Some(FaultKind::OldSnapshot);
    match fault {
        Some(FaultKind::BusyHttp) => {
            return respond(
                stream,
                "429 Too Many Requests",
                "Retry-After: 1\r\n",
                r#"{"code":-1003,"msg":"Too many requests."}"#,
            );
        }
        Some(FaultKind::GarbledHttp) => {
            return stream.write_all(b"HTP/1.1 2OO fine\r\n\r\n{\"lastUpdateId\":");
        }
        Some(FaultKind::ShortHttp) => {
            return stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"lastUpdateId\":5,");
        }
        Some(FaultKind::HangHttp) => return hang(stream, shared),
        _ => {}
    }
    let replay = request
        .replay()
        .and_then(|(number, _)| shared.replays.get(number));
    let kind = if request.path.starts_with("/fapi/") {
        MarketKind::Futures
    } else {
        MarketKind::Spot
    };
    let text = match replay {
        Some(replay) => replay.snapshot(shared, old),
        None => request
            .parameter("symbol")
            .and_then(|symbol| shared.market(kind)?.snapshot(symbol, old)),
    };
    let Some(text) = text else {
        return respond(
            stream,
            "400 Bad Request",
            "",
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
        );
    };
    let sent = if fault == Some(FaultKind::SlowHttp) {
        dribble(stream, &text)
    } else {
        respond(stream, "200 OK", "", &text)
    };
    if let (Some(replay), false) = (replay, old) {
        match &sent {
            Ok(()) => replay.snapshot_was_sent(),
            Err(_) => replay.snapshot_was_not_sent(text),
        }
    }
    sent
}

fn discard_head(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    let mut head = vec![0; request.length];
    stream.read_exact(&mut head)
}

fn head(status: &str, extra: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json;charset=UTF-8\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn respond(stream: &mut TcpStream, status: &str, extra: &str, body: &str) -> io::Result<()> {
    stream.write_all(head(status, extra, body.len()).as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// Sends the head byte by byte, and the body after it.
fn dribble(stream: &mut TcpStream, body: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for byte in head("200 OK", "", body.len()).bytes() {
        stream.write_all(&[byte])?;
        thread::sleep(Duration::from_millis(1));
    }
    stream.write_all(body.as_bytes())
}

/// Waits until the client gives up.
fn hang(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let until = Instant::now() + HANG;
    stream.set_read_timeout(Some(super::SLICE))?;
    while Instant::now() < until && !shared.stopped() {
        if matches!(stream.read(&mut [0; 64]), Ok(0)) {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_apart() {
        let head = b"GET /replay/3/fapi/v1/depth?symbol=X&limit=5 HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n\r\n";
        let request = Request::parse(head).expect("a request");
        assert_eq!(request.replay(), Some((3, "fapi/v1/depth")));
        assert_eq!(
            (
                request.parameter("symbol"),
                request.parameter("limit"),
                request.parameter("x")
            ),
            (Some("X"), Some("5"), None)
        );
        assert!(request.upgrade && request.length == head.len());
        assert_eq!(Request::parse(&head[..30]), None);
        assert_eq!(Request::parse(b"\x16\x03\x01hello\r\n\r\n"), None);
    }
}
