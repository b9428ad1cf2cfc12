//! What the two output streams can show, and the one place that writes messages to stderr.

use std::io::{IsTerminal, Write};

use super::args::{Common, When};
use crate::report::terminal::{self, Style};
use crate::report::wire::Failure;

/// The user's screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Of stdout.
    pub(super) style: Style,
    /// Of stderr.
    pub(super) error_style: Style,
    /// `-q`.
    pub(super) is_quiet: bool,
    /// Whether a progress bar may be drawn.
    pub(super) has_progress: bool,
}

impl Screen {
    /// Looks at flags, environment and streams.
    pub(super) fn detect(common: &Common) -> Screen {
        let variable = |name: &str| std::env::var(name).ok();
        let unicode = is_utf8(&variable);
        let verbose = common.verbose > 0;
        let on_stdout = has_colour(common.color, std::io::stdout().is_terminal(), &variable);
        let on_stderr = has_colour(common.color, std::io::stderr().is_terminal(), &variable);
        Screen {
            style: Style { colour: on_stdout, unicode, verbose },
            error_style: Style { colour: on_stderr, unicode, verbose },
            is_quiet: common.quiet,
            has_progress: !common.quiet
                && !common.no_progress
                && std::io::stderr().is_terminal()
                && !is_set(&variable, "CI")
                && !is_set(&variable, "HF_HUB_DISABLE_PROGRESS_BARS"),
        }
    }

    /// A failure on stderr.
    pub(super) fn complain(&self, failure: &Failure) {
        self.tell(&terminal::failure(failure, self.error_style));
    }

    /// Text on stderr; a closed stderr changes nothing.
    pub(super) fn tell(&self, text: &str) {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Set to something that does not mean no.
fn is_set(variable: &impl Fn(&str) -> Option<String>, name: &str) -> bool {
    variable(name)
        .is_some_and(|value| !matches!(value.to_lowercase().as_str(), "" | "0" | "false" | "no" | "off"))
}

/// The flag, then NO_COLOR, then CLICOLOR_FORCE, then what the stream is.
fn has_colour(when: When, is_terminal: bool, variable: &impl Fn(&str) -> Option<String>) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
        When::Auto if is_set(variable, "CLICOLOR_FORCE") => true,
        When::Auto => {
            is_terminal
                && variable("CLICOLOR").as_deref() != Some("0")
                && variable("TERM").as_deref() != Some("dumb")
        }
    }
}

/// The first of the three locale variables that is set decides; without any, ASCII (Windows consoles: UTF-8).
fn is_utf8(variable: &impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| variable(name))
        .find(|value| !value.is_empty());
    match locale {
        Some(locale) => {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => cfg!(windows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colour_follows_flag_environment_and_stream_in_this_order() {
        for (when, is_terminal, pairs, wanted) in [
            (When::Auto, true, &[][..], true),
            (When::Auto, false, &[], false),
            (When::Auto, true, &[("NO_COLOR", "1")], false),
            (When::Auto, true, &[("NO_COLOR", "")], true),
            (When::Auto, true, &[("TERM", "dumb")], false),
            (When::Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (When::Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (When::Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (When::Always, false, &[("NO_COLOR", "1")], true),
            (When::Never, true, &[("CLICOLOR_FORCE", "1")], false),
        ] {
            assert_eq!(
                has_colour(when, is_terminal, &environment(pairs)),
                wanted,
                "{when:?} {is_terminal} {pairs:?}"
            );
        }
    }

    #[test]
    fn the_first_locale_variable_decides_about_characters() {
        for (pairs, wanted) in [
            (&[("LANG", "de_AT.UTF-8")][..], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "C")], false),
            (&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], false),
            (&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")], true),
            (&[], cfg!(windows)),
        ] {
            assert_eq!(is_utf8(&environment(pairs)), wanted, "{pairs:?}");
        }
    }
}
