//! Objects of an S3 bucket (feature `s3`): a prefix as a folder, ranges pinned to the entity tag that was listed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, RetryConfig};
use tokio::runtime::Runtime;

use super::fault::{grouped, in_bytes, shown};
use super::http::TRY_AGAIN;
use super::ranged::{Pool, RangedFile, Ranges};
use super::{Access, Error, Fault, Found, Patience, Place, Source};

/// A bucket and the way to it.
#[derive(Debug)]
struct Bucket {
    name: String,
    store: AmazonS3,
    runtime: Runtime,
}

/// A prefix of a bucket as the place of a model.
#[derive(Debug)]
struct Prefix {
    bucket: Arc<Bucket>,
    prefix: Key,
    /// Name below the prefix → what the list says.
    objects: BTreeMap<String, ObjectMeta>,
    pool: Arc<Pool>,
}

/// One object.
#[derive(Debug)]
struct Object {
    bucket: Arc<Bucket>,
    path: PathBuf,
    meta: ObjectMeta,
}

/// Opens `s3://bucket/key`: the object of this key, or the objects below it.
pub(super) fn find(address: &str, access: &Access) -> Result<Found, Error> {
    let rest = address.strip_prefix("s3://").unwrap_or(address);
    let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = Arc::new(Bucket::open(name, &access.patience)?);
    let key = Key::parse(key.trim_end_matches('/')).map_err(|_| {
        Error::Remote(Fault::new("S3-KEY", format!("'{}' is no key of an object", shown(key))))
    })?;
    let list = |prefix: &Key| -> Result<Prefix, Error> {
        let listed = bucket.runtime.block_on(bucket.store.list_with_delimiter(Some(prefix)));
        let listed = listed.map_err(|error| bucket.failed(prefix, &error))?;
        let objects = listed.objects.into_iter();
        let objects =
            objects.filter_map(|meta| Some((meta.location.filename()?.to_string(), meta))).collect();
        Ok(Prefix { bucket: Arc::clone(&bucket), prefix: prefix.clone(), objects, pool: Arc::default() })
    };
    let folder = list(&key)?;
    if !folder.objects.is_empty() {
        return Ok(Found { place: Arc::new(folder), file: None });
    }
    let mut parts: Vec<_> = key.parts().collect();
    let file = parts.pop();
    let parent = list(&parts.into_iter().collect())?;
    match file.map(|name| name.as_ref().to_string()).filter(|name| parent.objects.contains_key(name)) {
        Some(name) => {
            let file = parent.open(&name)?;
            Ok(Found { file: Some((parent.path_of(&name), file)), place: Arc::new(parent) })
        }
        None => Err(Error::Remote(
            Fault::new("NET-MISSING", "the bucket has neither an object of this key nor any below it")
                .in_file(&bucket.path_of(&key))
                .hint("check bucket, key and AWS_ENDPOINT_URL"),
        )),
    }
}

impl Bucket {
    fn open(name: &str, patience: &Patience) -> Result<Bucket, Error> {
        let refused = |says: String| {
            Error::Remote(
                Fault::new("S3-CONFIG", format!("the bucket '{}' cannot be opened: {says}", shown(name)))
                    .hint(
                        "AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL are honoured",
                    ),
            )
        };
        // another part of this process may have chosen before
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options =
            ClientOptions::new().with_connect_timeout(patience.connect).with_timeout(4 * patience.silence);
        let retries = RetryConfig {
            max_retries: patience.n_tries as usize,
            retry_timeout: patience.longest_wait,
            ..RetryConfig::default()
        };
        let is_plain = std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| url.starts_with("http://"));
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(name)
            .with_client_options(options.with_allow_http(is_plain))
            .with_retry(retries)
            .build()
            .map_err(|error| refused(shown(&error.to_string())))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Bucket { name: name.to_string(), store, runtime })
    }

    fn path_of(&self, key: &Key) -> PathBuf {
        PathBuf::from(format!("s3://{}/{key}", self.name))
    }

    fn failed(&self, key: &Key, error: &object_store::Error) -> Error {
        use object_store::Error as Cause;
        let fault = match error {
            Cause::NotFound { .. } => Fault::new("NET-MISSING", "there is no such bucket or object")
                .hint("check bucket, key and AWS_ENDPOINT_URL"),
            Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => {
                Fault::new("NET-DENIED", "the object store refuses access")
                    .hint("check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of this user")
            }
            Cause::Precondition { .. } | Cause::NotModified { .. } => {
                Fault::new("CHANGED", "the object changed while reading")
                    .hint("the result was discarded; run again when nothing writes to it")
            }
            other => {
                Fault::new("NET-STATUS", format!("the object store fails: {}", shown(&other.to_string())))
                    .hint(TRY_AGAIN)
            }
        };
        Error::Remote(fault.in_file(&self.path_of(key)))
    }
}

impl Ranges for Object {
    fn fetch(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset + buffer.len() as u64;
        let options = GetOptions {
            range: Some(GetRange::Bounded(offset..end)),
            if_match: self.meta.e_tag.clone(),
            ..GetOptions::default()
        };
        let key = &self.meta.location;
        let fetched = self
            .bucket
            .runtime
            .block_on(async { self.bucket.store.get_opts(key, options).await?.bytes().await });
        let bytes = fetched.map_err(|error| self.bucket.failed(key, &error))?;
        if bytes.len() != buffer.len() {
            let fault = Fault::new("NET-RANGE", "the object store sends another range than was asked for")
                .in_file(&self.path)
                .at_byte(offset)
                .found_wanted(in_bytes(bytes.len() as u64), grouped(buffer.len() as u64));
            return Err(Error::Remote(fault));
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Place for Prefix {
    fn path(&self) -> PathBuf {
        self.bucket.path_of(&self.prefix)
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.objects.keys().cloned().collect())
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        Ok(self.objects.contains_key(name))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Source>, Error> {
        let Some(meta) = self.objects.get(name) else {
            let fault =
                Fault::new("NET-MISSING", "the bucket has no such object").in_file(&self.path_of(name));
            return Err(Error::Remote(fault));
        };
        let object =
            Object { bucket: Arc::clone(&self.bucket), path: self.path_of(name), meta: meta.clone() };
        Ok(Arc::new(RangedFile::new(name, meta.size, Box::new(object), Vec::new(), &self.pool)))
    }
}
