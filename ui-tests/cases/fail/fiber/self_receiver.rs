struct Book(u32);

impl Book {
    #[flux::fiber]
    fn run(&self) -> u32 {
        self.0
    }

    #[flux::fiber(stack = "small")]
    fn close(self: Box<Self>) {}
}

fn main() {
    let book = Box::new(Book(1));
    let _handle = flux::spawn(book.run());
    let _handle = flux::spawn(book.close());
}
