//! A made-up market: its flows, the clock that paces them, and who listens.
//!
//! The market opens with its first subscriber, so that nothing is missed by starting slowly, and
//! then goes on whether somebody listens or not, as a real one does. A listener who reads slowly
//! holds the market up: this is a test exchange, and losing diffs is a fault that is asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::flow::{Flow, Truth};
use super::{MarketKind, MarketPlan, SLICE, Shared, Speed, lock};
use crate::random::Random;

/// How many events may wait for a connection to send them.
const EVENTS_WAITING_MAX: usize = 1024;

/// Mean time between two diffs of a futures symbol: 100 a second, somewhat more than the recordings.
const FUTURES_MEAN_US: u64 = 10_000;

/// Time between two diffs of a spot symbol.
const SPOT_US: u64 = 100_000;

/// One event of one symbol.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) symbol: usize,
    /// The depth diff.
    pub(super) diff: String,
    /// The best prices after it.
    pub(super) ticker: String,
}

/// Which streams of a symbol a connection has subscribed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    pub(super) diffs: bool,
    pub(super) ticker: bool,
}

/// A market.
#[derive(Debug)]
pub(super) struct Market {
    kind: MarketKind,
    flows: Mutex<Vec<Flow>>,
    listeners: Mutex<Vec<SyncSender<Arc<Event>>>>,
    /// The last event of each symbol, for whoever comes after the close.
    last: Mutex<Vec<Option<Arc<Event>>>>,
    closed: AtomicBool,
    pace: Mutex<Random>,
}

impl Market {
    pub(super) fn new(plan: &MarketPlan, seed: u64) -> Self {
        Self {
            kind: plan.kind,
            flows: Mutex::new(
                plan.symbols
                    .iter()
                    .map(|symbol| Flow::new(symbol, plan.kind, seed))
                    .collect(),
            ),
            listeners: Mutex::new(Vec::new()),
            last: Mutex::new(vec![None; plan.symbols.len()]),
            closed: AtomicBool::new(false),
            pace: Mutex::new(Random::new(seed)),
        }
    }

    pub(super) fn kind(&self) -> MarketKind {
        self.kind
    }

    pub(super) fn truth(&self, symbol: &str) -> Option<Truth> {
        lock(&self.flows)
            .iter()
            .find(|flow| flow.symbol() == symbol)
            .map(Flow::truth)
    }

    pub(super) fn snapshot(&self, symbol: &str, old: bool) -> Option<String> {
        lock(&self.flows)
            .iter()
            .find(|flow| flow.symbol() == symbol)
            .map(|flow| flow.snapshot(old))
    }

    /// For each symbol, which of the streams named in `streams` are its own.
    pub(super) fn subscriptions(&self, streams: &str) -> Vec<Subscription> {
        let wanted: Vec<&str> = streams.split('/').collect();
        let subscription = |flow: &Flow| Subscription {
            diffs: wanted.contains(&flow.stream()),
            ticker: wanted.contains(&flow.ticker_stream()),
        };
        lock(&self.flows).iter().map(subscription).collect()
    }

    /// The last event of a symbol. A connection that was lost and is back after the close gets it:
    /// a diff to ask a snapshot for, so that it ends with a book.
    pub(super) fn last_event(&self, symbol: usize) -> Option<Arc<Event>> {
        lock(&self.last).get(symbol)?.clone()
    }

    /// All events from now on; the channel ends when the market closes.
    pub(super) fn listen(&self) -> Receiver<Arc<Event>> {
        let (sender, receiver) = sync_channel(EVENTS_WAITING_MAX);
        let mut listeners = lock(&self.listeners);
        // Asked under the lock that closing takes, so that nobody listens to a closed market for ever.
        if !self.closed.load(Ordering::Relaxed) {
            listeners.push(sender);
        }
        receiver
    }

    /// Makes events until the time is up or the exchange stops.
    pub(super) fn run(&self, shared: &Shared, open_for: Option<Duration>) {
        while lock(&self.listeners).is_empty() && !shared.stopped() {
            thread::sleep(SLICE / 10);
        }
        let opened = Instant::now();
        let symbols = lock(&self.flows).len();
        // When the next event of each symbol is due, in microseconds of market time.
        let mut due: Vec<u64> = (0..symbols).map(|_| self.interval()).collect();
        while !shared.stopped() && open_for.is_none_or(|limit| opened.elapsed() < limit) {
            let Some(symbol) = (0..symbols).min_by_key(|&symbol| due[symbol]) else {
                break;
            };
            match shared.speed {
                Speed::Times(times) => {
                    let wait = Duration::from_micros(due[symbol])
                        .div_f64(times)
                        .saturating_sub(opened.elapsed());
                    if !wait.is_zero() {
                        // In slices, so that the end of the market is not slept over.
                        thread::sleep(wait.min(SLICE));
                        continue;
                    }
                }
                Speed::Max => {
                    if lock(&self.listeners).is_empty() {
                        thread::sleep(SLICE / 10);
                        continue;
                    }
                }
            }
            due[symbol] += self.interval();
            let (diff, ticker) = {
                let flow = &mut lock(&self.flows)[symbol];
                (flow.next_event(), flow.ticker())
            };
            self.tell(&Arc::new(Event {
                symbol,
                diff,
                ticker,
            }));
        }
        let mut listeners = lock(&self.listeners);
        self.closed.store(true, Ordering::Relaxed);
        listeners.clear();
    }

    fn tell(&self, event: &Arc<Event>) {
        lock(&self.last)[event.symbol] = Some(Arc::clone(event));
        // Sending may wait for a slow listener, and somebody may want to subscribe meanwhile.
        let mut present = std::mem::take(&mut *lock(&self.listeners));
        present.retain(|listener| listener.send(Arc::clone(event)).is_ok());
        lock(&self.listeners).append(&mut present);
    }

    /// Spot ticks evenly; futures come in bursts, a third of them right behind the one before.
    fn interval(&self) -> u64 {
        let mut pace = lock(&self.pace);
        match self.kind {
            MarketKind::Spot => SPOT_US,
            MarketKind::Futures if pace.one_in(3) => 0,
            MarketKind::Futures => 1 + pace.below(3 * FUTURES_MEAN_US),
        }
    }
}
