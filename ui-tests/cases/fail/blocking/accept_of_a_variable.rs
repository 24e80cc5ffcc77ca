#[flux::fiber]
fn handler() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    drop(listener.accept());
}

fn main() {
    let _handle = flux::spawn(handler());
}
