//! What this machine can compute on.

use super::page::{Page, Style};
use crate::report::wire::{Device, Devices};

/// The list, with its final newline.
#[must_use]
pub fn devices(devices: &Devices, style: Style) -> String {
    let mut page = Page::new(style);
    for device in &devices.devices {
        one(&mut page, device);
    }
    page.blank();
    let auto = page.name(&devices.auto);
    page.line(&format!(
        "--backend auto takes {auto}; --gpu takes a PCI address, a name or an index from this list"
    ));
    page.finish()
}

fn one(page: &mut Page, device: &Device) {
    let select =
        device.select.as_ref().map_or_else(|| page.name(&device.backend), |select| page.name(select));
    let mut facts = vec![page.name(&device.api), page.name(&device.kind)];
    if !device.driver.is_empty() {
        facts.push(page.name(&device.driver));
    }
    if let Some(pci) = &device.pci {
        facts.push(format!("pci:{}", page.name(pci)));
    }
    let name = page.name(&device.name);
    page.line(&format!("{select:<14}{name}"));
    page.row("", &facts.join(", "));
    if let Some(note) = &device.note {
        let note = page.sentence(note);
        page.row("", &note);
    }
}
