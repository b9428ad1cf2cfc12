//! Pages for browsers: one file, no network, no script; names from files are escaped twice over.

mod chart;
mod evaluate;

pub use evaluate::evaluation;

use super::escape;

/// A name from a file as HTML text or a quoted attribute: controls spelled out, then the five characters with a meaning.
#[must_use]
pub fn name(text: &str) -> String {
    markup(&escape::name(text))
}

/// A sentence of ours that may hold names.
#[must_use]
pub fn sentence(text: &str) -> String {
    markup(&escape::sentence(text))
}

fn markup(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            _ => shown.push(character),
        }
    }
    shown
}

/// Nothing is fetched and nothing runs; the page's own style is allowed by its hash, and no other.
const POLICY: &str = "default-src 'none'; style-src 'sha256-k/Xs4QBvuVvIZC60u0y7KnF4a05CYUph6qdAeQJzN5k='; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("style.css");

/// A whole page.
fn page(title: &str, body: &str) -> String {
    let title = name(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest as _;

    #[test]
    fn the_policy_allows_the_style_of_the_page_by_its_hash() {
        let digest = sha2::Sha256::digest(STYLE.as_bytes());
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut base64 = String::new();
        for bytes in digest.chunks(3) {
            let word =
                bytes.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()));
            for k in 0..=bytes.len() {
                base64.push(char::from(ALPHABET[(word >> (18 - 6 * k) & 63) as usize]));
            }
        }
        // 32 bytes end with one byte less than a group of three
        assert!(POLICY.contains(&format!("'sha256-{base64}='")), "{base64}=");
    }

    #[test]
    fn a_hostile_name_is_text() {
        let hostile = "</title><script>alert(1)</script>\" onload='x' \u{202e}&amp;";
        let page = page(hostile, &format!("<p title=\"{}\">{}</p>", name(hostile), name(hostile)));
        assert_eq!(page.matches('<').count(), super::page("", "<p title=\"\"></p>").matches('<').count());
        assert!(!page.contains("onload='") && !page.contains('\u{202e}') && page.contains("&amp;amp;"));
    }
}
