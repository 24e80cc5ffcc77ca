//! The same as flux has it, and what of std does not block.
#![deny(warnings)]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use flux::sync::{Receiver, Sender};

/// What a fiber may do.
///
/// # Errors
/// All of theirs.
#[flux::fiber(stack = "small")]
pub fn works(address: SocketAddr, receiver: Receiver<u8>, sender: Sender<u8>) -> io::Result<()> {
    let mut room = [0; 8];
    flux::time::sleep(Duration::from_secs(1))?;
    let mut stream = TcpStream::connect(address)?;
    stream.peek(&mut room)?;
    stream.read_exact(&mut room)?;
    stream.write_all(&room)?;
    let listener = TcpListener::bind(address)?;
    listener.accept()?;
    let socket = UdpSocket::bind(address)?;
    socket.recv(&mut room)?;
    socket.send_to(&room, address)?;
    UnixStream::connect("/nowhere")?;
    receiver.recv().ok();
    sender.send(1).ok();
    flux::spawn(|| ()).join()?;
    println!("{}", std::process::id());
    Command::new("a").spawn()?;
    Ok(())
}
