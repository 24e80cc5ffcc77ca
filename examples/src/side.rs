//! One sorted side of a book, best level last.
//!
//! Nine changes of ten happen near the touch, so they move a few elements at the end of the array, and the search
//! tries the end first. A level that goes from the middle leaves its place behind, empty, for the next that comes there
//! or beside it: venues take levels away and bring them back all the time, and each such pair would move up to all
//! levels twice. Empty places are swept out once they are more than the levels.
//!
//! **Invariant:** keys ascend, those of empty places among them; the last place is not empty.
//!
//! Knows nothing of prices: which key is better, and what a level holds, is the book's affair.

/// How many places from the touch the search tries before it looks at the whole side.
const NEAR_TOUCH: usize = 32;
/// Empty places that are not worth a sweep, however few levels there are.
const EMPTY_MIN: usize = 64;

/// What a level holds; one value of it stands for a level that has gone.
pub(crate) trait Holds: Copy {
    /// The value of an empty place.
    const NOTHING: Self;
    /// Whether it is that.
    fn is_nothing(&self) -> bool;
}

impl Holds for i64 {
    const NOTHING: Self = 0;

    fn is_nothing(&self) -> bool {
        *self == 0
    }
}

/// One sorted side of a book.
#[derive(Debug, Clone)]
pub(crate) struct Side<K, V> {
    /// Ascending by key, so that the best is the last.
    places: Vec<(K, V)>,
    empty: usize,
}

impl<K: Ord + Copy, V: Holds> Side<K, V> {
    /// With room for so many levels, and as many empty places, before it has to ask for memory.
    pub(crate) fn with_room(levels: usize) -> Self {
        Self {
            places: Vec::with_capacity(levels),
            empty: 0,
        }
    }

    /// How many levels there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.empty
    }

    /// Forgets all levels; the memory is kept.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.empty = 0;
    }

    #[inline]
    fn find(&self, key: K) -> Result<usize, usize> {
        let near = self.places.len().saturating_sub(NEAR_TOUCH);
        let (skipped, searched) = match self.places.get(near) {
            Some(&(first, _)) if key >= first => (near, &self.places[near..]),
            _ => (0, &self.places[..near]),
        };
        match searched.binary_search_by_key(&key, |&(k, _)| k) {
            Ok(index) => Ok(index + skipped),
            Err(index) => Err(index + skipped),
        }
    }

    /// Sets what a level holds, which is something.
    pub(crate) fn set(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(index) => {
                let place = &mut self.places[index];
                self.empty -= usize::from(place.1.is_nothing());
                place.1 = value;
            }
            Err(index) => self.insert(index, key, value),
        }
    }

    fn insert(&mut self, index: usize, key: K, value: V) {
        // An empty place beside it may as well have this key.
        let beside = [index, index.wrapping_sub(1)].into_iter().find(|beside| {
            let place = self.places.get(*beside);
            place.is_some_and(|(_, held)| held.is_nothing())
        });
        if let Some(beside) = beside {
            self.places[beside] = (key, value);
            self.empty -= 1;
            return;
        }
        let index = if self.places.len() == self.places.capacity() && self.empty > 0 {
            self.sweep();
            self.find(key).unwrap_or_else(|index| index)
        } else {
            index
        };
        self.places.insert(index, (key, value));
    }

    /// Removing a price that the book does not have is normal: it may have left the depth that a
    /// snapshot covers.
    pub(crate) fn remove(&mut self, key: K) {
        let Ok(index) = self.find(key) else {
            return;
        };
        let held = &mut self.places[index].1;
        if held.is_nothing() {
            return;
        }
        *held = V::NOTHING;
        self.empty += 1;
        while let Some((_, held)) = self.places.last()
            && held.is_nothing()
        {
            self.places.pop();
            self.empty -= 1;
        }
        if self.empty > self.len().max(EMPTY_MIN) {
            self.sweep();
        }
    }

    #[cold]
    fn sweep(&mut self) {
        self.places.retain(|(_, held)| !held.is_nothing());
        self.empty = 0;
    }

    pub(crate) fn best(&self) -> Option<&(K, V)> {
        self.places.last()
    }

    pub(crate) fn best_to_worst(&self) -> impl Iterator<Item = &(K, V)> {
        let places = self.places.iter().rev();
        places.filter(|(_, held)| !held.is_nothing())
    }

    /// Forgets the worst levels beyond the `depth` best.
    pub(crate) fn truncate(&mut self, depth: usize) {
        if self.len() > depth {
            self.sweep();
            let excess = self.places.len() - depth;
            self.places.drain(..excess);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::BTreeMap;

    #[test]
    fn whatever_is_set_removed_and_cut_off_it_is_what_a_tree_would_be() {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut side = Side::with_room(16);
            let mut tree = BTreeMap::new();
            let keys = 1 + random.below(400);
            for _ in 0..3000 {
                let key = random.below(keys);
                match random.below(20) {
                    0 => {
                        let depth = usize::try_from(random.below(keys)).unwrap();
                        side.truncate(depth);
                        while tree.len() > depth {
                            tree.pop_first();
                        }
                    }
                    1..9 => {
                        side.remove(key);
                        tree.remove(&key);
                    }
                    _ => {
                        let value = 1 + i64::try_from(random.below(9)).unwrap();
                        side.set(key, value);
                        tree.insert(key, value);
                    }
                }
                assert_eq!(side.len(), tree.len());
                assert_eq!(
                    side.best().copied(),
                    tree.last_key_value().map(|(k, v)| (*k, *v))
                );
            }
            let all = side.best_to_worst().copied();
            assert!(all.eq(tree.into_iter().rev()));
        }
    }

    #[test]
    fn memory_is_asked_for_only_when_the_levels_themselves_need_it() {
        let mut side = Side::with_room(256);
        let room = side.places.capacity();
        for round in 0..1000_i64 {
            for key in 0..200 {
                side.set(round * 7 + key * 3, 1);
            }
            for key in 0..200 {
                side.remove(round * 7 + key * 3);
            }
        }
        assert_eq!((side.len(), side.places.capacity()), (0, room));
    }
}
