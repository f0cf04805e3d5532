//! Numbers that are begun in order, and done in any.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

pub(super) struct Sequence {
    begun: usize,
    end: usize,
    /// All below are done.
    done: usize,
    /// Those that are done before one below them is, the lowest on top.
    early: BinaryHeap<Reverse<usize>>,
}

impl Sequence {
    pub(super) fn new(numbers: Range<usize>) -> Self {
        Self {
            begun: numbers.start,
            end: numbers.end,
            done: numbers.start,
            early: BinaryHeap::new(),
        }
    }

    /// The number to begin next.
    pub(super) fn next(&self) -> Option<usize> {
        (self.begun < self.end).then_some(self.begun)
    }

    pub(super) fn begin(&mut self) {
        self.begun += 1;
    }

    pub(super) fn begin_all(&mut self) {
        self.begun = self.end;
    }

    /// Those that have not been begun.
    pub(super) fn left(&self) -> Range<usize> {
        self.begun..self.end
    }

    /// Leaves out those from `end` on, of which none has been begun.
    pub(super) fn end_at(&mut self, end: usize) {
        self.end = end;
    }

    pub(super) fn all_begun(&self) -> bool {
        self.begun == self.end
    }

    /// The first that is not done.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    pub(super) fn all_done(&self) -> bool {
        self.done == self.end
    }

    pub(super) fn finish(&mut self, number: usize) {
        self.early.push(Reverse(number));
        while self.early.peek() == Some(&Reverse(self.done)) {
            self.early.pop();
            self.done += 1;
        }
    }
}
