#[flux::fiber]
fn handler(mut stream: std::net::TcpStream) {
    use std::io::Read;
    drop(stream.read(&mut [0; 8]));
}

fn main() {
    let _handle = flux::spawn(handler(std::net::TcpStream::connect("127.0.0.1:1").unwrap()));
}
