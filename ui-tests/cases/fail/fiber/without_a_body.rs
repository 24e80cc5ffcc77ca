trait Handler {
    #[flux::fiber]
    fn handle();
}

fn main() {}
