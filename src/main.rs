//! The `reprobe` binary.

fn main() {}
