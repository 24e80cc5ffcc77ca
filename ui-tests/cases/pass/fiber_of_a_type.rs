//! An associated function may be a fiber, and names its type as `Self`.

struct Book {
    depth: usize,
}

impl Book {
    const DEPTH: usize = 5;

    #[flux::fiber(stack = "small", max = 3)]
    fn keep(book: Box<Self>) -> usize {
        book.depth + Self::DEPTH
    }
}

#[flux::main(core = "none")]
fn main() {
    let book = Box::new(Book { depth: 2 });
    assert_eq!(flux::spawn(Book::keep(book)).join().unwrap(), 7);
}
