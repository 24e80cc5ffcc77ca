#[flux::main]
struct Program;

fn main() {
    let _program = Program;
}
