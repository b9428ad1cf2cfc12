//! Damaged and hostile GGUF files: each row of a table is a file, and what must become of it (ids GG of the list of bad inputs).

#[path = "common/hostile.rs"]
#[expect(dead_code, reason = "the writers of other formats")]
mod hostile;

use std::path::Path;

use cognate::checkpoint::{self, Limits};
use hostile::{Folder, sparse};

/// What must become of an input.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Exit 3, this rule, this fragment in the four lines.
    Refused(&'static str, &'static str),
    /// So many tensors.
    Accepted(usize),
    /// So many tensors and a note of this rule.
    Noted(usize, &'static str),
}
use Want::{Accepted, Noted, Refused};

fn check(id: &str, path: &Path, want: Want) {
    check_with(id, path, want, &Limits::default());
}

fn check_with(id: &str, path: &Path, want: Want, limits: &Limits) {
    match (want, checkpoint::open(&path.to_string_lossy(), limits)) {
        (Refused(rule, fragment), Err(error)) => {
            let fault = error.fault();
            let lines = fault.to_lines();
            assert_eq!((error.exit_code(), fault.rule), (3, rule), "{id}\n{lines}");
            assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
            assert!(fault.file.is_some(), "{id}: no file in\n{lines}");
            assert!(lines.len() < 4096 && lines.lines().count() <= 4, "{id}:\n{lines}");
            assert!(!lines.contains(|c: char| c.is_control() && c != '\n'), "{id}: {lines:?}");
        }
        (Accepted(n_tensors), Ok(checkpoint)) => assert_eq!(checkpoint.tensors.len(), n_tensors, "{id}"),
        (Noted(n_tensors, rule), Ok(checkpoint)) => {
            assert_eq!(checkpoint.tensors.len(), n_tensors, "{id}");
            assert!(checkpoint.notes.iter().any(|note| note.rule == rule), "{id}: {:?}", checkpoint.notes);
        }
        (_, Ok(checkpoint)) => panic!("{id}: wanted {want:?}, accepted {:?}", checkpoint.tensors),
        (_, Err(error)) => panic!("{id}: wanted {want:?}, got\n{}", error.fault().to_lines()),
    }
}

fn check_files(rows: Vec<(&str, Vec<u8>, Want)>) {
    for (id, bytes, want) in rows {
        let folder = Folder::new();
        folder.write("model.gguf", bytes);
        check(id, &folder.at("model.gguf"), want);
        check(id, folder.path(), want);
    }
}

/// Types of metadata values.
const U8: u32 = 0;
const U32: u32 = 4;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
/// Types of tensors.
const F32: u32 = 0;
const Q4_0: u32 = 2;
const Q4_K: u32 = 12;
const ALIGNMENT: &str = "general.alignment";

fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

fn pair(key: impl AsRef<[u8]>, kind: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&string(key)[..], &kind.to_le_bytes(), value.as_ref()].concat()
}

fn number(key: &str, value: u32) -> Vec<u8> {
    pair(key, U32, value.to_le_bytes())
}

fn array(key: &str, kind: u32, length: u64, elements: impl AsRef<[u8]>) -> Vec<u8> {
    pair(key, ARRAY, [&kind.to_le_bytes()[..], &length.to_le_bytes(), elements.as_ref()].concat())
}

fn info(name: impl AsRef<[u8]>, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let dims_bytes: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let rank = (dims.len() as u32).to_le_bytes();
    [&string(name)[..], &rank, &dims_bytes, &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
}

/// A file in its parts; the defaults make a legal one.
#[derive(Clone)]
struct Parts {
    magic: [u8; 4],
    version: [u8; 4],
    n_tensors: Option<u64>,
    n_keys: Option<u64>,
    pairs: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    /// Where the data begin is a multiple of this.
    alignment: usize,
    n_data: usize,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            magic: *b"GGUF",
            version: 3_u32.to_le_bytes(),
            n_tensors: None,
            n_keys: None,
            pairs: vec![pair("general.architecture", STRING, string("llama"))],
            infos: vec![info("w", &[8], F32, 0)],
            alignment: 32,
            n_data: 32,
        }
    }
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.magic, self.version].concat();
        bytes.extend(self.n_tensors.unwrap_or(self.infos.len() as u64).to_le_bytes());
        bytes.extend(self.n_keys.unwrap_or(self.pairs.len() as u64).to_le_bytes());
        bytes.extend(self.pairs.concat());
        bytes.extend(self.infos.concat());
        bytes.resize(bytes.len().next_multiple_of(self.alignment) + self.n_data, 0);
        bytes
    }
}

fn legal() -> Parts {
    Parts::default()
}

fn with_pairs(pairs: Vec<Vec<u8>>) -> Vec<u8> {
    Parts { pairs, ..legal() }.bytes()
}

/// One tensor of this description before `n_data` bytes.
fn with_info(info: Vec<u8>, n_data: usize) -> Vec<u8> {
    Parts { infos: vec![info], n_data, ..legal() }.bytes()
}

fn with_infos(infos: Vec<Vec<u8>>, n_data: usize) -> Vec<u8> {
    Parts { infos, n_data, ..legal() }.bytes()
}

#[test]
fn magic_version_and_counts_are_checked_first() {
    let version = |version: u32| Parts { version: version.to_le_bytes(), ..legal() }.bytes();
    let counts = |n_tensors, n_keys| Parts { n_tensors, n_keys, ..legal() }.bytes();
    check_files(vec![
        ("GG01", Vec::new(), Refused("GG-SHORT", "inside the magic number")),
        ("GG02", b"GGU".to_vec(), Refused("GG-SHORT", "byte 3 is the first one missing")),
        ("GG03", b"GGUF".to_vec(), Refused("GG-SHORT", "inside the version")),
        ("GG04", Parts { magic: *b"GGML", ..legal() }.bytes(), Refused("GG-MAGIC", "'GGML'")),
        ("GG05", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), Refused("GG-MAGIC", "'vers'")),
        ("GG06", version(0), Refused("GG-VERSION", "version 0")),
        ("GG07", version(1), Refused("GG-VERSION", "August 2023")),
        ("GG08", version(2), Accepted(1)),
        ("GG09", version(3), Accepted(1)),
        ("GG10", version(4), Refused("GG-VERSION", "not known")),
        ("GG11", version(3_u32.swap_bytes()), Refused("GG-ENDIAN", "big-endian")),
        ("GG12", version(u32::MAX), Refused("GG-VERSION", "4294967295")),
        ("GG13", counts(Some(u64::MAX), None), Refused("GG-COUNT", "number of tensors is negative")),
        ("GG14", counts(None, Some(u64::MAX)), Refused("GG-COUNT", "metadata keys is negative")),
        ("GG15", counts(Some(1_000_000_000_000), None), Refused("GG-COUNT", "--max-tensors")),
        ("GG16", counts(None, Some(1_000_000_000_000)), Refused("GG-COUNT", "1,000,000,000,000")),
        ("GG17", counts(Some(1_000_000), None), Refused("GG-COUNT", "too short for as many tensors")),
        ("GG18", counts(None, Some(60_000)), Refused("GG-COUNT", "too short for as many metadata keys")),
        // padding reads as a nameless scalar
        ("GG19", counts(Some(2), None), Refused("GG-OVERLAP", "found:  offset 0")),
        ("GG20", counts(Some(0), None), Refused("GG-TRAILING", "after the last tensor")),
        ("GG21", Parts { infos: Vec::new(), n_data: 0, ..legal() }.bytes(), Noted(0, "GG-EMPTY")),
        (
            "GG22",
            Parts { infos: Vec::new(), pairs: Vec::new(), n_data: 0, ..legal() }.bytes(),
            Noted(0, "GG-ARCHITECTURE"),
        ),
    ]);
}

#[test]
fn metadata_are_read_to_the_letter() {
    let long = |n: u64| [&n.to_le_bytes()[..], b"abc"].concat();
    let nested = |depth: usize| {
        let level = [ARRAY.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat();
        let innermost = [U8.to_le_bytes().to_vec(), 0_u64.to_le_bytes().to_vec()].concat();
        pair("a", ARRAY, [level.repeat(depth - 1), innermost].concat())
    };
    check_files(vec![
        ("GG23", with_pairs(vec![number("a", 1), number("a", 2)]), Refused("GG-DUPLICATE", "key 'a'")),
        ("GG24", with_pairs(vec![pair("", U32, [0; 4])]), Refused("GG-KEY", "found:  0 bytes")),
        ("GG25", with_pairs(vec![long(u64::MAX)]), Refused("GG-STRING", "18,446,744,073,709,551,615")),
        ("GG26", with_pairs(vec![long(1 << 40)]), Refused("GG-STRING", "metadata key is longer")),
        ("GG27", with_pairs(vec![pair(vec![b'k'; 65_536], U8, [0])]), Refused("GG-KEY", "65,536 bytes")),
        ("GG28", with_pairs(vec![pair(vec![b'k'; 65_535], U8, [0])]), Accepted(1)),
        ("GG29", with_pairs(vec![pair(b"\xff\xfe", U8, [0])]), Refused("GG-KEY", "not UTF-8")),
        ("GG30", with_pairs(vec![pair("a\0b", U8, [0])]), Refused("GG-KEY", "zero byte")),
        ("GG31", with_pairs(vec![pair("a", 13, [0; 8])]), Refused("GG-VALUE", "unknown type")),
        ("GG32", with_pairs(vec![pair("a", u32::MAX, [0; 8])]), Refused("GG-VALUE", "4,294,967,295")),
        ("GG33", with_pairs(vec![pair("a", BOOL, [2])]), Refused("GG-VALUE", "neither 0 nor 1")),
        (
            "GG34",
            with_pairs(vec![pair("a", STRING, long(u64::MAX))]),
            Refused("GG-STRING", "text of the metadata"),
        ),
        (
            "GG35",
            with_pairs(vec![pair("a", STRING, string(b"\xc3\x28"))]),
            Refused("GG-VALUE", "'a' is not UTF-8"),
        ),
        (
            "GG36",
            with_pairs(vec![pair("\u{202e}evil", STRING, string(b"\xff"))]),
            Refused("GG-VALUE", "\\u{202e}"),
        ),
        ("GG37", with_pairs(vec![array("a", 99, 0, [])]), Refused("GG-VALUE", "unknown type")),
        ("GG38", with_pairs(vec![array("a", U8, u64::MAX, [])]), Refused("GG-ARRAY", "array elements")),
        (
            "GG39",
            with_pairs(vec![array("a", U32, 1 << 62, [])]),
            Refused("GG-ARRAY", "4,611,686,018,427,387,904"),
        ),
        ("GG40", with_pairs(vec![array("a", STRING, 1 << 40, [])]), Refused("GG-ARRAY", "1,099,511,627,776")),
        ("GG41", with_pairs(vec![array("a", BOOL, 3, [0, 1, 7])]), Refused("GG-VALUE", "neither 0 nor 1")),
        (
            "GG42",
            with_pairs(vec![array("a", STRING, 1, long(1 << 50))]),
            Refused("GG-STRING", "longer than the rest"),
        ),
        ("GG43", with_pairs(vec![nested(4)]), Accepted(1)),
        ("GG44", with_pairs(vec![nested(5)]), Refused("GG-DEPTH", "nested too deeply")),
        ("GG45", with_pairs(vec![nested(100_000)]), Refused("GG-DEPTH", "at most 4 levels")),
        ("GG46", with_pairs(vec![number("llama.block_count", 1_000_000_000)]), Accepted(1)),
    ]);
}

#[test]
fn alignments_that_no_writer_uses_are_refused() {
    let aligned = |value: u32, alignment: usize| {
        Parts { pairs: vec![number(ALIGNMENT, value)], alignment, ..legal() }.bytes()
    };
    check_files(vec![
        ("GG47", aligned(0, 32), Refused("GG-ALIGNMENT", "found:  0")),
        ("GG48", aligned(13, 32), Refused("GG-ALIGNMENT", "found:  13")),
        ("GG49", aligned(1 << 30, 32), Refused("GG-ALIGNMENT", "1,073,741,824")),
        (
            "GG50",
            with_pairs(vec![pair(ALIGNMENT, 10, 32_u64.to_le_bytes())]),
            Refused("GG-ALIGNMENT", "another type"),
        ),
        (
            "GG51",
            with_pairs(vec![pair(ALIGNMENT, STRING, string("32"))]),
            Refused("GG-ALIGNMENT", "another type"),
        ),
        ("GG52", aligned(64, 64), Accepted(1)),
        // the data begin elsewhere than the header says: the file is too short or too long
        ("GG53", aligned(4096, 32), Refused("GG-SHORT", "ends")),
        ("GG54", aligned(8, 256), Refused("GG-TRAILING", "after the last tensor")),
    ]);
}

#[test]
fn descriptions_of_tensors_must_make_sense() {
    let name = |length: usize| with_info(info(vec![b'n'; length], &[8], F32, 0), 32);
    let rank = |rank: u32| {
        let mut bytes = string("w");
        bytes.extend(rank.to_le_bytes());
        bytes.extend([1; 80]);
        with_info(bytes, 32)
    };
    check_files(vec![
        ("GG55", name(64), Accepted(1)),
        ("GG56", name(65), Noted(1, "GG-NAME")),
        ("GG57", name(4097), Refused("GG-NAME", "4,097 bytes")),
        ("GG58", with_info(info("a\0b", &[8], F32, 0), 32), Refused("GG-NAME", "zero byte")),
        ("GG59", with_info(info(b"\xff", &[8], F32, 0), 32), Refused("GG-NAME", "not UTF-8")),
        (
            "GG60",
            with_info([&u64::MAX.to_le_bytes()[..], b"w"].concat(), 64),
            Refused("GG-STRING", "name of a tensor"),
        ),
        ("GG61", with_info(info("\x1b[2J\u{202e}", &[8], F32, 0), 32), Accepted(1)),
        ("GG62", rank(5), Refused("GG-RANK", "found:  5")),
        ("GG63", rank(u32::MAX), Refused("GG-RANK", "4,294,967,295")),
        ("GG64", with_info(info("w", &[], F32, 0), 32), Accepted(1)),
        ("GG65", with_info(info("w", &[0, 5], F32, 0), 0), Accepted(1)),
        (
            "GG66",
            with_info(info("w", &[(1 << 42) + 1, 1 << 42], F32, 0), 32),
            Refused("GG-OVERFLOW", "63 bits"),
        ),
        ("GG67", with_info(info("w", &[u64::MAX], F32, 0), 32), Refused("GG-OVERFLOW", "63 bits")),
        ("GG68", with_info(info("w", &[0, u64::MAX, 2], F32, 0), 32), Refused("GG-OVERFLOW", "63 bits")),
        ("GG69", with_info(info("w", &[1 << 62], F32, 0), 32), Refused("GG-OVERFLOW", "bytes does not fit")),
        // exabytes by the header, bytes in the file
        (
            "GG70",
            with_info(info("w", &[1 << 30, 1 << 28], F32, 0), 32),
            Refused("GG-SHORT", "1,152,921,504,606,84"),
        ),
        ("GG71", with_info(info("w", &[8], 0xffff, 0), 32), Refused("GG-DTYPE", "type 65535")),
        ("GG72", with_info(info("w", &[8], 4, 0), 32), Refused("GG-DTYPE", "given up")),
        ("GG73", with_info(info("w", &[8], 40, 0), 32), Refused("GG-DTYPE", "not decoded yet")),
        // an unknown type must not hide an impossible shape
        ("GG74", with_info(info("w", &[u64::MAX], 0xffff, 0), 32), Refused("GG-OVERFLOW", "63 bits")),
        ("GG75", with_info(info("w", &[31], Q4_0, 0), 32), Refused("GG-BLOCK", "a multiple of 32")),
        ("GG76", with_info(info("w", &[32, 3], Q4_0, 0), 64), Accepted(1)),
        ("GG77", with_info(info("w", &[128, 2], Q4_K, 0), 160), Refused("GG-BLOCK", "rows of 128")),
    ]);
}

#[test]
fn tensors_must_follow_each_other() {
    let two = |second: u64| with_infos(vec![info("a", &[8], F32, 0), info("b", &[4], F32, second)], 64);
    check_files(vec![
        ("GG78", two(32), Accepted(2)),
        ("GG79", two(0), Refused("GG-OVERLAP", "overlaps the one before it")),
        ("GG80", two(16), Refused("GG-OFFSET", "a multiple of 32")),
        ("GG81", two(64), Refused("GG-HOLE", "belong to no tensor")),
        ("GG82", two(u64::MAX - 31), Refused("GG-HOLE", "offset 18,446,744,073,709,551,584")),
        ("GG83", with_info(info("w", &[8], F32, 32), 64), Refused("GG-HOLE", "wanted: 0")),
        (
            "GG84",
            with_infos(vec![info("a", &[8], F32, 0), info("a", &[8], F32, 32)], 64),
            Refused("GG-DUPLICATE", "'a' occurs twice"),
        ),
        ("GG85", with_info(info("w", &[8], F32, 0), 31), Refused("GG-SHORT", "is the first one missing")),
        ("GG86", with_info(info("w", &[8], F32, 0), 33), Refused("GG-TRAILING", "appended")),
        ("GG87", with_info(info("w", &[9], F32, 0), 36), Accepted(1)),
        ("GG88", with_info(info("w", &[9], F32, 0), 64), Accepted(1)),
        ("GG89", [&legal().bytes()[..], b"PK\x03\x04"].concat(), Refused("GG-TRAILING", "found:")),
        (
            "GG90",
            with_infos(vec![info("a", &[1 << 61], U8, 0), info("b", &[8], F32, 1 << 62)], 64),
            Refused("GG-SHORT", "ends after"),
        ),
    ]);
}

#[test]
fn token_lists_are_bounded_and_need_not_be_text() {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let tokens = |tokens: &[&[u8]]| {
        let list: Vec<u8> = tokens.iter().flat_map(string).collect();
        array(TOKENS, STRING, tokens.len() as u64, list)
    };
    check_files(vec![
        (
            "GG91",
            with_pairs(vec![array(TOKENS, U32, 1, [0; 4])]),
            Refused("GG-TOKENS", "not a list of strings"),
        ),
        ("GG92", with_pairs(vec![array(TOKENS, STRING, 1 << 40, [])]), Refused("GG-ARRAY", "array elements")),
        (
            "GG93",
            with_pairs(vec![array(TOKENS, STRING, (4 << 20) + 1, vec![0; 8 * ((4 << 20) + 1)])]),
            Refused("GG-TOKENS", "more tokens"),
        ),
        ("GG94", with_pairs(vec![tokens(&[b"a", b"\xff", b"b"])]), Noted(1, "GG-TOKENS")),
        ("GG95", with_pairs(vec![tokens(&[b"a", b"a"])]), Noted(1, "CT-DUPLICATE")),
        ("GG96", with_pairs(vec![tokens(&[])]), Noted(1, "CT-ABSENT")),
        (
            "GG97",
            with_pairs(vec![tokens(&[b"a"]), array("tokenizer.ggml.token_type", STRING, 1, string("x"))]),
            Accepted(1),
        ),
    ]);
}

fn part(no: u16, count: u16, name: &str) -> Vec<u8> {
    let short = |key, value: u16| pair(key, 2, value.to_le_bytes());
    let pairs = vec![
        pair("general.architecture", STRING, string("llama")),
        short("split.no", no),
        short("split.count", count),
        pair("split.tensors.count", 5, 2_i32.to_le_bytes()),
    ];
    Parts { pairs, infos: vec![info(name, &[8], F32, 0)], ..legal() }.bytes()
}

#[test]
fn parts_of_one_model_must_fit_together() {
    let (first, second) = ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
    for (id, one, other, want) in [
        ("GG98", Some(part(0, 2, "a")), Some(part(1, 2, "b")), Accepted(2)),
        ("GG99", Some(part(0, 2, "a")), None, Refused("GG-SPLIT", "part 2 of 2 is missing")),
        ("GG100", None, Some(part(1, 2, "b")), Refused("GG-SPLIT", "part 1 of 2 is missing")),
        (
            "GG101",
            Some(part(1, 2, "a")),
            Some(part(0, 2, "b")),
            Refused("GG-SPLIT", "another one than its name says"),
        ),
        ("GG102", Some(part(0, 3, "a")), Some(part(1, 3, "b")), Refused("GG-SPLIT", "part 1 of 3")),
        ("GG103", Some(part(0, 2, "a")), Some(part(1, 2, "a")), Refused("GG-DUPLICATE", "occurs twice")),
        (
            "GG104",
            Some(part(0, 2, "a")),
            Some(legal().bytes()),
            Refused("GG-SPLIT", "does not say that it is one"),
        ),
        ("GG105", Some(part(0, 2, "a")), Some(b"GGUF".to_vec()), Refused("GG-SHORT", "00002-of-00002")),
    ] {
        let folder = Folder::new();
        for (name, bytes) in [(first, &one), (second, &other)] {
            if let Some(bytes) = bytes {
                folder.write(name, bytes);
            }
        }
        check(id, folder.path(), want);
        for (name, bytes) in [(first, &one), (second, &other)] {
            if bytes.is_some() {
                check(id, &folder.at(name), want);
            }
        }
    }
    let folder = Folder::new();
    folder.write("renamed.gguf", part(1, 2, "a"));
    check("GG106", folder.path(), Refused("GG-SPLIT", "does not say where the others are"));
    folder.write("x-00001-of-99999.gguf", part(0, 2, "a"));
    check("GG107", &folder.at("x-00001-of-99999.gguf"), Refused("GG-SPLIT", "more parts than any model"));
    let total = Folder::new();
    let mut bytes = part(1, 2, "b");
    let at = bytes.windows(19).position(|window| window == b"split.tensors.count").expect("the key");
    bytes[at + 19 + 4] = 2;
    let mut one = part(0, 2, "a");
    let at = one.windows(19).position(|window| window == b"split.tensors.count").expect("the key");
    one[at + 19 + 4] = 7;
    total.write(first, one).write(second, bytes);
    check("GG108", total.path(), Refused("GG-SPLIT", "another number of tensors"));
}

#[test]
fn one_of_several_models_in_a_folder_is_chosen_by_its_name() {
    let folder = Folder::new();
    folder.write("m-Q4_K_M.gguf", legal().bytes()).write("m-Q8_0.gguf", legal().bytes());
    check("GG109", folder.path(), Refused("DIR-AMBIGUOUS", "m-Q4_K_M.gguf, m-Q8_0.gguf"));
    check("GG109", folder.path(), Refused("DIR-AMBIGUOUS", ":m-Q4_K_M.gguf'"));
    let chosen = format!("{}:m-Q8_0.gguf", folder.path().display());
    check("GG110", Path::new(&chosen), Accepted(1));
    let missing = format!("{}:m-Q2_K.gguf", folder.path().display());
    check_missing("GG111", &missing);
    check_missing("GG112", &format!("{}:../m-Q8_0.gguf", folder.path().display()));
    folder.write("model.safetensors", hostile::tensors(&["a", "b"]));
    check("GG113", folder.path(), Noted(2, "DIR-OTHER"));
    // content decides where no ending does; an ending that says otherwise is named
    let other = Folder::new();
    other.write("sha256-0123", legal().bytes()).write("named.safetensors", legal().bytes());
    check("GG114", &other.at("sha256-0123"), Accepted(1));
    check("GG115", &other.at("named.safetensors"), Refused("ST-TYPE", "give it the ending .gguf"));
}

fn check_missing(id: &str, reference: &str) {
    let error = checkpoint::open(reference, &Limits::default()).expect_err(id);
    assert_eq!((error.exit_code(), error.fault().rule), (3, "REF-MISSING"), "{id}");
}

#[test]
fn headers_longer_than_the_limit_are_refused_and_the_limit_can_be_raised() {
    let bytes = with_pairs(vec![pair("a", STRING, string(vec![b'x'; 4096]))]);
    let folder = Folder::new();
    folder.write("model.gguf", bytes);
    let short = Limits { max_header_bytes: 1000, ..Limits::default() };
    check_with("GG116", &folder.at("model.gguf"), Refused("GG-HEADER-SIZE", "--max-header-bytes"), &short);
    check("GG117", &folder.at("model.gguf"), Accepted(1));
}

#[test]
fn a_sparse_file_of_terabytes_opens_at_once() {
    let folder = Folder::new();
    let header = with_info(info("w", &[1 << 38], F32, 0), 0);
    sparse(&folder.at("model.gguf"), &header, header.len() as u64 + (1 << 40));
    check("GG118", &folder.at("model.gguf"), Accepted(1));
}

#[test]
fn a_file_that_ends_anywhere_is_refused() {
    let parts = Parts {
        pairs: vec![
            pair("general.architecture", STRING, string("llama")),
            array("tokenizer.ggml.tokens", STRING, 3, [string("a"), string("b"), string("cc")].concat()),
            array("tokenizer.ggml.token_type", 5, 3, [1, 0, 0, 0].repeat(3)),
            number("llama.block_count", 1),
        ],
        infos: vec![info("token_embd.weight", &[32, 3], Q4_0, 0), info("output_norm.weight", &[8], F32, 64)],
        n_data: 64 + 32,
        ..legal()
    };
    let whole = parts.bytes();
    let folder = Folder::new();
    let path = folder.write("whole.gguf", &whole).at("whole.gguf");
    check("GG119", &path, Accepted(2));
    for end in 0..whole.len() {
        std::fs::write(&path, &whole[..end]).expect("write");
        let error = checkpoint::open(&path.to_string_lossy(), &Limits::default()).expect_err("it is cut");
        assert_eq!(error.exit_code(), 3, "cut at {end}");
        let rule = error.fault().rule;
        assert!(matches!(rule, "GG-SHORT" | "GG-STRING" | "GG-ARRAY" | "GG-COUNT"), "cut at {end}: {rule}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_bytes_never_panic(
        edits in proptest::collection::vec((0_usize..700, proptest::num::u8::ANY), 1..12),
    ) {
        let mut bytes = with_infos(vec![info("a", &[32, 3], Q4_0, 0), info("b", &[8], F32, 64)], 96);
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let folder = Folder::new();
        folder.write("model.gguf", bytes);
        let outcome = checkpoint::open(&folder.at("model.gguf").to_string_lossy(), &Limits::default());
        if let Err(error) = outcome {
            assert!(matches!(error.exit_code(), 3 | 4));
        }
    }
}
