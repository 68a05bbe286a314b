//! The findings as one JSON object, schema `reprobe.findings/1`, for programs.

use crate::model::Findings;

/// The object, indented, with a line feed at its end.
pub fn render(findings: &Findings) -> Vec<u8> {
    // Serialisation fails only on maps whose keys are not strings, and the model has none: the
    // schema test writes every field.
    let mut bytes = serde_json::to_vec_pretty(findings).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

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
    fn findings_survive_being_written_and_read() {
        let findings = samples::intricate();
        let read: Findings = serde_json::from_slice(&render(&findings)).unwrap();
        assert_eq!(read, findings);
    }
}
