//! What of std blocks, what of flux makes a reactor, and what to write instead.
//!
//! Paths are written in full, with `flux` for flux whatever its name is.

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// flux has the same, under this name.
    Flux(&'static str),
    /// A fiber that is joined, in place of a thread.
    Fiber,
    /// flux has nothing of the kind.
    Thread,
    /// It makes a reactor.
    NoReactor,
}

use Instead::{Fiber, Flux, NoReactor, Thread};

/// Functions.
const CALLS: &[(&str, Instead)] = &[
    ("std::thread::sleep", Flux("flux::time::sleep")),
    ("std::thread::sleep_ms", Flux("flux::time::sleep")),
    ("std::thread::sleep_until", Flux("flux::time::sleep_until")),
    ("std::thread::park", Flux("flux::sync::channel")),
    ("std::thread::park_timeout", Flux("flux::time::sleep")),
    ("std::thread::scope", Flux("flux::scope")),
    ("std::io::read_to_string", Thread),
    ("flux::init", NoReactor),
];

/// Types, their methods that block, and what to use instead of the type.
const METHODS: &[(&str, &[&str], Instead)] = &[
    (
        "std::net::TcpStream",
        &[
            "connect",
            "connect_timeout",
            "peek",
            "read",
            "read_exact",
            "read_to_end",
            "read_to_string",
            "read_vectored",
            "write",
            "write_all",
            "write_fmt",
            "write_vectored",
        ],
        Flux("flux::net::TcpStream"),
    ),
    (
        "std::net::TcpListener",
        &["accept", "incoming"],
        Flux("flux::net::TcpListener"),
    ),
    (
        "std::net::UdpSocket",
        &["peek", "peek_from", "recv", "recv_from", "send", "send_to"],
        Flux("flux::net::UdpSocket"),
    ),
    (
        "std::os::unix::net::UnixStream",
        &[
            "connect",
            "read",
            "read_exact",
            "read_to_end",
            "read_to_string",
            "write",
            "write_all",
        ],
        Flux("flux::net::UnixStream"),
    ),
    (
        "std::os::unix::net::UnixListener",
        &["accept", "incoming"],
        Flux("flux::net::UnixListener"),
    ),
    (
        "std::sync::mpsc::Receiver",
        &["iter", "recv", "recv_timeout"],
        Flux("flux::sync::channel"),
    ),
    (
        "std::sync::mpsc::SyncSender",
        &["send"],
        Flux("flux::sync::channel"),
    ),
    ("std::sync::Barrier", &["wait"], Flux("flux::sync::channel")),
    (
        "std::sync::Condvar",
        &["wait", "wait_timeout", "wait_timeout_while", "wait_while"],
        Flux("flux::sync::channel"),
    ),
    ("std::thread::JoinHandle", &["join"], Fiber),
    (
        "std::fs::File",
        &[
            "read",
            "read_exact",
            "read_to_end",
            "read_to_string",
            "sync_all",
            "sync_data",
            "write",
            "write_all",
        ],
        Thread,
    ),
    ("std::fs::OpenOptions", &["open"], Thread),
    ("std::fs::DirBuilder", &["create"], Thread),
    ("std::process::Command", &["output", "status"], Thread),
    ("std::process::Child", &["wait", "wait_with_output"], Thread),
    (
        "std::io::Stdin",
        &["lines", "read_line", "read_to_string"],
        Thread,
    ),
    ("flux::Config", &["init", "run"], NoReactor),
];

/// What of `std::fs` only prepares a call.
const HARMLESS: &[&str] = &[
    "std::fs::DirBuilder::new",
    "std::fs::File::options",
    "std::fs::FileTimes::new",
    "std::fs::OpenOptions::new",
];

/// Functions, and the type of what they return, also inside a `Result`.
const RETURNS: &[(&str, &str)] = &[
    ("std::fs::DirBuilder::new", "std::fs::DirBuilder"),
    ("std::fs::File::create", "std::fs::File"),
    ("std::fs::File::open", "std::fs::File"),
    ("std::fs::File::options", "std::fs::OpenOptions"),
    ("std::fs::OpenOptions::new", "std::fs::OpenOptions"),
    ("std::io::stdin", "std::io::Stdin"),
    ("std::net::TcpListener::bind", "std::net::TcpListener"),
    ("std::net::TcpStream::connect", "std::net::TcpStream"),
    (
        "std::net::TcpStream::connect_timeout",
        "std::net::TcpStream",
    ),
    ("std::net::UdpSocket::bind", "std::net::UdpSocket"),
    (
        "std::os::unix::net::UnixListener::bind",
        "std::os::unix::net::UnixListener",
    ),
    (
        "std::os::unix::net::UnixStream::connect",
        "std::os::unix::net::UnixStream",
    ),
    ("std::process::Command::new", "std::process::Command"),
    ("std::sync::Barrier::new", "std::sync::Barrier"),
    ("std::sync::Condvar::new", "std::sync::Condvar"),
    ("std::thread::Builder::new", "std::thread::Builder"),
    ("std::thread::spawn", "std::thread::JoinHandle"),
    ("flux::Config::default", "flux::Config"),
    ("flux::Config::new", "flux::Config"),
];

/// Functions that return two ends, and what these are; the empty text is nothing that blocks.
const PAIRS: &[(&str, [&str; 2])] = &[
    (
        "std::sync::mpsc::channel",
        ["", "std::sync::mpsc::Receiver"],
    ),
    (
        "std::sync::mpsc::sync_channel",
        ["std::sync::mpsc::SyncSender", "std::sync::mpsc::Receiver"],
    ),
];

/// Types whose other methods give the value itself back.
const BUILDERS: &[&str] = &[
    "flux::Config",
    "std::fs::DirBuilder",
    "std::fs::OpenOptions",
    "std::process::Command",
    "std::thread::Builder",
];

/// Methods that give something else.
const MADE_BY: &[(&str, &str, &str)] = &[
    ("std::fs::OpenOptions", "open", "std::fs::File"),
    ("std::process::Command", "spawn", "std::process::Child"),
    ("std::thread::Builder", "spawn", "std::thread::JoinHandle"),
    ("std::io::Stdin", "lock", "std::io::Stdin"),
];

/// Methods of anything that give what they are called on, or what is in it.
const PASS_ON: &[&str] = &[
    "as_mut",
    "as_ref",
    "borrow",
    "borrow_mut",
    "by_ref",
    "clone",
    "expect",
    "try_clone",
    "unwrap",
];

/// Methods that call a closure before they return.
pub(super) const CALL_AT_ONCE: &[&str] = &[
    "all",
    "and_then",
    "any",
    "filter",
    "filter_map",
    "find",
    "find_map",
    "flat_map",
    "fold",
    "for_each",
    "inspect",
    "is_none_or",
    "is_some_and",
    "map",
    "map_err",
    "map_or",
    "map_or_else",
    "ok_or_else",
    "or_else",
    "position",
    "retain",
    "then",
    "try_fold",
    "try_for_each",
    "unwrap_or_else",
    "with",
];

/// What is to be said of a call of `path`.
pub(super) fn call(path: &str) -> Option<Instead> {
    let listed = CALLS.iter().find(|(call, _)| *call == path);
    if let Some((_, instead)) = listed {
        return Some(*instead);
    }
    if let Some((owner, name)) = path.rsplit_once("::")
        && let Some(instead) = method(owner, name)
    {
        return Some(instead);
    }
    // All of it goes to a disk. What begins with a capital makes a value.
    let name = path.rsplit("::").next().unwrap_or(path);
    let is_file = path.starts_with("std::fs::") && name.starts_with(|c: char| c.is_lowercase());
    (is_file && !HARMLESS.contains(&path)).then_some(Thread)
}

/// What is to be said of a method of a type.
pub(super) fn method(owner: &str, name: &str) -> Option<Instead> {
    METHODS
        .iter()
        .find(|(known, names, _)| *known == owner && names.contains(&name))
        .map(|(.., instead)| *instead)
}

/// The type of this path, if it is one that has such methods, or leads to one.
pub(super) fn type_named(path: &str) -> Option<&'static str> {
    let blocking = METHODS.iter().map(|(owner, ..)| *owner);
    blocking
        .chain(BUILDERS.iter().copied())
        .find(|known| *known == path)
}

/// The type of what a call of `path` returns.
pub(super) fn returned_by(path: &str) -> Option<&'static str> {
    let found = RETURNS.iter().find(|(call, _)| *call == path);
    found.map(|(_, returned)| *returned)
}

/// The types of the two ends that a call of `path` returns.
pub(super) fn pair_returned_by(path: &str) -> Option<[&'static str; 2]> {
    let found = PAIRS.iter().find(|(call, _)| *call == path);
    found.map(|(_, ends)| *ends)
}

/// The type of what a method returns.
pub(super) fn returned_by_method(owner: &'static str, name: &str) -> Option<&'static str> {
    let made = MADE_BY
        .iter()
        .find(|(known, method, _)| *known == owner && *method == name);
    if let Some((.., made)) = made {
        return Some(made);
    }
    let same =
        PASS_ON.contains(&name) || (BUILDERS.contains(&owner) && method(owner, name).is_none());
    same.then_some(owner)
}

/// Whether a name can stand for something of a module whose names all were brought in.
pub(super) fn is_in_tables(path: &str) -> bool {
    let below = format!("{path}::");
    let known = |candidate: &str| candidate == path || candidate.starts_with(&below);
    path.starts_with("std::fs::")
        || CALLS.iter().any(|(call, _)| known(call))
        || METHODS.iter().any(|(owner, ..)| known(owner))
        || RETURNS.iter().any(|(call, _)| known(call))
        || PAIRS.iter().any(|(call, _)| known(call))
}

/// Every function and method of the tables, for tests.
#[cfg(test)]
pub(super) fn listed() -> Vec<String> {
    let calls = CALLS.iter().map(|(call, _)| (*call).to_string());
    let of_type = |(owner, names, _): &(&str, &'static [&str], _)| {
        let owner = (*owner).to_string();
        names.iter().map(move |name| format!("{owner}::{name}"))
    };
    calls.chain(METHODS.iter().flat_map(of_type)).collect()
}
