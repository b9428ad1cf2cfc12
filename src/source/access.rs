//! What a reference may lead to: which cache, which links, whether the network.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use super::fault::shown;
use super::http::{Client, Patience, Token};
use super::url::Url;
use super::{Error, Fault, HubCache};

/// Whether symbolic links may leave the model's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// They must end inside it, or inside the same repository of the cache.
    #[default]
    Inside,
    /// They may lead anywhere.
    Anywhere,
}

/// Whether a reference may open a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Where the reference asks for one.
    Allowed,
    /// Never.
    #[default]
    Forbidden,
}

/// What a reference may lead to.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Where downloaded models lie.
    pub cache: HubCache,
    /// Where links may lead.
    pub links: Links,
    /// Whether the network may be used.
    pub network: Network,
    /// Where the Hub is; None: where everybody's is.
    pub endpoint: Option<String>,
    /// A token for the Hub's host, and no other.
    pub token: Option<Secret>,
    /// How long servers are waited for.
    pub patience: Patience,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a secret")
    }
}

/// Longest token that is taken from a file.
const MAX_TOKEN_BYTES: u64 = 1024;
const PUBLIC_HUB: &str = "https://huggingface.co";

impl Access {
    /// As the Hub's own tools would see it: their cache, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` or the token file; no
    /// network where `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` says so.
    #[must_use]
    pub fn from_environment(links: Links, network: Network) -> Access {
        let is_offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].iter().any(|variable| is_set(variable));
        Access {
            cache: HubCache::from_environment(),
            links,
            network: if is_offline { Network::Forbidden } else { network },
            endpoint: std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty()),
            token: token_of_environment(),
            patience: Patience::default(),
        }
    }

    /// Where the Hub is, with a path that ends in `/`.
    pub(super) fn hub(&self) -> Result<Url, Error> {
        let text = self.endpoint.as_deref().unwrap_or(PUBLIC_HUB);
        Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok_or_else(|| {
            Error::Remote(
                Fault::new("HUB-ENDPOINT", format!("HF_ENDPOINT is no web address: '{}'", shown(text)))
                    .hint("for example https://huggingface.co"),
            )
        })
    }

    /// A client that knows the token of the Hub.
    pub(super) fn client(&self) -> Result<Client, Error> {
        let token = match &self.token {
            Some(Secret(secret)) => Some(Token { origin: self.hub()?, secret: secret.clone() }),
            None => None,
        };
        Ok(Client::new(self.patience, token))
    }
}

fn token_of_environment() -> Option<Secret> {
    if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return None;
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let text = match variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN")) {
        Some(token) => token.into_string().ok()?,
        None => {
            let path = variable("HF_TOKEN_PATH")
                .map(PathBuf::from)
                .or_else(|| variable("HF_HOME").map(|home| PathBuf::from(home).join("token")))
                .or_else(|| {
                    variable("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("huggingface/token"))
                })
                .or_else(|| std::env::home_dir().map(|home| home.join(".cache/huggingface/token")))?;
            let mut text = String::new();
            std::fs::File::open(path).ok()?.take(MAX_TOKEN_BYTES).read_to_string(&mut text).ok()?;
            text
        }
    };
    let token = text.trim();
    let is_token = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    is_token.then(|| Secret(token.to_string()))
}

/// Whether a variable says yes, in the words that the Hub's own tools understand.
fn is_set(variable: &str) -> bool {
    std::env::var(variable)
        .is_ok_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str()))
}
