//! Addresses of the web, as far as this program needs them.

use std::fmt;

/// An `http` or `https` address without user name and fragment. Shown without its query, which may hold a signature.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    is_secure: bool,
    /// Host in lower case, and the port where one is written.
    authority: String,
    /// From the first `/` on.
    path: String,
    /// What follows `?`.
    query: Option<String>,
}

impl Url {
    /// None where it is no address of these two kinds.
    pub(super) fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_string())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let is_visible = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        let is_valid = !authority.is_empty()
            && authority.chars().all(is_host)
            && is_visible(path)
            && query.as_deref().is_none_or(is_visible);
        let path = if path.is_empty() { "/" } else { path };
        let authority = authority.to_ascii_lowercase();
        let usual = if is_secure { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_string();
        is_valid.then_some(Url { is_secure, authority, path: path.to_string(), query })
    }

    /// Where a `Location` leads.
    pub(super) fn join(&self, location: &str) -> Result<Url, &'static str> {
        let scheme = if self.is_secure { "https" } else { "http" };
        if location.is_empty() {
            return Err("redirects and names no place");
        }
        let next = if let Some(rest) = location.strip_prefix("//") {
            Url::parse(&format!("{scheme}://{rest}"))
        } else if location.starts_with('/') {
            Url::parse(&format!("{scheme}://{}{location}", self.authority))
        } else {
            // a scheme comes before any separator
            let head = location.split(['/', '?', '#']).next().unwrap_or_default();
            match head.contains(':') {
                true => Url::parse(location),
                false => Url::parse(&format!("{scheme}://{}{}{location}", self.authority, self.folder())),
            }
        };
        match next {
            None => Err("leads to something that is no web address"),
            Some(next) if self.is_secure && !next.is_secure => Err("leads from https to http"),
            Some(next) => Ok(next),
        }
    }

    /// Whether a secret for one may be sent to the other.
    pub(super) fn same_origin(&self, other: &Url) -> bool {
        self.is_secure == other.is_secure && self.authority == other.authority
    }

    /// Host name without port.
    pub(super) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// The path up to its last `/`.
    pub(super) fn folder(&self) -> &str {
        &self.path[..=self.path.rfind('/').unwrap_or(0)]
    }

    /// The file beside this one, or the address below a base that ends in `/`.
    pub(super) fn beside(&self, name: &str) -> Url {
        Url { path: format!("{}{}", self.folder(), encoded(name, "/")), query: None, ..self.clone() }
    }

    /// As [`Url::beside`] of a name that is encoded already, with a query.
    pub(super) fn beside_encoded(&self, name: &str, query: &str) -> Url {
        Url { path: format!("{}{name}", self.folder()), query: Some(query.to_string()), ..self.clone() }
    }

    /// What is sent.
    pub(super) fn whole(&self) -> String {
        match &self.query {
            Some(query) => format!("{self}?{query}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Text as it stands in a path (RFC 3986, section 2); characters of `kept` stay as they are.
pub(super) fn encoded(text: &str, kept: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') || kept.contains(c) {
            path.push(c);
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The text that an encoded one stands for; None where it is damaged or not UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Url, decoded, encoded};

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn only_web_addresses_without_user_names_are_taken() {
        for (text, shown) in [
            ("HTTPS://Example.ORG:443/a/b?sig=secret#x", Some("https://example.org/a/b")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/")),
            ("http://[::1]:80/a", Some("http://[::1]/a")),
            ("file:///etc/passwd", None),
            ("ftp://example.org/a", None),
            ("https://user:pass@example.org/", None),
            ("https:///a", None),
            ("https://example.org/a b", None),
            ("https://example.org/a\r\nX: y", None),
            ("example.org/a", None),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.to_string()).as_deref(), shown, "{text}");
        }
        assert_eq!(url("https://a.b/c?sig=secret").whole(), "https://a.b/c?sig=secret");
    }

    #[test]
    fn a_redirect_leads_to_the_web_and_never_to_a_weaker_scheme() {
        let here = url("https://a.b/c/d?x=1");
        for (location, wanted) in [
            ("/e", Ok("https://a.b/e")),
            ("e", Ok("https://a.b/c/e")),
            ("//o.p/q", Ok("https://o.p/q")),
            ("https://o.p/q?s", Ok("https://o.p/q")),
            ("http://o.p/q", Err(())),
            ("file:///etc/passwd", Err(())),
            ("javascript:alert(1)", Err(())),
        ] {
            let found = here.join(location).map(|url| url.to_string()).map_err(|_| ());
            assert_eq!(found, wanted.map(str::to_string), "{location}");
        }
        assert!(url("http://a.b/").same_origin(&url("http://A.b:80/x")));
        for other in ["http://a.b/", "https://a.b:444/", "https://a.b.c/", "https://xa.b/"] {
            assert!(!here.same_origin(&url(other)), "{other}");
        }
    }

    #[test]
    fn names_are_encoded_and_decoded() {
        assert_eq!(encoded("a/b c%é", "/"), "a/b%20c%25%C3%A9");
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
        for text in ["a/b c%é", "", "%"] {
            assert_eq!(decoded(&encoded(text, "")).as_deref(), Some(text));
        }
        for damaged in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(decoded(damaged), None, "{damaged}");
        }
    }
}
