//! Real endpoints, as far as a test has them: other programs and other exchanges, plain and over TLS.

mod common;

use std::path::Path;
use std::thread;

use common::{Ran, Watched, refused, run, scratch};
use flux_examples::exchange::{Exchange, MarketKind, MarketPlan, Plan};

/// What is said of a certificate that another authority has signed.
const NOBODY: &str = "no connection: the certificate of `127.0.0.1` is refused: nobody who is trusted stands behind it";

const BOT: &str = env!("CARGO_BIN_EXE_bot");

#[test]
fn endpoints_that_make_no_sense_are_refused_in_one_sentence() {
    let prose = scratch("prose.pem", b"Dear diary,\n");
    for (arguments, words) in [
        (&["--rest", "http://x"][..], "`--rest` needs `--url`"),
        (&["--url", "x"], "begins with neither `ws://` nor `wss://`"),
        (
            &[
                "--url",
                "ws://127.0.0.1:1/?streams=a@depth",
                "--rest",
                "wss://127.0.0.1:1",
            ],
            "`--rest wss://127.0.0.1:1` begins with neither `http://` nor `https://`",
        ),
        (
            &["--url", "wss://127.0.0.1:1/?streams=a@depth", "--tls"],
            "a `--url` asks for it by `wss://`",
        ),
        (
            &["--ca", &prose],
            "`--ca` needs `--url`: the embedded exchange's",
        ),
        (
            &["--url", "ws://127.0.0.1:1/?streams=a@depth", "--ca", &prose],
            "neither `wss://` nor `https://` was asked for",
        ),
        (
            &[
                "--url",
                "wss://127.0.0.1:1/?streams=a@depth",
                "--ca",
                "/nonexistent.pem",
            ],
            "cannot read certificates from `/nonexistent.pem`: No such file",
        ),
        (
            &[
                "--url",
                "wss://127.0.0.1:1/?streams=a@depth",
                "--ca",
                &prose,
            ],
            "it holds no certificate",
        ),
        (&["--url", "ws://127.0.0.1:1/stream"], "names no streams"),
        (
            &["--url", "ws://127.0.0.1:70000/?streams=a@depth"],
            "is no host and port",
        ),
        (
            &["--url", "ws://127.0.0.1:1/?streams=a@depth", "--speed", "2"],
            "`--speed` is for the embedded exchange",
        ),
    ] {
        refused(BOT, arguments, words);
    }
}

#[test]
fn a_real_endpoint_is_followed_and_one_that_refuses_is_reported() {
    let market = MarketPlan {
        kind: MarketKind::Futures,
        symbols: vec!["BTCUSDT".to_owned()],
    };
    let exchange = Exchange::open(Plan {
        markets: vec![market],
        ..Plan::default()
    })
    .expect("a port");
    let url = format!("ws://{}/public/stream", exchange.address());
    let ran = run(
        BOT,
        &[
            "--url",
            &url,
            "--symbols",
            "btcusdt",
            "--decimals",
            "2,3",
            "--seconds",
            "2",
        ],
    );
    ran.expect(0, &["127.0.0.1 BTCUSDT  synced"]);

    // Bound and not listening: nobody else can take the port, and the kernel refuses.
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a port");
    let port = socket
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("IPv4")
        .port();
    let url = format!("ws://127.0.0.1:{port}/stream?streams=btcusdt@depth");
    let ran = run(BOT, &["--url", &url, "--seconds", "1"]);
    ran.expect(
        1,
        &["no connection: Connection refused", "nothing was received"],
    );
}

/// An exchange with one market.
fn exchange(tls: bool) -> Exchange {
    let market = MarketPlan {
        kind: MarketKind::Futures,
        symbols: vec!["BTCUSDT".to_owned()],
    };
    Exchange::open(Plan {
        markets: vec![market],
        tls,
        ..Plan::default()
    })
    .expect("a port")
}

/// An exchange over TLS, and the file with its certificate.
fn exchange_over_tls() -> (Exchange, String) {
    let exchange = exchange(true);
    let authority = exchange.authority().expect("a certificate");
    let port = exchange.address().port();
    let file = scratch(&format!("{port}.pem"), authority.as_bytes());
    (exchange, file)
}

/// Follows the futures of an exchange whose server has this address.
fn follow(url: &str, more: &[&str]) -> Ran {
    let url = format!("{url}/public/stream");
    let arguments = [
        &["--url", &url, "--symbols", "btcusdt", "--decimals", "2,3"][..],
        &["--seconds", "1"],
        more,
    ];
    run(BOT, &arguments.concat())
}

#[test]
fn a_client_that_closes_is_answered_with_a_close_frame() {
    use tungstenite::{Error, client};
    let exchange = exchange(false);
    let url = format!(
        "ws://{}/public/stream?streams=btcusdt@depth@0ms",
        exchange.address()
    );
    let stream = std::net::TcpStream::connect(exchange.address()).expect("an exchange");
    let (mut socket, _) = client(&url, stream).expect("a WebSocket");
    socket.read().expect("a message");
    socket.close(None).expect("it leaves");
    let end = loop {
        match socket.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, Error::ConnectionClosed), "{end}");
}

#[test]
fn a_real_endpoint_is_followed_over_tls_by_either_client() {
    let (exchange, ca) = exchange_over_tls();
    let port = exchange.address().port();
    let ca = &ca;
    thread::scope(|scope| {
        for (host, client) in [("127.0.0.1", "flux"), ("localhost", "tungstenite")] {
            scope.spawn(move || {
                let url = format!("wss://{host}:{port}");
                let synced = format!("{host} BTCUSDT  synced");
                follow(&url, &["--ca", ca, "--client", client, "--seconds", "2"])
                    .expect(0, &[&synced, "with TLS"]);
            });
        }
    });
    assert_eq!(exchange.failures(), Vec::<String>::new());
}

#[test]
fn a_certificate_that_does_not_fit_is_refused_by_name() {
    let (exchange, ca) = exchange_over_tls();
    let (_other, ca_of_other) = exchange_over_tls();
    let port = exchange.address().port();
    let url = format!("wss://127.0.0.1:{port}");
    let (elsewhere, ca, other) = (format!("wss://0.0.0.0:{port}"), &ca, &ca_of_other);
    let cases = [
        (&url, vec!["--ca", other], NOBODY),
        (&url, vec![], NOBODY),
        (
            // The loopback interface by another address.
            &elsewhere,
            vec!["--ca", ca],
            "no connection: the certificate of `0.0.0.0` is refused: it is for",
        ),
        (
            &url,
            vec!["--ca", other, "--client", "tungstenite"],
            "no connection: invalid peer certificate",
        ),
    ];
    thread::scope(|scope| {
        for (url, trusted, words) in &cases {
            scope.spawn(move || follow(url, trusted).expect(1, &[words, "nothing was received"]));
        }
    });
    // The stream plain and the snapshots over TLS, with the wrong certificate.
    let plain = Exchange::open(Plan {
        markets: vec![MarketPlan {
            kind: MarketKind::Futures,
            symbols: vec!["BTCUSDT".to_owned()],
        }],
        ..Plan::default()
    })
    .expect("a port");
    let rest = format!("https://127.0.0.1:{port}");
    let more = ["--rest", &rest, "--ca", &ca_of_other, "--seconds", "2"];
    follow(&format!("ws://{}", plain.address()), &more).expect(
        0,
        &["no snapshot of BTCUSDT: the certificate of `127.0.0.1` is refused"],
    );
}

#[test]
fn plain_and_tls_that_meet_each_other_are_told_apart() {
    let (exchange, ca) = exchange_over_tls();
    let to_tls = format!("ws://{}", exchange.address());
    let plain = Exchange::open(Plan::default()).expect("a port");
    let to_plain = format!("wss://{}", plain.address());
    let cases = [
        (
            &to_tls,
            vec![],
            "the exchange refuses the stream: the server answered the handshake with the status 400 `Bad Request`, not with 101: this port speaks TLS",
        ),
        (
            &to_tls,
            vec!["--client", "tungstenite"],
            "the exchange refuses the stream: status 400 Bad Request: this port speaks TLS",
        ),
        (
            &to_plain,
            vec!["--ca", &ca],
            "no connection: the handshake with `127.0.0.1` failed",
        ),
        (
            &to_plain,
            vec!["--ca", &ca, "--client", "tungstenite"],
            "no connection: received corrupt message",
        ),
    ];
    thread::scope(|scope| {
        for (url, more, words) in &cases {
            scope.spawn(move || follow(url, more).expect(1, &[words]));
        }
    });
}

#[test]
fn an_exchange_that_is_killed_and_comes_back_is_noticed_both_times() {
    for tls in [false, true] {
        let exchange = env!("CARGO_BIN_EXE_exchange");
        let arguments = |port: &str| {
            let mut arguments = vec![port.to_owned()];
            arguments.extend(tls.then(|| "--tls".to_owned()));
            arguments
        };
        let start = |port: &str| {
            let arguments = arguments(port);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Watched::start(exchange, &arguments)
        };
        let mut first = start("0");
        let spot = first.wait_for("spot: ").to_owned();
        let url = spot.trim_start_matches("spot:").trim().to_owned();
        let port = url.split([':', '/']).nth(4).expect("a port").to_owned();
        let mut arguments = vec!["--url", &url, "--seconds", "60", "--timeout", "5"];
        let file = tls.then(|| {
            let trust = first.wait_for("trust: ");
            trust.trim_start_matches("trust:").trim().to_owned()
        });
        arguments.extend(file.iter().flat_map(|file| ["--ca", file.as_str()]));
        let mut bot = Watched::start(BOT, &arguments);
        bot.wait_for(" synced ");
        drop(first);
        bot.wait_for("connection lost: ");
        bot.wait_for("no connection: Connection refused");
        let second = start(&port);
        if tls {
            // It has another certificate now: an impostor, for all that the bot knows.
            bot.wait_for("the certificate of `127.0.0.1` is refused");
            // A killed exchange cannot take its file away.
            std::fs::remove_file(file.expect("written")).expect("the file is still there");
        } else {
            bot.wait_for("connected again");
            bot.wait_for(" synced ");
        }
        bot.interrupt().expect(0, &["stopped by a signal"]);
        let ran = second.interrupt();
        ran.expect(0, &["symbols: BTCUSDT"]);
        let left = ran.out.lines().find_map(|line| line.strip_prefix("trust:"));
        assert!(
            left.is_none_or(|file| !Path::new(file.trim()).exists()),
            "{ran}"
        );
    }
}
