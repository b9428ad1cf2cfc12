//! What a reference may lead to: which cache, which links, whether the network.

use super::HubCache;

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
    #[default]
    Allowed,
    /// Never.
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
}

impl Access {
    /// The cache that the Hub's own tools would use; no network where `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` says so.
    #[must_use]
    pub fn from_environment(links: Links, network: Network) -> Access {
        let is_offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].iter().any(|variable| is_set(variable));
        let network = if is_offline { Network::Forbidden } else { network };
        Access { cache: HubCache::from_environment(), links, network }
    }
}

/// Whether a variable says yes, in the words that the Hub's own tools understand.
pub(super) fn is_set(variable: &str) -> bool {
    std::env::var(variable)
        .is_ok_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str()))
}
