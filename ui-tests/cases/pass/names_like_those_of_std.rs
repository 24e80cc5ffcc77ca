//! Names that std has too, and that are something else here, block nothing.

use std::io::Read;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};

mod thread {
    use std::time::Duration;

    pub fn sleep(duration: Duration) {
        flux::time::sleep(duration).unwrap();
    }
}

mod fs {
    pub fn read(_: &str) -> Vec<u8> {
        Vec::new()
    }
}

#[flux::fiber(stack = "small")]
fn reads(mut stream: TcpStream) -> usize {
    thread::sleep(Duration::from_micros(1));
    assert!(fs::read("nothing").is_empty());
    stream.read(&mut [0; 8]).unwrap()
}

#[flux::main(core = "none")]
fn main() {
    use std::net::TcpStream as Blocking;

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let reader = flux::spawn(reads(client));
    drop(listener.accept().unwrap());
    assert_eq!(reader.join().unwrap(), 0);
    let _not_called: fn(&'static str) -> std::io::Result<Blocking> = Blocking::connect;
}
