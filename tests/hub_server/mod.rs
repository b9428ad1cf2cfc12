//! A server that speaks the Hub's own protocol, as far as a reader of models sees it: the list of a model, `/resolve/`
//! with a redirect to a second host under signed addresses, ranges, entity tags, errors. It misbehaves on request.
//!
//! That it is faithful is shown by the Hub's own client: `scripts/hub_server_check.py`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::digest;

/// Commit of every model of this server, until a test moves it.
pub(crate) const COMMIT: &str = "6d0a1a1e3e1b5e0f4b9c0f9a0b1c2d3e4f506172";

/// The bytes of a file.
#[derive(Clone)]
pub(crate) enum Content {
    Bytes(Arc<Vec<u8>>),
    /// Some bytes, then as many as are missing, made where they are asked for.
    Made {
        start: Arc<Vec<u8>>,
        size_bytes: u64,
        fill: fn(u64, u64, &mut [u8]),
        seed: u64,
    },
}

impl Content {
    fn size_bytes(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Made { size_bytes, .. } => *size_bytes,
        }
    }

    fn read(&self, offset: u64, n_bytes: usize) -> Vec<u8> {
        let at = usize::try_from(offset).expect("64-bit");
        match self {
            Content::Bytes(bytes) => bytes[at..at + n_bytes].to_vec(),
            Content::Made { start, fill, seed, .. } => {
                let mut out = vec![0; n_bytes];
                fill(offset, *seed, &mut out);
                if at < start.len() {
                    let n_start = n_bytes.min(start.len() - at);
                    out[..n_start].copy_from_slice(&start[at..at + n_start]);
                }
                out
            }
        }
    }
}

/// A file of a model.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) content: Content,
    /// SHA-256 of large files, Git's name of others.
    pub(crate) etag: String,
    /// Large files are served by the second host.
    pub(crate) is_large: bool,
}

impl File {
    pub(crate) fn small(bytes: impl Into<Vec<u8>>) -> File {
        let bytes = bytes.into();
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(format!("blob {}\0", bytes.len()).as_bytes());
        context.update(&bytes);
        let etag = hex(context.finish().as_ref());
        File { content: Content::Bytes(Arc::new(bytes)), etag, is_large: false }
    }

    pub(crate) fn large(bytes: impl Into<Vec<u8>>) -> File {
        let bytes = bytes.into();
        let etag = hex(digest::digest(&digest::SHA256, &bytes).as_ref());
        File { content: Content::Bytes(Arc::new(bytes)), etag, is_large: true }
    }

    pub(crate) fn made(start: Vec<u8>, size_bytes: u64, fill: fn(u64, u64, &mut [u8]), seed: u64) -> File {
        let etag =
            hex(digest::digest(&digest::SHA256, format!("made {size_bytes} {seed}").as_bytes()).as_ref());
        let content = Content::Made { start: Arc::new(start), size_bytes, fill, seed };
        File { content, etag, is_large: true }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who may read a model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Only with the token.
    Gated,
}

/// The token that opens gated models.
pub(crate) const TOKEN: &str = "hf_secretsecretsecret";

/// Deliberate misbehaviour. `Cdn…` concerns the second host alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    None,
    /// The first so many requests of the Hub get this status, with these header lines.
    HubStatus(u64, u16, &'static str),
    /// The first so many requests of the second host get this status.
    CdnStatus(u64, u16),
    /// The k-th answer of both hosts, counted from 0, is cut in the middle of its body.
    CutOnce(u64),
    /// Every body of the second host is cut after so many bytes.
    CutAll(usize),
    /// Bytes of the second host come one at a time.
    Drip,
    CdnIgnoresRange,
    CdnContentRange(&'static str),
    CdnGzip,
    /// The second host claims another length in Content-Range.
    CdnTotal(u64),
    /// The first so many answers of the second host carry one entity tag, later ones another.
    CdnEtagAfter(u64),
    /// The commit moves after so many requests of the Hub.
    CommitAfter(u64),
    /// The digest of large files moves after so many requests of the Hub; signed addresses expire with it.
    DigestAfter(u64),
    /// Large files redirect there.
    RedirectTo(String),
    /// `/resolve/` redirects to itself.
    RedirectLoop,
    /// The list is this text.
    List(&'static str),
    /// The list states another size for large files.
    ListedSize(u64),
    /// The bytes of small files are not those of their name.
    WrongBytes,
    /// Large files are answered by a pointer of Git LFS.
    LfsPointer,
}

/// One request, as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) is_cdn: bool,
    pub(crate) path: String,
    pub(crate) has_token: bool,
    /// Bytes of the body that were sent.
    pub(crate) n_bytes: u64,
}

/// Who may read it, and its files by path.
type Model = (Door, BTreeMap<String, File>);

pub(crate) struct State {
    models: Mutex<BTreeMap<String, Model>>,
    pub(crate) mischief: Mutex<Mischief>,
    pub(crate) log: Mutex<Vec<Request>>,
    n_hub: AtomicU64,
    n_cdn: AtomicU64,
    n_answers: AtomicU64,
    /// Times a signed address may be used.
    pub(crate) link_uses: AtomicU64,
    links: Mutex<BTreeMap<u64, u64>>,
    next_link: AtomicU64,
    is_down: AtomicBool,
    ports: (u16, u16),
}

/// A running server; it stops listening when it is dropped.
pub(crate) struct HubServer {
    pub(crate) state: Arc<State>,
}

impl HubServer {
    pub(crate) fn start() -> HubServer {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (hub, cdn) = (listen(), listen());
        let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
        let state = Arc::new(State {
            models: Mutex::default(),
            mischief: Mutex::new(Mischief::None),
            log: Mutex::default(),
            n_hub: AtomicU64::new(0),
            n_cdn: AtomicU64::new(0),
            n_answers: AtomicU64::new(0),
            link_uses: AtomicU64::new(u64::MAX),
            links: Mutex::default(),
            next_link: AtomicU64::new(1),
            is_down: AtomicBool::new(false),
            ports: (port(&hub), port(&cdn)),
        });
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if state.is_down.load(Ordering::Relaxed) {
                        return;
                    }
                    let state = Arc::clone(&state);
                    std::thread::spawn(move || state.serve(stream, is_cdn));
                }
            });
        }
        HubServer { state }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.state.ports.0)
    }

    pub(crate) fn cdn(&self) -> String {
        format!("http://127.0.0.1:{}", self.state.ports.1)
    }

    pub(crate) fn add(&self, id: &str, door: Door, files: Vec<(&str, File)>) {
        let files = files.into_iter().map(|(name, file)| (name.to_string(), file)).collect();
        self.state.models.lock().expect("no panic").insert(id.to_string(), (door, files));
    }

    /// Misbehaves like this from now on; counters and the log start anew.
    pub(crate) fn misbehave(&self, mischief: Mischief) {
        *self.state.mischief.lock().expect("no panic") = mischief;
        self.state.n_hub.store(0, Ordering::Relaxed);
        self.state.n_cdn.store(0, Ordering::Relaxed);
        self.state.n_answers.store(0, Ordering::Relaxed);
        self.state.log.lock().expect("no panic").clear();
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.log.lock().expect("no panic").clone()
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.state.is_down.store(true, Ordering::Relaxed);
        for port in [self.state.ports.0, self.state.ports.1] {
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    }
}

struct Call {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    /// What the body is cut from, and where it starts.
    body: Option<(Content, u64, u64)>,
}

impl Reply {
    fn new(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: None }
    }

    fn header(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    fn text(mut self, text: impl Into<Vec<u8>>) -> Reply {
        let bytes = Arc::new(text.into());
        let n = bytes.len() as u64;
        self.body = Some((Content::Bytes(bytes), 0, n));
        self
    }
}

impl State {
    fn serve(&self, stream: TcpStream, is_cdn: bool) {
        let _ = stream.set_nodelay(true);
        let Ok(mut out) = stream.try_clone() else { return };
        let mut lines = BufReader::new(stream);
        while let Some(call) = read_call(&mut lines) {
            let has_token = call.headers.contains_key("authorization");
            let reply = if is_cdn { self.cdn(&call) } else { self.hub(&call) };
            let k = self.n_answers.fetch_add(1, Ordering::Relaxed);
            let mischief = self.mischief.lock().expect("no panic").clone();
            let n_bytes =
                if call.method == "HEAD" { 0 } else { reply.body.as_ref().map_or(0, |body| body.2) };
            let path = format!(
                "{}{}",
                call.path,
                call.headers.get("range").map_or(String::new(), |range| format!(" {range}"))
            );
            self.log.lock().expect("no panic").push(Request { is_cdn, path, has_token, n_bytes });
            let cut = match mischief {
                Mischief::CutOnce(cut) if cut == k => Some(n_bytes / 2),
                Mischief::CutAll(n) if is_cdn => Some(n as u64),
                // so that there is a second answer to compare with the first
                Mischief::CdnEtagAfter(_) if is_cdn => Some(n_bytes / 2),
                _ => None,
            };
            let is_drip = is_cdn && mischief == Mischief::Drip;
            if write_reply(&mut out, &call, &reply, cut, is_drip).is_none() {
                return;
            }
        }
    }

    fn hub(&self, call: &Call) -> Reply {
        let n = self.n_hub.fetch_add(1, Ordering::Relaxed);
        let mischief = self.mischief.lock().expect("no panic").clone();
        if let Mischief::HubStatus(first, status, lines) = &mischief
            && n < *first
        {
            let reply = Reply::new(*status).text("not now");
            return lines
                .lines()
                .filter_map(|line| line.split_once(": "))
                .fold(reply, |reply, (name, value)| reply.header(name, value));
        }
        let commit = match &mischief {
            Mischief::CommitAfter(first) if n >= *first => COMMIT.replace('6', "7"),
            _ => COMMIT.to_string(),
        };
        let path = call.path.replace("%2F", "/");
        if let Some(path) = path.strip_prefix("/api/models/") {
            let id = path.split("/revision/").next().unwrap_or_default();
            let revision = path.split("/revision/").nth(1).unwrap_or("main");
            return match self.model(id, call) {
                Err(reply) => reply,
                Ok(_) if revision != "main" && revision != COMMIT && revision != "refs/pr/1" => {
                    error(404, "RevisionNotFound", "no such revision")
                }
                Ok(files) => match &mischief {
                    Mischief::List(text) => Reply::new(200).text(*text),
                    _ => list(id, &commit, &files, &mischief, call),
                },
            };
        }
        if let Some(path) = path.strip_prefix("/api/resolve-cache/models/") {
            let mut parts = path.splitn(4, '/');
            let id = format!("{}/{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let _ = parts.next();
            let name = parts.next().unwrap_or_default();
            return match self.model(&id, call) {
                Err(reply) => reply,
                Ok(files) => match files.get(name) {
                    None => error(404, "EntryNotFound", "no such file"),
                    Some(file) => {
                        let mut content = file.content.clone();
                        if mischief == Mischief::WrongBytes {
                            content = Content::Bytes(Arc::new(vec![b' '; content.size_bytes() as usize]));
                        }
                        let reply = body(call, &content, &Mischief::None)
                            .header("ETag", format!("\"{}\"", file.etag));
                        reply.header("X-Repo-Commit", &commit)
                    }
                },
            };
        }
        let Some((id, rest)) = path.trim_start_matches('/').split_once("/resolve/") else {
            return error(404, "", "no such page");
        };
        let files = match self.model(id, call) {
            Err(reply) => return reply,
            Ok(files) => files,
        };
        let (revision, name) = match rest.strip_prefix("refs/pr/1/") {
            Some(name) => ("refs/pr/1", name),
            None => rest.split_once('/').unwrap_or((rest, "")),
        };
        if revision != "main" && revision != COMMIT && revision != "refs/pr/1" {
            return error(404, "RevisionNotFound", "no such revision");
        }
        let Some(file) = files.get(name) else {
            return error(404, "EntryNotFound", "no such file").header("X-Repo-Commit", &commit);
        };
        let mut etag = file.etag.clone();
        if let Mischief::DigestAfter(first) = mischief
            && n >= first
            && file.is_large
        {
            etag = etag.replace('a', "b");
        }
        let reply = Reply::new(302)
            .header("X-Repo-Commit", &commit)
            .header("X-Linked-Size", file.content.size_bytes())
            .header("X-Linked-ETag", format!("\"{etag}\""))
            .header("ETag", format!("\"{etag}\""))
            .header("Accept-Ranges", "bytes");
        match &mischief {
            Mischief::RedirectLoop => return reply.header("Location", &call.path),
            Mischief::RedirectTo(target) if file.is_large => return reply.header("Location", target),
            Mischief::LfsPointer if file.is_large => {
                let size = file.content.size_bytes();
                let pointer =
                    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{etag}\nsize {size}\n");
                return body(call, &Content::Bytes(Arc::new(pointer.into_bytes())), &Mischief::None);
            }
            _ => {}
        }
        if !file.is_large {
            let mut reply =
                reply.header("Location", format!("/api/resolve-cache/models/{id}/{commit}/{name}"));
            reply.status = 307;
            return reply;
        }
        let link = self.next_link.fetch_add(1, Ordering::Relaxed);
        self.links.lock().expect("no panic").insert(link, self.link_uses.load(Ordering::Relaxed));
        let target =
            format!("http://127.0.0.1:{}/{id}/{name}?Expires=1700000000&Signature={link}", self.ports.1);
        reply.header("Location", target)
    }

    fn model(&self, id: &str, call: &Call) -> Result<BTreeMap<String, File>, Reply> {
        let models = self.models.lock().expect("no panic");
        let is_known =
            call.headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}"));
        match models.get(id) {
            None if is_known => Err(error(404, "RepoNotFound", "Repository not found")),
            None => Err(error(401, "RepoNotFound", "Invalid username or password.")),
            Some((Door::Gated, _)) if !is_known => {
                Err(error(401, "GatedRepo", "Access to this model is restricted."))
            }
            Some((_, files)) => Ok(files.clone()),
        }
    }

    fn cdn(&self, call: &Call) -> Reply {
        let n = self.n_cdn.fetch_add(1, Ordering::Relaxed);
        let mischief = self.mischief.lock().expect("no panic").clone();
        if let Mischief::CdnStatus(first, status) = mischief
            && n < first
        {
            return Reply::new(status).text("not now");
        }
        // an object store takes one kind of proof, not two
        if call.headers.contains_key("authorization") {
            return Reply::new(400).text("Only one auth mechanism allowed");
        }
        let link =
            call.query.split("Signature=").nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        {
            let mut links = self.links.lock().expect("no panic");
            match links.get_mut(&link) {
                Some(uses) if *uses > 0 => *uses -= 1,
                _ => {
                    return Reply::new(403).text(
                        "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
                    );
                }
            }
        }
        if let Mischief::DigestAfter(first) = mischief
            && n >= first
        {
            return Reply::new(403).text("expired");
        }
        let mut parts = call.path.trim_start_matches('/').splitn(3, '/');
        let id = format!("{}/{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = parts.next().unwrap_or_default();
        let models = self.models.lock().expect("no panic");
        let Some(file) = models.get(&id).and_then(|(_, files)| files.get(name)).cloned() else {
            return Reply::new(404).text("<Error><Code>NoSuchKey</Code></Error>");
        };
        drop(models);
        let etag = match mischief {
            Mischief::CdnEtagAfter(first) if n >= first => "\"later\"",
            _ => "\"stored-0\"",
        };
        body(call, &file.content, &mischief).header("ETag", etag)
    }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let reply = Reply::new(status).header("X-Error-Message", message).header("Content-Type", "text/plain");
    let reply = if code.is_empty() { reply } else { reply.header("X-Error-Code", code) };
    reply.text(message.to_string())
}

fn list(id: &str, commit: &str, files: &BTreeMap<String, File>, mischief: &Mischief, call: &Call) -> Reply {
    let siblings: Vec<String> = files
        .iter()
        .map(|(name, file)| {
            let size = match mischief {
                Mischief::ListedSize(size) if file.is_large => *size,
                _ => file.content.size_bytes(),
            };
            let etag = &file.etag;
            match (call.query.contains("blobs="), file.is_large) {
                (false, _) => format!(r#"{{"rfilename":"{name}"}}"#),
                (true, false) => format!(r#"{{"rfilename":"{name}","size":{size},"blobId":"{etag}"}}"#),
                (true, true) => format!(
                    r#"{{"rfilename":"{name}","size":{size},"blobId":"0123","lfs":{{"sha256":"{etag}","size":{size},"pointerSize":135}}}}"#
                ),
            }
        })
        .collect();
    let text = format!(
        r#"{{"_id":"1","id":"{id}","modelId":"{id}","sha":"{commit}","private":false,"tags":[],"downloads":0,"siblings":[{}]}}"#,
        siblings.join(",")
    );
    Reply::new(200).header("Content-Type", "application/json").text(text)
}

/// The content, or the range that was asked for.
fn body(call: &Call, content: &Content, mischief: &Mischief) -> Reply {
    let size = content.size_bytes();
    let range = call.headers.get("range").and_then(|text| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((
            first.parse::<u64>().ok()?,
            last.parse::<u64>().unwrap_or(u64::MAX).min(size.saturating_sub(1)),
        ))
    });
    let reply = match range {
        Some(_) if *mischief == Mischief::CdnIgnoresRange => None,
        Some((first, _)) if first >= size => {
            return Reply::new(416).header("Content-Range", format!("bytes */{size}")).text("");
        }
        Some((first, last)) => {
            let total = if let Mischief::CdnTotal(total) = mischief { *total } else { size };
            let stated = match mischief {
                Mischief::CdnContentRange(text) => (*text).to_string(),
                _ => format!("bytes {first}-{last}/{total}"),
            };
            let mut reply = Reply::new(206).header("Content-Range", stated);
            reply.body = Some((content.clone(), first, last + 1 - first));
            Some(reply)
        }
        None => None,
    };
    let reply = reply.unwrap_or_else(|| {
        let mut reply = Reply::new(200);
        reply.body = Some((content.clone(), 0, size));
        reply
    });
    let reply = if *mischief == Mischief::CdnGzip { reply.header("Content-Encoding", "gzip") } else { reply };
    reply.header("Accept-Ranges", "bytes")
}

fn read_call(lines: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = String::new();
    lines.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let method = words.next()?.to_string();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    if let Some(n) = headers.get("content-length").and_then(|text| text.parse().ok()) {
        let _ = std::io::copy(&mut lines.by_ref().take(n), &mut std::io::sink());
    }
    Some(Call { method, path: path.to_string(), query: query.to_string(), headers })
}

/// None where the connection must end here.
fn write_reply(
    out: &mut TcpStream,
    call: &Call,
    reply: &Reply,
    cut: Option<u64>,
    is_drip: bool,
) -> Option<()> {
    let (content, first, n_bytes) = reply.body.clone().unwrap_or((Content::Bytes(Arc::default()), 0, 0));
    let mut head = format!("HTTP/1.1 {} -\r\nContent-Length: {n_bytes}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes()).ok()?;
    if call.method == "HEAD" {
        return Some(());
    }
    let end = cut.map_or(n_bytes, |cut| cut.min(n_bytes));
    let mut done = 0;
    while done < end {
        let n = if is_drip { 1 } else { (end - done).min(1 << 20) };
        out.write_all(&content.read(first + done, usize::try_from(n).expect("bounded"))).ok()?;
        done += n;
        if is_drip {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    (end == n_bytes).then_some(())
}
