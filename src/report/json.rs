//! Findings (schema `reprobe.findings/1`) and differences (`reprobe.differences/1`) as one JSON object,
//! for programs.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// So deep everything stands in a line of its own: the object's fields, and the items of its lists.
const LINES: usize = 2;

/// The object, a line for each item of its lists, with a line feed at its end.
pub fn render(findings: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Lines::default());
    // Serialisation fails only on maps whose keys are not strings, and the model has none: the
    // schema test writes every field.
    let _ = findings.serialize(&mut serializer);
    bytes.push(b'\n');
    bytes
}

/// Begins lines as far as [`LINES`]: thousands of findings stay readable and take a quarter of the
/// room that they would take with each of their fields in a line.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// Something stands in the innermost list or object.
    filled: bool,
}

impl Lines {
    fn open(&mut self) {
        self.depth += 1;
        self.filled = false;
    }

    fn close(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled && self.depth < LINES {
            self.line(writer)?;
        }
        self.filled = true;
        Ok(())
    }

    fn item(&mut self, writer: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.depth <= LINES {
            return self.line(writer);
        }
        if first {
            Ok(())
        } else {
            writer.write_all(b" ")
        }
    }

    fn line(&self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        write!(writer, "\n{}", "  ".repeat(self.depth))
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open();
        writer.write_all(b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer)?;
        writer.write_all(b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(writer, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open();
        writer.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer)?;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::model::Findings;

    fn schema() -> jsonschema::Validator {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../schema/findings-1.json")).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn what_is_written_follows_the_shipped_schema() {
        let schema = schema();
        for findings in [
            samples::reproducible(),
            samples::sdist(),
            samples::intricate(),
            samples::inconclusive(),
        ] {
            let written: serde_json::Value = serde_json::from_slice(&render(&findings)).unwrap();
            let errors: Vec<String> = schema
                .iter_errors(&written)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }

    #[test]
    fn the_schema_refuses_what_the_model_cannot_mean() {
        let schema = schema();
        let valid: serde_json::Value = serde_json::from_slice(&render(&samples::sdist())).unwrap();
        for (pointer, wrong) in [
            ("/schema", "reprobe.findings/2"),
            ("/verdict", "deterministic"),
            ("/artifacts/0/verdict", "other"),
            ("/findings/0/state", "guessed"),
            ("/seed", "0x12"),
        ] {
            let mut broken = valid.clone();
            *broken.pointer_mut(pointer).unwrap() = wrong.into();
            assert!(!schema.is_valid(&broken), "{pointer}");
        }
        for field in ["why", "trials", "source_date_epoch"] {
            let mut broken = valid.clone();
            broken.as_object_mut().unwrap().remove(field);
            assert!(!schema.is_valid(&broken), "without {field}");
        }
    }

    #[test]
    fn each_item_of_a_list_stands_in_a_line_of_its_own() {
        let mut findings = samples::sdist();
        findings.artifacts.clear();
        let text = String::from_utf8(render(&findings)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let items = findings.findings.len() + findings.trials.len();
        let items = items + findings.variations.len() + findings.notes.len();
        assert!((items + 20..items + 60).contains(&lines.len()), "{text}");
        let one = lines
            .iter()
            .find(|line| line.contains("gzip.mtime"))
            .unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(one.trim_end_matches(',')).is_ok());
        assert!(text.contains("\"artifacts\": [],\n"), "{text}");
    }

    #[test]
    fn findings_survive_being_written_and_read() {
        let findings = samples::intricate();
        let read: Findings = serde_json::from_slice(&render(&findings)).unwrap();
        assert_eq!(read, findings);
    }
}
