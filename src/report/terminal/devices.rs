//! What this machine can compute on.

use super::page::{Page, Style};
use crate::report::wire::{Check, Device, Devices};

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
    if let Some(check) = &device.check {
        checked(page, check);
    }
}

fn checked(page: &mut Page, check: &Check) {
    let word = if check.passed { "computes correctly" } else { "COMPUTES WRONGLY: do not use it" };
    let hash = check.self_test.as_deref().unwrap_or("failed");
    let tier = check.tier.as_deref().unwrap_or("none");
    page.row("", &format!("{word}; self-test {hash}, tier {tier}"));
    for (name, value) in &check.properties {
        let value = page.name(value);
        page.row("", &format!("{name}: {value}"));
    }
    for line in &check.lines {
        let error = line.error.0.map_or("no answer".to_owned(), |error| format!("error {error:.1e}"));
        let rate = line.rate.0.filter(|_| line.passed);
        let rate = rate.map_or("withheld".to_owned(), |rate| format!("{rate:.3} {}", line.unit));
        let what = format!("{} {} {}", line.kernel, line.tier, line.build);
        page.row("", &format!("{what:<40} {error:<18} {rate}"));
    }
    for rate in &check.rates {
        let value = rate.value.0.map_or("failed".to_owned(), |value| format!("{value:.3} {}", rate.unit));
        page.row("", &format!("{:<40} {:<18} {value}", rate.name, ""));
    }
    for failure in &check.failures {
        let failure = page.sentence(failure);
        page.row("", &failure);
    }
}
