//! What an exchange does wrong, on demand: each fault strikes once, at a message of its own.
//!
//! A fault is written `kind` or `kind@n`: at the n-th depth diff that is sent, or at the n-th
//! snapshot that is asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The message at which a fault strikes if its text doesn't say.
const STREAM_DEFAULT: u64 = 20;

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Connections are refused for a while at first.
    Refuse,
    /// The connection is reset in the middle of a frame.
    Reset,
    /// The exchange stops sending in the middle of a frame, and leaves the connection open.
    HalfClose,
    /// Bytes that are no WebSocket frame.
    Garbage,
    /// The connection ends in the middle of a TLS record.
    CutRecord,
    /// A TLS record that was changed on its way.
    ChangedRecord,
    /// Half of a JSON text in a proper frame.
    TruncatedJson,
    /// A diff is not sent.
    Gap,
    /// A diff is sent twice.
    Duplicate,
    /// A diff with a bid far above every ask.
    Crossed,
    /// No more data, though pings are still answered.
    Stall,
    /// A snapshot from before the first diff.
    OldSnapshot,
    /// An HTTP answer that comes byte by byte.
    SlowHttp,
    /// An HTTP answer that is none.
    GarbledHttp,
    /// An HTTP answer that ends before its announced length.
    ShortHttp,
    /// HTTP status 429 with `Retry-After`.
    BusyHttp,
    /// No HTTP answer at all.
    HangHttp,
}

/// All kinds with their names, in the order in which the help shows them.
pub const KINDS: [(&str, FaultKind); 17] = [
    ("refuse", FaultKind::Refuse),
    ("reset", FaultKind::Reset),
    ("half-close", FaultKind::HalfClose),
    ("garbage", FaultKind::Garbage),
    ("cut-record", FaultKind::CutRecord),
    ("changed-record", FaultKind::ChangedRecord),
    ("truncated-json", FaultKind::TruncatedJson),
    ("gap", FaultKind::Gap),
    ("duplicate", FaultKind::Duplicate),
    ("crossed", FaultKind::Crossed),
    ("stall", FaultKind::Stall),
    ("old-snapshot", FaultKind::OldSnapshot),
    ("slow-http", FaultKind::SlowHttp),
    ("garbled-http", FaultKind::GarbledHttp),
    ("short-http", FaultKind::ShortHttp),
    ("busy-http", FaultKind::BusyHttp),
    ("hang-http", FaultKind::HangHttp),
];

impl FaultKind {
    /// Whether the fault strikes an answer to a snapshot request rather than the stream.
    fn is_http(self) -> bool {
        use FaultKind::{BusyHttp, GarbledHttp, HangHttp, OldSnapshot, ShortHttp, SlowHttp};
        matches!(
            self,
            OldSnapshot | SlowHttp | GarbledHttp | ShortHttp | BusyHttp | HangHttp
        )
    }
}

impl FaultKind {
    /// Whether there is such a thing over TLS alone.
    #[must_use]
    pub fn needs_tls(self) -> bool {
        matches!(self, Self::CutRecord | Self::ChangedRecord)
    }
}

/// A fault and where it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// At the how-manieth diff or snapshot, from 1.
    pub at: u64,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, at) = text
            .split_once('@')
            .map_or((text, None), |(name, at)| (name, Some(at)));
        let Some(&(_, kind)) = KINDS.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "no fault is called `{name}`; there are {}",
                names.join(", ")
            ));
        };
        let at = match at {
            None if kind.is_http() => 1,
            None => STREAM_DEFAULT,
            Some(text) => text.parse().ok().filter(|&at| at > 0).ok_or_else(|| {
                format!(
                    "`{text}` in `{name}@{text}` is not the number of a message, counted from 1"
                )
            })?,
        };
        Ok(Self { kind, at })
    }
}

/// The faults that are still to strike.
#[derive(Debug, Default)]
pub struct Faults(Vec<(Fault, AtomicBool)>);

impl Faults {
    /// Faults that have not struck yet.
    #[must_use]
    pub fn new(faults: &[Fault]) -> Self {
        Self(
            faults
                .iter()
                .map(|&fault| (fault, AtomicBool::new(false)))
                .collect(),
        )
    }

    /// Whether connections are to be refused at first.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.0
            .iter()
            .any(|(fault, _)| fault.kind == FaultKind::Refuse)
    }

    /// The fault that strikes the `count`-th diff, once.
    #[must_use]
    pub fn of_stream(&self, count: u64) -> Option<FaultKind> {
        self.take(|fault| {
            fault.kind != FaultKind::Refuse && !fault.kind.is_http() && fault.at <= count
        })
    }

    /// The fault that strikes the answer to the `count`-th snapshot request, once.
    #[must_use]
    pub fn of_http(&self, count: u64) -> Option<FaultKind> {
        self.take(|fault| fault.kind.is_http() && fault.at <= count)
    }

    fn take(&self, due: impl Fn(&Fault) -> bool) -> Option<FaultKind> {
        self.0
            .iter()
            .find(|(fault, taken)| due(fault) && !taken.swap(true, Ordering::Relaxed))
            .map(|(fault, _)| fault.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS
            .iter()
            .find(|(_, kind)| kind == self)
            .map_or("?", |(name, _)| name);
        f.pad(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_strike_once() {
        assert_eq!(
            "gap@3".parse(),
            Ok(Fault {
                kind: FaultKind::Gap,
                at: 3
            })
        );
        assert_eq!(
            "old-snapshot".parse(),
            Ok(Fault {
                kind: FaultKind::OldSnapshot,
                at: 1
            })
        );
        for wrong in ["gap@0", "gap@x", "gap@", "gaps", ""] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
        let faults = Faults::new(&[
            Fault {
                kind: FaultKind::Gap,
                at: 2,
            },
            Fault {
                kind: FaultKind::BusyHttp,
                at: 1,
            },
        ]);
        assert_eq!(faults.of_stream(1), None);
        assert_eq!(faults.of_stream(3), Some(FaultKind::Gap));
        assert_eq!(faults.of_stream(4), None);
        assert_eq!(faults.of_http(1), Some(FaultKind::BusyHttp));
        assert!(!faults.refuses());
    }
}
