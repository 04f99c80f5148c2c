//! What is to be computed, as a value that holds its tensors: those of a user, of a backend, slices, or what is known of
//! them.
//!
//! A plan keeps its structure whatever it holds, so that nothing is ever matched by its place in a list: gradients come
//! back as a plan of gradients, what is wanted is a plan of flags. [`Plan::gives`] tells every output's shape and type
//! without running, as backends that compute later want to know.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use dyrep_kernels::block::{Block, By, End};
use dyrep_kernels::{ConvShape, KernelSum, PoolShape};

/// An operation and its tensors.
#[derive(Clone, Debug)]
pub(crate) enum Plan<T> {
    Conv(Conv<T>),
    Norm(Norm<T>),
    Pool(Pool<T>),
    Block(Block<T>),
    Sum(KernelSum<T>),
}

/// A convolution.
#[derive(Clone, Debug)]
pub(crate) struct Conv<T> {
    pub(crate) shape: ConvShape,
    /// `[batch, in, height, width]`.
    pub(crate) input: T,
    /// `[out, in / groups, kernel height, kernel width]`.
    pub(crate) weight: T,
    /// `[out]`.
    pub(crate) bias: Option<T>,
    /// The norm behind it, by given moments. Where nothing is learnt only.
    pub(crate) then: Option<Normalize<T>>,
}

/// `relu?(norm(…) + residual?)`.
#[derive(Clone, Debug)]
pub(crate) struct Normalize<T> {
    pub(crate) gamma: T,
    pub(crate) beta: T,
    pub(crate) epsilon: f64,
    /// Mean and variance to normalise by; the batch's own if none.
    pub(crate) given: Option<[T; 2]>,
    pub(crate) residual: Option<T>,
    pub(crate) relu: bool,
}

/// A norm by itself.
#[derive(Clone, Debug)]
pub(crate) struct Norm<T> {
    /// Of the input, `[batch, channels, height, width]`.
    pub(crate) dims: [usize; 4],
    pub(crate) input: T,
    pub(crate) then: Normalize<T>,
}

/// The maxima of windows.
#[derive(Clone, Debug)]
pub(crate) struct Pool<T> {
    pub(crate) shape: PoolShape,
    /// Images and channels.
    pub(crate) planes: [usize; 2],
    pub(crate) input: T,
}

/// What comes of a plan: the output, which carries gradients, and the moments of norms by a batch, which do not.
#[derive(Clone, Debug)]
pub(crate) struct Done<T> {
    /// `[batch, channels, height, width]`.
    pub(crate) output: T,
    /// By branch; of a norm alone the only one's.
    pub(crate) moments: Vec<BranchMoments<T>>,
}

/// Mean and biased variance, `[channels]` each, of a branch's norms that normalise by their batch.
#[derive(Clone, Debug)]
pub(crate) struct BranchMoments<T> {
    /// Of the one behind the first convolution.
    pub(crate) first: Option<[T; 2]>,
    /// Of the one at the end.
    pub(crate) end: Option<[T; 2]>,
}

/// What is known of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
}

impl Spec {
    pub(crate) fn of(tensor: &impl TensorMetadata) -> Self {
        Self { shape: tensor.shape().as_slice().to_vec(), dtype: tensor.dtype() }
    }
}

impl<T> Conv<T> {
    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Conv<U> {
        Conv {
            shape: self.shape,
            input: f(self.input),
            weight: f(self.weight),
            bias: self.bias.map(&mut *f),
            then: self.then.map(|norm| norm.map(f)),
        }
    }

    fn as_ref(&self) -> Conv<&T> {
        let Self { shape, input, weight, bias, then } = self;
        let then = then.as_ref().map(Normalize::as_ref);
        Conv { shape: *shape, input, weight, bias: bias.as_ref(), then }
    }
}

/// Of a convolution's output, `[batch, out, height', width']`.
pub(crate) fn output_dims(shape: &ConvShape) -> [usize; 4] {
    let [height, width] = shape.output();
    [shape.batch, shape.channels[1], height, width]
}

impl<T> Normalize<T> {
    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Normalize<U> {
        Normalize {
            gamma: f(self.gamma),
            beta: f(self.beta),
            epsilon: self.epsilon,
            given: self.given.map(|moments| moments.map(&mut *f)),
            residual: self.residual.map(f),
            relu: self.relu,
        }
    }

    fn as_ref(&self) -> Normalize<&T> {
        let Self { gamma, beta, epsilon, given, residual, relu } = self;
        let given = given.as_ref().map(<[T; 2]>::each_ref);
        Normalize {
            gamma,
            beta,
            epsilon: *epsilon,
            given,
            residual: residual.as_ref(),
            relu: *relu,
        }
    }
}

impl<T> Plan<T> {
    /// The same plan with other tensors.
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> Plan<U> {
        let f = &mut f;
        match self {
            Self::Conv(conv) => Plan::Conv(conv.map(f)),
            Self::Norm(Norm { dims, input, then }) => {
                Plan::Norm(Norm { dims, input: f(input), then: then.map(f) })
            }
            Self::Pool(Pool { shape, planes, input }) => {
                Plan::Pool(Pool { shape, planes, input: f(input) })
            }
            Self::Block(block) => Plan::Block(block.map(f)),
            Self::Sum(sum) => Plan::Sum(sum.map(f)),
        }
    }

    /// The same plan with references to its tensors.
    pub(crate) fn as_ref(&self) -> Plan<&T> {
        match self {
            Self::Conv(conv) => Plan::Conv(conv.as_ref()),
            Self::Norm(Norm { dims, input, then }) => {
                Plan::Norm(Norm { dims: *dims, input, then: then.as_ref() })
            }
            Self::Pool(Pool { shape, planes, input }) => {
                Plan::Pool(Pool { shape: *shape, planes: *planes, input })
            }
            Self::Block(block) => Plan::Block(block.as_ref()),
            Self::Sum(sum) => Plan::Sum(sum.as_ref()),
        }
    }

    /// Calls `f` with every tensor.
    pub(crate) fn visit<'a>(&'a self, f: impl FnMut(&'a T)) {
        self.as_ref().map(f);
    }

    /// The tensors of two plans of one structure in pairs.
    pub(crate) fn zip<U>(self, other: Plan<U>) -> Plan<(T, U)> {
        let mut others = vec![];
        other.map(|tensor| others.push(tensor));
        let mut others = others.into_iter();
        let mut next = || others.next().unwrap_or_else(|| panic!("two plans of one structure"));
        let pairs = self.map(|tensor| (tensor, next()));
        assert!(others.next().is_none(), "two plans of one structure");
        pairs
    }

    /// How many tensors there are for which `holds`.
    pub(crate) fn count(&self, mut holds: impl FnMut(&T) -> bool) -> usize {
        let mut count = 0;
        self.visit(|tensor| count += usize::from(holds(tensor)));
        count
    }

    /// The tensor that says where a plan runs.
    pub(crate) fn input(&self) -> &T {
        match self {
            Self::Conv(conv) => &conv.input,
            Self::Norm(norm) => &norm.input,
            Self::Pool(pool) => &pool.input,
            Self::Block(block) => &block.input,
            Self::Sum(sum) => sum.first().unwrap_or_else(|| unreachable!("kxk is there")),
        }
    }
}

impl Plan<Spec> {
    /// Shape and type of all that comes of it.
    pub(crate) fn gives(&self) -> Done<Spec> {
        let dtype = self.input().dtype;
        let spec = |shape: &[usize]| Spec { shape: shape.to_vec(), dtype };
        let pair = |channels: usize| [spec(&[channels]), spec(&[channels])];
        let (output, moments) = match self {
            Self::Conv(conv) => (output_dims(&conv.shape), vec![]),
            Self::Norm(norm) => {
                let end = norm.then.given.is_none().then(|| pair(norm.dims[1]));
                (norm.dims, vec![BranchMoments { first: None, end }])
            }
            Self::Pool(Pool { shape, planes: [batch, channels], .. }) => {
                let [height, width] = shape.output();
                ([*batch, *channels, height, width], vec![])
            }
            Self::Sum(sum) => {
                let [height, width] = sum.kernel;
                ([sum.channels[1], sum.channels[0] / sum.groups, height, width], vec![])
            }
            Self::Block(block) => {
                let moments = |norm: &dyrep_kernels::block::Norm<Spec>| {
                    matches!(norm.by, By::Batch(_)).then(|| pair(norm.gamma.shape[0]))
                };
                let of_branch = |branch: &dyrep_kernels::block::Branch<Spec>| BranchMoments {
                    first: branch.first.as_ref().and_then(|first| moments(&first.norm)),
                    end: match &branch.end {
                        End::Norm(norm) => moments(norm),
                        End::Scale(_) | End::Nothing => None,
                    },
                };
                (output_dims(&block.shape), block.branches.iter().map(of_branch).collect())
            }
        };
        Done { output: spec(&output), moments }
    }
}

impl<T> Done<T> {
    /// The same with other tensors.
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> Done<U> {
        let output = f(self.output);
        let moments = self.moments.into_iter().map(|moments| moments.map(&mut f)).collect();
        Done { output, moments }
    }
}

impl<T> BranchMoments<T> {
    /// The same with other tensors.
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> BranchMoments<U> {
        let [first, end] =
            [self.first, self.end].map(|moments| moments.map(|moments| moments.map(&mut f)));
        BranchMoments { first, end }
    }
}
