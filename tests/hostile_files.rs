//! Damaged and hostile files: each row of a table is a file or folder, and what must become of it.
#[test]
fn probe() {
    for path in std::env::var("PROBE").unwrap_or_default().split_whitespace() {
        match cognate::checkpoint::open(path, &Default::default()) {
            Ok(c) => println!(
                "{path}: {} tensors {} bytes {:?} {:?}",
                c.tensors.len(),
                c.size_bytes(),
                c.notes,
                c.config
            ),
            Err(e) => println!("{path}: exit {}\n{}", e.exit_code(), e.fault().to_lines()),
        }
    }
}
