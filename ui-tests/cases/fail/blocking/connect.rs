#[flux::fiber]
fn handler() {
    drop(std::net::TcpStream::connect("127.0.0.1:1"));
}

fn main() {
    let _handle = flux::spawn(handler());
}
