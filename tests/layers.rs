//! The order of the modules and what each of them leaves to others, read from the source text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules in the order in which data flows, each with all that it imports: a module knows only those above it.
const IMPORTS: &[(&str, &[&str])] = &[
    ("wording", &[]),
    ("tensor", &[]),
    ("numerics", &[]),
    ("gpu", &[]),
    ("reductions", &["tensor"]),
    ("cpu", &["tensor", "reductions"]),
    ("source", &["wording", "tensor"]),
    ("kernels", &["tensor", "gpu", "reductions", "cpu"]),
    ("checkpoint", &["wording", "tensor", "reductions", "cpu", "source"]),
    ("roles", &["tensor", "checkpoint"]),
    ("stream", &["tensor", "gpu", "reductions", "cpu", "source", "kernels"]),
    ("canonical", &["tensor", "checkpoint", "roles", "stream"]),
    ("align", &["checkpoint", "roles", "stream", "canonical"]),
    ("transforms", &["tensor", "numerics", "source", "checkpoint", "roles", "stream", "canonical"]),
    (
        "measure",
        &["tensor", "numerics", "reductions", "cpu", "kernels", "roles", "stream", "canonical", "align"],
    ),
    ("evidence", &["numerics", "roles", "canonical", "measure"]),
    (
        "verdict",
        &[
            "wording",
            "tensor",
            "numerics",
            "checkpoint",
            "roles",
            "canonical",
            "align",
            "measure",
            "evidence",
        ],
    ),
    (
        "compare",
        &[
            "wording",
            "tensor",
            "numerics",
            "reductions",
            "source",
            "kernels",
            "checkpoint",
            "roles",
            "stream",
            "canonical",
            "align",
            "measure",
            "evidence",
            "verdict",
        ],
    ),
    ("attacks", &["numerics", "kernels", "checkpoint", "transforms", "compare"]),
    ("shuffled", &["tensor", "numerics", "source", "checkpoint", "roles", "canonical"]),
    ("rivals", &["tensor", "numerics", "checkpoint", "roles", "stream", "canonical"]),
    ("matrix", &["compare"]),
    ("evaluate", &["numerics", "evidence", "compare"]),
    ("convert", &["tensor", "checkpoint", "roles", "stream", "canonical"]),
    (
        "bench",
        &["tensor", "gpu", "reductions", "cpu", "source", "kernels", "checkpoint", "stream", "compare"],
    ),
    ("report", &["wording", "tensor", "transforms", "compare", "attacks", "matrix", "evaluate", "bench"]),
    (
        "cli",
        &[
            "wording",
            "tensor",
            "gpu",
            "reductions",
            "cpu",
            "source",
            "kernels",
            "checkpoint",
            "roles",
            "stream",
            "transforms",
            "evidence",
            "compare",
            "attacks",
            "shuffled",
            "rivals",
            "matrix",
            "evaluate",
            "convert",
            "bench",
            "report",
        ],
    ),
];

/// A file of the product: its path below src/ and its code without comments and tests.
struct SourceFile {
    path: String,
    code: String,
}

impl SourceFile {
    /// The first folder or the stem: `source/hub.rs` and `source.rs` belong to `source`.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().expect("a first part")
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || self.module() == *place)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn product() -> Vec<SourceFile> {
    let folder = root().join("src");
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    assert!(paths.len() > 50, "the sources were found");
    let mut files: Vec<SourceFile> = paths
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name != "tests.rs"))
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("UTF-8");
            let relative = path.strip_prefix(&folder).expect("below src").to_string_lossy();
            SourceFile { path: relative.replace('\\', "/"), code: without_tests_and_comments(&text) }
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Comment lines go, and so does the test module, which stands last in a file.
fn without_tests_and_comments(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().expect("a first part");
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` occurs and is not part of a longer word.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let starts = word.starts_with(|c| !is_word_char(c)) || !before.is_some_and(is_word_char);
        let ends = word.ends_with(|c| !is_word_char(c)) || !after.is_some_and(is_word_char);
        starts && ends
    })
}

/// Modules that the code reaches by `crate::name` or `crate::{name, name::…}`.
fn imported(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(|c| is_word_char(c) || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(rest.chars().take_while(|c| is_word_char(*c)).collect());
            continue;
        };
        let (mut depth, mut name) = (0, String::new());
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(std::mem::take(&mut name));
                }
                _ if depth == 0 && !c.is_whitespace() => name.push(c),
                _ => {}
            }
        }
        found.insert(name);
    }
    let first = |path: String| path.split("::").next().unwrap_or_default().to_owned();
    found.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// Files outside `places` that contain one of `words`.
fn strangers(words: &[&str], places: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in product().iter().filter(|file| !file.is_in(places)) {
        let said = words.iter().filter(|word| has_word(&file.code, word));
        found.extend(said.map(|word| format!("{}: {word}", file.path)));
    }
    found
}

#[test]
fn the_scanner_sees_every_form_of_import() {
    let code = "use crate::tensor::Name; use crate::{gpu, stream::{Error, rows}, cpu::Cpu,};\n\
                fn f() -> crate::roles::Role { $crate::kernels::x(); mycrate::y() }";
    let expected = ["cpu", "gpu", "roles", "stream", "tensor"];
    assert_eq!(imported(code).into_iter().collect::<Vec<_>>(), expected);
    assert!(has_word("std::fs::read(x)", "std::fs") && !has_word("LocalFile::open(x)", "File::open"));
    assert!(!has_word("#[derive(Deserialize)]", "Serialize") && !has_word("eprintln!(1)", "println!"));
    let text = "use a;\n/// crate::b\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::c;\n}\n";
    assert_eq!(without_tests_and_comments(text), "use a;\nfn f() {}\n");
}

#[test]
fn the_table_names_every_module_and_runs_downwards() {
    let library = std::fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let declared: BTreeSet<&str> = library
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let listed: BTreeSet<&str> = IMPORTS.iter().map(|(module, _)| *module).collect();
    assert_eq!(declared, listed);
    for (at, (module, imports)) in IMPORTS.iter().enumerate() {
        for import in *imports {
            assert!(IMPORTS[..at].iter().any(|(above, _)| above == import), "{module} is above {import}");
        }
    }
}

#[test]
fn a_module_imports_exactly_what_the_table_says() {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for file in product() {
        for import in imported(&file.code).into_iter().filter(|import| import != file.module()) {
            found.entry(file.module().to_owned()).or_default().insert(import, file.path.clone());
        }
    }
    let mut wrong = Vec::new();
    for (module, allowed) in IMPORTS {
        let imports = found.remove(*module).unwrap_or_default();
        for (import, path) in &imports {
            if !allowed.contains(&import.as_str()) {
                wrong.push(format!("{path} imports {import}"));
            }
        }
        for import in allowed.iter().filter(|import| !imports.contains_key(**import)) {
            wrong.push(format!("{module} no longer imports {import}: take it out of the table"));
        }
    }
    wrong.extend(found.into_keys().map(|module| format!("{module} is not in the table")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_privilege_has_its_place() {
    let privileges: &[(&str, &[&str], &[&str])] = &[
        ("the GPU library", &["wgpu", "pollster"], &["gpu"]),
        (
            "files and sockets",
            &["std::fs", "fs::File", "File::open", "OpenOptions", "std::net", "TcpStream"],
            // transforms write the folder of a transformed model
            &["source", "cli", "transforms/write.rs"],
        ),
        ("wire formats", &["Serialize", "Serializer"], &["report", "cli"]),
        (
            "printing",
            &["println!", "print!", "eprintln!", "eprint!", "dbg!", "stdout", "stderr"],
            &["cli", "main"],
        ),
        ("ending the process", &["process::exit", "process::abort"], &["cli", "main"]),
        (
            "unsafe code",
            &["unsafe"],
            &["cpu/simd.rs", "cpu/simd/avx2.rs", "cpu/simd/avx512.rs", "gpu/device.rs"],
        ),
        (
            "clocks",
            &["Instant", "SystemTime"],
            // all_pairs sizes its dispatches by how long the last one took, for watchdogs of drivers; tiers are
            // timed; workers tell waiting for bytes from summing them
            &[
                "bench",
                "cli",
                "compare/clock.rs",
                "gpu",
                "kernels/all_pairs.rs",
                "kernels/probes.rs",
                "kernels/tiers.rs",
                "source",
                "stream/workers.rs",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (what, words, places) in privileges {
        wrong.extend(strangers(words, places).into_iter().map(|stranger| format!("{what}: {stranger}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn arithmetic_does_no_io() {
    let io = ["std::io", "std::fs", "std::env", "std::thread", "File", "rayon"];
    let arithmetic = ["evidence", "verdict", "numerics", "roles", "canonical", "align"];
    let files = product();
    let wrong: Vec<String> = files
        .iter()
        .filter(|file| file.is_in(&arithmetic))
        .flat_map(|file| {
            let said = io.iter().filter(|word| has_word(&file.code, word));
            said.map(|word| format!("{}: {word}", file.path)).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Stems of the files of a folder, without those in `apart`.
fn stems(folder: &str, extension: &str, apart: &[&str]) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|stem| !apart.contains(&stem.as_str()))
        .collect()
}

#[test]
fn every_kernel_has_its_shader_its_host_side_and_its_oracle() {
    // gemm lists the tiers of all_pairs, partners reduces what they return, tiers chooses; probes only measure
    let hosts = stems("src/kernels", "rs", &["mod", "operand", "gemm", "partners", "probes", "tiers"]);
    assert_eq!(hosts, stems("tests/oracle", "rs", &["mod", "values"]), "src/kernels and tests/oracle");
    let mut wanted: BTreeSet<String> = BTreeSet::from(["self_test".to_owned()]);
    for host in &hosts {
        match host.as_str() {
            // one shader per tier
            "all_pairs" => {
                let tiers = ["gemm_coop16", "gemm_coop8", "gemm_tile", "gemm_small"];
                wanted.extend(tiers.map(str::to_owned));
            }
            stem => wanted.extend([stem.to_owned()]),
        }
    }
    let probes: Vec<&str> = cognate::kernels::probes::PROBES.iter().map(|kernel| kernel.entry).collect();
    assert_eq!(wanted, stems("shaders", "wgsl", &probes), "src/kernels and shaders");
    let entries: BTreeSet<String> =
        cognate::kernels::KERNELS.iter().map(|kernel| kernel.entry.to_owned()).collect();
    assert_eq!(wanted, entries, "shaders and KERNELS");
}
