//! A macro by example may write the function, the keys, and their values.

macro_rules! handler {
    ($visibility:vis $name:ident($argument:ident: $type:ty) -> $result:ty, $stack:literal, $body:expr) => {
        #[flux::fiber(stack = $stack)]
        $visibility fn $name($argument: $type) -> $result {
            let local = $argument;
            ($body)(local)
        }
    };
}

handler!(pub double(value: u32) -> u32, "small", |value| value * 2);
handler!(length(text: &'static str) -> usize, "large", str::len);

macro_rules! program {
    ($core:expr, $fibers:expr, $body:block) => {
        #[flux::main(core = $core, fibers = $fibers)]
        fn main() -> std::io::Result<()> $body
    };
}

program!("none", 32, {
    let local = 1;
    assert_eq!(flux::spawn(double(2)).join()?, 4);
    assert_eq!(flux::spawn(length("four")).join()?, 4);
    assert_eq!(local, 1);
    Ok(())
});
