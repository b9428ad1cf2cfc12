//! Gates: what the user asked to be an error.

use super::args::{Compare, Inconclusive, VerdictWord};
use super::exit;
use crate::compare::{Comparison, WeightsVerdict, Why};
use crate::report::words;

/// Exit code of one finished comparison, and why it is not 0.
pub(super) fn judge(args: &Compare, comparison: &Comparison) -> (u8, Option<String>) {
    let (code, sentence) = gate(args, comparison.weights.verdict);
    let has_skipped = comparison.not_tested.iter().any(|tensor| tensor.why == Why::Skipped);
    if has_skipped && !args.allow_partial && exit::first_of([code, exit::PARTIAL]) == exit::PARTIAL {
        return (exit::PARTIAL, Some("tensors had to be skipped; --allow-partial accepts that".to_owned()));
    }
    (code, sentence)
}

fn gate(args: &Compare, verdict: Option<WeightsVerdict>) -> (u8, Option<String>) {
    // without a verdict there is no gate: --only refuses both flags
    let Some(verdict) = verdict else { return (exit::OK, None) };
    let word = words::weights_word(verdict);
    let is_listed = |list: &[VerdictWord]| list.contains(&VerdictWord(verdict));
    if is_listed(&args.fail_on) {
        return (exit::GATE, Some(format!("verdict '{word}' is listed in --fail-on")));
    }
    let has_gate = !args.fail_on.is_empty() || !args.expect.is_empty();
    if verdict == WeightsVerdict::Inconclusive && has_gate && !is_listed(&args.expect) {
        return match args.inconclusive {
            Inconclusive::Pass => (exit::OK, None),
            Inconclusive::Fail => {
                (exit::INCONCLUSIVE, Some("verdict 'inconclusive' where a gate was asked".to_owned()))
            }
        };
    }
    if !args.expect.is_empty() && !is_listed(&args.expect) {
        return (exit::GATE, Some(format!("verdict '{word}' is not listed in --expect")));
    }
    (exit::OK, None)
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Verb};
    use super::*;
    use clap::Parser;

    #[test]
    fn gates_end_with_the_promised_codes() {
        use WeightsVerdict::{Derived, Identical, Inconclusive, NoEvidence};
        for (flags, verdict, wanted) in [
            (&[][..], Derived, 0),
            (&[], Inconclusive, 0),
            (&["--fail-on", "derived,identical"], Derived, 1),
            (&["--fail-on", "derived,identical"], Identical, 1),
            (&["--fail-on", "derived,identical"], NoEvidence, 0),
            (&["--fail-on", "derived"], Inconclusive, 5),
            (&["--fail-on", "inconclusive"], Inconclusive, 1),
            (&["--fail-on", "derived", "--inconclusive", "pass"], Inconclusive, 0),
            (&["--expect", "no-evidence"], NoEvidence, 0),
            (&["--expect", "no-evidence"], Derived, 1),
            (&["--expect", "no-evidence"], Inconclusive, 5),
            (&["--expect", "no-evidence,inconclusive"], Inconclusive, 0),
            (&["--expect", "derived", "--fail-on", "derived"], Derived, 1),
        ] {
            let words = ["cognate", "compare", "a", "b"].iter().chain(flags);
            let cli = Cli::try_parse_from(words).expect("a valid command line");
            let Verb::Compare(args) = cli.verb else { panic!("compare was asked for") };
            assert_eq!(gate(&args, Some(verdict)).0, wanted, "{flags:?} {verdict:?}");
        }
    }
}
