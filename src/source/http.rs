//! GET requests, one at a time: redirects checked hop by hop, the token for one host alone, every wait bounded.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use ureq::http::HeaderMap;

use super::Fault;
use super::fault::{grouped, shown};
use super::url::Url;

/// Redirects that one request may take; the Hub needs two.
const MAX_REDIRECTS: usize = 5;
/// Longest text of a server that is read: the list of a repository of 100,000 files takes some 20 MB.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// Bytes by which the time for a text is measured; most lists take less.
const USUAL_TEXT_BYTES: u64 = 4 << 20;

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, and for the name to become an address.
    pub connect: Duration,
    /// Longest silence, of an answer and inside its body.
    pub silence: Duration,
    /// Before the first repetition; doubles with each further one.
    pub first_wait: Duration,
    /// Longest wait that a server may ask for.
    pub longest_wait: Duration,
    /// Attempts in a row without progress.
    pub n_tries: u32,
    /// A body that comes more slowly than this on the whole counts as cut, in bytes per second.
    pub slowest: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            n_tries: 5,
            slowest: 16 << 10,
        }
    }
}

/// A secret for one host. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub origin: Url,
    pub secret: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a token for {}", self.origin.host())
    }
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    pub(super) patience: Patience,
    token: Option<Token>,
}

/// What a server answered; the body is not read yet.
pub(super) struct Answer {
    pub url: Url,
    pub status: u16,
    headers: HeaderMap,
    body: ureq::Body,
}

/// What the Hub says about a file on the way to it, before another host takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// `X-Repo-Commit`.
    pub commit: Option<String>,
    /// `X-Linked-ETag`, else an `ETag` that is a digest, without quotes.
    pub etag: Option<String>,
    /// `X-Linked-Size`.
    pub size_bytes: Option<u64>,
}

/// An attempt that may be worth a repetition.
struct Trouble {
    fault: Box<Fault>,
    /// How long the server asks to wait.
    asked: Option<Duration>,
    is_final: bool,
}

/// Counts attempts without progress.
pub(super) struct Retries<'a> {
    patience: &'a Patience,
    n_failed: u32,
}

impl Retries<'_> {
    pub(super) fn new(patience: &Patience) -> Retries<'_> {
        Retries { patience, n_failed: 0 }
    }

    /// Something came: counting starts again.
    pub(super) fn reset(&mut self) {
        self.n_failed = 0;
    }

    /// Waits before the next attempt; false where there shall be none.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> bool {
        self.n_failed += 1;
        let backed_off = self.patience.first_wait * (1 << (self.n_failed - 1).min(10));
        let wait = asked.unwrap_or_default().max(backed_off);
        if self.n_failed >= self.patience.n_tries || wait > self.patience.longest_wait {
            return false;
        }
        std::thread::sleep(wait);
        true
    }
}

impl Client {
    pub(super) fn new(patience: Patience, token: Option<Token>) -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // followed here, where each hop is looked at
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("cognate/", env!("CARGO_PKG_VERSION")))
            // ranges count stored bytes: a body must not be packed on the way
            .accept_encoding("identity")
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_send_request(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .build();
        Client { agent: config.new_agent(), patience, token }
    }

    /// Follows redirects from `url` to an answer that is none.
    pub(super) fn follow(
        &self,
        url: &Url,
        range: Option<&Range<u64>>,
    ) -> Result<(Facts, Answer), Box<Fault>> {
        let mut facts = Facts::default();
        let mut here = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.get(&here, range)?;
            if here.same_origin(url) {
                facts.add(&answer);
            }
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok((facts, answer));
            }
            let location = answer.header("location").unwrap_or_default();
            here = here.join(location).map_err(|why| {
                Fault::new("NET-REDIRECT", format!("'{here}' {why}: {}", shown_location(location)))
                    .hint("such a redirect is not followed; check the address of the server")
            })?;
        }
        Err(Fault::new("NET-REDIRECT", format!("'{url}' redirects more than {MAX_REDIRECTS} times"))
            .hint("the server leads in a circle; try again later, or check the address"))
    }

    /// One GET without redirects, repeated while the server or the way to it fails for the moment.
    fn get(&self, url: &Url, range: Option<&Range<u64>>) -> Result<Answer, Box<Fault>> {
        let mut retries = Retries::new(&self.patience);
        loop {
            let trouble = match self.once(url, range) {
                Ok(answer) => match for_the_moment(answer) {
                    Ok(answer) => return Ok(answer),
                    Err(trouble) => trouble,
                },
                Err(trouble) => trouble,
            };
            if trouble.is_final || !retries.wait(trouble.asked) {
                return Err(trouble.fault);
            }
        }
    }

    fn once(&self, url: &Url, range: Option<&Range<u64>>) -> Result<Answer, Trouble> {
        let n_bytes = range.map_or(USUAL_TEXT_BYTES, |range| range.end - range.start);
        let longest = self.patience.silence + Duration::from_secs(n_bytes / self.patience.slowest.max(1));
        let mut request = self.agent.get(url.whole()).config().timeout_recv_body(Some(longest)).build();
        if let Some(range) = range {
            request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
        }
        if let Some(token) = self.token.as_ref().filter(|token| token.origin.same_origin(url)) {
            request = request.header("authorization", format!("Bearer {}", token.secret));
        }
        let (parts, body) = request.call().map_err(|error| unreachable(url, &error))?.into_parts();
        Ok(Answer { url: url.clone(), status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// The whole text behind an address.
    pub(super) fn text(&self, url: &Url) -> Result<Result<String, Answer>, Box<Fault>> {
        let mut retries = Retries::new(&self.patience);
        loop {
            let (_, answer) = self.follow(url, None)?;
            if answer.status != 200 {
                return Ok(Err(answer));
            }
            answer.require_plain()?;
            let mut bytes = Vec::new();
            let read = answer.body.into_reader().take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes);
            if bytes.len() as u64 > MAX_TEXT_BYTES {
                return Err(Fault::new("NET-SIZE", format!("'{url}' answers with too long a text"))
                    .found_wanted(
                        format!("more than {} bytes", grouped(MAX_TEXT_BYTES)),
                        "a list of files",
                    ));
            }
            match read {
                Ok(_) => {
                    return String::from_utf8(bytes).map(Ok).map_err(|_| {
                        Fault::new("NET-JSON", format!("'{url}' answers with something that is no text"))
                    });
                }
                Err(_) if retries.wait(None) => {}
                Err(cause) => {
                    return Err(Fault::new(
                        "NET-CUT",
                        format!("the connection to '{}' broke off: {cause}", url.host()),
                    )
                    .hint(TRY_AGAIN));
                }
            }
        }
    }
}

pub(super) const TRY_AGAIN: &str = "run again when the network and the server are well";

impl Facts {
    fn add(&mut self, answer: &Answer) {
        let text = |name| answer.header(name).map(str::to_string);
        self.commit = text("x-repo-commit").or(self.commit.take());
        let is_digest =
            |etag: &String| matches!(etag.len(), 40 | 64) && etag.chars().all(|c| c.is_ascii_hexdigit());
        let linked = answer.header("x-linked-etag").map(plain_etag);
        let etag = linked.or_else(|| answer.header("etag").map(plain_etag).filter(is_digest));
        self.etag = etag.or(self.etag.take());
        self.size_bytes =
            answer.header("x-linked-size").and_then(|text| text.parse().ok()).or(self.size_bytes);
    }
}

/// An entity tag without its mark for weakness and its quotes.
pub(super) fn plain_etag(etag: &str) -> String {
    etag.trim().trim_start_matches("W/").trim_matches('"').to_string()
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn into_reader(self) -> impl Read {
        self.body.into_reader()
    }

    /// Bytes are counted as they are stored, so they must come as they are stored.
    pub(super) fn require_plain(&self) -> Result<(), Box<Fault>> {
        match self.header("content-encoding") {
            None | Some("" | "identity") => Ok(()),
            Some(encoding) => Err(Fault::new(
                "NET-ENCODING",
                format!("'{}' sends its answer packed, though that was not asked for", self.url),
            )
            .found_wanted(format!("content-encoding {}", shown(encoding)), "identity")
            .hint("a proxy may do this; reach the server without it")),
        }
    }
}

/// Answers after which a repetition may help.
fn for_the_moment(answer: Answer) -> Result<Answer, Trouble> {
    let host = answer.url.host();
    let fault = match answer.status {
        429 => Fault::new("NET-RATE", format!("'{host}' allows no more requests for now (429)"))
            .hint("wait, or set HF_TOKEN: quotas of known users are larger"),
        408 | 500..=599 => Fault::new(
            "NET-SERVER",
            format!("'{host}' fails for now and again after several attempts ({})", answer.status),
        )
        .hint(TRY_AGAIN),
        _ => return Ok(answer),
    };
    let asked = asked_wait(&answer);
    let fault = match asked {
        Some(wait) => fault.found_wanted(format!("asked to wait {} s", wait.as_secs()), "an answer"),
        None => fault,
    };
    Err(Trouble { fault, asked, is_final: false })
}

/// `Retry-After` in seconds, else the `t` of the Hub's `RateLimit: "api";r=0;t=55`.
fn asked_wait(answer: &Answer) -> Option<Duration> {
    let seconds = |text: &str| text.trim().parse().ok().map(Duration::from_secs);
    answer.header("retry-after").and_then(seconds).or_else(|| {
        let fields = answer.header("ratelimit")?.split([';', ',']);
        fields.filter_map(|field| field.trim().strip_prefix("t=")).find_map(seconds)
    })
}

fn unreachable(url: &Url, error: &ureq::Error) -> Trouble {
    let host = url.host();
    let (says, is_final) = match error {
        ureq::Error::HostNotFound => ("there is no such host, or no network here".to_string(), true),
        ureq::Error::Timeout(_) => ("no answer in time".to_string(), false),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => ("the address is not valid".to_string(), true),
        ureq::Error::Protocol(_) => ("the answer is not HTTP".to_string(), true),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::InvalidProxyUrl => {
            (shown(&error.to_string()), true)
        }
        other => (shown(&other.to_string()), false),
    };
    let rule = if matches!(error, ureq::Error::Timeout(_)) { "NET-TIMEOUT" } else { "NET-CONNECT" };
    let fault = Fault::new(rule, format!("'{host}' cannot be reached: {says}"))
        .hint("check the network; --offline uses local files and the cache alone");
    Trouble { fault, asked: None, is_final }
}

/// A foreign address as it may be shown: without its query, which may hold a signature.
fn shown_location(location: &str) -> String {
    format!("'{}'", shown(location.split('?').next().unwrap_or_default()))
}
