//! Words that agree with the numbers before them.

use std::fmt::Display;

/// `one` after a 1, `many` after any other number.
#[must_use]
pub fn agreeing<'a, N: PartialEq + From<u8>>(n: N, one: &'a str, many: &'a str) -> &'a str {
    if n == N::from(1) { one } else { many }
}

/// `1 matrix`, `3 matrices`.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(n: N, one: &str, many: &str) -> String {
    format!("{n} {}", agreeing(n, one, many))
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn listed(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::{agreeing, counted, listed};

    #[test]
    fn lists_end_with_and() {
        for (words, wanted) in
            [(&[][..], ""), (&["a"], "a"), (&["a", "b"], "a and b"), (&["a", "b", "c"], "a, b and c")]
        {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(listed(&words), wanted);
        }
    }

    #[test]
    fn only_one_thing_is_singular() {
        for (n, wanted) in [(0, "0 matrices"), (1, "1 matrix"), (2, "2 matrices"), (11, "11 matrices")] {
            assert_eq!(counted(n, "matrix", "matrices"), wanted);
        }
        assert_eq!((agreeing(1_usize, "has", "have"), agreeing(3_u64, "has", "have")), ("has", "have"));
    }
}
