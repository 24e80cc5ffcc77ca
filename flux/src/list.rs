//! Intrusive lists: queues whose links live in what is queued, so that queueing needs no memory.
//!
//! Used for what waits in the frame of a suspended fiber: ops behind a full submission queue, and
//! fibers waiting at a channel. Does not know what its nodes are.

#![allow(
    unsafe_code,
    reason = "a list of nodes in other frames is made of pointers"
)]

use std::cell::Cell;
use std::ptr;

/// The links of one node in one list.
pub(crate) struct Links<T> {
    previous: Cell<*const T>,
    next: Cell<*const T>,
    linked: Cell<bool>,
}

impl<T> Links<T> {
    pub(crate) const fn new() -> Self {
        Self {
            previous: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            linked: Cell::new(false),
        }
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.linked.get()
    }
}

/// Says where a node keeps its links for the list `L` (a node can be in one list of each kind).
pub(crate) trait Linked<L>: Sized {
    fn links(&self) -> &Links<Self>;
}

/// A first-in first-out queue of nodes that it does not own, with removal from the middle.
pub(crate) struct List<T, L> {
    head: Cell<*const T>,
    tail: Cell<*const T>,
    len: Cell<usize>,
    kind: std::marker::PhantomData<L>,
}

impl<T: Linked<L>, L> List<T, L> {
    pub(crate) const fn new() -> Self {
        Self {
            head: Cell::new(ptr::null()),
            tail: Cell::new(ptr::null()),
            len: Cell::new(0),
            kind: std::marker::PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Puts a node last.
    ///
    /// # Safety
    /// The node stays where it is, and alive, until it has been popped or removed.
    #[inline]
    pub(crate) unsafe fn push_back(&self, node: &T) {
        let links = node.links();
        assert!(
            !links.linked.get(),
            "a node is in one list of a kind at a time"
        );
        let tail = self.tail.get();
        links.linked.set(true);
        links.previous.set(tail);
        links.next.set(ptr::null());
        if tail.is_null() {
            self.head.set(node);
        } else {
            // SAFETY: alive: `tail` is in this list, and whoever put it there promised that it stays.
            unsafe { &*tail }.links().next.set(node);
        }
        self.tail.set(node);
        self.len.set(self.len.get() + 1);
    }

    /// Puts a node first: one that was taken out too early.
    ///
    /// # Safety
    /// As [`push_back`](Self::push_back).
    pub(crate) unsafe fn push_front(&self, node: &T) {
        let links = node.links();
        assert!(
            !links.linked.get(),
            "a node is in one list of a kind at a time"
        );
        let head = self.head.get();
        links.linked.set(true);
        links.previous.set(ptr::null());
        links.next.set(head);
        if head.is_null() {
            self.tail.set(node);
        } else {
            // SAFETY: alive: `head` is in this list, and whoever put it there promised that it stays.
            unsafe { &*head }.links().previous.set(node);
        }
        self.head.set(node);
        self.len.set(self.len.get() + 1);
    }

    /// The first node, which stays where it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        let head = self.head.get();
        // SAFETY: alive: `head` is in this list, and whoever put it there promised that it stays.
        (!head.is_null()).then(|| unsafe { &*head })
    }

    /// Takes the first node out.
    #[inline]
    pub(crate) fn pop_front(&self) -> Option<&T> {
        let head = self.head.get();
        if head.is_null() {
            return None;
        }
        // SAFETY: alive: `head` is in this list, and whoever put it there promised that it stays.
        let node = unsafe { &*head };
        self.unlink(node);
        Some(node)
    }

    /// Takes a node out, wherever it stands; nothing happens to one that is in no list.
    ///
    /// # Safety
    /// The node is in this list, or in none of this kind.
    pub(crate) unsafe fn remove(&self, node: &T) {
        if node.links().linked.get() {
            self.unlink(node);
        }
    }

    #[inline]
    fn unlink(&self, node: &T) {
        let links = node.links();
        links.linked.set(false);
        let (previous, next) = (links.previous.get(), links.next.get());
        if previous.is_null() {
            self.head.set(next);
        } else {
            // SAFETY: alive: a linked node's neighbour is in this list, so it stays until removed.
            unsafe { &*previous }.links().next.set(next);
        }
        if next.is_null() {
            self.tail.set(previous);
        } else {
            // SAFETY: alive: a linked node's neighbour is in this list, so it stays until removed.
            unsafe { &*next }.links().previous.set(previous);
        }
        self.len.set(self.len.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Queue;
    struct Node {
        id: u32,
        links: Links<Self>,
    }
    impl Linked<Queue> for Node {
        fn links(&self) -> &Links<Self> {
            &self.links
        }
    }

    fn drained(list: &List<Node, Queue>) -> Vec<u32> {
        std::iter::from_fn(|| list.pop_front().map(|node| node.id)).collect()
    }

    #[test]
    fn nodes_leave_in_the_order_in_which_they_came_whatever_was_removed_between() {
        for removed in 0..4 {
            let nodes: Vec<Node> = (0..4)
                .map(|id| Node {
                    id,
                    links: Links::new(),
                })
                .collect();
            let list = List::<Node, Queue>::new();
            for node in &nodes {
                // SAFETY: `nodes` outlives the list's use of them, and does not move.
                unsafe { list.push_back(node) };
            }
            for _ in 0..2 {
                // SAFETY: the node is in this list the first time, and in none the second.
                unsafe { list.remove(&nodes[removed]) };
            }
            assert_eq!(list.len(), 3);
            let expected: Vec<u32> = nodes
                .iter()
                .map(|node| node.id)
                .filter(|id| *id as usize != removed)
                .collect();
            assert_eq!(drained(&list), expected);
            assert!(list.is_empty());
        }
    }
}
