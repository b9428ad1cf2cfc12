//! Files of `torch.save`: what PyTorch wrote is read to the bit, and what it would never write is refused with a message (group PK).
//!
//! No row is ever executed: the calls that the pickles ask for would leave a file behind, and none is there at the end.

#[path = "common/hostile.rs"]
#[expect(dead_code, reason = "shared with other tests of hostile files")]
mod hostile;
#[path = "common/pickle.rs"]
mod pickle;

use std::path::{Path, PathBuf};

use cognate::checkpoint::{self, Checkpoint, Limits};
use cognate::compare::{Effort, Options, WeightsVerdict, compare};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;
use cognate::tensor::Dtype;
use hostile::Folder;
use pickle::{Zip, dict, pickled, state_dict, tensor, tensor_of};

fn open(path: &Path) -> Result<Checkpoint, checkpoint::Error> {
    checkpoint::open(&path.to_string_lossy(), &Limits::default())
}

/// Exit 3, this rule, this fragment, a file and no control characters.
fn refused(id: &str, bytes: &[u8], rule: &str, fragment: &str) {
    let folder = Folder::new();
    folder.write("model.bin", bytes);
    for path in [folder.at("model.bin"), folder.path().to_path_buf()] {
        let error = match open(&path) {
            Err(error) => error,
            Ok(found) => panic!("{id}: accepted {:?}", found.tensors),
        };
        let lines = error.fault().to_lines();
        assert_eq!((error.exit_code(), error.fault().rule), (3, rule), "{id}\n{lines}");
        assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
        assert!(
            lines.contains("model.bin") && lines.lines().count() <= 4 && lines.len() < 4096,
            "{id}\n{lines}"
        );
        assert!(!lines.contains(|c: char| c.is_control() && c != '\n'), "{id}: {lines:?}");
    }
    assert!(!folder.at("pwned").exists() && !PathBuf::from("pwned").exists(), "{id}");
}

fn accepted(id: &str, bytes: &[u8], n_tensors: usize) -> Checkpoint {
    let folder = Folder::new();
    folder.write("model.bin", bytes);
    match open(&folder.at("model.bin")) {
        Ok(found) => {
            assert_eq!(found.tensors.len(), n_tensors, "{id}");
            assert_eq!(found.format, "pytorch", "{id}");
            found
        }
        Err(error) => panic!("{id}:\n{}", error.fault().to_lines()),
    }
}

// ---------------------------------------------------------------------------------------- what PyTorch wrote

fn reference(name: &str) -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torch").join(name);
    open(&path).unwrap_or_else(|error| panic!("{name}:\n{}", error.fault().to_lines()))
}

/// Elements of a tensor as f64.
fn elements(model: &Checkpoint, name: &str) -> Vec<f64> {
    let tensor = model.tensors.iter().find(|tensor| tensor.name == name).expect(name);
    let (source, offset) = model.elements_of(tensor);
    let size = tensor.dtype.size_bytes().expect("whole bytes");
    let mut bytes = vec![0; usize::try_from(tensor.n_elements()).expect("small") * size];
    source.read_at(offset, &mut bytes).expect("readable");
    let elements = cognate::reductions::Elements { dtype: tensor.dtype, bytes: &bytes };
    let mut values = vec![0.0; bytes.len() / size];
    cognate::cpu::Cpu::detect().decode(elements, &mut values);
    values.into_iter().map(f64::from).collect()
}

/// Element i of tensor n, as `scripts/reference_pickles.py` wrote it.
fn formula(n: i32, count: i32) -> Vec<f64> {
    (0..count).map(|i| f64::from(i % 17 - 8 + n)).collect()
}

#[test]
fn both_containers_hold_what_pytorch_put_in() {
    for (name, prefix_note) in [("plain.pt", false), ("legacy.pt", false), ("training.pt", true)] {
        let model = reference(name);
        let names: Vec<&str> = model.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["a.weight", "b.bias", "c"], "{name}");
        assert_eq!(elements(&model, "a.weight"), formula(0, 15), "{name}");
        assert_eq!(elements(&model, "b.bias"), formula(1, 4), "{name}");
        assert_eq!(elements(&model, "c"), formula(2, 4), "{name}");
        assert_eq!(model.tensors[0].shape, [3, 5], "{name}");
        assert_eq!(model.notes.iter().any(|note| note.rule == "PK-PREFIX"), prefix_note, "{name}");
    }
    let notes = reference("training.pt").notes;
    let says =
        |rule: &str, words: &str| notes.iter().any(|note| note.rule == rule && note.says.contains(words));
    assert!(
        says("PK-ENTRY", "'state_dict'") && says("PK-MEAN", "'ema' (3 tensors), a running mean"),
        "{notes:?}"
    );
}

/// A file of torch.save with these sets of vectors: (entry, first value of all its elements).
fn of_sets(sets: &[(&str, f32)]) -> Vec<u8> {
    let keys: Vec<String> = (0..sets.len()).map(|key| key.to_string()).collect();
    let entries: Vec<(&str, Vec<u8>)> = sets
        .iter()
        .zip(&keys)
        .map(|((entry, _), key)| {
            let vectors = [("a", key.as_str(), 64), ("b", key.as_str(), 64)];
            (*entry, state_dict(&vectors))
        })
        .collect();
    let mut zip = Zip::of(pickled(&dict(&entries)));
    for ((_, first), key) in sets.iter().zip(&keys) {
        let data = (0..64_u8).flat_map(|i| (first + f32::from(i)).to_le_bytes()).collect();
        zip = zip.with(&format!("data/{key}"), data);
    }
    zip.bytes()
}

#[test]
fn a_network_that_was_not_read_keeps_two_files_from_being_called_identical() {
    let compared = |left: &[(&str, f32)], right: &[(&str, f32)]| {
        let folder = Folder::new();
        folder.write("left.pt", of_sets(left)).write("right.pt", of_sets(right));
        let [left, right] = ["left.pt", "right.pt"].map(|name| open(&folder.at(name)).expect("opens"));
        let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
        compare(&Backend::Cpu(Cpu::detect()), &left, &right, &options, &|_| ()).expect("a comparison").weights
    };
    let one = &[("generator", 1.0)][..];
    let two = &[("generator", 1.0), ("discriminator", 5.0)][..];
    let averaged = &[("generator", 1.0), ("ema", 5.0)][..];
    for (left, right, is_identical) in
        [(one, one, true), (two, two, false), (one, two, false), (two, one, false), (averaged, one, true)]
    {
        let found = compared(left, right);
        let says = found.verdict == Some(WeightsVerdict::Identical);
        assert_eq!(says, is_identical, "{left:?} ~ {right:?}: {:?}", found.reasons);
        let names_it = found.reasons.iter().any(|reason| reason.contains("'discriminator' (2 tensors)"));
        assert_eq!(names_it, !is_identical, "{left:?} ~ {right:?}: {:?}", found.reasons);
    }
}

#[test]
fn views_are_read_in_the_order_that_they_show() {
    let model = reference("views.pt");
    let base = formula(0, 24);
    let transposed: Vec<f64> = (0..15).map(|i| formula(0, 15)[(i % 5) * 3 + i / 5]).collect();
    let columns: Vec<f64> = (0..12).map(|i| base[(i / 3) * 6 + 1 + i % 3]).collect();
    let every_other: Vec<f64> = (0..12).map(|i| base[(i / 6) * 12 + i % 6]).collect();
    for (name, wanted) in [
        ("transposed", transposed),
        ("columns", columns),
        ("every_other", every_other),
        ("whole", base.clone()),
        ("scalar", vec![base[15]]),
        ("empty", Vec::new()),
    ] {
        assert_eq!(elements(&model, name), wanted, "{name}");
    }
    // a part of a view that starts inside an element's row, and inside an element
    let tensor = model.tensors.iter().find(|tensor| tensor.name == "columns").expect("there");
    let (source, _) = model.elements_of(tensor);
    let mut whole = vec![0; 48];
    source.read_at(0, &mut whole).expect("readable");
    for (from, to) in [(4, 20), (7, 9), (0, 1), (47, 48)] {
        let mut part = vec![0; to - from];
        source.read_at(from as u64, &mut part).expect("readable");
        assert_eq!(part, whole[from..to], "{from}..{to}");
    }
}

#[test]
fn every_type_of_elements_is_known() {
    let model = reference("kinds.pt");
    assert_eq!(model.tensors.len(), 11);
    for tensor in &model.tensors {
        assert_eq!(elements(&model, &tensor.name), formula(8, 9), "{}", tensor.name);
    }
}

// ------------------------------------------------------------------------------------------ what it would not

#[test]
fn a_call_of_anything_is_refused_and_never_made() {
    let calls: Vec<(&str, Vec<u8>)> = vec![
        ("posix.system", pickled(b"cposix\nsystem\nX\x0b\0\0\0touch pwned\x85R")),
        ("os.system", pickled(b"cos\nsystem\nX\x0b\0\0\0touch pwned\x85R")),
        ("nt.system", pickled(b"cnt\nsystem\nX\x01\0\0\0x\x85R")),
        ("subprocess.Popen", pickled(b"csubprocess\nPopen\n)R")),
        ("builtins.eval", pickled(b"cbuiltins\neval\nX\x01\0\0\x001\x85R")),
        ("builtins.exec", pickled(b"\x8c\x08builtins\x8c\x04exec\x93X\x01\0\0\x001\x85R")),
        ("builtins.getattr", pickled(b"cbuiltins\ngetattr\n)R")),
        ("__builtin__.eval", pickled(b"c__builtin__\neval\n)R")),
        ("builtins.open", pickled(b"cbuiltins\nopen\nX\x05\0\0\0pwned\x85R")),
        ("builtins.__import__", pickled(b"cbuiltins\n__import__\n)R")),
        ("runpy._run_code", pickled(b"crunpy\n_run_code\n)R")),
        ("pickle.loads", pickled(b"cpickle\nloads\n)R")),
        ("torch.load", pickled(b"ctorch\nload\n)R")),
        ("torch.hub.load", pickled(b"ctorch.hub\nload\n)R")),
        ("torch._utils._rebuild_qtensor", pickled(b"ctorch._utils\n_rebuild_qtensor\n)R")),
        ("torch.jit.load", pickled(b"ctorch.jit\nload\n)R")),
        ("webbrowser.open", pickled(b"cwebbrowser\nopen\n)R")),
        ("bdb.Bdb", pickled(b"cbdb\nBdb\n)R")),
        ("operator.attrgetter", pickled(b"coperator\nattrgetter\n)R")),
        ("functools.partial", pickled(b"cfunctools\npartial\n)R")),
        ("numpy.testing._private.utils.runstring", pickled(b"cnumpy.testing._private.utils\nrunstring\n)R")),
        ("torch.nn.modules.linear.Linear", pickled(b"ctorch.nn.modules.linear\nLinear\n)\x81}b")),
        ("collections.OrderedDict.fromkeys", pickled(b"ccollections\nOrderedDict.fromkeys\n)R")),
        ("__main__.Payload", pickled(b"c__main__\nPayload\n)\x81")),
        ("socket.socket", pickled(b"csocket\nsocket\n)R")),
        ("shutil.rmtree", pickled(b"cshutil\nrmtree\n)R")),
        ("ctypes.CDLL", pickled(b"cctypes\nCDLL\n)R")),
        ("importlib.import_module", pickled(b"cimportlib\nimport_module\n)R")),
    ];
    for (name, bytes) in calls {
        refused(name, &Zip::of(bytes.clone()).bytes(), "PK-GLOBAL", name);
        // behind a legal state dict it is not less refused
        let behind = [&b"\x80\x02"[..], &state_dict(&[]), &b"0"[..], &bytes[2..]].concat();
        refused(name, &Zip::of(behind).bytes(), "PK-GLOBAL", name);
    }
}

#[test]
fn options_of_training_frameworks_are_read_past() {
    let one = tensor("0", &[2], &[1], 0, 2);
    for (id, options) in [
        ("omegaconf", &b"comegaconf.listconfig\nListConfig\n)\x81}(X\x08\0\0\0_content]ub"[..]),
        ("a callback", b"}cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\nK\x01s"),
        ("argparse", b"cargparse\nNamespace\n)\x81}(X\x02\0\0\0lrK\x01ub"),
        ("a long of Python 2", b"c__builtin__\nlong\n"),
    ] {
        let checkpoint =
            dict(&[("hyper_parameters", options.to_vec()), ("state_dict", dict(&[("w", one.clone())]))]);
        accepted(id, &Zip::of(pickled(&checkpoint)).with("data/0", vec![0; 8]).bytes(), 1);
    }
}

#[test]
fn instructions_that_make_objects_are_refused_by_name() {
    for (name, bytes) in [
        ("INST", &b"(iposix\nsystem\n"[..]),
        ("OBJ", b"(cbuiltins\nset\no"),
        ("EXT", b"\x82\x01"),
        ("EXT", b"\x83\x01\0"),
        ("EXT", b"\x84\x01\0\0\0"),
        ("PERSID", b"Pstorage\n"),
        ("NEWOBJ_EX", b"cbuiltins\nset\n)}\x92"),
        ("buffer", b"\x97"),
        ("buffer", b"\x98"),
        ("buffer", b"\x96\x01\0\0\0\0\0\0\0a"),
        ("protocol 0", b"I1\n"),
        ("protocol 0", b"S'a'\n"),
        ("protocol 0", b"g0\n"),
        ("no protocol knows", b"\xff"),
        ("no protocol knows", b"\0"),
        ("call of something without a name", b"K\x01)R"),
        ("attributes of another object", b"K\x01}b"),
        ("a storage made in place", b"ctorch\nFloatStorage\nK\x01\x85R"),
        (
            "a storage that is a view",
            b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04)tQ",
        ),
        ("no storage", b"K\x01Q"),
        ("no storage", b"(X\x06\0\0\0moduleK\x01K\x01K\x01K\x01tQ"),
        (
            "unknown type",
            b"(X\x07\0\0\0storageccollections\nOrderedDict\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ",
        ),
        ("made of something else than pairs", b"ccollections\nOrderedDict\nK\x01\x85R"),
        ("protocol 9", b"\x80\x09"),
    ] {
        refused(name, &Zip::of(pickled(bytes)).bytes(), "PK-UNSUPPORTED", name);
    }
}

#[test]
fn damaged_pickles_are_refused_where_they_break() {
    for (id, bytes, fragment) in [
        ("pop of nothing", &b"0"[..], "asked for where none is"),
        ("end of no list", b"t", "never begun"),
        ("memo", b"h\x05", "entry 5 of the memo"),
        ("memo, long", b"j\xff\xff\xff\xff", "entry 4294967295 of the memo"),
        ("append to a number", b"K\x01K\x02a", "no list"),
        ("item of a number", b"K\x01K\x02K\x03s", "no dict"),
        ("key without value", b"}(K\x01u", "a key without a value"),
        ("left over", b"K\x01K\x02", "left over"),
        ("mark left over", b"(K\x01", "left over"),
        ("pop under a mark", b"K\x01(0", "asked for where none is"),
        ("name that is a number", b"K\x01K\x02\x93", "a name that is no text"),
        ("arguments no tuple", b"ccollections\nOrderedDict\nK\x01R", "arguments that are no tuple"),
        ("frame", b"\x95\xff\xff\xff\xff\xff\xff\xff\xff", "more than any file holds"),
        (
            "parameter of nothing",
            b"ctorch._utils\n_rebuild_parameter\nK\x01\x85R",
            "a parameter that is no tensor",
        ),
        ("tensor of nothing", b"ctorch._utils\n_rebuild_tensor_v2\n)R", "too few arguments"),
        ("tensor without storage", b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01))tR", "storage is none"),
        ("tensor v3 without type", b"ctorch._utils\n_rebuild_tensor_v3\n(K\x01K\x01))tR", "without a type"),
    ] {
        refused(id, &Zip::of(pickled(bytes)).bytes(), "PK-BROKEN", fragment);
    }
    for (id, bytes) in [
        ("no stop", b"\x80\x02}".to_vec()),
        ("cut text", b"\x80\x02X\xff\xff\xff\x7fabc".to_vec()),
        ("4 GiB of bytes", b"\x80\x02B\xff\xff\xff\xffabc".to_vec()),
        ("2^63 bytes", b"\x80\x04\x8e\0\0\0\0\0\0\0\x80abc".to_vec()),
        ("cut number", b"\x80\x02J\0".to_vec()),
        ("cut name", b"\x80\x02cos".to_vec()),
        ("empty", Vec::new()),
    ] {
        refused(id, &Zip::of(bytes).bytes(), "PK-SHORT", "ends inside an instruction");
    }
    refused(
        "second pickle",
        &Zip::of(b"\x80\x02}.\x80\x02}.".to_vec()).bytes(),
        "PK-TRAILING",
        "4 bytes more",
    );
    let endless = [&b"\x80\x02c"[..], &[b'a'; 400]].concat();
    refused("name without end", &Zip::of(endless).bytes(), "PK-BROKEN", "a name without an end");
}

#[test]
fn small_pickles_of_large_things_stay_small() {
    // each tuple holds the one before it twice: 2^40 values on paper, 40 in memory
    let doubling: Vec<u8> = [&b")"[..], &b"2\x86".repeat(40)].concat();
    refused("memo doubling", &Zip::of(pickled(&doubling)).bytes(), "PK-NO-TENSORS", "no dict of tensors");
    let marks = [vec![b'('; 1_000_000], b"K\x01".to_vec()].concat();
    refused("a million marks", &Zip::of(pickled(&marks)).bytes(), "PK-BROKEN", "left over");
    let values = [vec![b'('], b"K\x01".repeat(5_000_000), b"t".to_vec()].concat();
    refused("five million values", &Zip::of(pickled(&values)).bytes(), "PK-SIZE", "at most 4,000,000");
    let itself = pickled(b"]q\0h\0a}(X\x01\0\0\0ah\0u0");
    refused("a list in itself", &Zip::of(itself).bytes(), "PK-NO-TENSORS", "no dict of tensors");
    let deep = [vec![b']'; 100_000], vec![b'a'; 99_999]].concat();
    refused("lists in lists", &Zip::of(pickled(&deep)).bytes(), "PK-NO-TENSORS", "no dict of tensors");
}

#[test]
fn a_pickle_without_a_state_dict_says_so() {
    for (id, bytes, rule, fragment) in [
        ("a number", &b"K\x01"[..], "PK-NO-TENSORS", "no dict of tensors"),
        ("a list", b"]", "PK-NO-TENSORS", "no dict of tensors"),
        ("an empty dict", b"}", "PK-NO-TENSORS", "no dict in it holds tensors"),
        (
            "options",
            b"}(X\x02\0\0\0lrK\x01X\x05\0\0\0epochK\x02u",
            "PK-NO-TENSORS",
            "no dict in it holds tensors",
        ),
    ] {
        refused(id, &Zip::of(pickled(bytes)).bytes(), rule, fragment);
    }
    let one = tensor("0", &[2], &[1], 0, 2);
    let two_sets = dict(&[("first", dict(&[("w", one.clone())])), ("second", dict(&[("w", one.clone())]))]);
    refused(
        "two sets",
        &Zip::of(pickled(&two_sets)).with("data/0", vec![0; 8]).bytes(),
        "PK-AMBIGUOUS",
        "first, second",
    );
    let twice = dict(&[("w", one.clone()), ("w", one.clone())]);
    refused(
        "a name twice",
        &Zip::of(pickled(&twice)).with("data/0", vec![0; 8]).bytes(),
        "PK-DUPLICATE",
        "'w' is given twice",
    );
    let long = "x".repeat(5000);
    let long = dict(&[(&long, one.clone())]);
    refused(
        "a long name",
        &Zip::of(pickled(&long)).with("data/0", vec![0; 8]).bytes(),
        "PK-NAME",
        "5,000 bytes",
    );
    let number = [&b"}(K\x07"[..], &one, b"u"].concat();
    refused(
        "a number as name",
        &Zip::of(pickled(&number)).with("data/0", vec![0; 8]).bytes(),
        "PK-NAME",
        "no text",
    );
    let hostile = dict(&[("\u{1b}[2J<script>", one)]);
    accepted("escape as name", &Zip::of(pickled(&hostile)).with("data/0", vec![0; 8]).bytes(), 1);
}

#[test]
fn tensors_must_lie_inside_their_storage() {
    let of = |tensor: Vec<u8>| Zip::of(pickled(&dict(&[("w", tensor)]))).with("data/0", vec![0; 16]).bytes();
    accepted("whole", &of(tensor("0", &[2, 2], &[2, 1], 0, 4)), 1);
    accepted("scalar", &of(tensor("0", &[], &[], 3, 4)), 1);
    accepted("empty", &of(tensor("0", &[0, 1 << 40], &[1 << 40, 1], 0, 4)), 1);
    for (id, tensor, fragment) in [
        ("past the end", tensor("0", &[5], &[1], 0, 4), "reaches outside"),
        ("offset past the end", tensor("0", &[1], &[1], 4, 4), "reaches outside"),
        ("stride past the end", tensor("0", &[2, 2], &[3, 1], 0, 4), "reaches outside"),
        ("expanded", tensor("0", &[1 << 40], &[0], 0, 4), "reaches outside"),
        ("2^63 elements", tensor("0", &[1 << 32, 1 << 32], &[0, 0], 0, 4), "multiply past any size"),
        ("a stride of 2^62", tensor("0", &[8], &[1 << 62], 0, 4), "multiply past any size"),
        ("negative size", tensor("0", &[-1], &[1], 0, 4), "negative shape"),
        ("negative stride", tensor("0", &[2], &[-1], 0, 4), "negative stride"),
        ("negative offset", tensor("0", &[2], &[1], -1, 4), "negative offset"),
        ("strides and dimensions", tensor("0", &[2, 2], &[1], 0, 4), "another number of strides"),
        ("17 dimensions", tensor("0", &[1; 17], &[1; 17], 0, 4), "too many dimensions"),
    ] {
        refused(id, &of(tensor), "PK-SHAPE", fragment);
    }
    for (id, tensor, fragment) in [
        ("storage longer than its entry", tensor("0", &[2], &[1], 0, 5), "another length"),
        ("storage shorter than its entry", tensor("0", &[2], &[1], 0, 3), "another length"),
        ("no such storage", tensor("7", &[2], &[1], 0, 4), "not in the file"),
        ("storage key with a path", tensor("../data.pkl", &[2], &[1], 0, 4), "not in the file"),
    ] {
        refused(id, &of(tensor), "PK-STORAGE", fragment);
    }
    let complex = tensor_of("ComplexDoubleStorage", "0", &[1], &[1], 0, 1);
    refused("complex128", &of(complex), "PK-DTYPE", "complex128");
    let quantised = tensor_of("QInt8Storage", "0", &[1], &[1], 0, 16);
    refused("qint8", &of(quantised), "PK-GLOBAL", "torch.QInt8Storage");
    // two tensors of one storage are how tied weights are saved
    let shared = dict(&[("a", tensor("0", &[2, 2], &[2, 1], 0, 4)), ("b", tensor("0", &[4], &[1], 0, 4))]);
    let model = accepted("shared storage", &Zip::of(pickled(&shared)).with("data/0", vec![0; 16]).bytes(), 2);
    assert_eq!(model.tensors[0].offset, model.tensors[1].offset);
    assert_eq!(model.tensors[0].dtype, Dtype::F32);
}

#[test]
fn archives_must_be_what_torch_writes() {
    let good = || Zip::of(pickled(&state_dict(&[("w", "0", 4)]))).with("data/0", vec![0; 16]);
    accepted("whole", &good().bytes(), 1);
    accepted("with a version", &good().with("version", b"3\n".to_vec()).bytes(), 1);
    accepted("little endian", &good().with("byteorder", b"little".to_vec()).bytes(), 1);
    accepted("data descriptors", &good().with_descriptors().bytes(), 1);
    accepted("zip64", &good().with_zip64().bytes(), 1);
    refused("big endian", &good().with("byteorder", b"big".to_vec()).bytes(), "PK-ENDIAN", "big endian");
    refused("two entries of one name", &good().with("data/0", vec![0; 16]).bytes(), "PK-ZIP-TWICE", "twice");
    let two = good().with_root("other/data.pkl", pickled(b"}"));
    refused("two pickles", &two.bytes(), "PK-ZIP-TWO", "2 entries data.pkl");
    refused(
        "no pickle",
        &Zip::empty().with("data/0", vec![0; 4]).bytes(),
        "PK-ZIP-NONE",
        "an entry NAME/data.pkl",
    );
    refused("TorchScript", &good().with("constants.pkl", vec![0]).bytes(), "PK-TORCHSCRIPT", "TorchScript");
    for (id, edit, rule, fragment) in [
        ("compressed", pickle::Edit::Method(8), "PK-ZIP-ENTRY", "is compressed"),
        ("encrypted", pickle::Edit::Flags(1), "PK-ZIP-ENTRY", "is encrypted"),
        ("a link", pickle::Edit::Mode(0o120_777), "PK-ZIP-ENTRY", "symbolic link"),
        ("two sizes", pickle::Edit::PackedSize(3), "PK-ZIP-ENTRY", "two sizes"),
        ("local name", pickle::Edit::LocalName, "PK-ZIP-LOCAL", "another name"),
        ("local size", pickle::Edit::LocalSize(5), "PK-ZIP-LOCAL", "another size or sum"),
        ("local sum", pickle::Edit::LocalCrc, "PK-ZIP-LOCAL", "another size or sum"),
        ("local offset", pickle::Edit::LocalOffset(1 << 31), "PK-ZIP-LOCAL", "outside the archive"),
        ("local offset, near", pickle::Edit::LocalOffset(1), "PK-ZIP-LOCAL", "another header"),
        ("sum", pickle::Edit::Crc, "PK-ZIP-CRC", "the sum"),
        ("size", pickle::Edit::Size(1 << 30), "PK-SIZE", "longer than allowed"),
        ("size past the data", pickle::Edit::Size(1 << 20), "PK-ZIP-LOCAL", "ends after"),
        ("wide size without a field", pickle::Edit::Size(0xffff_ffff), "PK-ZIP-ENTRY", "zip64"),
    ] {
        refused(id, &good().edited(edit).bytes(), rule, fragment);
    }
    let whole = good().bytes();
    // the locator stands before the end record of 22 bytes and names the record's place from its byte 8 on
    let mut past_all = good().with_zip64().bytes();
    let place = past_all.len() - 22 - 20 + 8;
    past_all[place..place + 8].fill(0xff);
    for (id, bytes, rule, fragment) in [
        ("cut by one", whole[..whole.len() - 1].to_vec(), "PK-ZIP-END", "no directory at its end"),
        ("cut in half", whole[..whole.len() / 2].to_vec(), "PK-ZIP-END", "no directory at its end"),
        ("only a signature", b"PK\x03\x04".to_vec(), "PK-ZIP-END", "no directory at its end"),
        ("appended", [&whole[..], b"more"].concat(), "PK-ZIP-END", "something was appended"),
        ("two archives", [&whole[..], &whole[..]].concat(), "PK-ZIP", "does not end where"),
        ("a zip64 record past all", past_all, "PK-ZIP", "not where it should be"),
    ] {
        refused(id, &bytes, rule, fragment);
    }
    let overlap = Zip::of(pickled(&state_dict(&[("a", "0", 4), ("b", "1", 4)])))
        .with("data/0", vec![0; 16])
        .with("data/1", vec![0; 16])
        .overlapping();
    refused("overlap", &overlap.bytes(), "PK-ZIP-LOCAL", "another name");
    // every length of a file that is cut: refused, whatever the byte
    for length in 0..whole.len() {
        let folder = Folder::new();
        folder.write("model.bin", &whole[..length]);
        assert!(open(&folder.at("model.bin")).is_err(), "cut at {length}");
    }
}

#[test]
fn the_old_container_is_checked_to_its_last_byte() {
    let good = pickle::legacy(&state_dict(&[("w", "0", 4)]), &["0"], &[(4, &[0; 16])]);
    let model = accepted("legacy", &good, 1);
    assert_eq!(model.tensors[0].offset, good.len() as u64 - 16);
    for (id, bytes, rule, fragment) in [
        ("cut", good[..good.len() - 1].to_vec(), "PK-SHORT", "a storage ends after the end"),
        ("cut in the count", good[..good.len() - 17].to_vec(), "PK-SHORT", "a storage ends after the end"),
        ("cut in the pickles", good[..40].to_vec(), "PK-SHORT", "the file ends inside its pickles"),
        ("appended", [&good[..], b"x"].concat(), "PK-TRAILING", "goes on after its last storage"),
        (
            "a count of 2^63",
            pickle::legacy(&state_dict(&[("w", "0", 4)]), &["0"], &[(1 << 63, &[0; 16])]),
            "PK-SHORT",
            "a storage ends after the end",
        ),
        (
            "another count than the pickle",
            pickle::legacy(&state_dict(&[("w", "0", 4)]), &["0"], &[(2, &[0; 8])]),
            "PK-STORAGE",
            "another length",
        ),
        (
            "a storage of nobody",
            pickle::legacy(&state_dict(&[("w", "0", 4)]), &["0", "1"], &[(4, &[0; 16])]),
            "PK-STORAGE",
            "belongs to no tensor",
        ),
        (
            "a storage twice",
            pickle::legacy(&state_dict(&[("w", "0", 4)]), &["0", "0"], &[(4, &[0; 16]), (4, &[0; 16])]),
            "PK-DUPLICATE",
            "listed twice",
        ),
        (
            "a call",
            pickle::legacy(b"cposix\nsystem\nX\x0b\0\0\0touch pwned\x85R", &[], &[]),
            "PK-GLOBAL",
            "posix.system",
        ),
    ] {
        refused(id, &bytes, rule, fragment);
    }
    for length in 15..good.len() {
        let folder = Folder::new();
        folder.write("model.bin", &good[..length]);
        assert!(open(&folder.at("model.bin")).is_err(), "cut at {length}");
    }
}

#[test]
fn folders_of_pickles_follow_the_rules_of_loaders() {
    let whole = Zip::of(pickled(&state_dict(&[("w", "0", 4)]))).with("data/0", vec![0; 16]).bytes();
    let other = Zip::of(pickled(&state_dict(&[("v", "0", 4)]))).with("data/0", vec![0; 16]).bytes();
    let folder = Folder::new();
    folder.write("pytorch_model.bin", &whole).write("training_args.bin", "x").write("optimizer.pt", "x");
    folder.write("rng_state_0.pth", "x");
    assert_eq!(open(folder.path()).expect("one model").format, "pytorch");
    // safetensors come first, and what was not read is said
    folder.write("model.safetensors", hostile::tensors(&["a"]));
    let both = open(folder.path()).expect("one model");
    assert_eq!(both.format, "safetensors");
    assert!(
        both.notes.iter().any(|note| note.rule == "DIR-OTHER" && note.says.contains("pytorch_model.bin"))
    );

    let folder = Folder::new();
    folder
        .write("pytorch_model-00001-of-00002.bin", &whole)
        .write("pytorch_model-00002-of-00002.bin", &other);
    let error = open(folder.path()).expect_err("no index");
    assert!(
        error.fault().to_lines().contains("pytorch_model.bin.index.json"),
        "{}",
        error.fault().to_lines()
    );
    let map =
        r#"{"weight_map":{"w":"pytorch_model-00001-of-00002.bin","v":"pytorch_model-00002-of-00002.bin"}}"#;
    folder.write("pytorch_model.bin.index.json", map);
    let sharded = open(folder.path()).expect("two shards");
    assert_eq!((sharded.format, sharded.tensors.len(), sharded.files.len()), ("pytorch", 2, 2));

    let folder = Folder::new();
    folder.write("consolidated.00.pth", &whole).write("consolidated.01.pth", &other);
    let error = open(folder.path()).expect_err("slices");
    assert!(error.fault().to_lines().contains("a slice of every matrix"), "{}", error.fault().to_lines());
}

#[test]
fn a_pickle_that_calls_itself_safetensors_is_named_and_not_read() {
    let folder = Folder::new();
    let whole = Zip::of(pickled(&state_dict(&[("w", "0", 4)]))).with("data/0", vec![0; 16]).bytes();
    folder.write("model.safetensors", whole);
    let error = open(folder.path()).expect_err("renamed");
    assert_eq!((error.exit_code(), error.fault().rule), (3, "ST-TYPE"));
}
