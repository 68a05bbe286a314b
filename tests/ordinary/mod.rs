//! The tests of a program once more, as somebody who is not root.

use std::process::Command;

/// Runs this test program as an ordinary user with an empty home; where the caller is one, or was told to
/// be a victim, there is nothing to do.
pub(crate) fn again() {
    if !nix::unistd::geteuid().is_root() || std::env::var_os("REPROBE_TEST_VICTIM").is_some() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(1000), Some(1000)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env_remove("CARGO_HOME")
        .env_remove("RUSTUP_HOME")
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
