//! The receiver: a fiber for each line, one arbiter, and the books.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use flux::net::{UdpEvent, UdpFeed};
use flux::sequence::{Arbiter, Bounds, Counts, LineCounts, Sequenced, Span};
use flux_examples::iex::{Header, IexBooks, IexError};
use flux_examples::report::Latency;

use crate::exchange::{Plan, joined};
use crate::lines::{self, Progress};
use crate::options::Options;

/// How many packets are held while a gap may still fill: more than the sender ever moves one, and than it is ahead.
const HELD_MAX: usize = 256;
/// How long a gap may fill: longer than a busy machine keeps a thread from its core.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often gaps are looked at while nothing comes.
const LOOK: Duration = Duration::from_millis(20);
/// How long a line may be silent before it counts as dead.
const SILENCE: Duration = Duration::from_secs(10);

/// What a line has brought beside messages.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LineTally {
    pub(crate) packets: u64,
    pub(crate) dropped: u64,
    pub(crate) starved: u64,
    pub(crate) truncated: u64,
}

/// What a run has come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) capture: PathBuf,
    pub(crate) engine: &'static str,
    pub(crate) plan: Arc<Plan>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) tallies: Vec<LineTally>,
    pub(crate) counts: Counts,
    pub(crate) lines: Vec<LineCounts>,
    /// What was given up, apart from each other, in order.
    pub(crate) missing: Vec<Range<u64>>,
    pub(crate) books: IexBooks,
    pub(crate) latency: Latency,
    pub(crate) refused: Option<IexError>,
}

/// What all lines lead to.
struct Desk {
    arbiter: Arbiter,
    books: IexBooks,
    missing: Vec<Range<u64>>,
    latency: Latency,
    refused: Option<IexError>,
}

/// Receives all that the sender sends; inside a fiber.
pub(crate) fn play(options: &Options, plan: Plan) -> Result<Outcome, String> {
    let feeds: Vec<UdpFeed> = (0..options.lines)
        .map(|line| {
            let feed = lines::join(line)?.into_feed();
            feed.map_err(|error| format!("line {} cannot be received: {error}", ["A", "B"][line]))
        })
        .collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> = feeds
        .iter()
        .map(|feed| feed.socket().local_addr())
        .collect::<io::Result<_>>()
        .map_err(|error| error.to_string())?;
    let (plan, progress) = (Arc::new(plan), Arc::new(Progress::default()));
    let desk = RefCell::new(Desk {
        arbiter: Arbiter::new(Bounds {
            lines: options.lines,
            packets: HELD_MAX,
            patience: PATIENCE,
            first: Some(plan.sequence.start),
            ..Bounds::default()
        }),
        books: IexBooks::default(),
        missing: Vec::new(),
        latency: Latency::default(),
        refused: None,
    });
    let sender = thread::spawn({
        let (plan, addresses, speed) = (Arc::clone(&plan), addresses.clone(), options.speed);
        let progress = Arc::clone(&progress);
        move || lines::send(&plan, &addresses, speed, &progress)
    });
    let end = plan.sequence.end;
    let tallies = flux::scope(|scope| {
        let following: Vec<_> = feeds
            .into_iter()
            .enumerate()
            .map(|(line, feed)| {
                let (desk, progress) = (&desk, &*progress);
                scope.spawn(move || follow(line, feed, end, desk, progress))
            })
            .collect();
        let mut tallies = Vec::new();
        for line in following {
            tallies.push(line.join().map_err(|error| error.to_string()));
        }
        tallies
    });
    progress.over.store(true, Ordering::Relaxed);
    let sent = sender
        .join()
        .map_err(|_| "the sender panicked".to_owned())?;
    sent?;
    let tallies = tallies
        .into_iter()
        .map(|tally| tally?)
        .collect::<Result<_, _>>()?;
    desk.borrow_mut()
        .give(|arbiter, deliver| arbiter.flush(deliver));
    let desk = desk.into_inner();
    Ok(Outcome {
        capture: options.capture.clone(),
        engine: flux::stats().engine,
        plan,
        addresses,
        tallies,
        counts: desk.arbiter.counts(),
        lines: desk.arbiter.lines().to_vec(),
        missing: joined(desk.missing.into_iter()),
        books: desk.books,
        latency: desk.latency,
        refused: desk.refused,
    })
}

/// Receives a line to its end.
fn follow(
    line: usize,
    mut feed: UdpFeed,
    end: u64,
    desk: &RefCell<Desk>,
    progress: &Progress,
) -> Result<LineTally, String> {
    let mut tally = LineTally::default();
    let failed = |error: io::Error| format!("line {line} has failed: {error}");
    feed.set_read_timeout(Some(LOOK)).map_err(failed)?;
    let mut silent = Duration::ZERO;
    loop {
        let event = match feed.recv() {
            Ok(event) => event,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                silent += LOOK;
                if silent > SILENCE {
                    return Err(format!(
                        "nothing came on line {line} for {} s: multicast on loopback is filtered on this \
                         machine; `ip route add 224.0.0.0/4 dev lo`, as root, may help",
                        SILENCE.as_secs()
                    ));
                }
                let now = since_1970(SystemTime::now());
                desk.borrow_mut()
                    .give(|arbiter, deliver| arbiter.expire(now, deliver));
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        silent = Duration::ZERO;
        match event {
            UdpEvent::Packet(packet) => {
                tally.truncated += u64::from(packet.is_truncated());
                let header = Header::of(&packet).map_err(|error| error.to_string())?;
                // Said again and again by the exchange, once it has sent all.
                let over = header.count == 0 && header.first == end;
                if !over {
                    tally.packets += 1;
                    progress.received.fetch_add(1, Ordering::Relaxed);
                }
                let at = packet.received_at().unwrap_or_else(SystemTime::now);
                let span = Span {
                    session: header.session.into(),
                    first: header.first,
                    count: header.count.into(),
                };
                desk.borrow_mut().give(|arbiter, deliver| {
                    arbiter.offer(line, span, &packet, since_1970(at), deliver);
                });
                if over {
                    return Ok(tally);
                }
            }
            UdpEvent::Dropped { datagrams } => {
                tally.dropped += u64::from(datagrams);
                progress
                    .received
                    .fetch_add(datagrams.into(), Ordering::Relaxed);
            }
            UdpEvent::Starved { .. } => tally.starved += 1,
        }
    }
}

impl Desk {
    /// Lets the arbiter give what it has to the books.
    fn give(&mut self, ask: impl FnOnce(&mut Arbiter, &mut dyn FnMut(Sequenced<'_>))) {
        let Self {
            arbiter,
            books,
            missing,
            latency,
            refused,
        } = self;
        ask(arbiter, &mut |event| match event {
            Sequenced::Fresh(fresh) => {
                if let Err(error) = books.apply_from(fresh.bytes, fresh.skip) {
                    *refused = Some(error);
                }
                let now = since_1970(SystemTime::now());
                latency.record(now.saturating_sub(fresh.at));
            }
            Sequenced::Missing(numbers) => missing.push(numbers),
            Sequenced::Session(_) => {}
        });
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
