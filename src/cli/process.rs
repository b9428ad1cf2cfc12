//! What the system says about this process.

/// Time of all threads so far, in seconds; None where the system does not tell (elsewhere than Linux).
pub(super) fn cpu_seconds() -> Option<f64> {
    // fields 14 and 15 after the name in parentheses, in ticks that Linux fixes at a hundredth of a second for readers
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(f64::from(ticks(11)?) / 100.0 + f64::from(ticks(12)?) / 100.0)
}

/// Largest resident set so far; None where the system does not tell (elsewhere than Linux).
pub(super) fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_time_and_memory() {
        let before = super::cpu_seconds().expect("/proc/self/stat");
        assert!(super::cpu_seconds().is_some_and(|after| after >= before));
        // this program alone is larger than a megabyte
        assert!(super::peak_resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
