//! How often each kind of thing was done, and with which kind of socket.

use std::cell::Cell;

/// What is counted, under the name that the report shows.
macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of thing that the drivers do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind,)* }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

kinds! {
    Connect "connects",
    Accept "accepts",
    Unserved "connections not served",
    Echo "bytes sent back",
    Partial "partial reads",
    Peek "peeks",
    Vectored "writes of several parts",
    Feed "feeds",
    FeedBytes "bytes of feeds",
    FeedFull "feeds that were full",
    NoFeed "feeds refused: none free",
    HalfClose "half-closes",
    Reset "resets by a client",
    ResetByServer "resets by a server",
    Finish "ends by a server",
    Abandon "streams left half-read",
    Stall "writes to who does not read",
    ReadTimeout "read time-outs",
    WriteTimeout "write time-outs",
    ConnectTimeout "connect time-outs",
    Timeout "deadlines passed",
    Nested "nested deadlines",
    InTime "deadlines kept",
    Cancel "cancels",
    CancelLate "cancels that came too late",
    CancelRace "cancels beside bytes",
    Shield "shielded from a cancel",
    SpawnSmall "spawns on small stacks",
    SpawnMedium "spawns on medium stacks",
    SpawnLarge "spawns on large stacks",
    NoBlock "spawns refused: no block",
    Detach "fibers left to themselves",
    Scope "scopes",
    Child "children of scopes",
    Send "values through channels",
    DatagramBytes "bytes of datagrams sent back",
    DatagramBurst "datagrams in bursts",
    DatagramCut "datagrams cut",
    DatagramLost "datagrams lost",
    DatagramRefused "datagrams refused",
    Panic "panics joined",
    PanicAlone "panics that nobody joined",
    Sleep "sleeps",
    Yield "yields",
}

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Socket {
    Tcp,
    Unix,
    Udp,
}

const SOCKETS: [&str; 3] = ["tcp", "unix", "udp"];

/// What is done with every kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Connect,
    Disconnect,
    Cancel,
    Timeout,
    Spawn,
    Panic,
}

const DEEDS: [&str; 6] = [
    "connects",
    "disconnects",
    "cancels",
    "time-outs",
    "spawns",
    "panics",
];

/// A counter for each kind, and for each deed with each kind of socket.
#[derive(Debug)]
pub(crate) struct Tally {
    kinds: Box<[Cell<u64>]>,
    deeds: [[Cell<u64>; DEEDS.len()]; SOCKETS.len()],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            kinds: vec![Cell::new(0); NAMES.len()].into(),
            deeds: [const { [const { Cell::new(0) }; DEEDS.len()] }; SOCKETS.len()],
        }
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.add(kind, 1);
    }

    pub(crate) fn add(&self, kind: Kind, times: u64) {
        let counter = &self.kinds[kind as usize];
        counter.set(counter.get() + times);
    }

    pub(crate) fn did(&self, socket: Socket, deed: Deed) {
        let counter = &self.deeds[socket as usize][deed as usize];
        counter.set(counter.get() + 1);
    }

    /// How often something was done with a kind of socket.
    pub(crate) fn with(&self, socket: Socket, deed: Deed) -> u64 {
        self.deeds[socket as usize][deed as usize].get()
    }

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize].get()
    }

    /// Prints all of it: two columns beside each other, and a line for each kind of socket.
    pub(crate) fn report(&self) {
        let rows = NAMES.len().div_ceil(2);
        println!();
        for row in 0..rows {
            let mut separator = "";
            for at in [row, row + rows].into_iter().filter(|at| *at < NAMES.len()) {
                print!("{separator}{:<28} {:>12}", NAMES[at], self.kinds[at].get());
                separator = "    ";
            }
            println!();
        }
        println!();
        print!("{:<8}", "sockets");
        for deed in DEEDS {
            print!(" {deed:>12}");
        }
        println!();
        for (socket, deeds) in SOCKETS.iter().zip(&self.deeds) {
            print!("{socket:<8}");
            for deed in deeds {
                print!(" {:>12}", deed.get());
            }
            println!();
        }
        println!();
    }
}
