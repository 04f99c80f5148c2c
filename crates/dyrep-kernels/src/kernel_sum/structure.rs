//! Sums of one structure that hold different things.

use super::{Form, KernelSum, Term};

impl<T> Term<T> {
    fn as_ref(&self) -> Term<&T> {
        let form = match &self.form {
            Form::Kernel { window, weight } => Form::Kernel { window: *window, weight },
            Form::Product { window, first, weight } => {
                Form::Product { window: *window, first, weight }
            }
            Form::Average { first } => Form::Average { first },
            Form::Filtered { first, filter } => Form::Filtered { first, filter },
            Form::Depthwise { depthwise, pointwise } => Form::Depthwise { depthwise, pointwise },
            Form::Identity { tap } => Form::Identity { tap: *tap },
        };
        Term { form, scale: self.scale.as_ref() }
    }
}

impl<T> KernelSum<T> {
    /// The same sum of other things.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> KernelSum<U> {
        let term = |Term { form, scale }: Term<T>| {
            let form = match form {
                Form::Kernel { window, weight } => Form::Kernel { window, weight: f(weight) },
                Form::Product { window, first, weight } => {
                    Form::Product { window, first: f(first), weight: f(weight) }
                }
                Form::Average { first } => Form::Average { first: f(first) },
                Form::Filtered { first, filter } => {
                    Form::Filtered { first: f(first), filter: f(filter) }
                }
                Form::Depthwise { depthwise, pointwise } => {
                    Form::Depthwise { depthwise: f(depthwise), pointwise: f(pointwise) }
                }
                Form::Identity { tap } => Form::Identity { tap },
            };
            Term { form, scale: scale.map(&mut f) }
        };
        let Self { channels, groups, kernel, terms } = self;
        KernelSum { channels, groups, kernel, terms: terms.into_iter().map(term).collect() }
    }

    /// The first tensor; none of nothing but identities without scales.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        let mut found = None;
        self.as_ref().map(|tensor| {
            found.get_or_insert(tensor);
        });
        found
    }

    /// The same sum of references.
    #[must_use]
    pub fn as_ref(&self) -> KernelSum<&T> {
        let terms = self.terms.iter().map(Term::as_ref).collect();
        KernelSum { channels: self.channels, groups: self.groups, kernel: self.kernel, terms }
    }
}
