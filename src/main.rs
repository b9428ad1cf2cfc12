//! The address of the program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cognate::gpu::quiet_device_select();
    cognate::cli::main()
}
