//! What a socket keeps as a value, whatever its kind: the time-outs of its clones, and the thread that it works on.
//!
//! Each suite that takes this in says at its root what its `Socket` is.

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::{SHORT, Socket};

/// A clone that waits for ever to read and a short time to write, of a socket that then has it the other way round.
pub(crate) fn clone_with_other_time_outs(socket: &Socket) -> Socket {
    socket.set_read_timeout(Some(SHORT)).unwrap();
    let clone = socket.try_clone().unwrap();
    assert_ne!(clone.as_raw_fd(), socket.as_raw_fd());
    assert_eq!(clone.read_timeout().unwrap(), Some(SHORT));
    clone.set_read_timeout(None).unwrap();
    clone.set_write_timeout(Some(SHORT)).unwrap();
    assert_eq!(socket.read_timeout().unwrap(), Some(SHORT));
    assert_eq!(socket.write_timeout().unwrap(), None);
    clone
}

/// Expects that no time is no time-out.
pub(crate) fn refuses_a_time_out_of_nothing(socket: &Socket) {
    for result in [
        socket.set_read_timeout(Some(Duration::ZERO)),
        socket.set_write_timeout(Some(Duration::ZERO)),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

/// Compiles for the types that libraries take as sockets.
pub(crate) const fn demanded_by_libraries<T: Send + Sync + Debug + Unpin + 'static>() {}

/// Expects what a call says that would have to wait where there is no fiber.
#[track_caller]
pub(crate) fn works_in_a_fiber_alone(result: io::Result<()>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let sentence = error.to_string();
    assert!(sentence.contains("inside a fiber alone"), "{sentence}");
}
