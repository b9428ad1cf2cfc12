//! Which cards a scheduler has given to this process: its variables become PCI addresses, never indices of another list.
//!
//! Vulkan, Metal and Direct3D ignore `CUDA_VISIBLE_DEVICES` and its kin, and number cards in an order of their own. What is
//! known of the cards is passed in, so that this is a pure function.

/// A card as its driver numbers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// `0000:3b:00.0`.
    pub pci: String,
    /// `GPU-…`, or empty.
    pub uuid: String,
    /// Number of the device node (`/dev/nvidia0`), which schedulers use.
    pub minor: Option<u32>,
}

/// What the environment allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Nothing is said.
    All,
    /// These PCI addresses, in this order; none where the list is empty.
    Only(Vec<String>),
    /// A variable is set but names no card that is known here: variable and value.
    Unmapped(&'static str, String),
}

/// The first of the variables that is set decides. `variable` reads the environment.
#[must_use]
pub fn visible(variable: impl Fn(&str) -> Option<String>, cards: &[Card]) -> Visible {
    let by_bus = variable("CUDA_DEVICE_ORDER").is_some_and(|order| order == "PCI_BUS_ID");
    let mut by_pci: Vec<&Card> = cards.iter().collect();
    by_pci.sort_by(|a, b| a.pci.cmp(&b.pci));
    for name in ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_STEP_GPUS"] {
        let Some(value) = variable(name) else { continue };
        let card_of = |word: &str| -> Option<&Card> {
            if let Ok(index) = word.parse::<usize>() {
                return match name {
                    "SLURM_STEP_GPUS" => {
                        cards.iter().find(|card| card.minor.is_some_and(|m| m as usize == index))
                    }
                    // an index counts in an order that only this setting makes known; one card needs no order
                    _ if by_bus || by_pci.len() == 1 => by_pci.get(index).copied(),
                    _ => None,
                };
            }
            // a unique beginning is enough, as it is for CUDA
            let mut found = cards.iter().filter(|card| !card.uuid.is_empty() && card.uuid.starts_with(word));
            found.next().filter(|_| found.next().is_none())
        };
        let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
        let mut allowed = Vec::new();
        // CUDA ends the list at the first invalid entry, -1 for example
        for word in words.take_while(|word| !word.starts_with('-')) {
            match card_of(word) {
                Some(card) => allowed.push(card.pci.clone()),
                None => return Visible::Unmapped(name, value.clone()),
            }
        }
        return Visible::Only(allowed);
    }
    Visible::All
}

/// The PCI address of the card with this UUID, or a unique beginning of it.
#[must_use]
pub fn pci_of_uuid<'a>(uuid: &str, cards: &'a [Card]) -> Option<&'a str> {
    let mut found = cards.iter().filter(|card| !uuid.is_empty() && card.uuid.starts_with(uuid));
    found.next().filter(|_| found.next().is_none()).map(|card| card.pci.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The driver's order is not that of the bus.
    fn cards() -> Vec<Card> {
        [("0000:af:00.0", "GPU-aa11", 0), ("0000:3b:00.0", "GPU-bb22", 1), ("0000:5e:00.0", "GPU-ab33", 2)]
            .map(|(pci, uuid, minor)| Card { pci: pci.to_owned(), uuid: uuid.to_owned(), minor: Some(minor) })
            .to_vec()
    }

    #[test]
    fn schedulers_are_understood_by_address_and_never_by_index() {
        let only = |list: &[&str]| Visible::Only(list.iter().map(|pci| (*pci).to_owned()).collect());
        let unmapped = |name, value: &str| Visible::Unmapped(name, value.to_owned());
        let (cuda, rocr, slurm) = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_STEP_GPUS");
        for (variables, wanted) in [
            (vec![], Visible::All),
            (vec![(cuda, "")], only(&[])),
            (vec![(cuda, "-1")], only(&[])),
            (vec![(cuda, "GPU-bb22")], only(&["0000:3b:00.0"])),
            (vec![(cuda, "GPU-b, GPU-aa")], only(&["0000:3b:00.0", "0000:af:00.0"])),
            (vec![(cuda, "GPU-a")], unmapped(cuda, "GPU-a")),
            (vec![(cuda, "GPU-cc")], unmapped(cuda, "GPU-cc")),
            (vec![(cuda, "0")], unmapped(cuda, "0")),
            (vec![(cuda, "0"), ("CUDA_DEVICE_ORDER", "FASTEST_FIRST")], unmapped(cuda, "0")),
            (vec![(cuda, "0"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")], only(&["0000:3b:00.0"])),
            (
                vec![(cuda, "2,0"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")],
                only(&["0000:af:00.0", "0000:3b:00.0"]),
            ),
            (vec![(cuda, "3"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")], unmapped(cuda, "3")),
            (vec![(cuda, "MIG-1234")], unmapped(cuda, "MIG-1234")),
            (vec![(rocr, "1")], unmapped(rocr, "1")),
            (vec![(slurm, "1,2")], only(&["0000:3b:00.0", "0000:5e:00.0"])),
            (vec![(slurm, "7")], unmapped(slurm, "7")),
            (vec![(slurm, "0"), (cuda, "GPU-ab")], only(&["0000:5e:00.0"])),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(visible(variable, &cards()), wanted, "{variables:?}");
        }
    }

    #[test]
    fn a_single_card_needs_no_order() {
        let one = &cards()[..1];
        let variable = |name: &str| (name == "CUDA_VISIBLE_DEVICES").then(|| "0".to_owned());
        assert_eq!(visible(variable, one), Visible::Only(vec!["0000:af:00.0".to_owned()]));
        assert_eq!(pci_of_uuid("GPU-aa11", one), Some("0000:af:00.0"));
        assert_eq!(pci_of_uuid("GPU-b", one), None);
        assert_eq!(pci_of_uuid("", one), None);
    }
}
