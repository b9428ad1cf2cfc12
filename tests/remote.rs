//! Models behind a network: the Hub, addresses of the web, and everything that servers and connections do wrong.
//!
//! The server is `tests/hub_server`; the Hub's own client is held against it by `scripts/hub_server_check.py`.

#[path = "hub_server/mod.rs"]
mod hub_server;
#[expect(dead_code, reason = "tests of the program use the rest")]
mod tiny_models;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cognate::checkpoint::{self, Checkpoint, Limits};
use cognate::compare::{self, Effort, Options};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;
use cognate::source::{Access, HubCache, Links, Network, Patience, Secret};
use hub_server::{COMMIT, Door, File, HubServer, Mischief, TOKEN};
use safetensors::SafeTensors;
use tiny_models::Fixture;

/// Waits of a test: long enough for a busy machine, short enough for every row to fail in.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(10),
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_secs(2),
    n_tries: 4,
    slowest: 1 << 10,
};

const CONFIG: &str = r#"{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4}"#;
const TOKENIZER: &str = r#"{"model":{"vocab":{"a":0,"b":1,"c":2}}}"#;

/// One file of weights.
fn weights(seed: u64) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("model.safetensors");
    Fixture::trained(seed).write(&path);
    std::fs::read(path).expect("written")
}

/// The same tensors in two shards with an index, and what lies beside them.
fn sharded(seed: u64) -> Vec<(&'static str, File)> {
    let whole = weights(seed);
    let tensors = SafeTensors::deserialize(&whole).expect("valid");
    let names: Vec<String> = tensors.names().into_iter().map(str::to_owned).collect();
    let shard_of = |name: &str| usize::from(name.contains("layers.1"));
    let shards: Vec<Vec<u8>> = (0..2)
        .map(|shard| {
            let chosen = names.iter().filter(|name| shard_of(name) == shard);
            let views = chosen.map(|name| (name, tensors.tensor(name).expect("there")));
            safetensors::serialize(views, None).expect("valid")
        })
        .collect();
    let map: BTreeMap<&String, &str> = names.iter().map(|name| (name, SHARDS[shard_of(name)])).collect();
    let map = serde_json::to_string(&map).expect("text");
    let total: usize = names.iter().map(|name| tensors.tensor(name).expect("there").data().len()).sum();
    let index = format!(r#"{{"metadata":{{"total_size":{total}}},"weight_map":{map}}}"#);
    vec![
        ("config.json", File::small(CONFIG)),
        ("tokenizer.json", File::large(TOKENIZER)),
        ("model.safetensors.index.json", File::small(index)),
        (SHARDS[0], File::large(shards[0].clone())),
        (SHARDS[1], File::large(shards[1].clone())),
        ("README.md", File::small("a model")),
    ]
}

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// A server with `org/a`, `org/b` (unrelated), the gated `org/gated` and `org/single`, which is one file.
fn server() -> HubServer {
    let server = HubServer::start();
    server.add("org/a", Door::Open, sharded(1));
    server.add("org/b", Door::Open, sharded(2));
    server.add("org/gated", Door::Gated, sharded(1));
    server.add(
        "org/single",
        Door::Open,
        vec![
            ("config.json", File::small(CONFIG)),
            ("model.safetensors", File::large(weights(1))),
            ("sub/model.safetensors", File::large(weights(1))),
            ("sub/config.json", File::small(CONFIG)),
        ],
    );
    server
}

fn access(server: &HubServer, cache: &Path) -> Access {
    Access {
        cache: HubCache::at(cache),
        links: Links::Inside,
        network: Network::Allowed,
        endpoint: Some(server.endpoint()),
        token: None,
        patience: PATIENCE,
    }
}

fn open(reference: &str, access: &Access) -> Result<Checkpoint, checkpoint::Error> {
    checkpoint::open_with(reference, &Limits::default(), access)
}

/// Verdict and sums of a comparison; the report of any failure.
fn compared(left: &str, right: &str, access: &Access) -> Result<String, (u8, String)> {
    let opened = |reference: &str| {
        open(reference, access).map_err(|error| (error.exit_code(), error.fault().to_lines()))
    };
    let (left, right) = (opened(left)?, opened(right)?);
    let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
    let backend = Backend::Cpu(Cpu::detect());
    match compare::compare(&backend, &left, &right, &options, &|_| ()) {
        Ok(done) => Ok(format!("{:?} {:?} {:?}", done.architecture, done.weights, done.layers)),
        Err(compare::Error::Stream(cognate::stream::Error::Source(error))) => {
            Err((error.exit_code(), error.fault().to_lines()))
        }
        Err(error) => panic!("{error}"),
    }
}

/// Every file of the cache, links followed, with its content.
fn cached(cache: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![cache.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(cache).expect("inside").to_string_lossy().replace('\\', "/");
                files.insert(name, std::fs::read(&path).unwrap_or_else(|_| panic!("{}", path.display())));
            }
        }
    }
    files
}

/// Nothing is half there: every blob is what its name says, every link and reference leads to something.
fn assert_sound(cache: &Path, what: &str) {
    for (name, bytes) in cached(cache) {
        let file = if name.contains("/blobs/") {
            let (small, large) = (File::small(bytes.clone()).etag, File::large(bytes).etag);
            let etag = name.rsplit('/').next().expect("a name");
            assert!(etag == small || etag == large, "{what}: {name}");
            continue;
        } else {
            String::from_utf8(bytes).expect("text")
        };
        if name.contains("/refs/") {
            assert_eq!(file, COMMIT, "{what}: {name}");
        }
    }
}

#[test]
fn a_model_of_the_hub_gives_the_numbers_of_its_local_copy() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = access(&server, cache.path());
    let local = tempfile::tempdir().expect("temporary folder");
    for (model, seed) in [("a", 1), ("b", 2)] {
        std::fs::create_dir(local.path().join(model)).expect("made");
        for (name, file) in sharded(seed) {
            let hub_server::Content::Bytes(bytes) = file.content else { panic!("in memory") };
            std::fs::write(local.path().join(model).join(name), &*bytes).expect("written");
        }
    }
    let at = |model: &str| local.path().join(model).to_string_lossy().into_owned();
    let wanted = compared(&at("a"), &at("b"), &access).expect("compared");
    assert!(server.requests().is_empty(), "local models need no network");
    assert_eq!(compared("org/a", "hf://org/b@main", &access).expect("compared"), wanted);

    let opened = open("org/a", &access).expect("opened");
    assert_eq!(opened.commit.as_deref(), Some(COMMIT));
    assert!(opened.config.is_some() && opened.vocabulary.is_some());
    // small files are kept, weights are not
    let names: Vec<String> = cached(cache.path()).into_keys().collect();
    assert!(
        names.iter().any(|name| name == &format!("models--org--a/snapshots/{COMMIT}/config.json")),
        "{names:?}"
    );
    assert!(names.iter().any(|name| name == "models--org--a/refs/main"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains(".safetensors") && !name.contains("index")), "{names:?}");
    assert_sound(cache.path(), "after reading");
    // what is kept is not fetched again: the list, and per shard the way to it and its header
    server.misbehave(Mischief::None);
    open("org/a", &access).expect("opened");
    let requests = server.requests();
    assert_eq!(requests.len(), 5, "{requests:#?}");
    assert!(requests.iter().all(|request| !request.path.contains("config.json")), "{requests:#?}");
    let size_bytes: u64 = opened.files.iter().map(|file| file.size_bytes()).sum();
    let of_weights = requests.iter().filter(|request| request.is_cdn);
    assert_eq!(of_weights.map(|request| request.n_bytes).sum::<u64>(), size_bytes, "{requests:#?}");
}

#[test]
fn every_spelling_leads_to_the_model() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = access(&server, cache.path());
    let (hub, n) = (server.endpoint(), tiny_models::N_TENSORS);
    for reference in [
        "org/single".to_string(),
        "org/single@main".to_string(),
        format!("org/single@{COMMIT}"),
        "org/single@refs/pr/1".to_string(),
        "org/single:sub".to_string(),
        "org/single:sub/model.safetensors".to_string(),
        "hf://org/single".to_string(),
        "hf://org/single@main/sub".to_string(),
        "hf://org/single/model.safetensors".to_string(),
        format!("{hub}/org/single"),
        format!("{hub}/org/single/tree/main"),
        format!("{hub}/org/single/blob/main/model.safetensors"),
        format!("{hub}/org/single/resolve/main/sub/model.safetensors?download=true"),
        "https://huggingface.co/org/single/tree/main".to_string(),
        "org/a".to_string(),
        "hf://org/a@main/model.safetensors.index.json".to_string(),
        // another name of the same host: an address like any other on the web
        format!("{}/org/single/resolve/main/model.safetensors", hub.replace("127.0.0.1", "localhost")),
        format!("{}/org/a/resolve/main/model.safetensors.index.json", hub.replace("127.0.0.1", "localhost")),
    ] {
        let opened = open(&reference, &access)
            .unwrap_or_else(|error| panic!("{reference}\n{}", error.fault().to_lines()));
        assert_eq!(opened.tensors.len(), n, "{reference}");
        assert!(opened.config.is_some(), "{reference}");
    }
    let opened = open("org/a:model-00001-of-00002.safetensors", &access).expect("opened");
    assert!(opened.notes.iter().any(|note| note.rule == "IX-ONE-SHARD"));
    assert_sound(cache.path(), "after reading");
}

#[test]
fn a_cached_model_needs_no_network() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let snapshot = cache.path().join("models--org--a/snapshots/c0ffee");
    std::fs::create_dir_all(&snapshot).expect("made");
    std::fs::create_dir_all(cache.path().join("models--org--a/refs")).expect("made");
    std::fs::write(cache.path().join("models--org--a/refs/main"), "c0ffee").expect("written");
    std::fs::write(snapshot.join("model.safetensors"), weights(1)).expect("written");
    let access = access(&server, cache.path());
    assert_eq!(open("org/a", &access).expect("cached").commit.as_deref(), Some("c0ffee"));
    assert!(server.requests().is_empty());
    // a shard is missing: the Hub has it
    std::fs::rename(snapshot.join("model.safetensors"), snapshot.join(SHARDS[0])).expect("renamed");
    assert_eq!(open("org/a", &access).expect("of the Hub").commit.as_deref(), Some(COMMIT));
    let offline = Access { network: Network::Forbidden, ..access };
    server.misbehave(Mischief::None);
    for (reference, rule) in [
        ("org/b", "REF-MISSING"),
        ("hf://org/b", "REF-MISSING"),
        (&format!("{}/org/b", server.endpoint()), "REF-MISSING"),
        (&format!("{}/x/model.safetensors", server.cdn()), "NET-OFFLINE"),
    ] {
        let error = open(reference, &offline).expect_err(reference);
        assert_eq!((error.exit_code(), error.fault().rule), (3, rule), "{reference}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_mistyped_path_stays_on_this_machine() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = access(&server, cache.path());
    for reference in
        ["modle", "zoo/base.safetensors", "zoo/index.json", "a/b/c", "./org/name", "gpt-4o", "openai/gpt-4"]
    {
        open(reference, &access).expect_err(reference);
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[test]
fn a_cut_at_any_answer_changes_nothing() {
    let server = server();
    let wanted = {
        let cache = tempfile::tempdir().expect("temporary folder");
        compared("org/a", "org/b", &access(&server, cache.path())).expect("compared")
    };
    let n_answers = server.requests().len() as u64;
    assert!(n_answers > 20, "{n_answers}");
    for k in 0..=n_answers {
        let cache = tempfile::tempdir().expect("temporary folder");
        server.misbehave(Mischief::CutOnce(k));
        match compared("org/a", "org/b", &access(&server, cache.path())) {
            Ok(found) => assert_eq!(found, wanted, "answer {k}"),
            Err((code, lines)) => assert_eq!(code, 3, "answer {k}: {lines}"),
        }
        assert_sound(cache.path(), &format!("answer {k}"));
    }
    // cut again and again, but a little further each time
    let cache = tempfile::tempdir().expect("temporary folder");
    server.misbehave(Mischief::CutAll(65_536));
    assert_eq!(compared("org/a", "org/b", &access(&server, cache.path())).expect("resumed"), wanted);
}

#[test]
fn expired_links_are_made_anew_and_busy_servers_are_waited_for() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = access(&server, cache.path());
    let wanted = compared("org/a", "org/b", &access).expect("compared");
    server.state.link_uses.store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(compared("org/a", "org/b", &access).expect("links of one use"), wanted);
    server.state.link_uses.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    for mischief in [
        Mischief::HubStatus(2, 429, "Retry-After: 0"),
        Mischief::HubStatus(2, 429, "RateLimit: \"api\";r=0;t=1"),
        Mischief::HubStatus(3, 503, ""),
        Mischief::CdnStatus(3, 500),
        Mischief::CommitAfter(u64::MAX),
    ] {
        server.misbehave(mischief.clone());
        assert_eq!(compared("org/a", "org/b", &access).expect("waited for"), wanted, "{mischief:?}");
    }
}

/// What a row does, the rule and a fragment of the message.
type Row = (&'static str, Mischief, &'static str, &'static str);

#[test]
fn whatever_a_server_does_wrong_is_said_and_ends_with_3() {
    let server = server();
    let size = sharded(1)[3].1.clone();
    let hub_server::Content::Bytes(shard) = size.content else { panic!("in memory") };
    let size = shard.len() as u64;
    let rows: Vec<Row> = vec![
        ("rate", Mischief::HubStatus(99, 429, "Retry-After: 0"), "NET-RATE", "allows no more requests"),
        ("rate, long", Mischief::HubStatus(1, 429, "Retry-After: 3600"), "NET-RATE", "asked to wait 3600 s"),
        ("rate, header", Mischief::HubStatus(1, 429, "RateLimit: \"api\";r=0;t=290"), "NET-RATE", "290 s"),
        ("503", Mischief::HubStatus(99, 503, ""), "NET-SERVER", "(503)"),
        ("500 of the data", Mischief::CdnStatus(999, 500), "NET-SERVER", "(500)"),
        ("403 of the data", Mischief::CdnStatus(999, 403), "NET-DENIED", "403"),
        ("401", Mischief::HubStatus(99, 401, ""), "NET-DENIED", "HF_TOKEN"),
        ("403", Mischief::HubStatus(99, 403, ""), "NET-DENIED", "(403)"),
        ("404", Mischief::HubStatus(99, 404, ""), "NET-MISSING", "(404)"),
        ("418", Mischief::HubStatus(99, 418, ""), "NET-STATUS", "418"),
        ("416", Mischief::CdnStatus(999, 416), "NET-RANGE", "(416)"),
        ("HTML list", Mischief::List("<!doctype html><title>Sign in</title>"), "NET-HTML", "HTML page"),
        ("list of nothing", Mischief::List("[]"), "NET-JSON", "no list of files"),
        ("list cut", Mischief::List("{\"sha\":"), "NET-JSON", "no list of files"),
        ("evil commit", Mischief::List(r#"{"sha":"../../x","siblings":[]}"#), "NET-JSON", "'../../x'"),
        ("loop", Mischief::RedirectLoop, "NET-REDIRECT", "more than 5 times"),
        ("to a file", Mischief::RedirectTo("file:///etc/passwd".into()), "NET-REDIRECT", "no web address"),
        ("to nowhere", Mischief::RedirectTo(String::new()), "NET-REDIRECT", "names no place"),
        ("to a closed port", Mischief::RedirectTo("http://127.0.0.1:1/x".into()), "NET-CONNECT", "127.0.0.1"),
        ("ignores ranges, lies", Mischief::CdnTotal(size + 1), "CHANGED", "length is not the one"),
        ("other range", Mischief::CdnContentRange("bytes 7-9/99"), "NET-RANGE", "bytes 7-9/99"),
        ("no range", Mischief::CdnContentRange("garbage"), "NET-RANGE", "garbage"),
        (
            "range past 64 bits",
            Mischief::CdnContentRange("bytes 0-99999999999999999999/1"),
            "NET-RANGE",
            "found",
        ),
        ("gzip", Mischief::CdnGzip, "NET-ENCODING", "gzip"),
        ("etag moves", Mischief::CdnEtagAfter(2), "CHANGED", "etag later"),
        ("digest moves", Mischief::DigestAfter(5), "CHANGED", "etag"),
        ("commit moves", Mischief::CommitAfter(4), "CHANGED", "commit changed"),
        ("huge length", Mischief::ListedSize(u64::MAX), "CHANGED", "18,446,744,073,709,551,615"),
        ("short length", Mischief::ListedSize(9), "CHANGED", "wanted: 9"),
        ("drips", Mischief::Drip, "NET-CUT", "broke off"),
        ("cut at once", Mischief::CutAll(0), "NET-CUT", "broke off"),
        ("wrong bytes", Mischief::WrongBytes, "NET-DIGEST", "not those that the Hub lists"),
        ("LFS pointer", Mischief::LfsPointer, "CHANGED", "Git LFS pointer"),
    ];
    for (id, mischief, rule, fragment) in rows {
        let cache = tempfile::tempdir().expect("temporary folder");
        let mut access = access(&server, cache.path());
        if mischief == Mischief::Drip {
            access.patience =
                Patience { silence: Duration::from_secs(1), slowest: 1 << 20, n_tries: 2, ..PATIENCE };
        }
        server.misbehave(mischief);
        let (code, lines) = compared("org/a", "org/b", &access).expect_err(id);
        assert_eq!(code, 3, "{id}: {lines}");
        assert!(lines.starts_with(&format!("error[{rule}]")), "{id}: wanted {rule}\n{lines}");
        assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
        assert!(lines.contains("\n  file:   hf://org/"), "{id}: no file in\n{lines}");
        assert!(!lines.contains("Signature="), "{id}: a signature in\n{lines}");
        assert!(lines.lines().count() <= 4 && lines.len() < 4096, "{id}\n{lines}");
        assert_sound(cache.path(), id);
    }
}

#[test]
fn a_server_without_ranges_is_used_only_where_little_is_read_in_vain() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = access(&server, cache.path());
    let wanted = compared("org/a", "org/b", &access).expect("compared");
    server.misbehave(Mischief::CdnIgnoresRange);
    assert_eq!(compared("org/a", "org/b", &access).expect("small files"), wanted);

    let far = 1 << 40;
    let header = br#"{"a":{"dtype":"U8","shape":[1099511627700],"data_offsets":[0,1099511627700]}} "#;
    let mut start = (header.len() as u64).to_le_bytes().to_vec();
    start.extend_from_slice(header);
    let size = start.len() as u64 + 1_099_511_627_700;
    server.add("org/huge", Door::Open, vec![("model.safetensors", File::made(start, size, |_, _, _| (), 0))]);
    let opened = open("org/huge", &access).expect("the header comes first");
    let error = opened.files[0].read_at(far, &mut [0; 8]).expect_err("a terabyte is not read in vain");
    assert_eq!((error.exit_code(), error.fault().rule, error.fault().byte), (3, "NET-RANGE", Some(far)));
    server.misbehave(Mischief::None);
    let opened = open("org/huge", &access).expect("opened");
    opened.files[0].read_at(far, &mut [0; 8]).expect("by range");
}

#[test]
fn missing_and_closed_models_are_told_apart() {
    let server = server();
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = access(&server, cache.path());
    let check = |reference: &str, access: &Access, rule: &str, fragment: &str| {
        let error = open(reference, access).expect_err(reference);
        let lines = error.fault().to_lines();
        assert_eq!((error.exit_code(), error.fault().rule), (3, rule), "{reference}\n{lines}");
        assert!(lines.contains(fragment), "{reference}: no '{fragment}' in\n{lines}");
    };
    check("org/none", &access, "HUB-MISSING", "no such model, or it is private");
    check("org/a@none", &access, "HUB-REVISION", "no such revision");
    check("org/a:none.safetensors", &access, "HUB-FILE", "'none.safetensors'");
    check("org/gated", &access, "HUB-GATED", "ask for access");
    let wrong = Access { token: Some(Secret("hf_wrong".into())), ..access.clone() };
    check("org/gated", &wrong, "HUB-GATED", "token");
    check(&format!("{}/", server.cdn()), &access, "NET-FOLDER", "lists no folders");
    check(&format!("{}/x.safetensors", server.cdn()), &access, "NET-DENIED", "403");
    check("http://127.0.0.1:1/model.safetensors", &access, "NET-CONNECT", "cannot be reached");
    #[cfg(not(feature = "s3"))]
    check("s3://bucket/model", &access, "S3-FEATURE", "--features s3");
    let nowhere = Access { endpoint: Some("not an address".into()), ..access.clone() };
    check("org/a", &nowhere, "HUB-ENDPOINT", "no web address");
    let known = Access { token: Some(Secret(TOKEN.into())), ..access };
    open("org/gated", &known).expect("opened with the token");
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let (server, other) = (server(), server_of_another_host());
    let cache = tempfile::tempdir().expect("temporary folder");
    let access = Access { token: Some(Secret(TOKEN.into())), ..access(&server, cache.path()) };
    assert!(!format!("{access:?}").contains(TOKEN));
    compared("org/gated", "org/b", &access).expect("compared");
    let requests = server.requests();
    assert!(requests.iter().filter(|request| !request.is_cdn).all(|request| request.has_token));
    assert!(requests.iter().any(|request| request.is_cdn));
    assert!(!requests.iter().any(|request| request.is_cdn && request.has_token), "{requests:#?}");

    server.misbehave(Mischief::RedirectTo(format!(
        "{}/org/a/resolve/main/model.safetensors",
        other.endpoint()
    )));
    open("org/gated", &access).expect_err("another file");
    open(&format!("{}/org/a/resolve/main/{}", other.endpoint(), SHARDS[0]), &access)
        .expect("an address of the web");
    let requests = other.requests();
    assert!(!requests.is_empty() && !requests.iter().any(|request| request.has_token), "{requests:#?}");
}

fn server_of_another_host() -> HubServer {
    server()
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let server = server();
    let file = tempfile::NamedTempFile::new().expect("a file where the cache should be");
    let access = Access { cache: HubCache::at(file.path()), ..access(&server, file.path()) };
    assert!(open("org/a", &access).expect("opened").vocabulary.is_some());
    let access = Access { cache: HubCache::default(), ..access };
    assert!(open("org/a", &access).expect("opened").config.is_some());
}

mod process {
    //! The program as a process.

    use std::process::{Command, Stdio};

    use super::*;

    fn cognate(endpoint: &str, cache: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cognate"));
        command.args(arguments).env("HF_ENDPOINT", endpoint).env("HF_HUB_CACHE", cache);
        command.env("COGNATE_BACKEND", "cpu").env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
        for name in [
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "COGNATE_OFFLINE",
            "ALL_PROXY",
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[expect(clippy::print_stderr, reason = "a part that cannot be tried here says so")]
    #[test]
    fn no_connection_is_made_unless_a_reference_asks_for_one() {
        let server = server();
        let folder = tiny_models::folder();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let (a, b, none) = (path("a"), path("b"), path("none"));
        let cache = folder.path().join("cache");
        let run = |arguments: &[&str], wanted: i32| {
            let output = cognate(&server.endpoint(), &cache, arguments).output().expect("it starts");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(wanted), "{arguments:?}\n{text}");
        };
        run(&["compare", &a, &b], 0);
        run(&["inspect", &a], 0);
        run(&["devices"], 0);
        run(&["compare", &a, &none], 3);
        run(&["compare", &a, "no-such-model"], 3);
        run(&["compare", &a, "org/a", "--offline"], 3);
        assert!(server.requests().is_empty(), "{:?}", server.requests());
        run(&["inspect", "org/a"], 0);
        assert!(!server.requests().is_empty());

        // the same where there is no network to speak of
        let binary = env!("CARGO_BIN_EXE_cognate");
        let alone = Command::new("unshare")
            .args(["-rn", binary, "compare", &a, &b])
            .env("COGNATE_BACKEND", "cpu")
            .output();
        match alone {
            Ok(output) if output.status.code() == Some(0) => {}
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare") => {
                eprintln!("skipped: no new network namespace may be made here")
            }
            Ok(output) => panic!("{output:?}"),
            Err(_) => eprintln!("skipped: unshare is not installed"),
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_interrupt_ends_a_read_that_hangs() {
        let server = server();
        server.misbehave(Mischief::Drip);
        let cache = tempfile::tempdir().expect("temporary folder");
        let child = cognate(&server.endpoint(), cache.path(), &["compare", "org/a", "org/b"])
            .spawn()
            .expect("it starts");
        while !server.requests().iter().any(|request| request.is_cdn) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        // a process that does not end by the signal would end by its own patience, with 3
        assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(130));
    }
}
