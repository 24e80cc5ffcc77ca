//! Connections that are not made, and what the server hears of it.

use std::io::{self, ErrorKind};

use flux::tls::{Alert, CertificateFault, Connector, Error, Roots, Stream};
use rustls::AlertDescription;

use crate::certificates::{Authority, HOST, Offer};
use crate::memory::{Memory, Peer};
use crate::{CAPACITY, Ends, tls12, tls13};

/// Connects to `host` at a server that is called `called`, valid in `years`, and expects the sentence, and that the
/// server hears the alert.
#[track_caller]
fn refused(
    offer: &Offer,
    (called, years): (&str, (i32, i32)),
    host: &str,
    alert: AlertDescription,
) -> Error {
    let authority = Authority::new();
    let peer = Peer::new(authority.server(called, years, offer));
    let connector = Connector::new(authority.roots());
    let error = connector
        .connect(Memory::new(&peer, CAPACITY), host)
        .unwrap_err();
    let heard = peer.borrow().fault.clone();
    assert_eq!(heard, Some(rustls::Error::AlertReceived(alert)));
    error
}

#[test]
fn a_certificate_that_has_expired_is_refused_with_its_date() {
    for offer in [tls13(), tls12()] {
        let alert = AlertDescription::CertificateExpired;
        let error = refused(&offer, (HOST, (2020, 2021)), HOST, alert);
        let text = error.to_string();
        let start = "the certificate of `feed.example` is refused: it expired at 2021-01-01 00:00:00 UTC, and the clock says 20";
        assert!(text.starts_with(start), "{text}");
        let Error::Certificate { host, fault } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(&**host, HOST);
        assert!(matches!(
            fault,
            CertificateFault::Expired {
                not_after: 1_609_459_200,
                ..
            }
        ));
        assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused_with_its_date() {
    let alert = AlertDescription::CertificateExpired;
    let error = refused(&tls13(), (HOST, (2085, 2090)), HOST, alert);
    let start = "the certificate of `feed.example` is refused: it is not valid before 2085-01-01 00:00:00 UTC, and the clock says 20";
    assert!(error.to_string().starts_with(start), "{error}");
}

#[test]
fn a_certificate_of_another_host_is_refused_with_its_name() {
    for offer in [tls13(), tls12()] {
        for (host, alert) in [
            ("other.example", AlertDescription::BadCertificate),
            ("127.0.0.1", AlertDescription::BadCertificate),
        ] {
            let error = refused(&offer, (HOST, (2020, 2090)), host, alert);
            let text = error.to_string();
            let start = format!("the certificate of `{host}` is refused: it is for");
            assert!(text.starts_with(&start) && text.contains(HOST), "{text}");
        }
    }
}

#[test]
fn a_certificate_of_an_unknown_issuer_or_of_itself_is_refused() {
    let offer = tls13();
    let strangers = Connector::new(Authority::new().roots().and(Roots::public()));
    let peer = Peer::new(Authority::new().server(HOST, (2020, 2090), &offer));
    let error = strangers
        .connect(Memory::new(&peer, CAPACITY), HOST)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the certificate of `feed.example` is refused: none of the given roots stands behind it; add its issuer with `Roots::from_pem_file`"
    );
    assert_eq!(
        peer.borrow().fault,
        Some(rustls::Error::AlertReceived(AlertDescription::UnknownCA))
    );

    let signed = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let key = signed.signing_key.serialize_der().try_into().unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let peer = Peer::new(config.into());
    let error = strangers
        .connect(Memory::new(&peer, CAPACITY), HOST)
        .unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Certificate {
                fault: CertificateFault::UnknownIssuer,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn what_is_no_host_is_refused_before_a_byte_is_sent() {
    let ends = Ends::new(&tls13());
    for host in ["", "a host", "feed..example", "feed.example:443"] {
        let peer = Peer::new(ends.config.clone());
        let memory = Memory::new(&peer, CAPACITY);
        let error = ends.connector.connect(memory, host).unwrap_err();
        assert!(
            matches!(&error, Error::Host(named) if **named == *host),
            "{error:?}"
        );
        let sentence = format!("`{host}` is neither the name of a host nor an address");
        assert_eq!(error.to_string(), sentence);
        assert_eq!(peer.borrow().written, 0);
    }
}

#[test]
fn roots_that_are_none_are_refused_by_name() {
    let error = Roots::from_pem_file("/nowhere/roots.pem").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read certificates from `/nowhere/roots.pem`: "),
        "{error}"
    );
    assert_eq!(io::Error::from(error).kind(), ErrorKind::NotFound);
    let not_one = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, why) in [
        (&b""[..], "it holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "section end"),
        (not_one, "certificate 1 of it is none: "),
    ] {
        let error = Roots::from_pem(pem).unwrap_err();
        let text = error.to_string();
        let start = "cannot take certificates from the given text: ";
        assert!(text.starts_with(start) && text.contains(why), "{text}");
    }
    let path = std::env::temp_dir().join(format!("flux-roots-{}.pem", std::process::id()));
    let (one, two) = (Authority::new().pem(), Authority::new().pem());
    std::fs::write(&path, format!("{one}\n{two}")).unwrap();
    let roots = Roots::from_pem_file(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(roots.unwrap().len(), 2);
}

/// Connects to a peer that says `bytes`, and then nothing, or the end.
fn greeted(bytes: &[u8], ended: bool) -> (Result<Stream<Memory>, Error>, Vec<u8>) {
    let peer = Peer::saying(bytes);
    peer.borrow_mut().ended = ended;
    let connector = Connector::new(Authority::new().roots());
    let answer = connector.connect(Memory::new(&peer, CAPACITY), HOST);
    let heard = std::mem::take(&mut peer.borrow_mut().from_client);
    (answer, heard)
}

#[test]
fn what_is_not_tls_is_named_and_told() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"220 mail.example ESMTP",
        &[0; 100],
        &[255; 100],
        &[22, 1, 1, 0, 4, 2, 0, 0, 0],
        &[22, 3, 3, 0xff, 0xff, 2, 0, 0, 0],
    ] {
        let (answer, heard) = greeted(bytes, false);
        let error = answer.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the handshake with `feed.example` failed: what came is not TLS",
            "{bytes:?}"
        );
        // The client's hello, and an alert of two bytes behind it.
        assert_eq!(heard[heard.len() - 7..][..5], [21, 3, 3, 0, 2], "{bytes:?}");
    }
}

#[test]
fn a_server_that_ends_in_mid_handshake_is_named() {
    let ends = Ends::new(&tls13());
    let whole: Vec<u8> = {
        let peer = Peer::new(ends.config.clone());
        peer.borrow_mut().refuse_fill = [ErrorKind::TimedOut.into()].into();
        let memory = Memory::new(&peer, CAPACITY);
        ends.connector.connect(memory, HOST).unwrap_err();
        peer.borrow().to_client.iter().copied().collect()
    };
    for len in [0, 1, 4, 5, 50] {
        let (answer, _) = greeted(&whole[..len], true);
        let error = answer.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`feed.example` ended the connection in mid-handshake"
        );
        assert_eq!(io::Error::from(error).kind(), ErrorKind::UnexpectedEof);
    }
    // Its own hello, but to another client's: refused, whatever its bytes are.
    assert!(greeted(&whole, true).0.is_err());
}

#[test]
fn a_server_that_refuses_the_handshake_is_quoted() {
    let (answer, _) = greeted(&[21, 3, 3, 0, 2, 2, 40], false);
    let error = answer.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`feed.example` refused the handshake with alert `handshake_failure` (40)"
    );
    assert!(matches!(&error, Error::Refused { alert, .. } if *alert == Alert::new(40)));
    assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
    // A `close_notify` that anybody can have sent says nothing; the end does.
    let (answer, _) = greeted(&[21, 3, 3, 0, 2, 1, 0], true);
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::HandshakeEnded { .. }), "{error:?}");
}

#[test]
fn a_handshake_without_an_end_is_cut_short() {
    // A certificate of 16 MiB, in records of one byte and of the most.
    for content in [1, 16_384] {
        let mut bytes = vec![22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff];
        while bytes.len() < 300_000 {
            bytes.extend([22, 3, 3]);
            bytes.extend(u16::try_from(content).unwrap().to_be_bytes());
            bytes.resize(bytes.len() + content, 7);
        }
        let (answer, _) = greeted(&bytes, false);
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Handshake { .. }), "{error:?}");
    }
    // Changes of cipher, which mean nothing and may come.
    let (answer, _) = greeted(&[20, 3, 3, 0, 1, 1].repeat(50_000), false);
    let error = answer.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Handshake { .. } | Error::HandshakeTooLong { .. }
        ),
        "{error:?}"
    );
    // A hello that rustls waits for, in a record that never ends.
    let mut bytes = vec![22, 3, 3, 0x40, 0];
    bytes.extend([2, 0, 0xff, 0xff]);
    bytes.resize(5 + 16_384, 0);
    for _ in 0..3 {
        bytes.extend([22, 3, 3, 0x40, 0]);
        bytes.resize(bytes.len() + 16_384, 0);
    }
    let (answer, _) = greeted(&bytes, false);
    assert!(answer.is_err());
}

#[test]
fn a_bit_that_changes_in_the_handshake_is_an_error_or_means_nothing() {
    for offer in [tls13(), tls12()] {
        let authority = Authority::new();
        let config = authority.server(HOST, (2020, 2090), &offer);
        let mut refused = 0;
        for at in 0..1200 {
            let peer = Peer::new(config.clone());
            peer.borrow_mut().spoil = Some((at, 1 << (at % 8)));
            // Without the ticket of an earlier attempt, which would spare most of the bytes.
            let connector = Connector::new(authority.roots());
            match connector.connect(Memory::new(&peer, CAPACITY), HOST) {
                // Behind the handshake, or in a version that says nothing.
                Ok(_) => {}
                // A length that grew, of what has not come.
                Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut, "{at}"),
                Err(error) => {
                    assert!(error.to_string().contains(HOST), "{at}: {error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 500, "{refused}");
    }
}
