//! The `reprobe` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = reprobe::sandbox::role(&arguments) {
        return code;
    }
    ExitCode::SUCCESS
}
