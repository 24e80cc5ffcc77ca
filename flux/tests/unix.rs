//! Sockets of this machine: what std promises of them holds here too, and a call takes many buffers at once.

#![allow(
    clippy::disallowed_methods,
    reason = "std's sockets and threads are what flux meets here; each call is answered without a fiber"
)]

mod common;

#[path = "unix/bytes.rs"]
mod bytes;
#[path = "unix/peers.rs"]
mod peers;
#[path = "common/sockets.rs"]
mod sockets;
#[path = "common/streams.rs"]
mod streams;
#[path = "unix/values.rs"]
mod values;
#[path = "unix/vectored.rs"]
mod vectored;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flux::net::UnixStream;

/// What `sockets` and `streams` are about here, and its likeness in std.
type Socket = UnixStream;
type StdSocket = std::os::unix::net::UnixStream;

const SHORT: Duration = Duration::from_millis(5);
/// The code of a call that ended because its fiber was cancelled.
#[cfg(target_os = "linux")]
const ECANCELED: i32 = 125;
#[cfg(not(target_os = "linux"))]
const ECANCELED: i32 = 85;

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

fn code<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// A folder for the sockets of one test, which goes with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("flux-unix-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _not_there = std::fs::remove_dir_all(&self.0);
    }
}
