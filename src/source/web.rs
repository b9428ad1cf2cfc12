//! A file at an address of the web, with what lies beside it. The web lists no folders.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::http::Client;
use super::http_file::{HttpFile, Pin};
use super::hub::is_weights;
use super::ranged::{InMemory, Pool, RangedFile, Ranges};
use super::url::Url;
use super::{Access, Error, Fault, Found, Place, Source};

/// Longest file beside the weights that is fetched.
const MAX_BESIDE_BYTES: u64 = 256 << 20;

/// The folder of an address.
#[derive(Debug)]
struct WebFolder {
    client: Arc<Client>,
    /// The file that was named.
    address: Url,
    pool: Arc<Pool>,
    /// Small files that were asked for; None where there is none.
    beside: Mutex<BTreeMap<String, Option<Arc<Vec<u8>>>>>,
}

/// Opens the file at an address.
pub(super) fn find(address: &Url, access: &Access) -> Result<Found, Error> {
    let name = address.path().rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        return Err(Error::Remote(
            Fault::new("NET-FOLDER", format!("'{address}' is a folder, and the web lists no folders"))
                .in_file(&PathBuf::from(address.to_string()))
                .hint("name the file of weights, or the index of its shards"),
        ));
    }
    let folder = WebFolder {
        client: Arc::new(access.client()?),
        address: address.clone(),
        pool: Arc::default(),
        beside: Mutex::default(),
    };
    let file = folder.ranged(address.clone(), name)?;
    Ok(Found { file: Some((PathBuf::from(address.to_string()), file)), place: Arc::new(folder) })
}

impl WebFolder {
    fn ranged(&self, address: Url, name: &str) -> Result<Arc<dyn Source>, Error> {
        let path = PathBuf::from(address.to_string());
        let file = HttpFile::new(Arc::clone(&self.client), &path, address, Pin::default());
        let start = file.start(RangedFile::first_bytes())?;
        let size_bytes = file.pin().size_bytes.unwrap_or(0);
        Ok(Arc::new(RangedFile::new(name, size_bytes, Box::new(file), start, &self.pool)))
    }

    /// A small file beside the weights, asked for once; None where the server has none.
    fn beside(&self, name: &str) -> Result<Option<Arc<Vec<u8>>>, Error> {
        let known = self.beside.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let fetched = match self.fetch_beside(name) {
            // pages of servers that answer everything with one are not what was asked for
            Ok(bytes) if bytes.trim_ascii_start().starts_with(b"<") => None,
            Ok(bytes) => Some(Arc::new(bytes)),
            Err(Error::Remote(fault)) if is_absence(&fault) => None,
            Err(error) => return Err(error),
        };
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.insert(name.to_string(), fetched.clone());
        Ok(fetched)
    }

    fn fetch_beside(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.path_of(name);
        let file = HttpFile::new(Arc::clone(&self.client), &path, self.address.beside(name), Pin::default());
        let mut bytes = file.start(RangedFile::first_bytes())?;
        let size_bytes = file.pin().size_bytes.unwrap_or(0);
        if size_bytes > MAX_BESIDE_BYTES {
            let says = format!("the file is longer than {MAX_BESIDE_BYTES} bytes");
            return Err(Error::Remote(Fault::new("NET-SIZE", says).in_file(&path)));
        }
        let n_here = bytes.len();
        bytes.resize(usize::try_from(size_bytes).unwrap_or(n_here).max(n_here), 0);
        if bytes.len() > n_here {
            file.fetch(n_here as u64, &mut bytes[n_here..])?;
        }
        Ok(bytes)
    }
}

/// Whether the server says that there is no such file for us.
fn is_absence(fault: &Fault) -> bool {
    matches!(fault.rule, "NET-MISSING" | "NET-DENIED" | "HUB-FILE")
}

impl Place for WebFolder {
    fn path(&self) -> PathBuf {
        PathBuf::from(self.address.beside("").to_string())
    }

    fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from(self.address.beside(name).to_string())
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        Err(Error::Remote(Fault::new("NET-FOLDER", "the web lists no folders").in_file(&self.path())))
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        // a signed address opens one file alone, and weights say by themselves that they are not there
        Ok(is_weights(name) || !self.address.has_query() && self.beside(name)?.is_some())
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Source>, Error> {
        if is_weights(name) {
            return self.ranged(self.address.beside(name), name);
        }
        let path = self.path_of(name);
        let bytes = self.beside(name)?.ok_or_else(|| {
            Error::Remote(Fault::new("NET-MISSING", "the server has no such file").in_file(&path))
        })?;
        Ok(Arc::new(InMemory { name: name.to_string(), path, bytes: bytes.to_vec() }))
    }
}
