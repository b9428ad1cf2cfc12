//! One file behind HTTP, by ranges, pinned to what it was when it was first seen.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fault::{grouped, in_bytes, shown};
use super::http::{Answer, Client, Facts, Retries, TRY_AGAIN, plain_etag};
use super::ranged::Ranges;
use super::url::Url;
use super::{Error, Fault};

/// Bytes before a range that are read and thrown away where a server sends the whole file instead of the range.
const MAX_SKIPPED_BYTES: u64 = 16 << 20;
/// Bytes that make an attempt count as progress: a server that lets them drip is given up, one that cuts is not.
const PROGRESS_BYTES: usize = 64 << 10;
/// Git LFS ends its pointers below this length.
const POINTER_BYTES: u64 = 1024;
/// New links to the data in a row: one that is refused at once is not merely expired.
const MAX_NEW_LINKS: u32 = 3;

/// What a file must be, as far as that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Pin {
    /// Commit of the Hub.
    pub commit: Option<String>,
    /// Entity tag as the Hub states it: a digest of the content.
    pub etag: Option<String>,
    /// Length.
    pub size_bytes: Option<u64>,
}

/// A file behind HTTP.
#[derive(Debug)]
pub(super) struct HttpFile {
    client: Arc<Client>,
    /// The name in messages.
    path: PathBuf,
    /// Where it is asked for.
    address: Url,
    seen: Mutex<Seen>,
}

/// What answers have said so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    pin: Pin,
    /// Where the data lie after all redirects; used until it expires.
    link: Option<Url>,
    /// Entity tag of the data themselves, which need not be that of the Hub.
    data_etag: Option<String>,
}

impl HttpFile {
    pub(super) fn new(client: Arc<Client>, path: &Path, address: Url, pin: Pin) -> HttpFile {
        let seen = Seen { pin, ..Seen::default() };
        HttpFile { client, path: path.to_path_buf(), address, seen: Mutex::new(seen) }
    }

    /// What is known of the file by now.
    pub(super) fn pin(&self) -> Pin {
        self.seen().pin.clone()
    }

    /// The first bytes, at most `n_bytes`; the length is known afterwards.
    pub(super) fn start(&self, n_bytes: u64) -> Result<Vec<u8>, Error> {
        let range = 0..n_bytes;
        let (answer, mut skip) = match self.answer(&range) {
            Err(Error::Remote(fault)) if fault.rule == "NET-EMPTY" => return Ok(Vec::new()),
            other => other?,
        };
        let size = self.seen().pin.size_bytes.unwrap_or(0);
        let mut bytes = vec![0; usize::try_from(n_bytes.min(size)).unwrap_or(0)];
        let n_read = read_body(answer, &mut skip, &mut bytes);
        if n_read < bytes.len() {
            self.fetch(n_read as u64, &mut bytes[n_read..])?;
        }
        Ok(bytes)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that holds the bytes of a range after `skip` others, which must be read first.
    fn answer(&self, range: &Range<u64>) -> Result<(Answer, u64), Error> {
        let mut n_links = 0;
        loop {
            let link = self.seen().link.clone();
            let is_link = link.is_some();
            let (facts, answer) = self
                .client
                .follow(link.as_ref().unwrap_or(&self.address), Some(range))
                .map_err(|fault| self.named(fault, range.start))?;
            if is_link && matches!(answer.status, 400 | 401 | 403 | 404 | 410) && n_links < MAX_NEW_LINKS {
                // signatures of links to the data expire
                self.seen().link = None;
                n_links += 1;
                continue;
            }
            if !is_link {
                self.compare(&facts)?;
            }
            let skip = self.accept(&answer, range).map_err(|fault| self.named(fault, range.start))?;
            self.seen().link = (answer.url != self.address).then(|| answer.url.clone());
            return Ok((answer, skip));
        }
    }

    /// Facts of the Hub against those of the first answer.
    fn compare(&self, facts: &Facts) -> Result<(), Error> {
        let mut seen = self.seen();
        let changed = |what: &str, found: String, wanted: String| {
            Error::Remote(
                Fault::new("CHANGED", format!("the {what} changed while reading"))
                    .in_file(&self.path)
                    .found_wanted(found, wanted)
                    .hint("the result was discarded; run again, or name a commit after '@'"),
            )
        };
        let both = |found: &Option<String>, wanted: &Option<String>| match (found, wanted) {
            (Some(found), Some(wanted)) if found != wanted => Some((shown(found), shown(wanted))),
            _ => None,
        };
        if let Some((found, wanted)) = both(&facts.commit, &seen.pin.commit) {
            return Err(changed("model's commit", found, wanted));
        }
        if let Some((found, wanted)) = both(&facts.etag, &seen.pin.etag) {
            return Err(changed("file", format!("etag {found}"), wanted));
        }
        if let (Some(found), Some(wanted)) = (facts.size_bytes, seen.pin.size_bytes)
            && found != wanted
        {
            return Err(changed("file's length", grouped(found), grouped(wanted)));
        }
        if facts.etag.is_some() {
            // the Hub vouches for the content; another host may name it otherwise
            seen.data_etag = None;
        }
        let Facts { commit, etag, size_bytes } = facts.clone();
        let pin = &mut seen.pin;
        pin.commit = pin.commit.take().or(commit);
        pin.etag = pin.etag.take().or(etag);
        pin.size_bytes = pin.size_bytes.or(size_bytes);
        Ok(())
    }

    /// Whether an answer holds the range, and how many bytes stand before it.
    fn accept(&self, answer: &Answer, range: &Range<u64>) -> Result<u64, Box<Fault>> {
        let mut seen = self.seen();
        let known = seen.pin.size_bytes;
        let (total, skip) = match answer.status {
            206 => {
                answer.require_plain()?;
                (content_range(answer, range)?, 0)
            }
            200 => {
                answer.require_plain()?;
                let total = answer.header("content-length").and_then(|text| text.parse().ok());
                if range.start > MAX_SKIPPED_BYTES {
                    return Err(Fault::new(
                        "NET-RANGE",
                        "the server sends whole files instead of the range that was asked for",
                    )
                    .found_wanted("200", "206")
                    .hint("this server cannot be read by position; download the file first"));
                }
                (total, range.start)
            }
            416 if range.start == 0 && known.unwrap_or(0) == 0 => {
                seen.pin.size_bytes = Some(0);
                return Err(Fault::new("NET-EMPTY", "the file is empty"));
            }
            416 => {
                return Err(Fault::new("NET-RANGE", "the server says that the file ends earlier (416)")
                    .found_wanted(
                        answer.header("content-range").map_or("416".to_string(), shown),
                        known.map_or("206".to_string(), in_bytes),
                    )
                    .hint("the file changed, or the server states a wrong length; fetch the model again"));
            }
            _ => return Err(refused(answer)),
        };
        match (total, known) {
            (Some(total), Some(known)) if total != known => {
                let hint = match total <= POINTER_BYTES {
                    true => {
                        "the server may hold a Git LFS pointer in place of the file, which is then not there"
                    }
                    false => "the result was discarded; run again, or name a commit after '@'",
                };
                return Err(Fault::new("CHANGED", "the file's length is not the one that was listed")
                    .found_wanted(in_bytes(total), grouped(known))
                    .hint(hint));
            }
            (None, None) => {
                return Err(Fault::new("NET-SIZE", "the server does not say how long the file is")
                    .hint("download the file first"));
            }
            (total, known) => seen.pin.size_bytes = known.or(total),
        }
        if let Some(etag) = answer.header("etag").map(plain_etag) {
            let pinned = seen.data_etag.get_or_insert_with(|| etag.clone());
            if *pinned != etag {
                return Err(Fault::new("CHANGED", "the file changed while reading")
                    .found_wanted(format!("etag {}", shown(&etag)), shown(pinned))
                    .hint("the result was discarded; run again when nothing writes to it"));
            }
        }
        Ok(skip)
    }

    fn named(&self, mut fault: Box<Fault>, byte: u64) -> Error {
        if fault.file.is_none() {
            fault = fault.in_file(&self.path);
        }
        if fault.byte.is_none() && byte > 0 {
            fault = fault.at_byte(byte);
        }
        Error::Remote(fault)
    }
}

impl Ranges for HttpFile {
    fn fetch(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset + buffer.len() as u64;
        let mut retries = Retries::new(&self.client.patience);
        let mut n_done = 0;
        while n_done < buffer.len() {
            let start = offset + n_done as u64;
            let (answer, mut skip) = self.answer(&(start..end))?;
            let n_read = read_body(answer, &mut skip, &mut buffer[n_done..]);
            n_done += n_read;
            if n_read >= PROGRESS_BYTES {
                retries.reset();
            }
            if n_done < buffer.len() && !retries.wait(None) {
                let fault = Fault::new("NET-CUT", "the connection broke off, and again at each attempt")
                    .found_wanted(in_bytes(n_done as u64), grouped(buffer.len() as u64))
                    .hint(TRY_AGAIN);
                return Err(self.named(fault, start + n_read as u64));
            }
        }
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Fills `buffer` as far as the body goes; how it ends does not matter, what is missing is asked for again.
fn read_body(answer: Answer, skip: &mut u64, buffer: &mut [u8]) -> usize {
    let mut body = answer.into_reader();
    if *skip > 0 {
        match std::io::copy(&mut (&mut body).take(*skip), &mut std::io::sink()) {
            Ok(n_skipped) if n_skipped == *skip => {}
            _ => return 0,
        }
    }
    let mut n_done = 0;
    while n_done < buffer.len() {
        match body.read(&mut buffer[n_done..]) {
            Ok(0) | Err(_) => break,
            Ok(n_read) => n_done += n_read,
        }
    }
    n_done
}

/// The total of `bytes first-last/total`; None where the server does not know it.
fn content_range(answer: &Answer, range: &Range<u64>) -> Result<Option<u64>, Box<Fault>> {
    let text = answer.header("content-range").unwrap_or_default();
    let parsed = || {
        let (span, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let total = if total == "*" { None } else { Some(total.parse::<u64>().ok()?) };
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, total))
    };
    match parsed() {
        Some((first, last, total)) if first == range.start && first <= last && last < range.end => Ok(total),
        _ => Err(Fault::new("NET-RANGE", "the server sends another range than was asked for")
            .found_wanted(
                format!("content-range '{}'", shown(text)),
                format!("bytes {}-{}", range.start, range.end - 1),
            )
            .hint("this server cannot be read by position; download the file first")),
    }
}

/// What a final answer other than the data means.
pub(super) fn refused(answer: &Answer) -> Box<Fault> {
    let (url, status) = (&answer.url, answer.status);
    match (status, answer.header("x-error-code").unwrap_or_default()) {
        (_, "GatedRepo") => Fault::new(
            "HUB-GATED",
            format!("the model is gated: '{}' wants a token of somebody who was given access", url.host()),
        )
        .hint("ask for access on the model's page, then set HF_TOKEN"),
        (_, "RepoNotFound") => {
            Fault::new("HUB-MISSING", format!("'{}' knows no such model, or it is private", url.host()))
                .hint("check the spelling; set HF_TOKEN if it is private")
        }
        (_, "RevisionNotFound") => Fault::new("HUB-REVISION", "the model has no such revision")
            .hint("check the branch, tag or commit after '@'"),
        (_, "EntryNotFound") => Fault::new("HUB-FILE", "the model has no such file at this revision")
            .hint("`cognate inspect` of the model itself lists what is read"),
        (401 | 403 | 407, _) => {
            Fault::new("NET-DENIED", format!("'{}' refuses access ({status})", url.host()))
                .hint("set HF_TOKEN for a private or gated model; a signed link may have expired")
        }
        (404 | 410, _) => Fault::new("NET-MISSING", format!("there is nothing at '{url}' ({status})"))
            .hint("check the address"),
        _ => Fault::new("NET-STATUS", format!("'{url}' answers with {status}"))
            .found_wanted(status.to_string(), "200 or 206")
            .hint(TRY_AGAIN),
    }
}
