//! Names that occur twice, found with eight bytes a name.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::source::Fault;

/// Hashes of names, keyed anew in each process so that nobody can prepare collisions.
#[derive(Debug, Default)]
pub(super) struct Seen {
    key: RandomState,
    hashes: Vec<u64>,
}

/// Names that may have occurred twice: their hashes did.
#[derive(Debug)]
pub(super) struct Suspects {
    key: RandomState,
    /// Sorted; empty where no name occurred twice.
    hashes: Vec<u64>,
}

impl Seen {
    /// Counts a name.
    pub(super) fn add(&mut self, name: &str) -> Result<(), Box<Fault>> {
        self.hashes
            .try_reserve(1)
            .map_err(|_| Fault::new("MEMORY", "not enough memory for the list of names"))?;
        self.hashes.push(self.key.hash_one(name));
        Ok(())
    }

    /// What a second pass over the same names must look at.
    pub(super) fn into_suspects(mut self) -> Suspects {
        self.hashes.sort_unstable();
        let mut hashes: Vec<u64> =
            self.hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        hashes.dedup();
        Suspects { key: self.key, hashes }
    }
}

impl Suspects {
    /// Whether a second pass is not needed.
    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a name of the second pass is to be compared.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.hashes.binary_search(&self.key.hash_one(name)).is_ok()
    }
}

/// A name that occurs twice in the list, or None.
pub(super) fn find<'name, I: Iterator<Item = &'name str> + Clone>(
    names: I,
) -> Result<Option<&'name str>, Box<Fault>> {
    let mut seen = Seen::default();
    names.clone().try_for_each(|name| seen.add(name))?;
    let suspects = seen.into_suspects();
    if suspects.is_empty() {
        return Ok(None);
    }
    let mut compared = std::collections::HashSet::new();
    for name in names.filter(|name| suspects.contains(name)) {
        if !compared.insert(name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_name_is_found_twice_only_if_it_is_there_twice() {
        for (names, twice) in
            [(&[][..], None), (&["a", "b"], None), (&["a", "b", "a"], Some("a")), (&["", "a", ""], Some(""))]
        {
            assert_eq!(find(names.iter().copied()).expect("memory"), twice);
        }
    }
}
