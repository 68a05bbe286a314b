//! Real projects, pinned by checksum and fetched by the ordinary clients into `target/real-inputs`.
//! What each one's build makes differ was established by hand first, with the same command in plain
//! shell and one thing changed at a time; the figures stand beside each test. Where nothing can be
//! fetched, the test says so and skips, unless `REPROBE_REQUIRE=all`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its output says what it skipped"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use reprobe::model::{Finding, FindingState, Findings, VariationStatus};
use sha2::{Digest as _, Sha256};

mod source_tree;
use source_tree::{fingerprint, plant};

/// What the findings of one build come to: how many elements of each field have which culprits.
type Tally = BTreeMap<(String, String), usize>;

/// setuptools 80.9.0, the 19 members of the sdist. By hand: built again 2.1 s later, `gzip.mtime`
/// and `tar.mtime` of 9 members change (3 directories, PKG-INFO, setup.cfg, 4 of the egg-info);
/// with other source times, those of the 10 others; under umask 077, `tar.mode` of the 3
/// directories; with sources at 0600, `tar.mode` of 14 files (setuptools sets both PKG-INFO to 0644
/// itself); as another user, uid, gid and both names of all. Nothing else changes anything.
#[test]
fn the_sdist_of_six_depends_on_umask_user_clock_and_on_times_and_modes_of_the_checkout() {
    let expected = [
        ("gzip.mtime", "time", 1),
        ("tar.mtime", "time", 9),
        ("tar.mtime", "source-mtime", 10),
        ("tar.mode", "umask", 3),
        ("tar.mode", "source-mode", 14),
        ("tar.uid", "user", 19),
        ("tar.gid", "user", 19),
        ("tar.uname", "user", 19),
        ("tar.gname", "user", 19),
    ];
    judge("six", &expected, |place| {
        let sdist = python_sdist(SIX)?;
        let tree = place.join("six-1.16.0");
        unpack(&sdist, place)?;
        install(&tree, "setuptools==80.9.0")?;
        Ok(Project {
            tree,
            output: "dist/*.tar.gz",
            command: "PYTHONPATH=.backend /usr/bin/python3 setup.py -q sdist",
        })
    });
}

/// `flit_core` 3.12.0 writes owners, modes and order of its own and takes over the times of the 22
/// files that it finds; PKG-INFO has time 0. By hand: built again later, the same; with other
/// source times, `tar.mtime` of those 22; nothing else changes anything.
#[test]
fn the_sdist_of_idna_depends_on_the_times_of_the_checkout_alone() {
    judge("idna", &[("tar.mtime", "source-mtime", 22)], |place| {
        let sdist = python_sdist(IDNA)?;
        let tree = place.join("idna-3.10");
        unpack(&sdist, place)?;
        install(&tree, "flit_core==3.12.0")?;
        Ok(Project {
            tree,
            output: "dist/*.tar.gz",
            command: "mkdir dist; PYTHONPATH=.backend /usr/bin/python3 -c 'import flit_core.buildapi as b; b.build_sdist(\"dist\")'",
        })
    });
}

/// cargo writes a fixed time, mode, owner and order. By hand: nothing changes anything.
#[test]
fn the_crate_itoa_is_packaged_reproducibly() {
    judge("itoa", &[], |place| {
        let tree = place.join("itoa-0.4.8");
        copy(&crate_sources(place)?, &tree)?;
        // What cargo added when it published and when it unpacked.
        rename(&tree.join("Cargo.toml.orig"), &tree.join("Cargo.toml"))?;
        for added in [".cargo-ok", ".cargo_vcs_info.json"] {
            let _ = fs::remove_file(tree.join(added));
        }
        Ok(Project {
            tree,
            output: "target/package/*.crate",
            command: "cargo package --quiet --allow-dirty --no-verify --offline",
        })
    });
}

/// npm writes one fixed time and no owner, and keeps the permission bits of the files. By hand:
/// with sources at 0600, `tar.mode` of all 4 members; nothing else changes anything.
#[test]
fn the_npm_package_is_number_depends_on_the_modes_of_the_checkout() {
    judge("is-number", &[("tar.mode", "source-mode", 4)], |place| {
        let packed = fetched("is-number-7.0.0.tgz", IS_NUMBER, |into| {
            run(Command::new("npm")
                .args(["pack", "--silent", "is-number@7.0.0"])
                .current_dir(into))
        })?;
        unpack(&packed, place)?;
        Ok(Project {
            tree: place.join("package"),
            output: "*.tgz",
            command: "npm pack --silent --ignore-scripts",
        })
    });
}

/// A distribution's file in the cache, and the digest that it must have.
type Pinned = (&'static str, &'static str, &'static str);

const SIX: Pinned = (
    "six==1.16.0",
    "six-1.16.0.tar.gz",
    "1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926",
);
const IDNA: Pinned = (
    "idna==3.10",
    "idna-3.10.tar.gz",
    "12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9",
);
const IS_NUMBER: &str = "7b75c1057198cf97696909a9bee176c9c5e9bcb5b03bf3ecef2f484defadd51e";

/// Pins itoa by the checksum of its crate, which cargo verifies.
const LOCK: &str = r#"version = 3

[[package]]
name = "inputs"
version = "0.0.0"
dependencies = ["itoa"]

[[package]]
name = "itoa"
version = "0.4.8"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "b71991ff56294aa922b450139ee08b3bfc70982c6b2c7562771375cf73542dd4"
"#;

/// A tree to build.
struct Project {
    tree: PathBuf,
    output: &'static str,
    command: &'static str,
}

/// Checks the project that `prepare` makes in an empty directory, and compares the tally of its
/// findings: field, culprit, number of elements.
fn judge(
    name: &str,
    expected: &[(&str, &str, usize)],
    prepare: impl Fn(&Path) -> Result<Project, String>,
) {
    let place = tempfile::tempdir().unwrap();
    let project = match prepare(place.path()) {
        Ok(project) => project,
        Err(reason) => return skip(name, &reason),
    };
    plant(&[], &project.tree, None).unwrap();
    let before = fingerprint(&project.tree);
    let json = place.path().join("findings.json");
    let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
        .args(["check", "-o", project.output, "--json"])
        .arg(&json)
        .arg(&project.tree)
        .arg("--")
        .arg(project.command)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        fingerprint(&project.tree) == before,
        "the source tree changed\n{said}"
    );
    let Ok(findings) = fs::read(&json) else {
        panic!("exit code {:?} and no JSON\n{said}", output.status.code());
    };
    let findings: Findings = serde_json::from_slice(&findings).unwrap();
    for (_, culprit, _) in expected.iter().filter(|(_, culprit, _)| *culprit != "time") {
        if let Some(reason) = untested(&findings, culprit) {
            return skip(name, &format!("{culprit} is not tested here: {reason}"));
        }
    }
    // Without the clock held, what depends on it differs between identical trials.
    let clock_held = untested(&findings, "time").is_none();
    let mut wanted = Tally::new();
    for (field, culprit, count) in expected {
        let because = if *culprit == "time" && !clock_held {
            "unstable"
        } else {
            culprit
        };
        wanted.insert(((*field).into(), because.into()), *count);
    }
    assert_eq!(tally(&findings), wanted, "{name}\n{said}");
    let code = i32::from(!expected.is_empty());
    assert_eq!(output.status.code(), Some(code), "{name}\n{said}");
    println!(
        "{name}: {} trials, {:.1} s",
        findings.trials.len(),
        findings.seconds
    );
}

fn skip(name: &str, reason: &str) {
    // Not println: the harness swallows what a passing test prints.
    let _ = writeln!(std::io::stderr(), "{name}: SKIPPED: {reason}");
    let required = std::env::var("REPROBE_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{name}: skipped, but all is required: {reason}");
}

/// Why a variation was not tested; none where it was.
fn untested(findings: &Findings, name: &str) -> Option<String> {
    let variation = findings
        .variations
        .iter()
        .find(|variation| variation.name == name)?;
    (variation.status == VariationStatus::NotTested)
        .then(|| variation.reason.clone().unwrap_or_default())
}

fn tally(findings: &Findings) -> Tally {
    let mut tally = Tally::new();
    for finding in &findings.findings {
        *tally
            .entry((finding.field.clone(), because(finding)))
            .or_default() += 1;
    }
    tally
}

/// The culprits of a certified finding, `a|b+c` for alternatives and pairs; else its state.
fn because(finding: &Finding) -> String {
    let sets: Vec<String> = finding
        .culprits
        .iter()
        .map(|c| c.variations.join("+"))
        .collect();
    match finding.state {
        FindingState::Certified => sets.join("|"),
        FindingState::Unstable => "unstable".into(),
        FindingState::Unsettled => "unsettled".into(),
        FindingState::Derived => "derived".into(),
    }
}

/// One download at a time: tests run in parallel and share the cache.
static FETCHING: Mutex<()> = Mutex::new(());

/// The file `name` of the cache, fetched by `fetch` into the directory that it is given where it is
/// not there yet; its digest is compared each time.
fn fetched(
    name: &str,
    sha256: &str,
    fetch: impl Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let _one = FETCHING.lock();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../real-inputs");
    let file = cache.join(name);
    if !file.exists() {
        fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
        fetch(&cache)?;
    }
    let bytes = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let digits: Vec<String> = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let found = digits.concat();
    assert_eq!(found, sha256, "{} is not what was pinned", file.display());
    Ok(file)
}

fn python_sdist((requirement, file, sha256): Pinned) -> Result<PathBuf, String> {
    fetched(file, sha256, |into| {
        let mut pip = Command::new("/usr/bin/python3");
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
        ]);
        run(pip.args(["--dest", ".", requirement]).current_dir(into))
    })
}

/// Installs a build backend below the tree, from a wheel that is fetched once.
fn install(tree: &Path, requirement: &str) -> Result<(), String> {
    let _one = FETCHING.lock();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../real-inputs/backends");
    let installed = cache.join(requirement);
    if !installed.exists() {
        let mut pip = Command::new("/usr/bin/python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--target",
        ]);
        run(pip
            .arg(&installed)
            .arg(requirement)
            .env("PIP_ROOT_USER_ACTION", "ignore"))?;
    }
    copy(&installed, &tree.join(".backend"))
}

/// Where cargo unpacked the sources of itoa.
fn crate_sources(place: &Path) -> Result<PathBuf, String> {
    let project = place.join("inputs");
    let manifest =
        "[package]\nname = \"inputs\"\nversion = \"0.0.0\"\n\n[dependencies]\nitoa = \"=0.4.8\"\n";
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    fs::write(project.join("Cargo.lock"), LOCK).unwrap();
    fs::write(project.join("src/lib.rs"), "").unwrap();
    let mut cargo = Command::new("cargo");
    cargo
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(&project);
    let output = cargo.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let itoa = packages
        .iter()
        .find(|package| package["name"] == "itoa")
        .unwrap();
    let manifest = Path::new(itoa["manifest_path"].as_str().unwrap());
    Ok(manifest.parent().unwrap().to_owned())
}

fn unpack(archive: &Path, into: &Path) -> Result<(), String> {
    let mut tar = Command::new("tar");
    run(tar
        .arg("-xzf")
        .arg(archive)
        .arg("--no-same-owner")
        .arg("-C")
        .arg(into))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    run(Command::new("cp").arg("-r").arg(from).arg(to))
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|e| format!("{}: {e}", from.display()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}
