//! Findings to bytes, one file per format. Nothing is computed here that a program reading the
//! JSON could not compute as well: formats choose words and leave out, they never judge.

mod group;
pub mod json;
pub mod page;
#[cfg(test)]
mod samples;
pub mod terminal;
mod words;
