//! The rules of the architecture that a machine can check, read from the sources themselves: who
//! uses whom, who touches the world, who prints, where `unsafe` stands, how long files are, and
//! whether the documents speak of files that exist.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly, in its helpers as well"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reprobe::snapshot::walk::sorted_entries;

/// Modules that touch no file, process, environment, clock or network.
const PURE: &[&str] = &[
    "model",
    "catalog",
    "plan",
    "search",
    "formats",
    "diff",
    "explain",
    "inquiry",
    "normalize",
    "report",
];

/// What a pure module may not name. Of `std::time`, `Duration` is only a number.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::process",
    "std::env",
    "std::time",
    "std::net",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "nix",
    "libc",
    "tempfile",
];

const PRINTERS: &[&str] = &[
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "stdout()",
    "stderr()",
];

/// One source file below `src/`.
struct Source {
    /// Relative to the package.
    path: PathBuf,
    /// The module of `lib.rs` that it belongs to; empty for `lib.rs` and `main.rs`.
    module: String,
    /// As it stands.
    text: String,
    /// Without comments, the contents of strings, and tests.
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    let left_out: BTreeSet<PathBuf> = texts
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    let sources: Vec<Source> = texts
        .into_iter()
        .filter(|(path, _)| !left_out.contains(path))
        .map(|(path, text)| source(&path, text))
        .collect();
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in sorted_entries(directory).unwrap() {
        if entry.kind.is_dir() {
            collect(&entry.path, files);
        } else if entry
            .path
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            files.push(entry.path);
        }
    }
}

/// Files that are modules for tests only: `#[cfg(test)] mod name;`.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let directory = match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].strip_suffix(';')?.rsplit(' ').next())
        .flat_map(|name| {
            let file = directory.join(format!("{name}.rs"));
            [file, directory.join(name).join("mod.rs")]
        })
        .collect()
}

fn source(path: &Path, text: String) -> Source {
    let path = path.strip_prefix(root()).unwrap().to_owned();
    let mut steps = path
        .components()
        .skip(1)
        .map(|step| step.as_os_str().to_str().unwrap());
    let first = steps.next().unwrap_or_default();
    let module = match first {
        "lib.rs" | "main.rs" => String::new(),
        other => other.trim_end_matches(".rs").to_owned(),
    };
    let code = strip(before_tests(&text));
    Source {
        path,
        module,
        text,
        code,
    }
}

/// What stands before the file's own `mod tests`.
fn before_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {")
        .map_or(text, |at| &text[..at])
}

/// Code without comments and without what stands in string literals.
fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (kept, length) = if rest.starts_with("//") {
            ("", rest.find('\n').unwrap_or(rest.len()))
        } else if next == '"' {
            ("\"\"", string_length(rest))
        } else if let Some(length) = raw_string_length(rest) {
            ("\"\"", length)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            ("' '", rest.find("\"'").unwrap() + 2)
        } else {
            (&rest[..next.len_utf8()], next.len_utf8())
        };
        code.push_str(kept);
        rest = &rest[length..];
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let after = text.strip_prefix("r")?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let start = 1 + hashes + 1;
    Some(
        text[start..]
            .find(&close)
            .map_or(text.len(), |end| start + end + close.len()),
    )
}

/// Every path of the code, with the braces of `use` opened: `use a::{b, c::d}` is `a::b` and
/// `a::c::d`. Spaces and line feeds are dropped.
fn paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for statement in code.split(';') {
        let Some(at) = find_word(statement, "use") else {
            continue;
        };
        let tree: String = statement[at + 3..]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        open_braces("", &tree, &mut paths);
    }
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |i| i + 1);
        let end = rest[start..]
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .map_or(rest.len(), |length| start + length);
        paths.insert(rest[start..end].to_owned());
        rest = &rest[end.max(at + 2)..];
    }
    paths
}

fn open_braces(prefix: &str, tree: &str, paths: &mut BTreeSet<String>) {
    let Some((head, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        paths.insert(format!("{prefix}{}", path.replace(' ', "")));
        return;
    };
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    let mut depth = 0_usize;
    let mut start = 0;
    let prefix = format!("{prefix}{}", head.replace(' ', ""));
    for (index, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                open_braces(&prefix, &inner[start..index], paths);
                start = index + 1;
            }
            _ => {}
        }
    }
    open_braces(&prefix, &inner[start..], paths);
}

/// Where a word stands on its own.
fn find_word(code: &str, word: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).find(|at| {
        !code[..*at].ends_with(part_of_word) && !code[at + word.len()..].starts_with(part_of_word)
    })
}

/// The modules of `lib.rs`, in their order.
fn layers() -> Vec<String> {
    fs::read_to_string(root().join("src/lib.rs"))
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let layers = layers();
    let place = |name: &str| layers.iter().position(|layer| layer == name);
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.module.is_empty()) {
        let Some(own) = place(&source.module) else {
            problems.push(format!("{}: not declared in lib.rs", source.path.display()));
            continue;
        };
        for path in paths(&source.code) {
            let Some(used) = path
                .strip_prefix("crate::")
                .and_then(|path| path.split("::").next())
            else {
                continue;
            };
            if place(used).is_some_and(|used| used > own) {
                problems.push(format!(
                    "{}: uses {path}, a layer above",
                    source.path.display()
                ));
            }
        }
    }
    complain(&problems);
}

#[test]
fn pure_modules_touch_neither_files_nor_processes_nor_clocks() {
    let mut problems = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| PURE.contains(&source.module.as_str()))
    {
        for path in paths(&source.code) {
            let effect = EFFECTS.iter().any(|effect| {
                path.strip_prefix(effect)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            });
            if effect && path != "std::time::Duration" && !path.starts_with("std::time::Duration::")
            {
                problems.push(format!("{}: {path}", source.path.display()));
            }
        }
    }
    complain(&problems);
}

#[test]
fn pure_modules_stand_before_the_ones_with_effects() {
    let layers = layers();
    let first_effect = layers
        .iter()
        .position(|layer| !PURE.contains(&layer.as_str()))
        .unwrap();
    for layer in &layers[first_effect..] {
        assert!(
            !PURE.contains(&layer.as_str()),
            "{layer} stands below modules with effects"
        );
    }
}

#[test]
fn only_the_command_line_prints() {
    let mut problems = Vec::new();
    // The roles of a trial are programs of their own; what they say on standard error goes into a
    // file that the front end reads.
    let is_role = |path: &Path| path.ends_with("sandbox/supervise.rs");
    let silent = |source: &&Source| source.module != "cli" && !is_role(&source.path);
    for source in sources().iter().filter(silent) {
        for printer in PRINTERS {
            let word = printer.trim_end_matches(['!', '(', ')']);
            let found = find_word(&source.code, word)
                .is_some_and(|at| source.code[at..].starts_with(printer));
            if found {
                problems.push(format!("{}: {printer}", source.path.display()));
            }
        }
    }
    complain(&problems);
}

#[test]
fn unsafe_stands_in_one_module_only() {
    let mut problems = Vec::new();
    for source in &sources() {
        let allowed = source.path.starts_with("src/sandbox/sys")
            || source.path == Path::new("src/sandbox/sys.rs");
        if !allowed && find_word(&source.code, "unsafe").is_some() {
            problems.push(source.path.display().to_string());
        }
    }
    complain(&problems);
}

#[test]
fn no_file_exceeds_500_lines_before_its_tests() {
    let mut problems = Vec::new();
    for source in &sources() {
        let lines = before_tests(&source.text).lines().count();
        if lines > 500 {
            problems.push(format!("{}: {lines} lines", source.path.display()));
        }
    }
    complain(&problems);
}

#[test]
fn every_file_opens_by_saying_what_it_answers() {
    let mut problems = Vec::new();
    for source in &sources() {
        if !source.text.starts_with("//! ") {
            problems.push(source.path.display().to_string());
        }
    }
    complain(&problems);
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let mut problems = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for path in named_paths(&text) {
            if !root().join(path).exists() {
                problems.push(format!("{document}: {path}"));
            }
        }
    }
    complain(&problems);
}

/// What stands in backquotes, outside of code blocks, and looks like a path of this repository.
fn named_paths(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let quoted = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let top = |path: &str| {
        let first = path.split('/').next().unwrap_or_default();
        let known = [
            "src",
            "tests",
            "variations",
            "scenarios",
            "benches",
            "schema",
            ".ci",
        ];
        path.contains('/') && known.contains(&first)
            || Path::new(path)
                .extension()
                .is_some_and(|extension| extension == "md")
            || path == "Cargo.toml"
    };
    let pattern = |path: &str| path.contains(['*', ' ', '<', '{']) || path.contains("NAME");
    quoted.filter(|path| top(path) && !pattern(path)).collect()
}

#[test]
fn the_rules_see_what_they_forbid() {
    let code = strip(
        "use std::{fs, io::{Read, stdout}};\n// std::net\nlet a = \"std::env\"; std::process::exit(1);",
    );
    let paths = paths(&code);
    for expected in [
        "std::fs",
        "std::io::Read",
        "std::io::stdout",
        "std::process::exit",
    ] {
        assert!(paths.contains(expected), "{expected} not in {paths:?}");
    }
    assert!(
        !paths.contains("std::net") && !paths.contains("std::env"),
        "{paths:?}"
    );
    assert!(find_word("unsafe_code", "unsafe").is_none());
    assert!(find_word("pub unsafe fn", "unsafe").is_some());
    assert_eq!(
        strip("a(r#\"x \" y\"#, '\"', \"\\\"\") // c"),
        "a(\"\", ' ', \"\") "
    );
    assert_eq!(
        named_paths("`src/lib.rs` ```\n`src/no.rs`\n``` `make`"),
        ["src/lib.rs"]
    );
}
