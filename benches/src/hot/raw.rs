//! The limit: callbacks on a ring of the kernel's own filling, the frame reader by hand, the same parser and book.

use std::net::TcpStream;

use super::job::{Answer, Job};
use super::tape::Tape;
use crate::Fault;
use crate::floor::{self, Check};
use crate::raw_uring::{self, Sink, Wait};
use crate::watch::Watch;

struct Reader<'a, W> {
    job: Job<'a>,
    watch: &'a W,
}

impl<W: Watch> Sink for Reader<'_, W> {
    fn take(&mut self, unread: &[u8]) -> Result<usize, Fault> {
        let mut taken = 0;
        while let Some((text, end)) = floor::frame(&unread[taken..], Check::Simd)? {
            self.job.scan(text.as_bytes())?;
            self.watch.seen(1);
            taken += end;
        }
        Ok(taken)
    }
}

pub(super) fn receive(
    stream: TcpStream,
    tape: &Tape,
    watch: &impl Watch,
    wait: Wait,
) -> Result<Answer, Fault> {
    let job = Job::new(tape);
    let readers = raw_uring::stream(vec![(stream, Reader { job, watch })], wait)?;
    let reader = readers.first().ok_or("a job needs a connection")?;
    Ok(reader.job.answer())
}
