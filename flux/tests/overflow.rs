//! More requests than the submission queue holds.
mod common;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use common::{config, run};
use flux::net::TcpStream;
use flux::spawn;

fn pair() -> (TcpStream, TcpStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (OwnedFd::from(a).into(), OwnedFd::from(b).into())
}

#[test]
fn what_waits_behind_a_full_queue_leaves_before_the_core_sleeps() {
    run(config().submission_entries(4), || {
        let mut peers = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..50 {
            let (a, b) = pair();
            peers.push(b);
            readers.push(spawn(move || (&a).read(&mut [0; 8]).unwrap()));
        }
        (&peers[49]).write_all(b"x").unwrap();
        assert_eq!(readers.pop().unwrap().join().unwrap(), 1);
    })
    .unwrap();
}
