//! An echo server and its clients in one program: the smallest thing that shows what a fiber is.
//!
//! Every `read` and `write` below suspends one fiber and lets the others run, all on one core. The
//! scope waits for its fibers, which is why they may borrow from it.
//!
//! ```text
//! cargo run --release --bin echo
//! ```

use std::cell::Cell;
use std::io::{self, Read, Write};

use flux::net::{TcpListener, TcpStream};

const CLIENTS: usize = 8;
const ROUNDS: usize = 1000;

/// Sends back what comes, until the client has finished.
#[flux::fiber(stack = "small")]
fn echo(mut client: TcpStream) -> io::Result<u64> {
    client.set_nodelay(true)?;
    io::copy(&mut client.try_clone()?, &mut client)
}

/// Sends a message and waits for it to come back, `ROUNDS` times.
fn converse(server: std::net::SocketAddr, round_trips: &Cell<usize>) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 16];
    for round in 0..ROUNDS {
        let question = format!("{round:016}");
        stream.write_all(question.as_bytes())?;
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, question.as_bytes());
        round_trips.set(round_trips.get() + 1);
    }
    Ok(())
}

#[flux::main]
fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    let round_trips = Cell::new(0);
    let began = flux::time::Instant::now();
    flux::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| converse(server, &round_trips)))
            .collect();
        for _ in 0..CLIENTS {
            let (client, _) = listener.accept()?;
            drop(flux::spawn(echo(client))); // runs on by itself
        }
        clients.into_iter().try_for_each(|client| client.join()?)
    })?;
    println!(
        "{} round trips over {CLIENTS} connections in {:?}",
        round_trips.get(),
        began.elapsed()
    );
    Ok(())
}
