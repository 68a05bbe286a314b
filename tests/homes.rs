//! What builds see of the caller's home: nothing but what they need.
#![expect(clippy::unwrap_used, reason = "a test says why it fails")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home with a key, a tree, and a program on `PATH` that is a link to elsewhere in it. Not where
/// temporary files are: trials have those of their own anyway.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let root = nix::unistd::geteuid().is_root();
        let above = std::env::var_os("HOME")
            .map(PathBuf::from)
            .filter(|_| !root);
        let above = above.unwrap_or_else(|| "/home".into());
        assert!(!above.starts_with("/tmp"), "HOME is {}", above.display());
        fs::create_dir_all(&above).unwrap();
        let dir = tempfile::tempdir_in(above).unwrap();
        let home = Self { dir };
        for dir in [
            ".ssh",
            ".cargo",
            "tree",
            ".local/bin",
            ".local/share/tool/bin",
        ] {
            fs::create_dir_all(home.path(dir)).unwrap();
        }
        fs::write(home.path(".ssh/id"), "key\n").unwrap();
        fs::write(home.path(".cargo/credentials.toml"), "token\n").unwrap();
        fs::write(home.path(".cargo/config.toml"), "config\n").unwrap();
        fs::write(home.path("tree/a"), "a\n").unwrap();
        let tool = home.path(".local/share/tool/bin/tool");
        fs::write(&tool, "#!/bin/sh\necho tool\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&tool, home.path(".local/bin/tool")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path(".local/bin").display());
        Command::new(env!("CARGO_BIN_EXE_reprobe"))
            .args(words)
            .current_dir(self.path("tree"))
            .env("HOME", self.dir.path())
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("CARGO_HOME")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a shell line prints in a trial.
    fn prints(&self, options: &[&str], line: &str) -> String {
        let words = [&["exec"], options, &["--", line]].concat();
        let output = self.run(&words);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

fn cat(path: &Path) -> String {
    format!("cat {} 2>&1 || true", path.display())
}

#[test]
fn a_build_finds_no_keys_in_the_home_but_its_tree_and_its_programs() {
    let home = Home::new();
    let said = home.prints(&[], &cat(&home.path(".ssh/id")));
    assert!(said.contains("No such file"), "{said}");
    assert_eq!(home.prints(&[], &cat(&home.path("tree/a"))), "a\n");
    assert_eq!(home.prints(&[], "tool"), "tool\n");
    let listed = home.prints(&[], &format!("ls -A {}", home.dir.path().display()));
    assert_eq!(listed, ".cargo\n.local\ntree\n");
    let without_lid = format!(
        "unshare --user --map-root-user --mount sh -c 'umount -l {}; {}'",
        home.dir.path().display(),
        cat(&home.path(".ssh/id"))
    );
    let said = home.prints(&[], &without_lid);
    assert!(!said.contains("key"), "{said}");
}

#[test]
fn passwords_for_registries_are_empty_where_there_is_no_network() {
    let home = Home::new();
    let secret = cat(&home.path(".cargo/credentials.toml"));
    assert_eq!(home.prints(&[], &secret), "");
    assert_eq!(home.prints(&["--network"], &secret), "token\n");
    let config = cat(&home.path(".cargo/config.toml"));
    assert_eq!(home.prints(&[], &config), "config\n");
}

#[test]
fn what_is_exposed_is_seen_and_what_a_build_missed_is_told() {
    let home = Home::new();
    let key = home.path(".ssh/id");
    let cat = cat(&key);
    assert_eq!(home.prints(&["--expose", "../.ssh"], &cat), "key\n");
    let key = key.display().to_string();
    assert_eq!(home.prints(&["--expose", &key], &cat), "key\n");
    let missing = home.run(&["exec", "--expose", "../no", "--", "true"]);
    assert_eq!(missing.status.code(), Some(2));
    let failed = home.run(&["check", "--", &format!("cat {key} > out")]);
    let said = String::from_utf8_lossy(&failed.stdout).replace('\n', " ");
    assert_eq!(failed.status.code(), Some(125), "{said}");
    assert!(said.contains(&format!("--expose {key}")), "{said}");
}

#[test]
fn exposed_files_are_as_much_a_part_of_the_build_when_it_is_replayed() {
    let home = Home::new();
    let line = format!("cat {} > out", home.path(".ssh/id").display());
    let checked = home.run(&[
        "check", "--expose", "../.ssh", "--only", "umask", "--", &line,
    ]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let replayed = home.run(&["replay", "1", "0"]);
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
}
