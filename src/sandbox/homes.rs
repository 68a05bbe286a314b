//! What builds see of the caller's home: an empty directory, and in it the source, what `PATH` and
//! the toolchains need, and what the caller names (`--expose`). Keys and passwords are no business
//! of a build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::host::{Host, OWN, resolve, sorted_names};
use super::op::SetupOp;
use super::variables::{Passed, host_home};

/// Homes that lie in these are directories of the system (`daemon` has `/usr/sbin`).
const SYSTEM: [&str; 10] = [
    "/bin", "/boot", "/etc", "/lib", "/lib64", "/nix", "/opt", "/sbin", "/snap", "/usr",
];

/// Trials have these of their own; in them, too, the caller may want something to be seen.
const TEMPORARY: [&str; 3] = ["/tmp", "/run", "/var/tmp"];

/// Who stands beside one of these in a directory is a part of what is installed there.
const PARTS: [&str; 6] = ["lib", "lib64", "libexec", "share", "pkg", "pyvenv.cfg"];

/// So many directories of programs are looked into, and so many entries of each.
const MOST_DIRECTORIES: usize = 64;
const MOST_ENTRIES: usize = 4096;
/// So many symbolic links are followed, as the kernel does (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// The homes that trials hide, and what they show in them.
#[derive(Debug, Default)]
pub(super) struct Homes {
    /// Directories in whose place trials have empty ones; none lies in another.
    pub(super) hidden: Vec<PathBuf>,
    /// What is seen in them as it is, sorted; none lies in another.
    pub(super) shown: BTreeSet<PathBuf>,
    /// Symbolic links in them on the way to what is seen, and where they point.
    pub(super) links: BTreeMap<PathBuf, PathBuf>,
}

impl Homes {
    /// Looks at what there is. `exposed` is what the caller wants to be seen.
    pub(super) fn of(host: &Host, passed: &Passed, source: &Path, exposed: &[PathBuf]) -> Self {
        let mut homes = Self {
            hidden: hidden(host, source),
            shown: BTreeSet::new(),
            links: BTreeMap::new(),
        };
        let named: Vec<PathBuf> = exposed.iter().map(|path| resolve(path)).collect();
        homes.hidden.retain(|home| !named.contains(home));
        homes.show(source);
        if let Some(repository) = repository_of_worktree(source) {
            homes.show(&repository);
        }
        for path in &named {
            homes.show(path);
            if TEMPORARY.iter().any(|dir| path.starts_with(dir)) && path.exists() {
                homes.shown.insert(path.clone());
            }
        }
        homes.show_programs(&passed.path);
        let own: Vec<&PathBuf> = passed.homes.iter().map(|home| &home.path).collect();
        let all = homes.shown.clone();
        // What lies in another one is shown with it, and a toolchain's home is mounted by itself.
        homes.shown.retain(|path| {
            let mut above = path.ancestors().skip(1);
            let of_a_toolchain = own.iter().any(|home| path.starts_with(home));
            !of_a_toolchain && !above.any(|above| all.contains(above))
        });
        let values = passed.variables.values();
        let written = values.flat_map(|value| value.split(':')).map(Path::new);
        for path in written.chain(exposed.iter().map(PathBuf::as_path)) {
            homes.keep_links(path, MOST_LINKS);
        }
        homes
    }

    /// The hidden home that a path lies in.
    pub(super) fn hides(&self, path: &Path) -> Option<&PathBuf> {
        let mut hidden = self.hidden.iter();
        let home = hidden.find(|home| path.starts_with(home))?;
        let shown = self.shown.iter().any(|shown| path.starts_with(shown));
        (!shown).then_some(home)
    }

    /// The steps that put empty directories in the place of the homes, with places for what later
    /// steps mount in them.
    pub(super) fn emptied(&self, later: &[SetupOp]) -> Vec<SetupOp> {
        let of = |home: &PathBuf| {
            let inside = |path: &&PathBuf| path.starts_with(home) && *path != home;
            let places = later.iter().filter_map(|op| {
                let at = op.mount_point().filter(inside)?;
                let is_dir = !matches!(op, SetupOp::ReadOnly { from, .. } if !from.is_dir());
                Some((at.clone(), is_dir))
            });
            let links = self.links.iter().filter(|(link, _)| inside(link));
            SetupOp::Home {
                at: home.clone(),
                places: places.collect(),
                links: links.map(|(at, to)| (at.clone(), to.clone())).collect(),
            }
        };
        self.hidden.iter().map(of).collect()
    }

    /// A home itself is never shown: it would be all of it.
    fn show(&mut self, path: &Path) {
        let mut hidden = self.hidden.iter();
        if hidden.any(|home| path.starts_with(home) && path != home) && path.exists() {
            self.shown.insert(path.to_owned());
        }
    }

    /// The symbolic links on the way to a path.
    fn keep_links(&mut self, path: &Path, most: u32) {
        if !path.is_absolute() || most == 0 {
            return;
        }
        let mut reached = PathBuf::new();
        for step in path.components() {
            let next = reached.join(step);
            let Ok(target) = fs::read_link(&next) else {
                reached = next;
                continue;
            };
            self.keep_links(&reached.join(&target), most - 1);
            let Ok(place) = next.canonicalize() else {
                return;
            };
            if self.hides(&next).is_some() {
                self.links.insert(next, target);
            }
            reached = place;
        }
    }

    /// Directories of programs, with what those are links to or are run by, which may lie elsewhere
    /// in the home (pipx, uv, virtual environments, npm).
    fn show_programs(&mut self, path: &[PathBuf]) {
        let mut waiting: Vec<PathBuf> = path.to_vec();
        let mut seen = BTreeSet::new();
        while let Some(dir) = waiting.pop() {
            let new = seen.len() < MOST_DIRECTORIES && !seen.contains(&dir);
            let Some(home) = self.hides(&dir).cloned().filter(|_| new) else {
                continue;
            };
            seen.insert(dir.clone());
            let in_home_itself = dir == home;
            let names = sorted_names(&dir).unwrap_or_default();
            for name in names.into_iter().take(MOST_ENTRIES) {
                let program = dir.join(name);
                if in_home_itself && is_executable(&program) {
                    self.show(&program);
                }
                for found in [linked(&program), run_by(&program)].into_iter().flatten() {
                    let Some(place) = found.parent().filter(|_| found.starts_with(&home)) else {
                        continue;
                    };
                    if place == home {
                        self.show(&found);
                    } else {
                        waiting.push(package(&found).unwrap_or(place).to_owned());
                    }
                }
            }
            self.show(prefix(&dir, &home));
        }
    }
}

/// The homes of the host that hold what is the caller's own. Root could read everybody's.
fn hidden(host: &Host, source: &Path) -> Vec<PathBuf> {
    let mut homes = vec![host.caller.home.clone(), host_home(host)];
    if host.uid == 0 {
        homes.push("/root".into());
        let everybody = Path::new("/home");
        let names = sorted_names(everybody).unwrap_or_default();
        homes.extend(names.into_iter().map(|name| everybody.join(name)));
    }
    let of_the_system = |home: &Path| {
        let mut dirs = SYSTEM.iter().chain(OWN);
        home == Path::new("/") || dirs.any(|dir| home.starts_with(dir))
    };
    let homes = homes.iter().map(|home| resolve(home));
    let mut homes: Vec<PathBuf> = homes
        // Who checks his home, or what lies above it, wants it to be seen.
        .filter(|home| home.is_dir() && !of_the_system(home) && !home.starts_with(source))
        .collect();
    homes.sort();
    // Sorted, so that the outer one comes first.
    homes.dedup_by(|inner, outer| inner.starts_with(outer));
    homes
}

/// What is installed around a directory of programs, or just that.
fn prefix<'d>(dir: &'d Path, home: &Path) -> &'d Path {
    let Some(above) = dir.parent() else {
        return dir;
    };
    // The caller's own programs stand in these, and everything else as well.
    let common = above == home || above == home.join(".local");
    let holds_programs = dir.file_name().is_some_and(|name| {
        ["bin", "sbin", "shims", "condabin", "Scripts"]
            .iter()
            .any(|of| name == *of)
    });
    let installed = PARTS.iter().any(|part| above.join(part).exists());
    let shims = dir.ends_with("shims");
    if !common && holds_programs && (installed || shims) {
        above
    } else {
        dir
    }
}

/// npm's packages stand beside those that they need.
fn package(program: &Path) -> Option<&Path> {
    let mut above = program.ancestors();
    above.find(|above| above.ends_with("node_modules"))
}

fn is_executable(file: &Path) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

fn linked(program: &Path) -> Option<PathBuf> {
    program
        .is_symlink()
        .then(|| program.canonicalize().ok())
        .flatten()
}

/// The interpreter that a script names.
fn run_by(program: &Path) -> Option<PathBuf> {
    if !program.is_file() {
        return None;
    }
    let mut line = [0; 256];
    let read = File::open(program)
        .and_then(|mut file| file.read(&mut line))
        .ok()?;
    let line = line.get(..read)?.strip_prefix(b"#!")?;
    let mut words = line.split(|byte| b" \t\n".contains(byte));
    let interpreter = words.find(|word| !word.is_empty())?;
    let interpreter = Path::new(std::ffi::OsStr::from_bytes(interpreter));
    // The link stands in the virtual environment that the script belongs to.
    let place = interpreter.parent()?.canonicalize().ok()?;
    Some(place.join(interpreter.file_name()?))
}

/// The repository that a worktree of git belongs to, where it knows of the worktree: a foreign tree
/// cannot open one by naming it.
fn repository_of_worktree(source: &Path) -> Option<PathBuf> {
    let link = source.join(".git");
    let text = fs::read_to_string(&link).ok()?;
    let own = Path::new(text.strip_prefix("gitdir:")?.trim());
    let back = fs::read_to_string(own.join("gitdir")).ok()?;
    if resolve(Path::new(back.trim())) != link {
        return None;
    }
    let common = fs::read_to_string(own.join("commondir")).ok()?;
    own.join(common.trim()).canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A home with what is given, each a directory where it ends with `/`, else a program.
    fn home(of: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap().join("u");
        fs::create_dir(&home).unwrap();
        for name in of {
            let path = home.join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        (dir, home)
    }

    fn programs(home: &Path, path: &[&str]) -> Vec<String> {
        let mut homes = Homes {
            hidden: vec![home.to_owned()],
            ..Homes::default()
        };
        let path: Vec<PathBuf> = path.iter().map(|dir| home.join(dir)).collect();
        homes.show_programs(&path);
        let shown = homes
            .shown
            .iter()
            .map(|path| path.strip_prefix(home).unwrap());
        shown.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn of_a_directory_of_programs_what_is_installed_around_it_is_seen() {
        let (_dir, home) = home(&[
            ".ssh/id",
            ".local/bin/a",
            ".local/share/keys",
            ".npm/bin/",
            ".npm/lib/",
            "bin/b",
            ".asdf/shims/c",
            "projects/bin/d",
            "projects/secret",
        ]);
        let of = |dir| programs(&home, &[dir]);
        assert_eq!(of(".local/bin"), [".local/bin"]);
        assert_eq!(of(".npm/bin"), [".npm"]);
        assert_eq!(of("bin"), ["bin"]);
        assert_eq!(of(".asdf/shims"), [".asdf"]);
        assert_eq!(of("projects/bin"), ["projects/bin"]);
    }

    #[test]
    fn programs_that_are_links_or_scripts_bring_what_they_lead_to() {
        let (_dir, home) = home(&[
            ".local/bin/",
            "pipx/black/bin/black",
            "pipx/black/pyvenv.cfg",
            "python/bin/python3",
            "python/lib/",
            "w/.venv/bin/",
            "w/.venv/lib/",
            "node/lib/node_modules/x/cli.js",
            "tool",
        ]);
        let link = |to: &str, at: &str| symlink(home.join(to), home.join(at)).unwrap();
        link("pipx/black/bin/black", ".local/bin/black");
        link("python/bin/python3", "w/.venv/bin/python");
        link("node/lib/node_modules/x/cli.js", ".local/bin/x");
        link("tool", ".local/bin/tool");
        let script = format!("#!{}\n", home.join("w/.venv/bin/python").display());
        fs::write(home.join(".local/bin/y"), script).unwrap();
        assert_eq!(
            programs(&home, &[".local/bin"]),
            [
                ".local/bin",
                "node/lib/node_modules",
                "pipx/black",
                "python",
                "tool",
                "w/.venv"
            ]
        );
    }

    #[test]
    fn of_a_home_on_the_path_its_programs_are_seen_and_nothing_else() {
        let (_dir, home) = home(&["a", ".ssh/id"]);
        fs::write(home.join("notes"), "").unwrap();
        assert_eq!(programs(&home, &[""]), ["a"]);
    }

    #[test]
    fn links_on_the_way_to_what_is_seen_are_kept() {
        let (_dir, home) = home(&["versions/1/bin/a", "versions/1/lib/"]);
        symlink("versions/1", home.join("current")).unwrap();
        let mut homes = Homes {
            hidden: vec![home.clone()],
            ..Homes::default()
        };
        homes.show_programs(&[home.join("versions/1/bin")]);
        homes.keep_links(&home.join("current/bin"), MOST_LINKS);
        let links: Vec<_> = homes.links.into_iter().collect();
        assert_eq!(links, [(home.join("current"), "versions/1".into())]);
    }

    #[test]
    fn a_worktree_brings_its_repository_only_where_that_knows_of_it() {
        let (_dir, home) = home(&["r/.git/worktrees/w/", "w/", "foreign/"]);
        let own = home.join("r/.git/worktrees/w");
        fs::write(home.join("w/.git"), format!("gitdir: {}\n", own.display())).unwrap();
        fs::copy(home.join("w/.git"), home.join("foreign/.git")).unwrap();
        fs::write(
            own.join("gitdir"),
            format!("{}\n", home.join("w/.git").display()),
        )
        .unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        let of = |tree| repository_of_worktree(&home.join(tree));
        assert_eq!(of("w"), Some(home.join("r/.git")));
        assert_eq!(of("foreign"), None);
    }
}
