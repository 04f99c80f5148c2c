//! A tensor as PyTorch keeps one: a view of a storage, with a step for each dimension.

use crate::pickle::{Item, Node, Object, Pickle};
use crate::tensor::Number;

/// The most dimensions.
const DIMENSIONS: usize = 64;

/// A view of a storage, counted in numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// The storage's key.
    pub(super) storage: String,
    pub(super) number: Number,
    /// Bytes a number.
    pub(super) width: u64,
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<u64>,
}

/// What a view needs of its storage, in bytes.
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) length: u64,
    /// All its numbers, each as often as it stands in the tensor.
    pub(super) bytes: u64,
}

/// The type of a storage, by the name of its class without `Storage`, or of a tensor, by PyTorch's name.
pub(super) fn number(name: &str) -> Option<(Number, u64)> {
    Some(match name {
        "Half" | "float16" => (Number::F16, 2),
        "BFloat16" | "bfloat16" => (Number::Bf16, 2),
        "Float" | "float32" => (Number::F32, 4),
        "Double" | "float64" => (Number::F64, 8),
        "Char" | "int8" => (Number::I8, 1),
        "Byte" | "uint8" => (Number::Other("u8"), 1),
        "Bool" | "bool" => (Number::Other("truth values"), 1),
        "Short" | "int16" => (Number::Other("i16"), 2),
        "uint16" => (Number::Other("u16"), 2),
        "Int" | "int32" => (Number::Other("i32"), 4),
        "uint32" => (Number::Other("u32"), 4),
        "Long" | "int64" => (Number::Other("i64"), 8),
        "uint64" => (Number::Other("u64"), 8),
        "ComplexHalf" | "complex32" => (Number::Other("complex numbers"), 4),
        "ComplexFloat" | "complex64" => (Number::Other("complex numbers"), 8),
        "ComplexDouble" | "complex128" => (Number::Other("complex numbers"), 16),
        "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => (Number::Other("quantised numbers"), 1),
        "QInt32" => (Number::Other("quantised numbers"), 4),
        "Untyped" => (Number::Other("bytes"), 1),
        name if name.starts_with("float8_") => (Number::Other("f8"), 1),
        _ => return None,
    })
}

/// The type of a storage by its class, `torch.FloatStorage` or `torch.cuda.FloatStorage`, or of a tensor's class.
pub(super) fn number_of_class(class: &str) -> Option<(Number, u64)> {
    let class = class.rsplit('.').next()?;
    number(class.strip_suffix("Storage").or_else(|| class.strip_suffix("Tensor"))?)
}

/// A storage as a pickle names it.
pub(super) struct StorageId {
    pub(super) key: String,
    pub(super) number: Number,
    pub(super) width: u64,
    /// Where in the storage called `key` it begins, in numbers: a view of a storage.
    pub(super) offset: u64,
}

/// `('storage', class, key, location, count)`, and in old files a view: `(key, offset, count)`.
pub(super) fn storage(pickle: &Pickle, item: Item) -> Option<StorageId> {
    let Some(Node::Persistent(id)) = pickle.node(item) else { return None };
    let [kind, class, key, rest @ ..] = pickle.sequence(*id)? else { return None };
    if pickle.text(*kind) != Some("storage") {
        return None;
    }
    let (number, width) = number_of_class(pickle.global(*class)?)?;
    let view = rest.get(2).and_then(|view| pickle.sequence(*view));
    let offset = match view {
        Some([_, Item::Int(offset), ..]) => u64::try_from(*offset).ok()?,
        _ => 0,
    };
    Some(StorageId { key: key_text(pickle, *key)?, number, width, offset })
}

/// A key of a storage: text, in old files a number.
pub(super) fn key_text(pickle: &Pickle, key: Item) -> Option<String> {
    match key {
        Item::Int(key) => Some(key.to_string()),
        key => pickle.text(key).map(str::to_owned),
    }
}

/// The tensor that an object is, if it is one.
///
/// # Errors
/// A tensor whose description makes no sense.
pub(super) fn of_object(pickle: &Pickle, object: &Object) -> Option<Result<View, String>> {
    of_call(pickle, object.class, object.arguments, 0)
}

fn of_call(
    pickle: &Pickle,
    class: Item,
    arguments: Item,
    depth: usize,
) -> Option<Result<View, String>> {
    let inner = |item: Option<&Item>| match pickle.node(*item?)? {
        Node::Object(object) if depth < 8 => {
            of_call(pickle, object.class, object.arguments, depth + 1)
        }
        _ => None,
    };
    let name = pickle.global(class)?;
    let arguments = pickle.sequence(arguments)?;
    match name {
        "torch._utils._rebuild_tensor"
        | "torch._utils._rebuild_tensor_v2"
        | "torch._utils._rebuild_tensor_v3" => Some(rebuilt(pickle, arguments)),
        "torch._utils._rebuild_parameter"
        | "torch._utils._rebuild_parameter_with_state"
        | "torch.nn.parameter.Parameter"
        | "torch.nn.parameter.Buffer"
        | "torch.autograd.variable.Variable" => inner(arguments.first()),
        "torch._tensor._rebuild_from_type"
        | "torch._tensor._rebuild_from_type_v2"
        | "torch.tensor._rebuild_from_type" => match (arguments, depth) {
            // The function, the class, and the function's arguments.
            ([function, _, arguments, ..], 0..8) => {
                of_call(pickle, *function, *arguments, depth + 1)
            }
            _ => None,
        },
        _ => None,
    }
}

/// `(storage, offset, shape, strides, …)`; the seventh is a type, where the storage says none.
fn rebuilt(pickle: &Pickle, arguments: &[Item]) -> Result<View, String> {
    let [from, Item::Int(offset), shape, strides, rest @ ..] = arguments else {
        return Err("it is described by no storage, offset, shape and strides".to_owned());
    };
    let from = storage(pickle, *from).ok_or("its storage is of no known type")?;
    let (number, width) = match rest.get(2).and_then(|dtype| pickle.global(*dtype)) {
        Some(dtype) => {
            let name = dtype.strip_prefix("torch.").unwrap_or(dtype);
            number(name).ok_or_else(|| format!("it is of the type {dtype}, which is not known"))?
        }
        None => (from.number, from.width),
    };
    let counts = |item: Item| -> Option<Vec<u64>> {
        let count = |item: &Item| match item {
            Item::Int(count) => u64::try_from(*count).ok(),
            _ => None,
        };
        pickle.sequence(item)?.iter().map(count).collect()
    };
    let (shape, strides) = counts(*shape).zip(counts(*strides)).ok_or("its shape is no shape")?;
    let shape: Result<Vec<usize>, _> = shape.into_iter().map(usize::try_from).collect();
    let offset = u64::try_from(*offset).ok().and_then(|offset| offset.checked_add(from.offset));
    Ok(View {
        storage: from.key,
        number,
        width,
        offset: offset.ok_or("it begins before its storage")?,
        shape: shape.map_err(|_| "its shape is too large")?,
        strides,
    })
}

impl View {
    /// What it needs of a storage of `length` bytes.
    ///
    /// # Errors
    /// A view that reaches beyond.
    pub(super) fn check(&self, length: u64) -> Result<Extent, String> {
        let (dimensions, strides) = (self.shape.len(), self.strides.len());
        if dimensions != strides || dimensions > DIMENSIONS {
            return Err(format!("{strides} strides for {dimensions} dimensions"));
        }
        let sizes = || self.shape.iter().map(|size| *size as u64);
        let too_large = || format!("its shape {:?} is too large", self.shape);
        let count = sizes().try_fold(1u64, u64::checked_mul).ok_or_else(too_large)?;
        let bytes = count.checked_mul(self.width).ok_or_else(too_large)?;
        if count == 0 {
            return Ok(Extent { start: 0, length: 0, bytes: 0 });
        }
        let last = sizes().zip(&self.strides).try_fold(0u64, |last, (size, stride)| {
            last.checked_add((size - 1).checked_mul(*stride)?)
        });
        let span = last.and_then(|last| last.checked_add(1)?.checked_mul(self.width));
        let start = self.offset.checked_mul(self.width);
        let (start, span) = start.zip(span).ok_or_else(too_large)?;
        if start.checked_add(span).is_none_or(|end| end > length) {
            return Err(format!(
                "shape {:?} from number {} on does not lie in its storage of {length} bytes",
                self.shape, self.offset
            ));
        }
        Ok(Extent { start, length: span, bytes })
    }

    /// Row-major, little-endian numbers out of the bytes that the view spans.
    pub(super) fn gather(&self, mut bytes: Vec<u8>, big_endian: bool) -> Vec<u8> {
        let width = self.width as usize;
        if big_endian {
            // The parts of complex numbers change places too; nothing reads them.
            bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        let mut row_major = 1;
        let contiguous = self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == row_major;
            row_major *= size as u64;
            fits
        });
        if contiguous || self.shape.contains(&0) {
            return bytes;
        }
        let count: usize = self.shape.iter().product();
        let mut gathered = Vec::with_capacity(count * width);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..count {
            gathered.extend_from_slice(&bytes[at * width..(at + 1) * width]);
            for dimension in (0..index.len()).rev() {
                let stride = self.strides[dimension] as usize;
                index[dimension] += 1;
                at += stride;
                if index[dimension] < self.shape[dimension] {
                    break;
                }
                at -= index[dimension] * stride;
                index[dimension] = 0;
            }
        }
        gathered
    }
}
