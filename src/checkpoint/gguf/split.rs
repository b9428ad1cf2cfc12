//! Files in numbered parts, `name-00001-of-00003.gguf`: all belong to one model, and the first holds the metadata.

use std::collections::BTreeMap;

use super::metadata::Metadata;
use crate::checkpoint::Error;
use crate::source::{Fault, Place, grouped, shown};

/// Most parts; published models have fewer than a hundred.
const MAX_PARTS: u32 = 10_000;

/// What a part's name says: the beginning it shares with the others, its number from 1 on, how many there are.
pub(super) fn part_of(name: &str) -> Option<(&str, u32, u32)> {
    let stem = name.strip_suffix(".gguf")?;
    let (before, n_parts) = stem.rsplit_once("-of-")?;
    let (prefix, number) = before.rsplit_once('-')?;
    let digits = |text: &str| {
        (text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (number, n_parts) = (digits(number)?, digits(n_parts)?);
    (1..=n_parts).contains(&number).then_some((prefix, number, n_parts))
}

/// Files of a folder, parts of one model counted as one: the name to open it by.
pub(in crate::checkpoint) fn group(names: &[String]) -> Vec<String> {
    let mut models: BTreeMap<(String, u32), String> = BTreeMap::new();
    for name in names {
        let key = match part_of(name) {
            Some((prefix, _, n_parts)) => (prefix.to_owned(), n_parts),
            None => (name.clone(), 0),
        };
        // the lowest number stands for all
        let first = models.entry(key).or_insert_with(|| name.clone());
        if *name < *first {
            first.clone_from(name);
        }
    }
    models.into_values().collect()
}

/// The file itself, or all parts that its name speaks of.
pub(super) fn parts(name: &str, place: &dyn Place) -> Result<Vec<String>, Error> {
    let Some((prefix, _, n_parts)) = part_of(name).filter(|(_, _, n_parts)| *n_parts > 1) else {
        return Ok(vec![name.to_owned()]);
    };
    if n_parts > MAX_PARTS {
        return Err(Fault::new("GG-SPLIT", "the name speaks of more parts than any model has")
            .in_file(&place.path_of(name))
            .found_wanted(grouped(u64::from(n_parts)), format!("at most {}", grouped(u64::from(MAX_PARTS))))
            .into());
    }
    (1..=n_parts)
        .map(|number| {
            let part = format!("{prefix}-{number:05}-of-{n_parts:05}.gguf");
            if place.has(&part)? {
                return Ok(part);
            }
            let says = format!("part {number} of {n_parts} is missing: {}", shown(&part));
            Err(Fault::new("GG-SPLIT", says)
                .in_file(&place.path_of(name))
                .found_wanted("no such file", "all parts in one folder")
                .hint("fetch the missing part too")
                .into())
        })
        .collect()
}

/// That a part says of itself what its name and place say.
pub(super) fn check(metadata: &Metadata, nth: usize, n_files: usize) -> Result<(), Box<Fault>> {
    let (no, count) = (metadata.number("split.no"), metadata.number("split.count"));
    let place = format!("part {} of {}", nth + 1, n_files);
    let says = |no: u64, count: u64| format!("part {} of {}", grouped(no.saturating_add(1)), grouped(count));
    match (no, count) {
        (None, None | Some(0)) if n_files == 1 => Ok(()),
        (Some(no), Some(count)) if (no, count) == (nth as u64, n_files as u64) => Ok(()),
        (Some(0), Some(0 | 1)) if n_files == 1 => Ok(()),
        (Some(no), Some(count)) if n_files == 1 => Err(Fault::new(
            "GG-SPLIT",
            "the file is one part of a model, and its name does not say where the others are",
        )
        .found_wanted(says(no, count), "the whole model, or parts named like -00001-of-00003.gguf")
        .hint("give all parts their original names, in one folder")),
        (Some(no), Some(count)) => Err(Fault::new("GG-SPLIT", "the part is another one than its name says")
            .found_wanted(says(no, count), place)
            .hint("parts of different models or downloads are mixed; fetch them again")),
        _ => Err(Fault::new("GG-SPLIT", "the file is named like a part and does not say that it is one")
            .found_wanted("no split.no and split.count", place)
            .hint("name the file otherwise if it is a whole model")),
    }
}

/// That all parts together hold as many tensors as they say.
pub(super) fn check_total(metadata: &Metadata, n_tensors: u64, n_files: usize) -> Result<(), Box<Fault>> {
    match metadata.number("split.tensors.count") {
        Some(count) if n_files > 1 && count != n_tensors => {
            Err(Fault::new("GG-SPLIT", "the parts hold another number of tensors than they say")
                .found_wanted(grouped(n_tensors), grouped(count))
                .hint("parts of different models or downloads are mixed; fetch them again"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{group, part_of};

    #[test]
    fn names_of_parts_are_told_from_others() {
        for (name, wanted) in [
            ("m-00002-of-00003.gguf", Some(("m", 2, 3))),
            ("a-b-00001-of-00001.gguf", Some(("a-b", 1, 1))),
            ("m-2-of-3.gguf", None),
            ("m-00000-of-00003.gguf", None),
            ("m-00004-of-00003.gguf", None),
            ("m-00002-of-00003.safetensors", None),
            ("m.gguf", None),
        ] {
            assert_eq!(part_of(name), wanted, "{name}");
        }
    }

    #[test]
    fn parts_of_one_model_count_as_one() {
        let names =
            ["m-00002-of-00002.gguf", "m-00001-of-00002.gguf", "m-Q4_K.gguf", "m-00001-of-00003.gguf"];
        let names = names.map(str::to_owned);
        assert_eq!(group(&names), ["m-00001-of-00002.gguf", "m-00001-of-00003.gguf", "m-Q4_K.gguf"]);
    }
}
