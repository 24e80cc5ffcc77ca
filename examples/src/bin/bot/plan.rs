//! From options to feeds: which exchange to open, which endpoint to call, which books to keep.

use std::net::ToSocketAddrs as _;
use std::rc::Rc;

use flux_examples::books::Books;
use flux_examples::decimal::Decimals;
use flux_examples::exchange::flow;
use flux_examples::exchange::{Exchange, MarketKind, MarketPlan, Plan};
use flux_examples::expected::Expected;
use flux_examples::recording::{Recording, Venue};
use tungstenite::http::Uri;

use crate::feed::{Endpoint, Feed, Server};
use crate::options::Options;
use crate::trust::Trust;

/// Something in the request cannot be done; one sentence.
pub(crate) type Refusal = String;

/// What the final books of a feed are compared with.
#[derive(Debug)]
pub(crate) enum Reference {
    /// The books of a made-up market.
    Market(MarketKind),
    /// The N-th recording, and what is expected of it if anything is.
    Recording(usize, Option<Expected>, String),
    /// Nothing is known.
    Unknown,
}

/// A feed to follow and what its books should be in the end.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) feed: Rc<Feed>,
    pub(crate) reference: Reference,
}

/// Opens the exchange, if there is to be one, and lists the feeds.
pub(crate) fn prepare(options: &Options) -> Result<(Option<Exchange>, Vec<Task>), Refusal> {
    if let Some(url) = &options.url {
        return Ok((None, vec![remote(options, url)?]));
    }
    let recordings = options
        .replay
        .iter()
        .map(|path| Recording::inspect(path))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    let markets = if recordings.is_empty() {
        markets(options)
    } else {
        Vec::new()
    };
    // Read before anything is started: a file that cannot be used is a refusal and not a result.
    let expected = recordings
        .iter()
        .map(|recording| expected(options, recording))
        .collect::<Result<Vec<_>, _>>()?;
    let exchange = Exchange::open(Plan {
        tls: options.tls,
        markets: markets.clone(),
        seed: options.seed,
        open_for: options.time,
        recordings: recordings.clone(),
        speed: options.speed,
        faults: options.faults.clone(),
        on_thread: leave_the_core,
        ..Plan::default()
    })
    .map_err(|error| format!("the embedded exchange cannot be opened: {error}"))?;
    let server = embedded(&exchange)?;
    let mut tasks: Vec<Task> = markets
        .into_iter()
        .map(|market| made_up(options, &server, market))
        .collect();
    let replays = recordings.iter().zip(expected).enumerate();
    tasks.extend(replays.map(|(number, (recording, expected))| {
        replayed(options, &server, number, recording, expected)
    }));
    Ok((Some(exchange), tasks))
}

/// The embedded exchange: of all certificates its own is believed, and no other.
fn embedded(exchange: &Exchange) -> Result<Server, Refusal> {
    let address = exchange.address();
    Ok(Server {
        address,
        authority: address.to_string(),
        host: address.ip().to_string(),
        trust: exchange.authority().map(Trust::pem).transpose()?,
    })
}

/// The exchange's threads inherit the core that the reactor is pinned to, and would be in its way.
fn leave_the_core() {
    if let Err(error) = flux::unpin_thread() {
        eprintln!("bot: the exchange shares the bot's core, so latencies are too long: {error}");
    }
}

fn markets(options: &Options) -> Vec<MarketPlan> {
    [MarketKind::Spot, MarketKind::Futures]
        .into_iter()
        .map(|kind| {
            let here = options
                .symbols
                .iter()
                .filter(|symbol| symbol.market.unwrap_or(MarketKind::Spot) == kind);
            MarketPlan {
                kind,
                symbols: here.map(|symbol| symbol.name.clone()).collect(),
            }
        })
        .filter(|market| !market.symbols.is_empty())
        .collect()
}

fn expected(options: &Options, recording: &Recording) -> Result<Option<Expected>, Refusal> {
    match &options.expected {
        Some(path) => Expected::load(path).map(Some),
        None => Expected::beside(&recording.path),
    }
    .map_err(|error| error.to_string())
}

fn streams(symbols: &[String], interval: &str) -> String {
    let names: Vec<String> = symbols
        .iter()
        .map(|symbol| format!("{}@depth@{interval}", symbol.to_lowercase()))
        .collect();
    names.join("/")
}

fn made_up(options: &Options, server: &Server, market: MarketPlan) -> Task {
    let MarketPlan { kind, symbols } = market;
    let (name, path, rest) = match kind {
        MarketKind::Spot => ("spot", "/stream", "/api/v3/depth?limit=5000&symbol="),
        MarketKind::Futures => (
            "futures",
            "/public/stream",
            "/fapi/v1/depth?limit=1000&symbol=",
        ),
    };
    let endpoint = Endpoint {
        stream: server.clone(),
        target: format!("{path}?streams={}", streams(&symbols, kind.interval())),
        rest: server.clone(),
        rest_target: rest.to_owned(),
        finite: true,
    };
    let books = Books::new(Venue::Binance, &symbols, flow::DECIMALS);
    let feed = Feed::new(
        name.to_owned(),
        endpoint,
        symbols,
        books,
        options,
        options.seed ^ kind as u64,
    );
    Task {
        feed: Rc::new(feed),
        reference: Reference::Market(kind),
    }
}

fn replayed(
    options: &Options,
    server: &Server,
    number: usize,
    recording: &Recording,
    expected: Option<Expected>,
) -> Task {
    let file = recording.file_name();
    let decimals = options
        .decimals
        .or_else(|| expected.as_ref()?.of(&file)?.decimals())
        .unwrap_or(Decimals::EIGHT);
    let rest = if recording.futures {
        "fapi/v1/depth?limit=1000"
    } else {
        "api/v3/depth?limit=5000"
    };
    let endpoint = Endpoint {
        stream: server.clone(),
        target: format!(
            "/replay/{number}/stream?streams={}",
            recording.streams.join("/")
        ),
        rest: server.clone(),
        rest_target: format!("/replay/{number}/{rest}&symbol="),
        finite: true,
    };
    let symbols = vec![recording.symbol.clone()];
    let books = Books::new(recording.venue, &symbols, decimals);
    let seed = options.seed.wrapping_add(number as u64);
    let feed = Feed::new(
        recording.short_name(),
        endpoint,
        symbols,
        books,
        options,
        seed,
    );
    Task {
        feed: Rc::new(feed),
        reference: Reference::Recording(number, expected, file),
    }
}

/// A real endpoint: one connection, Binance's formats.
fn remote(options: &Options, url: &str) -> Result<Task, Refusal> {
    let (uri, stream) = resolve("--url", url, ["ws", "wss"], options)?;
    let query = uri.query().and_then(|query| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("streams="))
    });
    let symbols: Vec<String> = match query {
        Some(streams) if !options.symbols_given => streams
            .split('/')
            .filter_map(|stream| {
                stream
                    .split_once("@depth")
                    .map(|(symbol, _)| symbol.to_uppercase())
            })
            .collect(),
        _ => options
            .symbols
            .iter()
            .map(|symbol| symbol.name.clone())
            .collect(),
    };
    if symbols.is_empty() {
        return Err(format!(
            "`--url {url}` names no depth stream, as in `?streams=btcusdt@depth@100ms`"
        ));
    }
    if query.is_none() && !options.symbols_given {
        return Err(format!(
            "`--url {url}` names no streams; add `--symbols BTCUSDT` or `?streams=btcusdt@depth@100ms`"
        ));
    }
    let futures = uri.path().starts_with("/public");
    let target = match (query, uri.path_and_query()) {
        (Some(_), Some(target)) => target.to_string(),
        _ => {
            let path = if uri.path() == "/" {
                "/stream"
            } else {
                uri.path()
            };
            let interval = if futures { "0ms" } else { "100ms" };
            format!("{path}?streams={}", streams(&symbols, interval))
        }
    };
    let path = if futures {
        "/fapi/v1/depth"
    } else {
        "/api/v3/depth"
    };
    let (rest, rest_path) = match &options.rest {
        None => (stream.clone(), path.to_owned()),
        Some(rest) => {
            let (uri, server) = resolve("--rest", rest, ["http", "https"], options)?;
            let path = if uri.path() == "/" { path } else { uri.path() };
            (server, path.to_owned())
        }
    };
    if let Some(file) = &options.ca
        && stream.trust.is_none()
        && rest.trust.is_none()
    {
        return Err(format!(
            "`--ca {}` is for TLS, and neither `wss://` nor `https://` was asked for",
            file.display()
        ));
    }
    let endpoint = Endpoint {
        stream,
        target,
        rest,
        rest_target: format!("{rest_path}?limit=1000&symbol="),
        finite: false,
    };
    let books = Books::new(
        Venue::Binance,
        &symbols,
        options.decimals.unwrap_or(Decimals::EIGHT),
    );
    let name = uri.host().unwrap_or("remote").to_owned();
    let feed = Feed::new(name, endpoint, symbols, books, options, options.seed);
    Ok(Task {
        feed: Rc::new(feed),
        reference: Reference::Unknown,
    })
}

/// Takes an address apart, whose scheme is the plain one or the one with TLS, and looks its host up.
/// This happens once, before any feed runs: a look-up blocks the core.
fn resolve(
    flag: &str,
    url: &str,
    [plain, secure]: [&str; 2],
    options: &Options,
) -> Result<(Uri, Server), Refusal> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("`{flag} {url}` is no address: {error}"))?;
    let is_secure = match uri.scheme_str() {
        Some(found) if found == plain => false,
        Some(found) if found == secure => true,
        _ => {
            return Err(format!(
                "`{flag} {url}` begins with neither `{plain}://` nor `{secure}://`"
            ));
        }
    };
    let host = uri
        .host()
        .ok_or_else(|| format!("`{flag} {url}` names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let port = match (uri.port_u16(), authority == uri.host().unwrap_or("")) {
        (Some(port), _) => port,
        (None, true) if is_secure => 443,
        (None, true) => 80,
        (None, false) => return Err(format!("`{flag} {url}`: `{authority}` is no host and port")),
    };
    let trust = match &options.ca {
        _ if !is_secure => None,
        None => Some(Trust::public()?),
        Some(file) => Some(Trust::file(file)?),
    };
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("`{flag}`: the host `{host}` was not found: {error}"))?;
    let address = found
        .into_iter()
        .next()
        .ok_or_else(|| format!("`{flag}`: the host `{host}` has no address"))?;
    let server = Server {
        address,
        authority: authority.to_owned(),
        host: host.to_owned(),
        trust,
    };
    Ok((uri, server))
}
