//! The command line: one file per command, and the only module that prints.

pub mod args;
pub mod config;
pub mod preset;
mod values;
