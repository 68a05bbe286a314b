//! The settings that say how another checkout would have left the sources.

use super::super::table::{Node, Problems, Value};
use super::{Choice, among};
use crate::model::{Setting, SourceMode, SourceMtime, SourceOwner};

pub(super) fn source_mtime(
    node: Node,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Choice> {
    let fixed = |value| Choice::Fixed(Setting::SourceMtime(value));
    if matches!(node.value, Value::Text(_)) {
        let given = fixed(SourceMtime::AsGiven);
        let known = [
            ("as-given", given),
            ("reversed", fixed(SourceMtime::Reversed)),
        ];
        return among(node, key, &known, problems);
    }
    let mut table = node.table(key, problems)?;
    let line = table.line;
    let (shifted, equal) = (table.take("shifted"), table.take("equal"));
    table.finish("in `source-mtime`", problems);
    match (shifted, equal) {
        (Some(node), None) => {
            let seconds = node.integer("shifted", problems)?;
            Some(fixed(SourceMtime::Shifted { seconds }))
        }
        (None, Some(node)) => {
            let at = node.integer("equal", problems)?;
            Some(fixed(SourceMtime::Equal { at }))
        }
        _ => {
            problems.add(line, "`source-mtime` is either `shifted` or `equal`");
            None
        }
    }
}

pub(super) fn source_mode(
    node: Node,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Choice> {
    let fixed = |value| Choice::Fixed(Setting::SourceMode(value));
    if matches!(node.value, Value::Text(_)) {
        let given = fixed(SourceMode::AsGiven);
        return among(node, key, &[("as-given", given)], problems);
    }
    let mut table = node.table(key, problems)?;
    let umask = table
        .require("checkout-umask", problems)
        .and_then(|node| node.octal("checkout-umask", problems));
    table.finish("in `source-mode`", problems);
    Some(fixed(SourceMode::Checkout { umask: umask? }))
}

pub(super) fn source_owner(
    node: Node,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Choice> {
    if matches!(node.value, Value::Text(_)) {
        let fixed = |value| Choice::Fixed(Setting::SourceOwner(value));
        let known = [
            ("as-given", fixed(SourceOwner::AsGiven)),
            ("builder", fixed(SourceOwner::Builder)),
        ];
        return among(node, key, &known, problems);
    }
    let mut table = node.table(key, problems)?;
    let mut id = |key| table.require(key, problems)?.integer(key, problems);
    let (uid, gid) = (id("uid"), id("gid"));
    let name = table.require_text("name", problems);
    let group = table.require_text("group", problems);
    table.finish("in `source-owner`", problems);
    Some(Choice::Fixed(Setting::SourceOwner(SourceOwner::Other {
        uid: uid?,
        gid: gid?,
        name: name?,
        group: group?,
    })))
}
