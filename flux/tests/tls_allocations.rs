//! Reading and writing over TLS allocates nothing, counted. A process of its own, since it counts all.
//!
//! With `--release --nocapture` it says what a record of 280 bytes costs too, both ways, beside rustls's own records.

#![cfg(all(unix, feature = "tls"))]

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "common/counting.rs"]
mod counting;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Instant;

use certificates::{Authority, HOST, Offer, offers};
use counting::so_far;
use flux::net::Wire;
use flux::tls::{Connector, Stream};
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What both ends share: bytes on their way, and the server while it is asked.
struct Between {
    server: Option<ServerConnection>,
    to_client: Vec<u8>,
    from_client: Vec<u8>,
}

/// A wire over one piece of memory, which is filled from `Between` by copying; nothing of it allocates once the
/// server is out of the way.
struct Tape {
    between: Rc<RefCell<Between>>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Wire for Tape {
    fn fill(&mut self) -> io::Result<usize> {
        let mut between = self.between.borrow_mut();
        if let Some(server) = &mut between.server {
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            between.to_client.extend_from_slice(&bytes);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let count = between.to_client.len().min(self.bytes.len() - self.end);
        if count == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.bytes[self.end..self.end + count].copy_from_slice(&between.to_client[..count]);
        between.to_client.drain(..count);
        self.end += count;
        Ok(self.end)
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start);
        self.start += count;
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut between = self.between.borrow_mut();
        let between = &mut *between;
        match &mut between.server {
            Some(server) => {
                let count = server.read_tls(&mut &*bytes)?;
                server.process_new_packets().unwrap();
                Ok(count)
            }
            None => {
                between.from_client.clear();
                between.from_client.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const RECORDS: usize = 2_000;
const LEN: usize = 280;

/// A connection whose server has sent `RECORDS` records of `LEN` bytes, all on the tape, and is gone then.
fn prepared(offer: &Offer) -> (Stream<Tape>, Rc<RefCell<Between>>) {
    let authority = Authority::new();
    let config = authority.server(HOST, (2020, 2090), offer);
    let mut server = ServerConnection::new(config).unwrap();
    server.set_buffer_limit(None);
    let between = Rc::new(RefCell::new(Between {
        server: Some(server),
        to_client: Vec::new(),
        from_client: Vec::with_capacity(64 << 10),
    }));
    let tape = Tape {
        between: between.clone(),
        bytes: vec![0; 1 << 20].into_boxed_slice(),
        start: 0,
        end: 0,
    };
    let mut stream = Connector::new(authority.roots())
        .connect(tape, HOST)
        .unwrap();
    // The tickets of TLS 1.3 allocate.
    assert_eq!(stream.fill().unwrap_err().kind(), io::ErrorKind::TimedOut);
    {
        let mut between = between.borrow_mut();
        let mut server = between.server.take().unwrap();
        for round in 0..RECORDS {
            let byte = u8::try_from(round % 251).unwrap();
            server.writer().write_all(&[byte; LEN]).unwrap();
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            between.to_client.extend_from_slice(&bytes);
        }
    }
    (stream, between)
}

/// Counts what `work` allocates and frees.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = so_far();
    work();
    so_far() - before
}

#[test]
fn a_record_that_comes_or_leaves_allocates_nothing() {
    assert_ne!(
        allocations(|| drop(std::hint::black_box(Box::new([0_u8; 99])))),
        0,
        "it counts"
    );
    for offer in offers() {
        let name = offer.suite.unwrap().suite().as_str().unwrap();
        let (mut stream, _between) = prepared(&offer);
        let (mut taken, mut checked) = (0, 0);
        let count = allocations(|| {
            for round in 0..RECORDS {
                stream.fill().unwrap();
                // A few bytes are left over now and then, so that something moves.
                if round % 3 == 0 {
                    continue;
                }
                let unread = stream.unread();
                checked += usize::from(usize::from(unread[unread.len() - 1]) == round % 251);
                let count = unread.len() - usize::from(round % 5 == 0);
                taken += count;
                stream.consume(count);
            }
        });
        taken += stream.unread().len();
        assert_eq!(taken, RECORDS * LEN, "{name}");
        assert_eq!(checked, RECORDS - RECORDS.div_ceil(3), "{name}");
        assert_eq!(count, 0, "{name}: reading");
        let mut copied = [0; 64];
        let count = allocations(|| {
            for _ in 0..RECORDS {
                stream.write_all(&[7; LEN]).unwrap();
                let parts = [io::IoSlice::new(&[1; 9]), io::IoSlice::new(&[2; 50])];
                assert_eq!(stream.write_vectored(&parts).unwrap(), 59);
            }
            drop(stream.read(&mut copied));
        });
        assert_eq!(count, 0, "{name}: writing");
    }
}

#[test]
fn what_a_record_costs_is_said() {
    for offer in offers() {
        let name = offer.suite.unwrap().suite().as_str().unwrap();
        let (mut reading, mut writing) = (f64::MAX, f64::MAX);
        for _ in 0..if cfg!(debug_assertions) { 1 } else { 25 } {
            let (mut stream, _between) = prepared(&offer);
            // The wire's own copy is not measured: it is made by the first fill.
            stream.fill().unwrap();
            stream.consume(LEN);
            reading = reading.min(each(RECORDS - 1, || {
                let count = stream.fill().unwrap();
                assert_eq!(count, LEN);
                stream.consume(count);
            }));
            writing = writing.min(each(RECORDS, || {
                assert_eq!(stream.write(&[7; LEN]).unwrap(), LEN);
            }));
        }
        let theirs = (0..25)
            .map(|_| rustls_reads(&offer))
            .fold(f64::MAX, f64::min);
        println!(
            "{name}: {reading:.0} ns for a record read, {theirs:.0} ns by rustls; {writing:.0} ns for one written"
        );
        assert!(reading > 0.0 && writing > 0.0);
    }
}

/// The nanoseconds that rustls needs to read one record, its bytes in memory too.
fn rustls_reads(offer: &Offer) -> f64 {
    let authority = Authority::new();
    let config = authority.server(HOST, (2020, 2090), offer);
    let mut server = ServerConnection::new(config).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let pem = authority.pem();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = HOST.try_into().unwrap();
    let mut client = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() || server.wants_write() {
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &*bytes).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut &*bytes).unwrap();
        client.process_new_packets().unwrap();
        bytes.clear();
    }
    server.set_buffer_limit(None);
    for _ in 0..RECORDS {
        server.writer().write_all(&[7; LEN]).unwrap();
    }
    server.write_tls(&mut bytes).unwrap();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    let (mut rest, mut copied) = (&*bytes, [0; LEN]);
    let record = bytes.len() / RECORDS;
    each(RECORDS, || {
        client.read_tls(&mut &rest[..record]).unwrap();
        rest = &rest[record..];
        client.process_new_packets().unwrap();
        client.reader().read_exact(&mut copied).unwrap();
    })
}

/// The nanoseconds of one `work` of so many.
#[allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "measures on a thread of its own, and needs no more digits"
)]
fn each(count: usize, mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..count {
        work();
    }
    begun.elapsed().as_nanos() as f64 / count as f64
}
