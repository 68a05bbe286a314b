//! `check --fix`: what is tried for a difference, what is verified, and what is said where nothing
//! helps.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says why it fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A source tree, and where sessions are kept.
struct Place {
    dir: TempDir,
}

impl Place {
    /// With what a shell line makes in the tree.
    fn new(line: &str) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.tree()).unwrap();
        let mut shell = Command::new("sh");
        let shell = shell.args(["-ec", line]).current_dir(place.tree());
        assert!(shell.status().unwrap().success());
        place
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    /// What `--fix` says of a build whose output is `out`, and the whole report.
    #[track_caller]
    fn fix(&self, options: &[&str], build: &str) -> (Value, String) {
        let json = self.dir.path().join("found.json");
        let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
            .args(["check", "--fix", "--seed", "7", "-o", "out*", "--json"])
            .arg(&json)
            .args(options)
            .args(["--", build])
            .current_dir(self.tree())
            .env("NO_COLOR", "1")
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let found = fs::read(&json).unwrap_or_else(|_| panic!("{text}"));
        let found: Value = serde_json::from_slice(&found).unwrap();
        (found, text)
    }

    /// The SHA-256 of `out`, built outside of any trial by a shell.
    fn built(&self, line: &str, umask: &str) -> Vec<u8> {
        let copy = tempfile::tempdir().unwrap();
        let tree = self.tree();
        let line = format!("umask {umask}; cp -r {}/. . && {line}", tree.display());
        let mut shell = Command::new("bash");
        let shell = shell.args(["-c", &line]).current_dir(copy.path());
        assert!(shell.status().unwrap().success(), "{line}");
        fs::read(copy.path().join("out")).unwrap()
    }
}

fn state(found: &Value) -> &str {
    found["fix"]["state"].as_str().unwrap()
}

fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&paths).any(|dir| dir.join(program).exists());
    let required = std::env::var("REPROBE_REQUIRE").is_ok_and(|all| all == "all");
    assert!(found || !required, "{program} is not installed");
    found
}

#[test]
fn a_tarball_is_fixed_by_options_of_tar_and_the_line_makes_it_by_hand_as_well() {
    let place = Place::new("mkdir d; seq 5 >d/a; seq 9 >d/b");
    let (found, text) = place.fix(
        &[
            "--only",
            "time,source-mtime,umask,source-mode,file-order,user",
        ],
        "cp d/a d/c; tar cf out d",
    );
    assert_eq!(state(&found), "verified", "{text}");
    assert!(
        text.contains("VERIFIED: all outputs are the same in"),
        "{text}"
    );
    let options = found["fix"]["before"][0].as_str().unwrap();
    for option in ["--sort=name", "--mtime=@1600000000", "--mode=a+rX,u+w,go-w"] {
        assert!(options.contains(option), "{options}");
    }
    let line = found["fix"]["script"].as_str().unwrap();
    assert!(text.contains(line), "{text}");
    assert_eq!(place.built(line, "022"), place.built(line, "077"));
    // At most as many trials as without it, and eight.
    let kinds = found["trials"].as_array().unwrap();
    let remedies = kinds
        .iter()
        .filter(|trial| trial["kind"] == "remedy")
        .count();
    assert!(remedies <= kinds.len() - remedies + 8, "{text}");
}

#[test]
fn what_is_not_needed_is_left_out_and_what_a_remedy_does_is_told() {
    let place = Place::new("true");
    let (found, text) = place.fix(
        &["--only", "timezone,locale,umask"],
        "date -d @0 +%Z >out; stat -c %a out >>out",
    );
    assert_eq!(state(&found), "verified", "{text}");
    let changes = found["fix"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{text}");
    assert_eq!(found["fix"]["before"][1], "umask 022");
    assert_eq!(found["fix"]["before"][0], "export TZ=UTC");
    assert_eq!(found["fix"]["left"], serde_json::json!([]));
}

#[test]
fn what_no_remedy_reaches_is_left_and_the_rest_is_verified() {
    let place = Place::new("true");
    let (found, text) = place.fix(
        &["--only", "timezone,hostname"],
        "date -d @0 +%Z >out-a; uname -n >out-b",
    );
    assert_eq!(state(&found), "partly", "{text}");
    assert_eq!(found["fix"]["left"][0]["element"], "out-b");
    let said = [
        "VERIFIED IN PART: 1 of 2",
        "timezone: TZ=UTC",
        "Left: content of out-b",
    ];
    for said in said {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn what_an_archive_of_python_needs_is_normalised_and_never_called_fixed() {
    // Builds have a /tmp of their own, in which a reprobe that lies in the host's is not.
    if !has("python3") || Path::new(env!("CARGO_BIN_EXE_reprobe")).starts_with("/tmp") {
        return;
    }
    let place = Place::new("seq 5 >a; seq 9 >b");
    let (found, text) = place.fix(
        &["--only", "time,user,file-order"],
        "cp a c; python3 -c \"import os, tarfile
with tarfile.open('out.tar', 'w') as t:
    for n in os.listdir('.'):
        if n != 'out.tar': t.add(n)\"",
    );
    assert_eq!(state(&found), "normalized", "{text}");
    assert!(text.contains("NORMALISED: all outputs"), "{text}");
    assert_eq!(found["fix"]["after"][0], "reprobe normalize out.tar");
    let verified = found["findings"].as_array().unwrap().iter();
    let mut remedies = verified.flat_map(|finding| finding["remedies"].as_array().unwrap());
    assert!(remedies.all(|remedy| remedy["verified"] == false), "{text}");
}

#[test]
fn what_the_build_says_of_itself_stays() {
    let place = Place::new("true");
    let options = ["--only", "time", "--env", "SOURCE_DATE_EPOCH=5"];
    let (found, text) = place.fix(&options, "date +%s >out");
    assert_eq!(state(&found), "nothing");
    let why = found["fix"]["why"].as_str().unwrap();
    assert!(
        why.ends_with("SOURCE_DATE_EPOCH stays as the build has it"),
        "{text}"
    );
}

#[test]
fn a_remedy_with_which_the_build_fails_is_left_out_and_told() {
    let place = Place::new("true");
    let build = "[ -z \"$SOURCE_DATE_EPOCH\" ]; date +%s >out-a; umask >out-b";
    let (found, text) = place.fix(&["--only", "time,umask"], build);
    assert_eq!(state(&found), "partly", "{text}");
    let said = [
        "umask: umask 022 (before the build)",
        "Left: content of out-a",
        "the build fails with 1 of",
    ];
    for said in said {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn what_helps_with_the_values_of_one_session_alone_is_not_verified() {
    let place = Place::new("true");
    // Under the remedy, the name of the host decides, but for the two names that this session has.
    let (found, text) = place.fix(
        &["--only", "timezone,hostname"],
        "case $TZ-$(uname -n) in
        UTC-ctrl-hostkivu) [ -e \"$HOME/never\" ] || echo same ;;
        UTC-*zoqa) echo same ;;
        UTC-*) uname -n ;;
        *) date -d @0 +%Z ;;
        esac >out",
    );
    assert_eq!(state(&found), "unproven", "{text}");
    assert!(
        text.contains("NOT PROVEN: it helps with the values of this session, and in trial"),
        "{text}"
    );
}

#[test]
fn where_nothing_can_be_fixed_it_says_why() {
    let place = Place::new("true");
    let (found, text) = place.fix(&["--only", "timezone"], "echo a >out");
    assert!(
        text.contains("NONE: nothing differs that decides"),
        "{text}"
    );
    assert_eq!(state(&found), "nothing");
    let (_, text) = place.fix(&["--only", "timezone"], "cat /proc/self/schedstat >out");
    assert!(
        text.contains("NONE: what differs is unstable or unsettled"),
        "{text}"
    );
    let (_, text) = place.fix(&["--only", "timezone"], "false");
    assert!(text.contains("NONE: the check could not decide"), "{text}");
    let (_, text) = place.fix(&["--only", "hostname"], "uname -n >out");
    assert!(
        text.contains("NONE: no remedy that can be tried is known"),
        "{text}"
    );
}

#[test]
fn the_schema_admits_what_is_said() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/findings-1.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let place = Place::new("true");
    let build = "date -d @0 +%Z >out-a; uname -n >out-b";
    let (found, _) = place.fix(&["--only", "timezone,hostname"], build);
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&found)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut findings = found["findings"].as_array().unwrap().iter();
    let first = findings
        .find(|finding| finding["element"] == "out-a")
        .unwrap();
    assert_eq!(first["remedies"][0]["try"]["set"]["TZ"], "UTC", "{first}");
    assert_eq!(first["remedies"][0]["verified"], true);
}

#[test]
fn the_script_is_what_was_built_whatever_the_build_does_to_its_shell() {
    let place = Place::new("mkdir d; seq 5 >d/a");
    for build in [
        "cd d; cat >b <<END && umask >>b; exec cp b ../out # done\na\nEND",
        "umask >out & wait",
        "umask >x;\n\ncp x out # done",
    ] {
        let (found, text) = place.fix(&["--only", "umask,timezone"], build);
        assert_eq!(state(&found), "verified", "{text}");
        let script = found["fix"]["script"].as_str().unwrap();
        let built = place.built(script, "027");
        assert_eq!(built, place.built(script, "077"), "{script}");
        assert!(
            String::from_utf8_lossy(&built).ends_with("0022\n"),
            "{script}"
        );
    }
}

#[test]
fn a_variable_that_takes_the_place_of_what_a_makefile_says_is_no_remedy() {
    if !has("gcc") || !has("make") {
        return;
    }
    let source =
        "printf '#ifdef __OPTIMIZE__\nint v;\n#endif\nint main(void) { return 0; }\n' >m.c";
    let make = |flags: &str| {
        format!(
            "{source}; printf '{flags}\nm: m.c\n\t$(CC) $(CFLAGS) -g -o out $(CURDIR)/m.c\n' >Makefile"
        )
    };
    let place = Place::new(&make("CFLAGS += -O2"));
    let (found, text) = place.fix(&["--only", "build-path"], "make");
    assert_eq!(state(&found), "verified", "{text}");
    let place = Place::new(&make("CFLAGS ?= -O2"));
    let (found, text) = place.fix(&["--only", "build-path"], "make");
    assert_eq!(state(&found), "nothing", "{text}");
    let why = found["fix"]["why"].as_str().unwrap();
    assert!(why.contains("would do more than that"), "{text}");
}
