//! Writers of pickles and of the containers of `torch.save`, byte by byte.

/// A pickle of protocol 2 that leaves what these instructions leave.
pub(crate) fn pickled(instructions: &[u8]) -> Vec<u8> {
    [&b"\x80\x02"[..], instructions, b"."].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &u32::try_from(text.len()).expect("short").to_le_bytes(), text.as_bytes()].concat()
}

fn number(number: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &number.to_le_bytes()].concat()
}

fn tuple(numbers: &[i64]) -> Vec<u8> {
    let items: Vec<u8> = numbers.iter().flat_map(|&n| number(n)).collect();
    [&b"("[..], &items, b"t"].concat()
}

/// Instructions of a dict.
pub(crate) fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [&b"}("[..], &items, b"u"].concat()
}

/// Instructions of a tensor of F32 elements.
pub(crate) fn tensor(key: &str, shape: &[i64], strides: &[i64], offset: i64, n_stored: i64) -> Vec<u8> {
    tensor_of("FloatStorage", key, shape, strides, offset, n_stored)
}

pub(crate) fn tensor_of(
    kind: &str,
    key: &str,
    shape: &[i64],
    strides: &[i64],
    offset: i64,
    n_stored: i64,
) -> Vec<u8> {
    let storage = [
        b"(".to_vec(),
        text("storage"),
        format!("ctorch\n{kind}\n").into_bytes(),
        text(key),
        text("cpu"),
        number(n_stored),
        b"tQ".to_vec(),
    ]
    .concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage,
        number(offset),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// Instructions of a dict of vectors: (name, storage, elements).
pub(crate) fn state_dict(tensors: &[(&str, &str, i64)]) -> Vec<u8> {
    let entries: Vec<(&str, Vec<u8>)> =
        tensors.iter().map(|&(name, key, n)| (name, tensor(key, &[n], &[1], 0, n))).collect();
    dict(&entries)
}

/// The container before PyTorch 1.6: an object, keys of its storages, and (count, bytes) of each.
pub(crate) fn legacy(object: &[u8], keys: &[&str], storages: &[(u64, &[u8])]) -> Vec<u8> {
    let keys: Vec<u8> = keys.iter().flat_map(|key| text(key)).collect();
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e".to_vec();
    bytes.extend(pickled(b"M\xe9\x03"));
    bytes.extend(pickled(&dict(&[
        ("protocol_version", b"M\xe9\x03".to_vec()),
        ("little_endian", b"\x88".to_vec()),
    ])));
    bytes.extend(pickled(object));
    bytes.extend(pickled(&[&b"]("[..], &keys, b"e"].concat()));
    for (count, data) in storages {
        bytes.extend(count.to_le_bytes());
        bytes.extend(*data);
    }
    bytes
}

/// One wrong thing about the entry `data.pkl`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Method(u16),
    Flags(u16),
    Mode(u32),
    Size(u32),
    PackedSize(u32),
    Crc,
    LocalName,
    LocalSize(u32),
    LocalCrc,
    LocalOffset(u32),
}

/// An archive of stored entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zip {
    entries: Vec<(String, Vec<u8>)>,
    edit: Option<Edit>,
    has_descriptors: bool,
    is_64: bool,
    overlaps: bool,
}

impl Zip {
    pub(crate) fn empty() -> Zip {
        Zip::default()
    }

    pub(crate) fn of(pickle: Vec<u8>) -> Zip {
        Zip::empty().with("data.pkl", pickle)
    }

    pub(crate) fn with(self, name: &str, bytes: Vec<u8>) -> Zip {
        self.with_root(&format!("archive/{name}"), bytes)
    }

    pub(crate) fn with_root(mut self, name: &str, bytes: Vec<u8>) -> Zip {
        self.entries.push((name.to_string(), bytes));
        self
    }

    pub(crate) fn edited(mut self, edit: Edit) -> Zip {
        self.edit = Some(edit);
        self
    }

    /// Sizes and sums behind the data, zeros before it.
    pub(crate) fn with_descriptors(mut self) -> Zip {
        self.has_descriptors = true;
        self
    }

    pub(crate) fn with_zip64(mut self) -> Zip {
        self.is_64 = true;
        self
    }

    /// The last entry says that it starts where the one before it does.
    pub(crate) fn overlapping(mut self) -> Zip {
        self.overlaps = true;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        let mut last_at = 0;
        for (i, (name, data)) in self.entries.iter().enumerate() {
            let edit = self.edit.filter(|_| name.ends_with("data.pkl"));
            let (size, crc) = (u32::try_from(data.len()).expect("small"), crc32(data));
            let mut central =
                (0_u16, 0_u16, crc, size, size, 0_u32, u32::try_from(out.len()).expect("small"));
            let mut local = (crc, size, name.clone());
            if self.has_descriptors {
                central.0 = 8;
                local = (0, 0, name.clone());
            }
            match edit {
                Some(Edit::Method(method)) => central.1 = method,
                Some(Edit::Flags(flags)) => central.0 = flags,
                Some(Edit::Mode(mode)) => central.5 = mode << 16,
                Some(Edit::Size(size)) => (central.3, central.4) = (size, size),
                Some(Edit::PackedSize(size)) => central.3 = size,
                Some(Edit::Crc) => (central.2, local.0) = (crc ^ 1, crc ^ 1),
                Some(Edit::LocalName) => local.2 = name.replace('d', "D"),
                Some(Edit::LocalSize(size)) => local.1 = size,
                Some(Edit::LocalCrc) => local.0 ^= 1,
                Some(Edit::LocalOffset(offset)) => central.6 = offset,
                None => {}
            }
            if self.overlaps && i + 1 == self.entries.len() {
                central.6 = last_at;
            }
            last_at = u32::try_from(out.len()).expect("small");
            let (flags, method, sum, packed, plain, mode, at) = central;
            out.extend(b"PK\x03\x04\x2d\0");
            out.extend(flags.to_le_bytes());
            out.extend(method.to_le_bytes());
            out.extend([0; 4]);
            for field in [local.0, local.1, local.1] {
                out.extend(field.to_le_bytes());
            }
            out.extend(u16::try_from(local.2.len()).expect("short").to_le_bytes());
            out.extend([0; 2]);
            out.extend(local.2.as_bytes());
            out.extend(data);
            if self.has_descriptors {
                out.extend(b"PK\x07\x08");
                for field in [crc, size, size] {
                    out.extend(field.to_le_bytes());
                }
            }
            directory.extend(b"PK\x01\x02\x2d\x03\x2d\0");
            directory.extend(flags.to_le_bytes());
            directory.extend(method.to_le_bytes());
            directory.extend([0; 4]);
            directory.extend(sum.to_le_bytes());
            let sizes = if self.is_64 { [0xffff_ffff; 2] } else { [packed, plain] };
            for field in sizes {
                directory.extend(field.to_le_bytes());
            }
            directory.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
            directory.extend(if self.is_64 { 20_u16 } else { 0 }.to_le_bytes());
            directory.extend([0; 6]);
            directory.extend(mode.to_le_bytes());
            directory.extend(at.to_le_bytes());
            directory.extend(name.as_bytes());
            if self.is_64 {
                directory.extend(b"\x01\0\x10\0");
                directory.extend(u64::from(plain).to_le_bytes());
                directory.extend(u64::from(packed).to_le_bytes());
            }
        }
        let (at, n) = (out.len(), u16::try_from(self.entries.len()).expect("few"));
        out.extend(&directory);
        if self.is_64 {
            let record_at = out.len() as u64;
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([0x2d, 3, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for field in [u64::from(n), u64::from(n), directory.len() as u64, at as u64] {
                out.extend(field.to_le_bytes());
            }
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend(record_at.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(b"PK\x05\x06\0\0\0\0");
        out.extend(n.to_le_bytes());
        out.extend(n.to_le_bytes());
        let (size, at) = if self.is_64 {
            (0xffff_ffff, 0xffff_ffff)
        } else {
            (u32::try_from(directory.len()).expect("small"), u32::try_from(at).expect("small"))
        };
        out.extend(size.to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend([0; 2]);
        out
    }
}

/// Bit by bit, as the format defines it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
