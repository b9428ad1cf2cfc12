//! The server of the tests on its own: `hub_server FOLDER` serves every `FOLDER/ORG/NAME` as a model, `org/gated` behind a
//! token; `hub_server --made` serves three models of 13.5 GB that exist nowhere: `org/a`, `org/b` near it, and `org/c`.
//!
//! Prints both addresses, then for each line of standard input what was served since the last one; ends with the input.

#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "a program for people and scripts; the tests use the rest"
)]

#[path = "mod.rs"]
mod hub_server;
mod made;

use std::path::Path;

use hub_server::{Door, File, HubServer, Mischief};

fn main() {
    let argument = std::env::args().nth(1).expect("a folder, or --made");
    let server = HubServer::start();
    if argument == "--made" {
        for (id, model) in
            [("org/a", made::Model::A), ("org/b", made::Model::NearA), ("org/c", made::Model::C)]
        {
            server.add(id, Door::Open, made::files(model));
        }
    } else {
        serve(&server, Path::new(&argument));
    }
    println!("{} {}", server.endpoint(), server.cdn());
    for _ in std::io::stdin().lines() {
        let requests = server.requests();
        let hub = requests.iter().filter(|request| !request.is_cdn).count();
        let n_bytes: u64 = requests.iter().map(|request| request.n_bytes).sum();
        println!(
            r#"{{"requests":{},"hub":{hub},"data":{},"bytes":{n_bytes}}}"#,
            requests.len(),
            requests.len() - hub
        );
        server.misbehave(Mischief::None);
    }
}

fn serve(server: &HubServer, folder: &Path) {
    let below = |folder: &Path| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect::<Vec<_>>()
    };
    for model in below(folder).iter().flat_map(|owner| below(owner)) {
        let id = model.strip_prefix(folder).expect("inside").to_string_lossy().replace('\\', "/");
        let mut files = Vec::new();
        collect(&model, &model, &mut files);
        let files = files.iter().map(|(name, file)| (name.as_str(), file.clone())).collect();
        server.add(&id, if id == "org/gated" { Door::Gated } else { Door::Open }, files);
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, File)>) {
    for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let name = path.strip_prefix(root).expect("inside").to_string_lossy().replace('\\', "/");
        let bytes = std::fs::read(&path).expect("readable");
        let is_large = name.ends_with(".safetensors") || name == "tokenizer.json";
        files.push((name, if is_large { File::large(bytes) } else { File::small(bytes) }));
    }
}
