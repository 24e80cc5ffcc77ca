use crate::wire::Step;
#[allow(dead_code)]
fn f(_: Step) {}
