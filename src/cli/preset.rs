//! What kind of project a directory holds, and how such projects are built. The first that fits,
//! in this order, is taken: a Debian source package (it wraps the others), a Python project, a
//! Cargo package, an npm package, a Go module, a Makefile with a target `dist`, then those that a
//! file gives away (`kinds.toml`). Nothing is built here; Python and cargo are asked what they have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::Deserialize;

use super::kinds;
use crate::model::Checkout;

/// How to build a recognised project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// The kind of project, for example `debian`.
    pub name: String,
    /// What it was recognised by, as a sentence's fragment, and what else would have fitted.
    pub because: String,
    /// The argument vector.
    pub command: Vec<String>,
    /// Patterns of its outputs; empty to judge everything built.
    pub outputs: Vec<String>,
    /// Whether a difference by the checkout alone decides.
    pub checkout: Checkout,
    /// What the user should know about the choice.
    pub notes: Vec<String>,
}

/// The directory cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {} to recognise the project: {error}; name the command after `--`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// One kind of project.
struct Kind {
    name: &'static str,
    /// How its sources are handed on: in archives that keep times, modes and owners, or by git.
    checkout: Checkout,
    /// The file that gives it away, where it is one.
    marker: fn(&Path) -> Result<Option<&'static str>, Error>,
    build: fn(&Path) -> Result<Recipe, Error>,
}

/// How it is built.
struct Recipe {
    command: Vec<String>,
    outputs: Vec<String>,
    notes: Vec<String>,
}

/// What gives Debian's source packages away, and what builds them.
const DEBIAN: &[&str] = &["debian/rules"];
const DEBIAN_BUILDERS: &[&str] = &["dpkg-buildpackage", "debuild", "debian/rules", "dpkg-deb"];

/// All kinds, in the order of precedence.
const KINDS: &[Kind] = &[
    Kind {
        name: "debian",
        checkout: Checkout::Apart,
        marker: |directory| Ok(present(directory, DEBIAN)),
        build: |_| {
            Ok(Recipe::of(
                &["dpkg-buildpackage", "-b", "-us", "-uc"],
                &["../*.deb"],
            ))
        },
    },
    Kind {
        name: "python",
        checkout: Checkout::Decides,
        marker: python_marker,
        build: python,
    },
    Kind {
        name: "cargo",
        checkout: Checkout::Decides,
        marker: |directory| Ok(present(directory, &["Cargo.toml"])),
        build: |directory| Ok(cargo(directory)),
    },
    Kind {
        name: "npm",
        checkout: Checkout::Decides,
        marker: |directory| Ok(present(directory, &["package.json"])),
        build: npm,
    },
    Kind {
        name: "go",
        checkout: Checkout::Decides,
        marker: |directory| Ok(present(directory, &["go.mod"])),
        build: |_| Ok(go()),
    },
    Kind {
        name: "make",
        checkout: Checkout::Decides,
        marker: make_marker,
        build: |_| Ok(Recipe::of(&["make", "dist"], &["*.tar.*"])),
    },
];

/// Whether a difference by the checkout alone decides for a command that the caller gave: as for the kind
/// of project whose builder it starts.
pub fn checkout_of(directory: &Path, command: &[String]) -> Checkout {
    let starts = |builder: &&str| command.iter().any(|word| word.contains(builder));
    if DEBIAN_BUILDERS.iter().any(starts) && present(directory, DEBIAN).is_some() {
        Checkout::Apart
    } else {
        Checkout::default()
    }
}

/// The preset for the project in `directory`; `None` where no kind fits.
pub fn recognise(directory: &Path) -> Result<Option<Preset>, Error> {
    let mut fitting = Vec::new();
    for kind in KINDS {
        if let Some(marker) = (kind.marker)(directory)? {
            fitting.push((kind, marker));
        }
    }
    let Some(((kind, marker), others)) = fitting.split_first() else {
        return plain(directory);
    };
    let mut because = format!("{marker} is there");
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|(_, marker)| *marker).collect();
        because = format!(
            "{because} ({} too, but {} comes first: name another command after `--` or in \
             reprobe.toml)",
            names.join(" and "),
            kind.name
        );
    }
    let recipe = (kind.build)(directory)?;
    Ok(Some(Preset {
        name: kind.name.to_owned(),
        because,
        command: recipe.command,
        outputs: recipe.outputs,
        checkout: kind.checkout,
        notes: recipe.notes,
    }))
}

/// What a file alone gives away.
fn plain(directory: &Path) -> Result<Option<Preset>, Error> {
    for kind in kinds::all() {
        for file in &kind.files {
            let Some(text) = read(&directory.join(file))? else {
                continue;
            };
            if kind.says.as_ref().is_none_or(|word| text.contains(word)) {
                return Ok(Some(Preset {
                    because: format!("{file} is there"),
                    command: ["sh", "-ec", &kind.command].map(str::to_owned).to_vec(),
                    name: kind.name,
                    outputs: kind.outputs,
                    checkout: Checkout::Decides,
                    notes: kind.note.into_iter().collect(),
                }));
            }
        }
    }
    Ok(None)
}

impl Recipe {
    fn of(command: &[&str], outputs: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            command: owned(command),
            outputs: owned(outputs),
            notes: Vec::new(),
        }
    }

    fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// The first of these files that is there.
fn present(directory: &Path, files: &[&'static str]) -> Option<&'static str> {
    let mut files = files.iter().copied();
    files.find(|file| directory.join(file).is_file())
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Read {
            path: path.to_owned(),
            error,
        }),
    }
}

/// A `pyproject.toml` may hold nothing but the settings of a linter.
fn python_marker(directory: &Path) -> Result<Option<&'static str>, Error> {
    if let Some(text) = read(&directory.join("pyproject.toml"))? {
        let describes = |table: &toml::Table| {
            let poetry = table.get("tool").and_then(|tool| tool.get("poetry"));
            table.contains_key("build-system") || table.contains_key("project") || poetry.is_some()
        };
        // What is no TOML is for the build to complain about.
        if text.parse::<toml::Table>().as_ref().map_or(true, describes) {
            return Ok(Some("pyproject.toml"));
        }
    }
    Ok(present(directory, &["setup.py"]))
}

/// What the Python on PATH can import without the user's own site directory, which lies in a HOME
/// that a trial does not have.
const ASK_PYTHON: &str = "\
import importlib.util
for name in ('build', 'setuptools', 'wheel', 'setuptools.command.bdist_wheel'):
    try:
        if importlib.util.find_spec(name):
            print(name)
    except ImportError:
        pass
";

fn python(directory: &Path) -> Result<Recipe, Error> {
    let answer = Command::new("python3")
        .args(["-I", "-c", ASK_PYTHON])
        .output();
    let (modules, python_note) = match answer {
        Ok(output) => (String::from_utf8_lossy(&output.stdout).into_owned(), None),
        Err(error) => (
            String::new(),
            Some(format!("python3 does not start: {error}")),
        ),
    };
    let has = |name: &str| modules.lines().any(|line| line == name);
    let modules = PythonModules {
        build: has("build"),
        setuptools: has("setuptools"),
        wheel: has("wheel") || has("setuptools.command.bdist_wheel"),
    };
    let mut recipe = python_recipe(modules, &python_project(directory)?);
    recipe.notes.extend(python_note);
    Ok(recipe)
}

/// What of Python's packaging is installed.
#[derive(Debug, Clone, Copy)]
struct PythonModules {
    build: bool,
    setuptools: bool,
    wheel: bool,
}

/// How a Python project wants to be built without the module `build`.
#[derive(Debug, PartialEq, Eq)]
enum PythonProject {
    /// It has a `setup.py`.
    Script,
    /// setuptools reads its `pyproject.toml` or `setup.cfg`.
    Setuptools,
    /// Another backend, by its name.
    Backend(String),
}

fn python_project(directory: &Path) -> Result<PythonProject, Error> {
    if present(directory, &["setup.py"]).is_some() {
        return Ok(PythonProject::Script);
    }
    let text = read(&directory.join("pyproject.toml"))?.unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    // Without a backend, setuptools is meant (PEP 517).
    let backend = table
        .get("build-system")
        .and_then(|system| system.get("build-backend"))
        .and_then(toml::Value::as_str)
        .unwrap_or("setuptools.build_meta");
    Ok(if backend.starts_with("setuptools.") {
        PythonProject::Setuptools
    } else {
        PythonProject::Backend(backend.to_owned())
    })
}

fn python_recipe(modules: PythonModules, project: &PythonProject) -> Recipe {
    const INSTALL: &str = "install it (Debian: the package `python3-build`)";
    let with_build = ["python3", "-m", "build", "--no-isolation"];
    if modules.build {
        return Recipe::of(&with_build, &["dist/*"]);
    }
    let mut command = match project {
        PythonProject::Backend(backend) => {
            return Recipe::of(&with_build, &["dist/*"]).noting(format!(
                "the Python module `build` is missing, and {backend} is not called without it: \
                 {INSTALL}, or name the command after `--`"
            ));
        }
        PythonProject::Script => vec!["python3", "setup.py", "sdist"],
        PythonProject::Setuptools => {
            vec![
                "python3",
                "-c",
                "import setuptools; setuptools.setup()",
                "sdist",
            ]
        }
    };
    let mut notes = vec![format!(
        "the Python module `build` is missing, so setuptools is called directly: {INSTALL} to \
         build as pip does"
    )];
    if !modules.setuptools {
        notes.push("the Python module `setuptools` is missing, too".to_owned());
    }
    if modules.wheel {
        command.push("bdist_wheel");
    } else {
        notes.push(
            "no wheel is built or tested, for the Python module `wheel` is missing: install it \
             (Debian: the package `python3-wheel`)"
                .to_owned(),
        );
    }
    let recipe = Recipe::of(&command, &["dist/*"]);
    Recipe { notes, ..recipe }
}

/// What is published is what `npm pack` makes; what is private is built.
fn npm(directory: &Path) -> Result<Recipe, Error> {
    let text = read(&directory.join("package.json"))?.unwrap_or_default();
    // What is no JSON is for npm to complain about.
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let private = manifest.get("private").and_then(serde_json::Value::as_bool);
    let has_script = |name: &&str| {
        let script = manifest.get("scripts").and_then(|all| all.get(*name));
        script.is_some_and(serde_json::Value::is_string)
    };
    if private == Some(true) && has_script(&"build") {
        return Ok(Recipe::of(&["npm", "run", "build"], &[]).noting(
            "package.json is private, so its script `build` is run and nothing is packed; what it \
             needs must be there (--prepare 'npm ci')",
        ));
    }
    let recipe = Recipe::of(&["npm", "pack", "--ignore-scripts"], &["*.tgz"]);
    let scripts = ["prepack", "prepare"].into_iter();
    let left_out: Vec<&str> = scripts.filter(has_script).collect();
    if left_out.is_empty() {
        return Ok(recipe);
    }
    Ok(recipe.noting(format!(
        "package.json has scripts that `npm pack` runs first ({}), and they are left out here: what they \
         build is packed as it is, or missing; where all that they need is installed, give the build \
         yourself (reprobe check -o '*.tgz' -- npm pack)",
        left_out.join(", ")
    )))
}

/// The part of `cargo metadata` (format version 1) that says what a build leaves.
#[derive(Debug, Deserialize)]
struct CargoMetadata {
    packages: Vec<CargoPackage>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct CargoPackage {
    targets: Vec<CargoTarget>,
}

#[derive(Debug, Deserialize)]
struct CargoTarget {
    name: String,
    kind: Vec<String>,
}

fn cargo(directory: &Path) -> Recipe {
    let command = ["cargo", "build", "--release", "--locked", "--offline"];
    let mut recipe = match cargo_metadata(directory) {
        Ok(metadata) => {
            let outputs = cargo_outputs(&metadata);
            let outputs: Vec<_> = outputs.iter().map(String::as_str).collect();
            Recipe::of(&command, &outputs)
        }
        Err(reason) => Recipe::of(&command, &[]).noting(format!(
            "cargo does not say what it builds, so everything that it leaves is judged: {reason}"
        )),
    };
    // A workspace member does not hold the lock file of its workspace.
    if present(directory, &["Cargo.lock"]).is_none() {
        recipe = recipe.noting(
            "there is no Cargo.lock here, which --locked needs: `cargo generate-lockfile`, or \
             check the root of the workspace",
        );
    }
    recipe
}

fn cargo_metadata(directory: &Path) -> Result<CargoMetadata, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(directory)
        // No trial sees them either.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .output()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().rfind(|line| !line.trim().is_empty());
        return Err(last.unwrap_or("cargo metadata fails").trim().to_owned());
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not understood: {error}"))
}

/// The finished binaries and libraries, which cargo places at the top of `release/`.
fn cargo_outputs(metadata: &CargoMetadata) -> Vec<String> {
    let target = metadata
        .target_directory
        .strip_prefix(&metadata.workspace_root)
        .unwrap_or(&metadata.target_directory);
    let release = globset::escape(&target.join("release").to_string_lossy());
    let targets = metadata.packages.iter().flat_map(|p| &p.targets);
    let mut outputs: Vec<_> = targets
        .flat_map(|target| {
            let library = target.name.replace('-', "_");
            target.kind.iter().filter_map(move |kind| {
                Some(match kind.as_str() {
                    "bin" => target.name.clone(),
                    "lib" | "rlib" => format!("lib{library}.rlib"),
                    "dylib" | "cdylib" | "proc-macro" => format!("lib{library}.so"),
                    "staticlib" => format!("lib{library}.a"),
                    _ => return None,
                })
            })
        })
        .map(|file| format!("{release}/{}", globset::escape(&file)))
        .collect();
    outputs.sort();
    outputs.dedup();
    outputs
}

fn go() -> Recipe {
    Recipe::of(
        &["go", "build", "-o", "reprobe-out/", "./..."],
        &["reprobe-out/*"],
    )
    .noting("the programs of the module are built into reprobe-out/; a module without any has no outputs")
}

/// A Makefile, under the names that GNU make looks for, with a target `dist`.
fn make_marker(directory: &Path) -> Result<Option<&'static str>, Error> {
    for (file, marker) in [
        ("GNUmakefile", "GNUmakefile with the target `dist`"),
        ("makefile", "makefile with the target `dist`"),
        ("Makefile", "Makefile with the target `dist`"),
    ] {
        let path = directory.join(file);
        if path.is_file()
            && let Some(text) = read(&path)?
        {
            return Ok(has_dist_target(&text).then_some(marker));
        }
    }
    Ok(None)
}

fn has_dist_target(makefile: &str) -> bool {
    makefile.lines().any(|line| {
        let Some((targets, rest)) = line.split_once(':') else {
            return false;
        };
        let assigns = rest.starts_with('=') || rest.starts_with(":=") || targets.contains('=');
        let indented = line.starts_with(['\t', ' ', '#']);
        !assigns && !indented && targets.split_whitespace().any(|target| target == "dist")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn recognised(files: &[(&str, &str)]) -> Option<Preset> {
        recognise(project(files).path()).unwrap()
    }

    #[test]
    fn who_names_the_builder_of_debian_packages_is_answered_as_who_names_nothing() {
        let tree = tempfile::tempdir().unwrap();
        let of = |line: &str| checkout_of(tree.path(), &["sh", "-ec", line].map(str::to_owned));
        assert_eq!(of("dpkg-buildpackage -b"), Checkout::Decides);
        fs::create_dir(tree.path().join("debian")).unwrap();
        fs::write(tree.path().join("debian/rules"), "").unwrap();
        assert_eq!(of("dpkg-buildpackage -b"), Checkout::Apart);
        assert_eq!(of("cd . && debian/rules binary"), Checkout::Apart);
        assert_eq!(of("make dist"), Checkout::Decides);
    }

    #[test]
    fn an_unknown_kind_of_project_is_not_guessed_at() {
        assert_eq!(recognised(&[]), None);
        assert_eq!(recognised(&[("Makefile", "all:\n\techo\n")]), None);
        assert_eq!(recognised(&[("debian/copyright", "")]), None);
        assert_eq!(recognised(&[("pyproject.toml", "[tool.ruff]\n")]), None);
    }

    #[test]
    fn a_debian_package_comes_before_what_it_wraps() {
        let preset = recognised(&[("debian/rules", ""), ("setup.py", ""), ("go.mod", "")]).unwrap();
        assert_eq!(preset.name, "debian");
        assert_eq!(preset.checkout, Checkout::Apart);
        assert_eq!(preset.command.join(" "), "dpkg-buildpackage -b -us -uc");
        assert_eq!(preset.outputs, ["../*.deb"]);
        assert_eq!(
            preset.because,
            "debian/rules is there (setup.py and go.mod too, but debian comes first: name \
             another command after `--` or in reprobe.toml)"
        );
    }

    #[test]
    fn npm_go_and_make_have_one_way_each() {
        let npm = recognised(&[("package.json", "{}")]).unwrap();
        assert_eq!((npm.name.as_str(), npm.outputs.len()), ("npm", 1));
        assert_eq!(npm.command.join(" "), "npm pack --ignore-scripts");
        assert!(npm.notes.is_empty());
        let scripts = r#"{"scripts": {"prepare": "tshy", "test": "tap"}}"#;
        let npm = recognised(&[("package.json", scripts)]).unwrap();
        assert!(npm.notes[0].contains("(prepare)"), "{:?}", npm.notes);
        let go = recognised(&[("go.mod", "")]).unwrap();
        assert_eq!(go.command.join(" "), "go build -o reprobe-out/ ./...");
        let make = recognised(&[("Makefile", "dist: all\n\ttar\n")]).unwrap();
        assert_eq!(make.command.join(" "), "make dist");
        assert_eq!(make.because, "Makefile with the target `dist` is there");
    }

    #[test]
    fn a_private_npm_package_is_built_and_not_packed() {
        let command = |manifest: &str| {
            let preset = recognised(&[("package.json", manifest)]).unwrap();
            preset.command.join(" ")
        };
        let build = r#""scripts": {"build": "vite build"}"#;
        let private = format!(r#"{{"private": true, {build}}}"#);
        assert_eq!(command(&private), "npm run build");
        assert!(command(&format!("{{{build}}}")).starts_with("npm pack"));
        assert!(command(r#"{"private": true}"#).starts_with("npm pack"));
        assert!(command("no JSON").starts_with("npm pack"));
    }

    #[test]
    fn what_a_file_gives_away_is_recognised_after_all_others() {
        let kind = |files: &[(&str, &str)]| recognised(files).map(|preset| preset.name);
        for (file, text, name) in [
            ("CMakeLists.txt", "", "cmake"),
            ("meson.build", "", "meson"),
            ("configure.ac", "", "autotools"),
            ("configure", "", "autotools"),
            ("Makefile.PL", "", "perl"),
            ("pom.xml", "", "maven"),
            ("build.gradle.kts", "", "gradle"),
            ("docs/conf.py", "extensions = []", "sphinx"),
            ("main.tex", "\\documentclass{article}", "latex"),
        ] {
            assert_eq!(kind(&[(file, text)]).as_deref(), Some(name), "{file}");
            let cargo = kind(&[(file, text), ("go.mod", "")]);
            assert_eq!(cargo.as_deref(), Some("go"), "{file}");
        }
        assert_eq!(kind(&[("conf.py", "x = 1")]), None);
        let before = recognised(&[("configure.ac", "")]).unwrap();
        assert!(before.command.join(" ").contains("autoreconf"));
        let after = recognised(&[("configure.ac", ""), ("configure", "")]).unwrap();
        assert!(!after.command.join(" ").contains("autoreconf"));
    }

    #[test]
    fn a_dist_target_is_told_from_what_looks_like_one() {
        for text in ["dist:\n", "all dist: x\n", "x:\n\ty\ndist :\n", "dist::\n"] {
            assert!(has_dist_target(text), "{text}");
        }
        for text in [
            "dist := x\n",
            "dist ::= x\n",
            "distclean:\n",
            "\tdist:\n",
            "# dist: x\n",
            "A = dist: b\n",
            "x: dist\n",
        ] {
            assert!(!has_dist_target(text), "{text}");
        }
    }

    #[test]
    fn python_is_built_with_what_is_installed_and_what_is_not_is_said() {
        let has = |build, setuptools, wheel| PythonModules {
            build,
            setuptools,
            wheel,
        };
        let built = |modules, project: &PythonProject| {
            let recipe = python_recipe(modules, project);
            (recipe.command.join(" "), recipe.notes.len())
        };
        let script = PythonProject::Script;
        let flit = PythonProject::Backend("flit_core.buildapi".into());
        assert_eq!(
            built(has(true, false, false), &script),
            ("python3 -m build --no-isolation".into(), 0)
        );
        assert_eq!(
            built(has(false, true, true), &script),
            ("python3 setup.py sdist bdist_wheel".into(), 1)
        );
        assert_eq!(
            built(has(false, true, false), &script),
            ("python3 setup.py sdist".into(), 2)
        );
        assert_eq!(
            built(has(false, true, false), &PythonProject::Setuptools).0,
            "python3 -c import setuptools; setuptools.setup() sdist"
        );
        assert_eq!(
            built(has(false, true, true), &flit),
            ("python3 -m build --no-isolation".into(), 1)
        );
    }

    #[test]
    fn the_backend_of_a_python_project_is_read_from_its_file() {
        let backend = |text| python_project(project(&[("pyproject.toml", text)]).path()).unwrap();
        assert_eq!(backend("[project]\n"), PythonProject::Setuptools);
        assert_eq!(
            backend("[build-system]\nbuild-backend = 'flit_core.buildapi'\n"),
            PythonProject::Backend("flit_core.buildapi".into())
        );
        let preset = recognised(&[("pyproject.toml", "[project]\nname = 'x'\n")]).unwrap();
        assert_eq!(preset.name, "python");
        assert_eq!(preset.outputs, ["dist/*"]);
    }

    #[test]
    fn cargo_is_asked_for_the_files_that_it_will_leave() {
        if Command::new("cargo").arg("--version").output().is_err() {
            let required = std::env::var("REPROBE_REQUIRE").is_ok_and(|value| value == "all");
            assert!(!required, "cargo does not start");
            println!("skipped: cargo does not start");
            return;
        }
        let manifest = "[package]\nname = 'my-tool'\nversion = '0.1.0'\nedition = '2021'\n\
                        [lib]\ncrate-type = ['rlib', 'cdylib']\n[workspace]\n";
        let preset = recognised(&[
            ("Cargo.toml", manifest),
            ("Cargo.lock", ""),
            ("src/main.rs", "fn main() {}"),
            ("src/lib.rs", ""),
            ("examples/e.rs", "fn main() {}"),
        ])
        .unwrap();
        assert_eq!(
            preset.command.join(" "),
            "cargo build --release --locked --offline"
        );
        assert_eq!(preset.notes, Vec::<String>::new());
        assert_eq!(
            preset.outputs,
            [
                "target/release/libmy_tool.rlib",
                "target/release/libmy_tool.so",
                "target/release/my-tool",
            ]
        );
    }

    #[test]
    fn a_manifest_that_cargo_refuses_is_noted_and_everything_is_judged() {
        let preset = recognised(&[("Cargo.toml", "[package\n")]).unwrap();
        assert!(preset.outputs.is_empty());
        assert_eq!(preset.notes.len(), 2, "{:?}", preset.notes);
    }
}
