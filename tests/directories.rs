//! Directories as people have them: several formats side by side, several quantisations, what a downloader left, the store of
//! Ollama; and files that are no checkpoint at all. Each row is a folder and a reference, and what must become of it.

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "common/hostile.rs"]
mod hostile;

use cognate::checkpoint::{self, Limits};
use hostile::{Folder, tensors};

/// What must become of a reference.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Exit 3, this rule, this fragment in the lines of the message.
    Refused(&'static str, &'static str),
    /// The format, and the name of the only tensor.
    Opened(&'static str, &'static str),
    /// So many tensors, and a note of this rule.
    Noted(usize, &'static str),
}
use Want::{Noted, Opened, Refused};

/// Opens `folder` followed by `reference`.
fn check(id: &str, folder: &Folder, reference: &str, want: Want) {
    let reference = format!("{}{reference}", folder.path().display());
    match (want, checkpoint::open(&reference, &Limits::default())) {
        (Refused(rule, fragment), Err(error)) => {
            let lines = error.fault().to_lines();
            assert_eq!((error.exit_code(), error.fault().rule), (3, rule), "{id}\n{lines}");
            assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
            assert!(lines.lines().count() <= 4 && lines.len() < 4096, "{id}\n{lines}");
        }
        (Opened(format, tensor), Ok(opened)) => {
            let names: Vec<_> = opened.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!((opened.format, names), (format, vec![tensor]), "{id}");
        }
        (Noted(n_tensors, rule), Ok(opened)) => {
            assert_eq!(opened.tensors.len(), n_tensors, "{id}");
            assert!(opened.notes.iter().any(|note| note.rule == rule), "{id}: {:?}", opened.notes);
        }
        (_, Ok(opened)) => panic!("{id}: wanted {want:?}, opened {opened:?}"),
        (_, Err(error)) => panic!("{id}: wanted {want:?}, got\n{}", error.fault().to_lines()),
    }
}

/// A GGUF file of one tensor of eight zeros.
fn gguf(tensor: &str) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    for number in [1_u64, 0, tensor.len() as u64] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(tensor.as_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(8_u64.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32) + 32, 0);
    bytes
}

#[test]
fn of_several_formats_loaders_take_safetensors() {
    let folder = Folder::new();
    folder.write("model.safetensors", tensors(&["a"])).write("pytorch_model.bin", "not looked at");
    check("safetensors and .bin", &folder, "", Noted(1, "DIR-OTHER"));
    check("safetensors and .bin", &folder, "", Opened("safetensors", "a"));
    folder.write("model.Q4_0.gguf", gguf("b")).write("tf_model.h5", "");
    check("and .gguf", &folder, "", Opened("safetensors", "a"));
    check("the .gguf by name", &folder, ":model.Q4_0.gguf", Opened("gguf", "b"));
    check("a path in it", &folder, "/model.Q4_0.gguf", Opened("gguf", "b"));
}

#[test]
fn of_several_quantisations_one_is_chosen_by_name() {
    let folder = Folder::new();
    folder.write("m.Q4_K_M.gguf", gguf("q4"));
    check("one", &folder, "", Opened("gguf", "q4"));
    folder.write("m.Q8_0.gguf", gguf("q8")).write("mmproj-m.gguf", gguf("v.blk.0"));
    check("several", &folder, "", Refused("DIR-AMBIGUOUS", "m.Q4_K_M.gguf, m.Q8_0.gguf"));
    check("several", &folder, "", Refused("DIR-AMBIGUOUS", ":m.Q4_K_M.gguf'"));
    check("chosen", &folder, ":m.Q8_0.gguf", Opened("gguf", "q8"));
    check("no such file", &folder, ":m.Q2_K.gguf", Refused("REF-MISSING", "m.Q2_K.gguf"));
    check("upwards", &folder, ":../m.Q8_0.gguf", Refused("REF-MISSING", "neither a file"));
}

#[test]
fn shards_count_before_one_consolidated_file_and_must_all_be_there() {
    let folder = Folder::new();
    folder.write("1.safetensors", tensors(&["a"])).write("2.safetensors", tensors(&["b"]));
    folder.index(&[("a", "1.safetensors"), ("b", "2.safetensors")]);
    folder.write("consolidated.safetensors", tensors(&["a"]));
    check("sharded and consolidated", &folder, "", Noted(2, "DIR-OTHER"));
    check("the consolidated one", &folder, ":consolidated.safetensors", Opened("safetensors", "a"));
    std::fs::remove_file(folder.at("2.safetensors")).expect("remove");
    check("missing shard", &folder, "", Refused("IX-MISSING", "2.safetensors"));
    let parts = Folder::new();
    parts.write("m-00001-of-00002.gguf", gguf("a"));
    check("missing part", &parts, "", Refused("GG-SPLIT", "m-00002-of-00002.gguf"));
}

const MODEL: &str = "application/vnd.ollama.image.model";
const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn layer(media_type: &str, digest: &str, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn manifest(layers: &[String]) -> String {
    let config =
        r#"{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:0","size":1}"#;
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","))
}

/// A store with `small:1b`, `small:latest`, `me/mine:latest` and `hf.co/org/name:Q4`, all of the same weights.
fn store() -> Folder {
    let folder = Folder::new();
    let blob = gguf("w");
    let template = layer("application/vnd.ollama.image.template", "sha256:1", 2);
    let text = manifest(&[layer(MODEL, DIGEST, blob.len()), template]);
    for name in ["registry.ollama.ai/library/small/1b", "registry.ollama.ai/library/small/latest"] {
        folder.write(&format!("manifests/{name}"), &text);
    }
    folder.write("manifests/registry.ollama.ai/me/mine/latest", &text);
    folder.write("manifests/hf.co/org/name/Q4", &text);
    folder.write(&format!("blobs/{}", DIGEST.replace(':', "-")), blob);
    folder
}

#[test]
fn a_model_of_ollama_is_opened_by_name_by_manifest_and_by_blob() {
    let store = store();
    for reference in [
        ":small:1b",
        ":small",
        ":library/small",
        ":me/mine",
        ":me/mine:latest",
        ":hf.co/org/name:Q4",
        "/manifests/registry.ollama.ai/library/small/1b",
        "/manifests/hf.co/org/name/Q4",
        "/blobs/sha256-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    ] {
        check(reference, &store, reference, Opened("gguf", "w"));
    }
    let list = "hf.co/org/name:Q4, me/mine:latest, small:1b, small:latest";
    check("the store", &store, "", Refused("OL-CHOOSE", list));
    check("how to choose", &store, "", Refused("OL-CHOOSE", ":hf.co/org/name:Q4'"));
    check("no such model", &store, ":other", Refused("OL-MISSING", list));
    check("no such tag", &store, ":small:2b", Refused("OL-MISSING", "small:1b"));
    for name in [":../../small", ":a/b/c/d:e", ":small:..", ":/", "::", ":small:1b/x", ":.:."] {
        check(name, &store, name, Refused("OL-MISSING", "the store has no model"));
    }
    let empty = Folder::new();
    empty.write("manifests/x", "").write("blobs/x", "");
    check("no models", &empty, "", Refused("OL-CHOOSE", "ollama pull"));
}

#[test]
fn hostile_manifests_of_ollama_are_refused() {
    let size = gguf("w").len();
    let good = layer(MODEL, DIGEST, size);
    let of = |layers: &[String]| manifest(layers).into_bytes();
    let digest = |digest: &str| of(&[layer(MODEL, digest, size)]);
    let adapter = layer("application/vnd.ollama.image.adapter", DIGEST, 1);
    for (id, bytes, rule, fragment) in [
        ("empty", Vec::new(), "OL-MANIFEST", "EOF"),
        ("text", b"hello".to_vec(), "OL-MANIFEST", "no manifest"),
        ("not UTF-8", b"{\"layers\":\"\xff\"}".to_vec(), "OL-MANIFEST", "no manifest"),
        ("no layers", b"{}".to_vec(), "OL-MANIFEST", "missing field `layers`"),
        ("twice", br#"{"layers":[],"layers":[]}"#.to_vec(), "OL-MANIFEST", "duplicate field"),
        (
            "deep",
            [b"{\"x\":".to_vec(), vec![b'['; 100_000]].concat(),
            "OL-MANIFEST",
            "EOF while parsing a list",
        ),
        ("long", vec![b' '; (1 << 20) + 1], "OL-MANIFEST", "1,048,577 bytes"),
        ("steers", b"{\"layers\":\"\x1b[2J\"}".to_vec(), "OL-MANIFEST", "no manifest"),
        (
            "huge size",
            of(&[good.replace(&size.to_string(), "99999999999999999999")]),
            "OL-MANIFEST",
            "no manifest",
        ),
        ("no model", of(&[]), "OL-LAYERS", "0 layers"),
        ("two models", of(&[good.clone(), good.clone()]), "OL-LAYERS", "2 layers"),
        ("adapter", of(&[good.clone(), adapter]), "OL-ADAPTER", "adapter"),
        ("path", digest("sha256:../../../../etc/passwd"), "OL-DIGEST", "etc/passwd"),
        ("short digest", digest("sha256:00"), "OL-DIGEST", "64 hexadecimal"),
        ("upper case", digest(&DIGEST.to_uppercase()), "OL-DIGEST", "64 hexadecimal"),
        ("other hash", digest(&DIGEST.replace("sha256", "sha512")), "OL-DIGEST", "64 hexadecimal"),
        ("no such blob", digest(&DIGEST.replace("00", "11")), "IO", "sha256-11112233"),
        ("another length", of(&[layer(MODEL, DIGEST, size + 1)]), "OL-SIZE", "download looks unfinished"),
    ] {
        let folder = store();
        folder.write("manifests/registry.ollama.ai/library/small/latest", bytes);
        check(id, &folder, ":small", Refused(rule, fragment));
        check(id, &folder, "/manifests/registry.ollama.ai/library/small/latest", Refused(rule, fragment));
    }
    let folder = store();
    folder.write(&format!("blobs/{}", DIGEST.replace(':', "-")), vec![0xa5; size]);
    check("random blob", &folder, ":small", Refused("FILE-FORMAT", "a5 a5 a5 a5"));
}

#[cfg(unix)]
#[test]
fn a_blob_of_ollama_may_not_lead_out_of_the_store() {
    let folder = store();
    let blob = folder.at(&format!("blobs/{}", DIGEST.replace(':', "-")));
    std::fs::remove_file(&blob).expect("remove");
    std::os::unix::fs::symlink("/etc/passwd", &blob).expect("link");
    check("link", &folder, ":small", Refused("LINK-OUTSIDE", "--follow-symlinks-outside"));
}

#[test]
fn a_file_of_no_known_format_is_said_to_be_that() {
    let noise: Vec<u8> =
        (0..4096_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2] | 0x80).collect();
    let known = "safetensors, GGUF";
    for name in ["a.pt", "a.bin", "a.ckpt", "a", "a.weights"] {
        let folder = Folder::new();
        folder.write(name, &noise);
        let path = format!("/{name}");
        check(name, &folder, &path, Refused("FILE-FORMAT", "no known checkpoint format"));
        check(name, &folder, &path, Refused("FILE-FORMAT", "4,096 bytes that begin with 80 "));
        check(name, &folder, &path, Refused("FILE-FORMAT", known));
        folder.write(name, "");
        check("empty", &folder, &path, Refused("FILE-FORMAT", "an empty file"));
        folder.write(name, [0; 64]);
        check("zeros", &folder, &path, Refused("FILE-FORMAT", "00 00 00 00"));
        folder.write(name, [0xff; 5]);
        check("short", &folder, &path, Refused("FILE-FORMAT", "5 bytes"));
        // what is known by its first bytes is still named
        folder.write(name, "<!DOCTYPE html><html>");
        check("page", &folder, &path, Refused("ST-TYPE", "HTML"));
        folder.write(name, tensors(&["a"]));
        check("safetensors by content", &folder, &path, Opened("safetensors", "a"));
    }
    let folder = Folder::new();
    for (name, is) in
        [("m.npz", "a NumPy archive"), ("m.msgpack", "a Flax checkpoint"), ("m.tflite", "TensorFlow")]
    {
        folder.write(name, b"\x08\x07\x12\x07pytorch\x1a\x052.1.0");
        check(name, &folder, &format!("/{name}"), Refused("FILE-FORMAT", is));
    }
    let folder = Folder::new();
    folder.write("model.msgpack", b"\x08\x07\x12\x07pytorch");
    check("a folder with Flax", &folder, "", Refused("DIR-FORMAT", "model.msgpack"));
    let folder = Folder::new();
    folder.write("encoder.onnx", b"\x08\x07\x12\x07pytorch").write("decoder.onnx", b"\x08\x07");
    check("two graphs", &folder, "", Refused("DIR-AMBIGUOUS", "decoder.onnx, encoder.onnx"));
    let folder = Folder::new();
    folder.write("a.safetensors", &noise);
    check("its own reader", &folder, "/a.safetensors", Refused("ST-HEADER-SIZE", "not a safetensors file"));
}
