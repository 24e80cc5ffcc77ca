//! A bounded channel: many senders, one receiver, first in first out.
//!
//! The values lie in a ring that is allocated once. Who waits stands in a list whose nodes are in the
//! waiting fibers' frames. A woken fiber looks again: the value may have gone to one that did not wait.

#![allow(
    unsafe_code,
    reason = "puts nodes in waiting frames into lists, and takes them out before those frames end"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::rc::Rc;

use crate::error::Stopped;
use crate::fiber::block::Waiting;
use crate::list::{Linked, Links, List};
use crate::reactor::{Reactor, current};
use crate::sync::error::{RecvError, SendError, TryRecvError, TrySendError};

/// Makes a channel that holds `capacity` values at the most.
///
/// The memory for them is allocated here: make channels before the first message comes.
///
/// # Panics
/// When `capacity` is 0: a value has to lie somewhere while nobody runs.
///
/// # Example
/// ```
/// use flux::sync::channel;
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let (sender, receiver) = channel(8);
///     flux::spawn(move || {
///         for price in [61_659, 61_660] {
///             sender.send(price).unwrap();
///         }
///     });
///     assert_eq!(receiver.iter().collect::<Vec<_>>(), [61_659, 61_660]);
/// })
/// # }
/// ```
#[track_caller]
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "a channel needs room for at least 1 value; its capacity is 0"
    );
    let shared = Rc::new(Shared {
        values: RefCell::new(VecDeque::with_capacity(capacity)),
        capacity,
        senders: Cell::new(1),
        receiver_gone: Cell::new(false),
        waiting_senders: List::new(),
        waiting_receiver: List::new(),
    });
    (
        Sender {
            shared: Rc::clone(&shared),
        },
        Receiver { shared },
    )
}

struct Shared<T> {
    values: RefCell<VecDeque<T>>,
    capacity: usize,
    senders: Cell<usize>,
    receiver_gone: Cell<bool>,
    waiting_senders: List<Waiter, Waiters>,
    waiting_receiver: List<Waiter, Waiters>,
}

struct Waiters;

/// A fiber in a list of those that wait; stands in that fiber's own frame.
struct Waiter {
    fiber: u32,
    /// Which fiber that is: a list may outlive a reactor that gave up fibers.
    id: u64,
    links: Links<Self>,
}

impl Linked<Waiters> for Waiter {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

/// Waits in `list` until `done`, or until the wait ends early.
#[inline]
#[track_caller]
fn wait(
    reactor: &Reactor,
    list: &List<Waiter, Waiters>,
    mut done: impl FnMut() -> bool,
) -> Result<(), Stopped> {
    let fiber = reactor.sched.current();
    let waiter = Waiter {
        fiber,
        id: reactor.sched.arena.block(fiber).id.get(),
        links: Links::new(),
    };
    let entered = InList {
        list,
        waiter: &waiter,
    };
    entered.enter();
    reactor.wait(Waiting::Channel, None, || {
        let done = done();
        if !done {
            // Woken for a value, or for room, that another fiber took meanwhile: wait for the next.
            entered.enter();
        }
        done
    })
}

/// Takes the waiter out of its list when its frame ends, by a panic too.
struct InList<'a> {
    list: &'a List<Waiter, Waiters>,
    waiter: &'a Waiter,
}

impl InList<'_> {
    fn enter(&self) {
        if !self.waiter.links.is_linked() {
            // SAFETY: the waiter stands in the frame of `wait`, which is not left before the drop of this
            // value has taken it out.
            unsafe { self.list.push_back(self.waiter) };
        }
    }
}

impl Drop for InList<'_> {
    fn drop(&mut self) {
        // SAFETY: a waiter is put into this list alone.
        unsafe { self.list.remove(self.waiter) };
    }
}

impl<T> Shared<T> {
    /// Wakes the first that waits, passing over those whose reactor has given them up.
    fn wake_one(list: &List<Waiter, Waiters>) {
        while let Some(waiter) = list.pop_front() {
            let woken = current::try_with(|reactor| {
                let sched = &reactor.sched;
                let alive = sched.arena.find(waiter.fiber, waiter.id).is_some();
                if alive {
                    sched.wake_from(waiter.fiber, Waiting::Channel);
                }
                alive
            });
            if woken == Some(true) {
                break;
            }
        }
    }

    fn wake_all(list: &List<Waiter, Waiters>) {
        while !list.is_empty() {
            Self::wake_one(list);
        }
    }

    fn has_room(&self) -> bool {
        self.values.borrow().len() < self.capacity
    }

    fn push(&self, value: T) {
        self.values.borrow_mut().push_back(value);
        Self::wake_one(&self.waiting_receiver);
    }

    fn pop(&self) -> Option<T> {
        let value = self.values.borrow_mut().pop_front()?;
        Self::wake_one(&self.waiting_senders);
        Some(value)
    }
}

/// The sending side of a [`channel`]; clone it for more senders.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Puts a value last.
    ///
    /// # Suspends
    /// While the channel is full.
    ///
    /// # Errors
    /// [`SendError`], which holds the value: the receiver is gone, or this fiber was stopped.
    ///
    /// # Panics
    /// Outside of a fiber, and inside [`no_suspend`](crate::no_suspend).
    #[inline]
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let shared = &*self.shared;
        current::with(|reactor| {
            if let Err(stopped) = reactor.may_wait() {
                return Err(SendError::Stopped(value, stopped));
            }
            if !shared.receiver_gone.get() && !shared.has_room() {
                let waited = wait(reactor, &shared.waiting_senders, || {
                    shared.receiver_gone.get() || shared.has_room()
                });
                if let Err(stopped) = waited {
                    return Err(SendError::Stopped(value, stopped));
                }
            }
            if shared.receiver_gone.get() {
                return Err(SendError::Closed(value));
            }
            shared.push(value);
            reactor.spend();
            Ok(())
        })
    }

    /// Puts a value last if there is room now.
    ///
    /// # Errors
    /// [`TrySendError`], which holds the value: the channel is full, or the receiver is gone.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.shared.receiver_gone.get() {
            Err(TrySendError::Closed(value))
        } else if !self.shared.has_room() {
            Err(TrySendError::Full(value))
        } else {
            self.shared.push(value);
            Ok(())
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.set(self.shared.senders.get() + 1);
        Self {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = self.shared.senders.get() - 1;
        self.shared.senders.set(left);
        if left == 0 {
            Shared::<T>::wake_all(&self.shared.waiting_receiver);
        }
    }
}

/// The receiving side of a [`channel`].
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Takes the first value.
    ///
    /// # Suspends
    /// While the channel is empty.
    ///
    /// # Errors
    /// [`RecvError::Closed`]: empty, and every sender is gone; [`RecvError::Stopped`]: this fiber was.
    ///
    /// # Panics
    /// Outside of a fiber, and inside [`no_suspend`](crate::no_suspend).
    #[inline]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let shared = &*self.shared;
        current::with(|reactor| {
            reactor.may_wait()?;
            let closed = || shared.senders.get() == 0;
            let empty = || shared.values.borrow().is_empty();
            if empty() && !closed() {
                wait(reactor, &shared.waiting_receiver, || !empty() || closed())?;
            }
            let value = shared.pop().ok_or(RecvError::Closed)?;
            reactor.spend();
            Ok(value)
        })
    }

    /// Takes the first value if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError`]: the channel is empty, or empty for good.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.shared.pop().ok_or(match self.shared.senders.get() {
            0 => TryRecvError::Closed,
            _ => TryRecvError::Empty,
        })
    }

    /// The values as they come, until the channel is closed or this fiber is stopped.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receiver_gone.set(true);
        Shared::<T>::wake_all(&self.shared.waiting_senders);
        // What nobody will receive is dropped now, outside of the borrow: destructors may send.
        let left = std::mem::take(&mut *self.shared.values.borrow_mut());
        drop(left);
    }
}

/// The values of a channel as they come: see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
