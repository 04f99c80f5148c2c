//! Checkpoints as `torch.save` writes them: a dictionary of a state dict and of what lies beside it.

// Each test file uses some of it.
#![allow(dead_code)]

use std::io::Write as _;
use std::path::PathBuf;

use safetensors::Dtype;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use crate::states::State;

/// What a pickle may hold.
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i32),
    Float(f64),
    Text(&'static str),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(&'static str, Value)>),
    /// A tensor: type, shape, bytes in row-major order.
    Tensor(Dtype, Vec<usize>, Vec<u8>),
    /// A call of what is named, without arguments.
    Object(&'static str, &'static str),
}

impl Value {
    /// A tensor of `i64`.
    pub(crate) fn whole(shape: &[usize], values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::Tensor(Dtype::I64, shape.to_vec(), bytes)
    }
}

/// A pickle on the way, and the storages of its tensors.
#[derive(Default)]
struct Pickle {
    bytes: Vec<u8>,
    storages: Vec<Vec<u8>>,
}

impl Pickle {
    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn int(&mut self, value: i32) {
        self.bytes.push(b'J');
        self.bytes.extend(value.to_le_bytes());
    }

    fn ints(&mut self, values: &[usize]) {
        self.bytes.push(b'(');
        values.iter().for_each(|value| self.int(i32::try_from(*value).unwrap()));
        self.bytes.push(b't');
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.bytes.push(b'N'),
            Value::Bool(value) => self.bytes.push(if *value { 0x88 } else { 0x89 }),
            Value::Int(value) => self.int(*value),
            Value::Float(value) => {
                self.bytes.push(b'G');
                self.bytes.extend(value.to_be_bytes());
            }
            Value::Text(text) => self.text(text),
            Value::List(values) => {
                self.bytes.extend(b"](");
                values.iter().for_each(|value| self.value(value));
                self.bytes.push(b'e');
            }
            Value::Tuple(values) => {
                self.bytes.push(b'(');
                values.iter().for_each(|value| self.value(value));
                self.bytes.push(b't');
            }
            Value::Dict(pairs) => {
                self.bytes.extend(b"}(");
                for (key, value) in pairs {
                    self.text(key);
                    self.value(value);
                }
                self.bytes.push(b'u');
            }
            Value::Tensor(dtype, shape, bytes) => self.tensor(*dtype, shape, bytes),
            Value::Object(module, name) => {
                self.bytes.extend(format!("c{module}\n{name}\n)R").as_bytes());
            }
        }
    }

    fn tensor(&mut self, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
        let class = match dtype {
            Dtype::F16 => "Half",
            Dtype::F32 => "Float",
            Dtype::F64 => "Double",
            Dtype::I64 => "Long",
            Dtype::BOOL => "Bool",
            other => panic!("{other:?}"),
        };
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.bytes.extend(format!("ctorch\n{class}Storage\n").as_bytes());
        self.text(&self.storages.len().to_string());
        self.text("cpu");
        let count: usize = shape.iter().product();
        self.int(i32::try_from(count).unwrap());
        self.bytes.extend(b"tQ");
        self.int(0);
        self.ints(shape);
        let strides = (1..=shape.len()).map(|at| shape[at..].iter().product());
        self.ints(&strides.collect::<Vec<usize>>());
        self.bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        self.storages.push(bytes.to_vec());
    }
}

/// A file `{"model": state, key: value}`, and the folder that goes away with it.
pub(crate) fn checkpoint(state: &State, key: &str, value: &Value) -> (TempDir, PathBuf) {
    let mut pickle = Pickle::default();
    pickle.bytes.extend(b"\x80\x02}(");
    pickle.text("model");
    pickle.bytes.extend(b"}(");
    for (name, (dtype, shape, bytes)) in state {
        pickle.text(name);
        pickle.tensor(*dtype, shape, bytes);
    }
    pickle.bytes.push(b'u');
    pickle.text(key);
    pickle.value(value);
    pickle.bytes.extend(b"u.");

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", stored).unwrap();
    zip.write_all(&pickle.bytes).unwrap();
    for (number, bytes) in pickle.storages.iter().enumerate() {
        zip.start_file(format!("archive/data/{number}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.pth");
    std::fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
    (folder, path)
}
