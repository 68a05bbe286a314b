//! The `reprobe` binary: a role of the sandbox if it is asked for one, else the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let own = arguments.get(1..).unwrap_or_default();
    reprobe::sandbox::role(own).unwrap_or_else(|| reprobe::cli::run(arguments))
}
