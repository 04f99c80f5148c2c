//! Blocks of one structure that hold different things.

use super::{Block, Branch, Core, End, First};

impl<T> First<T> {
    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> First<U> {
        First { weight: f(self.weight), norm: self.norm.map(f) }
    }

    fn as_ref(&self) -> First<&T> {
        First { weight: &self.weight, norm: self.norm.as_ref() }
    }
}

impl<T> Core<T> {
    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Core<U> {
        match self {
            Self::Conv { window, weight, bias } => {
                Core::Conv { window, weight: f(weight), bias: bias.map(f) }
            }
            Self::Average => Core::Average,
            Self::Input => Core::Input,
            Self::Given { map } => Core::Given { map: f(map) },
        }
    }

    fn as_ref(&self) -> Core<&T> {
        match self {
            Self::Conv { window, weight, bias } => {
                Core::Conv { window: *window, weight, bias: bias.as_ref() }
            }
            Self::Average => Core::Average,
            Self::Input => Core::Input,
            Self::Given { map } => Core::Given { map },
        }
    }
}

impl<T> End<T> {
    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> End<U> {
        match self {
            Self::Norm(norm) => End::Norm(norm.map(f)),
            Self::Scale(scale) => End::Scale(f(scale)),
            Self::Nothing => End::Nothing,
        }
    }

    fn as_ref(&self) -> End<&T> {
        match self {
            Self::Norm(norm) => End::Norm(norm.as_ref()),
            Self::Scale(scale) => End::Scale(scale),
            Self::Nothing => End::Nothing,
        }
    }
}

impl<T> Branch<T> {
    pub(super) fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Branch<U> {
        Branch {
            first: self.first.map(|first| first.map(f)),
            core: self.core.map(f),
            end: self.end.map(f),
        }
    }

    fn as_ref(&self) -> Branch<&T> {
        Branch {
            first: self.first.as_ref().map(First::as_ref),
            core: self.core.as_ref(),
            end: self.end.as_ref(),
        }
    }
}

impl<T> Block<T> {
    /// The same block with another kind of tensors. Visits them in a fixed order: the input, then the branches' in the
    /// order of their fields.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Block<U> {
        Block {
            shape: self.shape,
            input: f(self.input),
            branches: self.branches.into_iter().map(|branch| branch.map(&mut f)).collect(),
        }
    }

    /// The same block with references to its tensors.
    #[must_use]
    pub fn as_ref(&self) -> Block<&T> {
        Block {
            shape: self.shape,
            input: &self.input,
            branches: self.branches.iter().map(Branch::as_ref).collect(),
        }
    }

    /// Calls `f` with the tensors, in [`Block::map`]'s order.
    pub fn visit<'a>(&'a self, f: impl FnMut(&'a T)) {
        self.as_ref().map(f);
    }

    /// Panics if anything but the tensors differs.
    pub(super) fn expect_structure_of<U>(&self, other: &Block<U>) {
        let (own, other) = (self.as_ref().map(|_| ()), other.as_ref().map(|_| ()));
        assert!(own == other, "blocks of different structures:\n{own:?}\n{other:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::{Kind, random_block};

    #[test]
    fn tensors_are_visited_in_the_order_in_which_they_are_mapped() {
        let block = random_block(3, Kind::Dense);
        let mut count = 0..;
        let numbers = block.as_ref().map(|_| count.next());
        let mut expected = 0..;
        numbers.visit(|number| assert_eq!(*number, expected.next()));
        numbers.expect_structure_of(&block);
    }

    #[test]
    #[should_panic(expected = "blocks of different structures")]
    fn blocks_of_different_structures_are_told_apart() {
        let block = random_block(3, Kind::Dense);
        let mut other = block.clone();
        other.branches.pop();
        block.expect_structure_of(&other);
    }
}
