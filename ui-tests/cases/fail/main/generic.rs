#[flux::main]
fn main<T>()
where
    T: Copy,
{
}
