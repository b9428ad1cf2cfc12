//! A model on the Hub: listed once and pinned to a commit; small files are fetched whole into the local cache, weights by
//! ranges.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::fault::{grouped, shown};
use super::http::Client;
use super::http_file::{HttpFile, Pin, refused};
use super::hub::{HubCache, ModelId, is_path_inside, is_plain, is_weights};
use super::hub_store::{Shelf, is_content_of};
use super::ranged::{InMemory, Pool, RangedFile, Ranges};
use super::url::{Url, encoded};
use super::{Access, Boundary, Error, Fault, Found, LocalFile, Place, Source};

/// Longest file that is fetched as a whole. No tokenizer comes near; what is longer is read by ranges.
const MAX_WHOLE_BYTES: u64 = 256 << 20;

/// A revision of a model on the Hub.
#[derive(Debug)]
struct Repository {
    client: Arc<Client>,
    id: ModelId,
    /// Below which the files lie.
    address: Url,
    commit: String,
    /// Path in the repository → what the list says of it.
    files: BTreeMap<String, Listed>,
    shelf: Option<Shelf>,
    pool: Arc<Pool>,
}

/// What the list says of a file; older servers name it and say no more.
#[derive(Clone, Debug)]
struct Listed {
    size_bytes: Option<u64>,
    /// SHA-256 of a large file, else Git's name of the content.
    etag: Option<String>,
}

/// A folder of a repository as the place of a model.
#[derive(Debug)]
struct RemoteFolder {
    repository: Arc<Repository>,
    /// Empty, or a path that ends in `/`.
    prefix: String,
}

/// `GET /api/models/ID/revision/REVISION?blobs=true`.
#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// Finds a model on the Hub. One request, whatever its size.
pub(super) fn find(id: &ModelId, access: &Access) -> Result<Found, Error> {
    let repository = Arc::new(Repository::connect(id, access)?);
    let folder = |prefix: String| -> Arc<dyn Place> {
        Arc::new(RemoteFolder { repository: Arc::clone(&repository), prefix })
    };
    let Some(within) = &id.within else { return Ok(Found { place: folder(String::new()), file: None }) };
    if repository.files.contains_key(within) {
        let prefix = within.rfind('/').map_or(String::new(), |slash| within[..=slash].to_string());
        let file = repository.open(within)?;
        return Ok(Found { place: folder(prefix), file: Some((repository.path_of(within), file)) });
    }
    let prefix = format!("{within}/");
    if repository.files.keys().any(|path| path.starts_with(&prefix)) {
        return Ok(Found { place: folder(prefix), file: None });
    }
    Err(Error::Remote(
        Fault::new("HUB-FILE", format!("the model has neither a file nor a folder '{}'", shown(within)))
            .in_file(&repository.path_of(""))
            .hint("`cognate inspect` of the model itself lists what is read"),
    ))
}

impl Repository {
    fn connect(id: &ModelId, access: &Access) -> Result<Repository, Error> {
        let client = Arc::new(access.client()?);
        let hub = access.hub()?;
        let revision = id.revision.as_deref().unwrap_or("main");
        let called = PathBuf::from(format!("hf://{}@{revision}", id.id()));
        let named = |fault: Box<Fault>| Error::Remote(fault.in_file(&called));
        let list = hub
            .beside(&format!("api/models/{}/revision/", id.id()))
            .beside_encoded(&encoded(revision, ""), "blobs=true");
        let text = client.text(&list).map_err(named)?.map_err(|answer| named(refused(&answer)))?;
        let info: ModelInfo = serde_json::from_str(&text).map_err(|_| named(not_a_list(&list, &text)))?;
        if !is_plain(&info.sha) {
            return Err(named(
                Fault::new("NET-JSON", "the Hub names a commit that cannot be one")
                    .found_wanted(format!("'{}'", shown(&info.sha)), "a commit"),
            ));
        }
        let files = info
            .siblings
            .into_iter()
            .filter(|sibling| is_path_inside(&sibling.rfilename))
            .map(|sibling| {
                let (sha256, size) = sibling.lfs.map_or((None, None), |lfs| (lfs.sha256, lfs.size));
                let listed = Listed { size_bytes: size.or(sibling.size), etag: sha256.or(sibling.blob_id) };
                (sibling.rfilename, listed)
            })
            .collect();
        Ok(Repository {
            client,
            address: hub.beside(&format!("{}/resolve/{}/", id.id(), info.sha)),
            files,
            shelf: shelf(&access.cache, id, &info.sha),
            commit: info.sha,
            id: id.clone(),
            pool: Arc::default(),
        })
    }

    fn path_of(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("hf://{}@{}/{path}", self.id.id(), self.commit))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn Source>, Error> {
        let Some(listed) = self.files.get(path) else {
            let fault = Fault::new("HUB-FILE", "the model has no such file at this revision")
                .in_file(&self.path_of(path));
            return Err(Error::Remote(fault));
        };
        if let Some(cached) = self.cached(path, listed) {
            return cached;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let pin = Pin {
            commit: Some(self.commit.clone()),
            etag: listed.etag.clone(),
            size_bytes: listed.size_bytes,
        };
        let file =
            HttpFile::new(Arc::clone(&self.client), &self.path_of(path), self.address.beside(path), pin);
        let start = match listed.size_bytes {
            Some(_) => Vec::new(),
            None => file.start(RangedFile::first_bytes())?,
        };
        let pin = file.pin();
        let size_bytes = pin.size_bytes.unwrap_or(0);
        if is_weights(name) || size_bytes > MAX_WHOLE_BYTES {
            return Ok(Arc::new(RangedFile::new(name, size_bytes, Box::new(file), start, &self.pool)));
        }
        self.whole(path, &file, start, size_bytes)
    }

    /// What lies in the local cache at this very commit, or under the name of this content.
    fn cached(&self, path: &str, listed: &Listed) -> Option<Result<Arc<dyn Source>, Error>> {
        let shelf = self.shelf.as_ref()?;
        let found = match (&listed.etag, listed.size_bytes) {
            (Some(etag), Some(size_bytes)) => shelf.find(path, etag, size_bytes),
            _ => None,
        };
        let there = found.or_else(|| Some(shelf.path_of(path)).filter(|path| path.is_file()))?;
        let opened = Boundary::of(&[&shelf.repository])
            .and_then(|boundary| boundary.check(&there))
            .and_then(|()| LocalFile::open(&there));
        Some(opened.map(|file| Arc::new(file) as Arc<dyn Source>))
    }

    /// Fetches a file to its end, checks it against its name, and leaves it in the cache.
    fn whole(
        &self,
        path: &str,
        file: &HttpFile,
        mut bytes: Vec<u8>,
        size_bytes: u64,
    ) -> Result<Arc<dyn Source>, Error> {
        let called = self.path_of(path);
        let n_here = bytes.len();
        let n_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(n_bytes.saturating_sub(n_here)).map_err(|_| {
            let says = format!("not enough memory for {} bytes", grouped(size_bytes));
            Error::Remote(Fault::new("MEMORY", says).in_file(&called))
        })?;
        bytes.resize(n_bytes, 0);
        if n_here < n_bytes {
            file.fetch(n_here as u64, &mut bytes[n_here..])?;
        }
        let etag = file.pin().etag.unwrap_or_default();
        if is_content_of(&etag, &bytes) == Some(false) {
            return Err(Error::Remote(
                Fault::new("NET-DIGEST", "the bytes that came are not those that the Hub lists")
                    .in_file(&called)
                    .found_wanted(format!("{} bytes of another digest", grouped(size_bytes)), shown(&etag))
                    .hint("a proxy may have changed them; run again, or reach the Hub without it"),
            ));
        }
        // a cache that cannot be written costs the next run a request, no more
        let kept = self.shelf.as_ref().and_then(|shelf| shelf.keep(path, &etag, &bytes).ok());
        let name = path.rsplit('/').next().unwrap_or(path).to_string();
        Ok(match kept.map(|path| LocalFile::open(&path)) {
            Some(Ok(file)) => Arc::new(file),
            _ => Arc::new(InMemory { name, path: called, bytes }),
        })
    }
}

fn shelf(cache: &HubCache, id: &ModelId, commit: &str) -> Option<Shelf> {
    let revision = id.revision.as_deref().unwrap_or("main");
    Some(Shelf {
        repository: cache.folder()?.join(id.folder_name()),
        commit: commit.to_string(),
        reference: (revision != commit).then(|| revision.to_string()),
    })
}

fn not_a_list(url: &Url, text: &str) -> Box<Fault> {
    if text.trim_start().starts_with('<') {
        return Fault::new(
            "NET-HTML",
            format!("'{url}' answers with an HTML page instead of a list of files"),
        )
        .found_wanted("an HTML page", "JSON")
        .hint("a proxy or a login page may stand in between; check HF_ENDPOINT");
    }
    Fault::new("NET-JSON", format!("'{url}' answers with something that is no list of files"))
        .found_wanted(format!("'{}'", shown(text)), "a JSON object with sha and siblings")
        .hint("check HF_ENDPOINT")
}

impl Place for RemoteFolder {
    fn path(&self) -> PathBuf {
        self.repository.path_of(self.prefix.trim_end_matches('/'))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let inside = self.repository.files.keys().filter_map(|path| path.strip_prefix(&self.prefix));
        Ok(inside.filter(|name| !name.contains('/')).map(str::to_string).collect())
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        Ok(self.repository.files.contains_key(&format!("{}{name}", self.prefix)))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Source>, Error> {
        self.repository.open(&format!("{}{name}", self.prefix))
    }

    fn commit(&self) -> Option<String> {
        Some(self.repository.commit.clone())
    }
}
