//! What the driver's files say about the cards of this machine: wgpu tells no UUID.

use std::path::Path;

use crate::gpu::Card;

/// Folder in which NVIDIA's driver describes each card, by PCI address.
const NVIDIA: &str = "/proc/driver/nvidia/gpus";

/// Longest description that is read.
const MAX_BYTES: u64 = 64 << 10;

/// All cards that the driver describes; none without it.
pub(super) fn cards() -> Vec<Card> {
    described_in(Path::new(NVIDIA))
}

fn described_in(folder: &Path) -> Vec<Card> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let described = entries.filter_map(|entry| {
        let path = entry.path().join("information");
        let is_small = std::fs::metadata(&path).is_ok_and(|facts| facts.len() <= MAX_BYTES);
        let text = is_small.then(|| std::fs::read_to_string(path).ok()).flatten()?;
        Some(card(&entry.file_name().to_string_lossy(), &text))
    });
    let mut cards: Vec<Card> = described.collect();
    cards.sort_by(|a, b| a.pci.cmp(&b.pci));
    cards
}

/// `GPU UUID:   GPU-…` and `Device Minor:   0`.
fn card(pci: &str, information: &str) -> Card {
    let field = |name: &str| {
        let line = information.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    Card {
        pci: pci.to_lowercase(),
        uuid: field("GPU UUID").unwrap_or_default(),
        minor: field("Device Minor").and_then(|minor| minor.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_driver_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (pci, uuid, minor) in [("0000:AF:00.0", "GPU-aa11", 1), ("0000:3b:00.0", "GPU-bb22", 0)] {
            let card = folder.path().join(pci);
            std::fs::create_dir(&card).unwrap();
            let text = format!("Model: \t\t Some card\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n");
            std::fs::write(card.join("information"), text).unwrap();
        }
        let found = described_in(folder.path());
        let wanted = [("0000:3b:00.0", "GPU-bb22", 0), ("0000:af:00.0", "GPU-aa11", 1)];
        let wanted = wanted.map(|(pci, uuid, minor)| Card {
            pci: pci.to_owned(),
            uuid: uuid.to_owned(),
            minor: Some(minor),
        });
        assert_eq!(found, wanted);
        assert_eq!(described_in(&folder.path().join("none")), []);
    }
}
