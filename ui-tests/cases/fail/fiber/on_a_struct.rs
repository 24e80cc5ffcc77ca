#[flux::fiber]
struct Follow;

fn main() {
    let _follow = Follow;
}
