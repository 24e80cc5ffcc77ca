//! Every call that blocks, through names that the macros do not see.
#![deny(warnings)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Barrier, Condvar, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A second.
const SECOND: Duration = Duration::from_secs(1);

/// Threads.
pub fn threads(worker: JoinHandle<()>, barrier: &Barrier) {
    thread::sleep(SECOND);
    thread::park();
    thread::park_timeout(SECOND);
    thread::scope(|_| ());
    drop(worker.join());
    barrier.wait();
}

/// Condition variables.
pub fn conditions(one: &Condvar, guards: [MutexGuard<'_, u8>; 4]) {
    let [a, b, c, d] = guards;
    drop(one.wait(a));
    drop(one.wait_timeout(b, SECOND));
    drop(one.wait_timeout_while(c, SECOND, |_| false));
    drop(one.wait_while(d, |_| false));
}

/// Sockets.
///
/// # Errors
/// All of theirs.
pub fn sockets(listener: &TcpListener, local: &UnixListener, socket: &UdpSocket) -> io::Result<()> {
    let mut room = [0; 8];
    let address = listener.local_addr()?;
    let stream = TcpStream::connect(address)?;
    TcpStream::connect_timeout(&address, SECOND)?;
    stream.peek(&mut room)?;
    listener.accept()?;
    listener.incoming().next();
    socket.peek(&mut room)?;
    socket.peek_from(&mut room)?;
    socket.recv(&mut room)?;
    socket.recv_from(&mut room)?;
    socket.send(&room)?;
    socket.send_to(&room, address)?;
    UnixStream::connect("/nowhere")?;
    local.accept()?;
    local.incoming().next();
    Ok(())
}

/// Channels.
///
/// # Errors
/// None.
pub fn channels(receiver: &Receiver<u8>, sender: &SyncSender<u8>) {
    drop(receiver.iter());
    receiver.recv().ok();
    receiver.recv_timeout(SECOND).ok();
    sender.send(1).ok();
}

/// Files.
///
/// # Errors
/// All of theirs.
pub fn files() -> io::Result<()> {
    fs::canonicalize("a")?;
    fs::copy("a", "b")?;
    fs::create_dir("a")?;
    fs::create_dir_all("a")?;
    fs::exists("a")?;
    fs::hard_link("a", "b")?;
    let permissions = fs::metadata("a")?.permissions();
    fs::read("a")?;
    fs::read_dir("a")?;
    fs::read_link("a")?;
    fs::read_to_string("a")?;
    fs::remove_dir("a")?;
    fs::remove_dir_all("a")?;
    fs::remove_file("a")?;
    fs::rename("a", "b")?;
    fs::set_permissions("a", permissions)?;
    fs::symlink_metadata("a")?;
    fs::write("a", "b")?;
    let file = File::open("a")?;
    File::create("a")?;
    File::create_new("a")?;
    file.sync_all()?;
    file.sync_data()?;
    OpenOptions::new().open("a")?;
    DirBuilder::new().create("a")?;
    Ok(())
}

/// Processes, and the terminal.
///
/// # Errors
/// All of theirs.
pub fn processes(mut first: Child, second: Child) -> io::Result<()> {
    Command::new("a").output()?;
    Command::new("a").status()?;
    first.wait()?;
    second.wait_with_output()?;
    let input = io::stdin();
    input.read_line(&mut String::new())?;
    io::read_to_string(&input)?;
    drop(input.lines());
    Ok(())
}
