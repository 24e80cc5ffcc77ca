//! The port: looks at the first request of a connection, and upgrades it or answers it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::CloseCode;

use super::faults::FaultKind;
use super::link::{Link, is_timeout};
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
    /// The request at the start of `head`, once all of it is there.
    fn parse(head: &[u8]) -> Result<Option<Self>, httparse::Error> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(head)? else {
            return Ok(None);
        };
        let target = request.path.unwrap_or("");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let upgrade = request.headers.iter().any(|header| {
            header.name.eq_ignore_ascii_case("upgrade")
                && header.value.eq_ignore_ascii_case(b"websocket")
        });
        Ok(Some(Self {
            path: path.to_owned(),
            query: query.to_owned(),
            upgrade,
            length,
        }))
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
pub(super) fn serve(stream: TcpStream, shared: &Shared) {
    let Ok(mut link) = Link::open(stream, shared.security.as_ref(), REQUEST_WAIT) else {
        // A client that went away, or that does not like the certificate and has said so.
        return;
    };
    let served = match next_request(&mut link) {
        Err(error) => Err(error),
        Ok(None) => bad_request(&mut link, "this is no HTTP request"),
        Ok(Some(_)) if shared.security.is_some() && !link.is_tls() => {
            bad_request(&mut link, "this port speaks TLS: `https://`, `wss://`")
        }
        Ok(Some(request)) if request.upgrade => return upgrade(link, &request, shared),
        Ok(Some(request)) => answer(&mut link, &request, shared),
    };
    // A client that went away does not need its answer.
    let _ = served.and_then(|()| link.finish());
}

/// Looks at the request without taking it: an upgrade is tungstenite's to read. None is what is no
/// request.
fn next_request(link: &mut Link) -> io::Result<Option<Request>> {
    let until = Instant::now() + REQUEST_WAIT;
    loop {
        match Request::parse(link.ahead()) {
            Ok(Some(request)) => return Ok(Some(request)),
            Ok(None) if link.ahead().len() < HEAD_MAX => {}
            Ok(None) | Err(_) => return Ok(None),
        }
        if link.look_ahead()? == 0 || Instant::now() >= until {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn bad_request(link: &mut Link, why: &str) -> io::Result<()> {
    link.take_ahead(usize::MAX);
    respond(link, "400 Bad Request", "", why)
}

fn upgrade(mut link: Link, request: &Request, shared: &Shared) {
    let market = match request.path.as_str() {
        "/stream" | "/ws" => shared.market(MarketKind::Spot),
        "/public/stream" => shared.market(MarketKind::Futures),
        _ => None,
    };
    let replay = request
        .replay()
        .and_then(|(number, _)| shared.replays.get(number));
    if market.is_none() && replay.is_none() {
        link.take_ahead(request.length);
        // A client that went away does not need its answer.
        let _ =
            respond(&mut link, "404 Not Found", "", "no such stream").and_then(|()| link.finish());
        return;
    }
    let Ok(mut session) = Session::accept(link, shared) else {
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

fn answer(link: &mut Link, request: &Request, shared: &Shared) -> io::Result<()> {
    link.take_ahead(request.length);
    if !request.path.ends_with("/depth") {
        return respond(link, "404 Not Found", "", "no such page");
    }
    let count = shared.snapshots_asked.fetch_add(1, Ordering::Relaxed) + 1;
    let fault = shared.faults.of_http(count);
    let old = fault == Some(FaultKind::OldSnapshot);
    match fault {
        Some(FaultKind::BusyHttp) => {
            return respond(
                link,
                "429 Too Many Requests",
                "Retry-After: 1\r\n",
                r#"{"code":-1003,"msg":"Too many requests."}"#,
            );
        }
        Some(FaultKind::GarbledHttp) => {
            return link.write_all(b"HTP/1.1 2OO fine\r\n\r\n{\"lastUpdateId\":");
        }
        Some(FaultKind::ShortHttp) => {
            return link
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"lastUpdateId\":5,");
        }
        Some(FaultKind::HangHttp) => return hang(link, shared),
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
            link,
            "400 Bad Request",
            "",
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
        );
    };
    let sent = if fault == Some(FaultKind::SlowHttp) {
        dribble(link, &text)
    } else {
        respond(link, "200 OK", "", &text)
    };
    if let (Some(replay), false) = (replay, old) {
        match &sent {
            Ok(()) => replay.snapshot_was_sent(),
            Err(_) => replay.snapshot_was_not_sent(text),
        }
    }
    sent
}

fn head(status: &str, extra: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json;charset=UTF-8\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn respond(link: &mut Link, status: &str, extra: &str, body: &str) -> io::Result<()> {
    link.write_all(head(status, extra, body.len()).as_bytes())?;
    link.write_all(body.as_bytes())?;
    link.flush()
}

/// Sends the head byte by byte, and the body after it.
fn dribble(link: &mut Link, body: &str) -> io::Result<()> {
    for byte in head("200 OK", "", body.len()).bytes() {
        link.write_all(&[byte])?;
        link.flush()?;
        thread::sleep(Duration::from_millis(1));
    }
    link.write_all(body.as_bytes())?;
    link.flush()
}

/// Waits until the client gives up.
fn hang(link: &mut Link, shared: &Shared) -> io::Result<()> {
    let until = Instant::now() + HANG;
    link.socket().set_read_timeout(Some(super::SLICE))?;
    while Instant::now() < until && !shared.stopped() {
        match link.read(&mut [0; 64]) {
            Ok(0) => break,
            Err(error) if !is_timeout(&error) => return Err(error),
            _ => {}
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
        let request = Request::parse(head)
            .expect("HTTP")
            .expect("a whole request");
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
        assert_eq!(Request::parse(&head[..30]), Ok(None));
        assert!(Request::parse(b"\x16\x03\x01hello\r\n\r\n").is_err());
    }
}
