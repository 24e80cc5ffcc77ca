//! One at a time is what there may be.

fn main() {
    for number in 0..3 {
        let config = flux::Config::new().core(flux::Core::None);
        assert_eq!(config.run(move || number).unwrap(), number);
    }
}
