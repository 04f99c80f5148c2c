//! A tensor in a file: its type and shape, and a way to its values, which are read only when wanted.

use std::sync::Arc;

use burn::tensor::{bf16, f16};

/// The numbers that a tensor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F16,
    Bf16,
    F32,
    F64,
    /// The weights of quantised layers, which come with scales.
    I8,
    /// Other whole numbers and truth values, by their name: no parameter is made of them.
    Other(&'static str),
}

impl Number {
    /// The name of a type that is no parameter's.
    pub(crate) fn whole(self) -> Option<&'static str> {
        match self {
            Self::I8 => Some("i8"),
            Self::Other(name) => Some(name),
            _ => None,
        }
    }
}

/// What is done to values after reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Nothing.
    None,
    /// DBB keeps its first 1×1 as the difference from the identity of each group: one is added where output and input
    /// channel are the same (arXiv 2103.13425, published code).
    AddIdentity,
    /// A convolution over the whole of its input, `[out, in, height, width]`, is a linear layer, `[out, in · height ·
    /// width]`: the values lie in the same order.
    Flatten,
}

type Read = Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// A tensor in a file.
#[derive(Clone)]
pub(crate) struct Stored {
    /// What the file calls it.
    pub(crate) origin: String,
    pub(crate) number: Number,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: u64,
    pub(crate) edit: Edit,
    read: Read,
}

impl Stored {
    /// `read` gives the values in row-major order, little-endian.
    pub(crate) fn new(
        origin: String,
        number: Number,
        shape: Vec<usize>,
        bytes: u64,
        read: impl Fn() -> Result<Vec<u8>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { origin, number, shape, bytes, edit: Edit::None, read: Arc::new(read) }
    }

    /// A tensor of `length` equal values, which no file holds.
    pub(crate) fn constant(name: String, value: f32, length: usize) -> Self {
        let bytes = move || Ok(value.to_le_bytes().repeat(length));
        Self::new(name, Number::F32, vec![length], 4 * length as u64, bytes)
    }

    /// A tensor whose values, in row-major order, are computed of others in the file, of which `bytes` are read.
    pub(crate) fn computed(
        origin: String,
        shape: Vec<usize>,
        bytes: u64,
        values: impl Fn() -> Result<Vec<f32>, String> + Send + Sync + 'static,
    ) -> Self {
        let read = move || Ok(values()?.into_iter().flat_map(f32::to_le_bytes).collect());
        Self::new(origin, Number::F32, shape, bytes, read)
    }

    /// The same tensor with an edit.
    pub(crate) fn edited(mut self, edit: Edit) -> Self {
        self.edit = edit;
        if let (Edit::Flatten, [out, rest @ ..]) = (edit, &self.shape[..])
            && rest.len() > 1
        {
            let inputs = rest.iter().fold(1usize, |product, size| product.saturating_mul(*size));
            self.shape = vec![*out, inputs];
        }
        self
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        (self.read)()
    }

    /// The values as `f32`, in row-major order.
    ///
    /// # Errors
    /// A file that cannot be read, or whose bytes are not as many as the shape says.
    pub(crate) fn values(&self) -> Result<Vec<f32>, String> {
        let bytes = self.bytes()?;
        let mut values: Vec<f32> = match self.number {
            Number::F16 => convert(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            Number::Bf16 => convert(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Number::F32 => convert(&bytes, f32::from_le_bytes),
            Number::F64 => convert(&bytes, |b| f64::from_le_bytes(b) as f32),
            Number::I8 => return Err("i8 instead of fractions".to_owned()),
            Number::Other(name) => return Err(format!("{name} instead of fractions")),
        };
        self.check_count(values.len())?;
        if self.edit == Edit::AddIdentity {
            add_identity(&mut values, &self.shape)?;
        }
        Ok(values)
    }

    /// The values as `f32`, those of whole numbers and truth values too, in row-major order.
    ///
    /// # Errors
    /// As [`values`](Self::values); other values than numbers.
    pub(crate) fn numbers(&self) -> Result<Vec<f32>, String> {
        let whole = |bytes: &[u8]| -> Option<Vec<f32>> {
            Some(match self.number {
                Number::I8 => convert(bytes, |b: [u8; 1]| f32::from(i8::from_le_bytes(b))),
                Number::Other("u8" | "truth values") => convert(bytes, |[b]| f32::from(b)),
                Number::Other("i16") => convert(bytes, |b| f32::from(i16::from_le_bytes(b))),
                Number::Other("i32") => convert(bytes, |b| i32::from_le_bytes(b) as f32),
                Number::Other("i64") => convert(bytes, |b| i64::from_le_bytes(b) as f32),
                _ => return None,
            })
        };
        match self.number {
            Number::I8 | Number::Other(_) => {
                let values = whole(&self.bytes()?);
                let what = self.number.whole().unwrap_or_default();
                let values = values.ok_or_else(|| format!("it is {what}, and no number"))?;
                self.check_count(values.len())?;
                Ok(values)
            }
            _ => self.values(),
        }
    }

    /// The values of a tensor of `i8`, in row-major order.
    ///
    /// # Errors
    /// As [`values`](Self::values); another type.
    pub(crate) fn integers(&self) -> Result<Vec<i8>, String> {
        if self.number != Number::I8 {
            return Err("expected i8".to_owned());
        }
        let values: Vec<i8> = self.bytes()?.into_iter().map(u8::cast_signed).collect();
        self.check_count(values.len())?;
        Ok(values)
    }

    fn check_count(&self, found: usize) -> Result<(), String> {
        let expected = self.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        if expected == Some(found) {
            return Ok(());
        }
        Err(format!("{found} values do not fill its shape {:?}", self.shape))
    }
}

fn convert<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
}

/// Adds one where output and input channel of a group are the same, to a weight `[channels, channels / groups, 1, 1]`.
fn add_identity(values: &mut [f32], shape: &[usize]) -> Result<(), String> {
    let &[outputs, inputs, 1, 1] = shape else {
        return Err(format!("its shape {shape:?} is not that of a 1×1 convolution"));
    };
    for output in 0..outputs {
        values[output * inputs + output % inputs] += 1.0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(number: Number, shape: &[usize], bytes: Vec<u8>) -> Stored {
        let length = bytes.len() as u64;
        Stored::new("x".into(), number, shape.to_vec(), length, move || Ok(bytes.clone()))
    }

    #[test]
    fn every_type_of_fraction_becomes_f32() {
        let wanted = [1.5, -0.25];
        let halves = wanted.map(f16::from_f32).map(f16::to_le_bytes).concat();
        let brains = wanted.map(bf16::from_f32).map(bf16::to_le_bytes).concat();
        let singles = wanted.map(f32::to_le_bytes).concat();
        let doubles = wanted.map(f64::from).map(f64::to_le_bytes).concat();
        let all = [
            (Number::F16, halves),
            (Number::Bf16, brains),
            (Number::F32, singles),
            (Number::F64, doubles),
        ];
        for (number, bytes) in all {
            assert_eq!(stored(number, &[2], bytes).values().unwrap(), wanted, "{number:?}");
        }
        assert!(stored(Number::Other("i64"), &[1], vec![0; 8]).values().is_err());
        let error = stored(Number::F32, &[3], vec![0; 8]).values().unwrap_err();
        assert_eq!(error, "2 values do not fill its shape [3]");
    }

    #[test]
    fn the_identity_is_that_of_each_group() {
        let mut tensor = stored(Number::F32, &[4, 2, 1, 1], vec![0; 32]);
        tensor.edit = Edit::AddIdentity;
        assert_eq!(tensor.values().unwrap(), [1., 0., 0., 1., 1., 0., 0., 1.]);
        tensor.shape = vec![8];
        assert!(tensor.values().unwrap_err().contains("not that of a 1×1"));
    }
}
