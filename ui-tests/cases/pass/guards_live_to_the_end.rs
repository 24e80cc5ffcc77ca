//! Arguments are dropped when the body ends, in the order of a plain function, used or not.

use std::cell::RefCell;
use std::rc::Rc;

type Log = Rc<RefCell<Vec<String>>>;

struct Guard(char, Log);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.borrow_mut().push(format!("drop {}", self.0));
    }
}

struct Pair {
    left: Guard,
    _right: Guard,
}

macro_rules! body {
    ($log:ident, $pair:ident) => {{
        $log.borrow_mut().push(format!("body {}", $pair.left.0));
    }};
}

fn plain(_named: Guard, _: Guard, log: Log, (_, _inner): (Guard, Guard), pair: Pair) {
    body!(log, pair);
}

#[flux::fiber]
fn fiber(_named: Guard, _: Guard, log: Log, (_, _inner): (Guard, Guard), pair: Pair) {
    body!(log, pair);
}

#[flux::main(core = "none")]
fn main() -> std::io::Result<()> {
    let traces = [false, true].map(|spawned| {
        let log = Log::default();
        let guard = |name| Guard(name, log.clone());
        let pair = Pair { left: guard('l'), _right: guard('r') };
        let tuple = (guard('1'), guard('2'));
        if spawned {
            let made = fiber(guard('n'), guard('w'), log.clone(), tuple, pair);
            assert!(log.borrow().is_empty(), "nothing is dropped before it runs");
            flux::spawn(made).join().expect("the fiber does not panic");
        } else {
            plain(guard('n'), guard('w'), log.clone(), tuple, pair);
        }
        log.take()
    });
    assert_eq!(traces[0], traces[1]);
    assert_eq!(traces[0].len(), 7);
    assert_eq!(traces[0][0], "body l");

    let log = Log::default();
    drop(fiber(
        Guard('n', log.clone()),
        Guard('w', log.clone()),
        log.clone(),
        (Guard('1', log.clone()), Guard('2', log.clone())),
        Pair { left: Guard('l', log.clone()), _right: Guard('r', log.clone()) },
    ));
    assert_eq!(log.borrow().len(), 6, "a fiber that is never spawned drops its arguments");
    Ok(())
}
