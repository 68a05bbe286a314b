//! The variables of a build, made from scratch: what the environment's slots say, what the user
//! gave, `PATH`, and the homes of toolchains (`toolchains.toml`). Nothing else of the caller's
//! variables reaches a trial, and what does is recorded by its hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::host::{Host, resolve};
use super::identity;
use crate::model::{Capabilities, Environment, Need, Network};

/// Where a compiled locale stands in a trial.
pub(super) const LOCALES: &str = "/reprobe/locale";

/// Fills the variables of every trial up to one size, so that the stack, which the kernel puts below
/// them, stays where it is when another variation makes them longer. There is one such variable in
/// every trial, so that a list of their names is the same; where their number is odd in one trial and
/// even in another, the kernel's rounding may still move the stack by 16 bytes.
const PADDING: &str = "REPROBE_PADDING";
/// So many bytes are kept for the variables that trials may have in different lengths.
const ROOM: usize = 3072;
/// What a pointer to a variable takes.
const POINTER: usize = 8;

/// `PATH` where the caller has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Passed on only where the network is open: how to reach it, and whom to trust.
const OF_THE_NETWORK: &[&str] = &[
    "ALL_PROXY",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "FTP_PROXY",
    "GIT_SSL_CAINFO",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A directory that a toolchain calls home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolchainHome {
    /// The variable that names it.
    pub variable: String,
    /// The directory, without symbolic links.
    pub path: PathBuf,
    /// Files in it that are no business of a build.
    pub secrets: Vec<PathBuf>,
}

/// What of the caller's surroundings reaches every trial.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    /// The variables and their values.
    pub variables: BTreeMap<String, String>,
    /// Those that only an open network needs.
    pub of_the_network: BTreeMap<String, String>,
    /// Homes of toolchains that exist.
    pub homes: Vec<ToolchainHome>,
    /// Directories on `PATH` that exist, without symbolic links.
    pub path: Vec<PathBuf>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The same where a trial has directories of its own: what of `PATH` they hide.
    hidden: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    home: Vec<TableHome>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableHome {
    variable: String,
    default: Option<PathBuf>,
    #[serde(default)]
    secrets: Vec<PathBuf>,
}

impl Passed {
    /// Reads the caller's variables and looks which toolchains have a home.
    pub(super) fn collect(host: &Host) -> Self {
        let mut passed = Self::default();
        passed.add_path(host);
        // The table is part of the program and parsed by a test.
        let table = toml::from_str::<Table>(include_str!("toolchains.toml"));
        for home in table.map(|table| table.home).unwrap_or_default() {
            passed.add_home(host, home);
        }
        for name in OF_THE_NETWORK {
            if let Some(value) = text(host, name) {
                passed.of_the_network.insert((*name).to_owned(), value);
            }
        }
        passed
    }

    /// Files in the homes of toolchains that are no business of a build.
    pub(super) fn secrets(&self) -> impl Iterator<Item = PathBuf> {
        let of = |home: &ToolchainHome| {
            let secrets = home.secrets.iter().map(|name| home.path.join(name));
            secrets.collect::<Vec<_>>()
        };
        self.homes.iter().flat_map(of)
    }

    /// What of `PATH` a trial hides on a host that allows so much.
    pub(super) fn hidden(&self, host: &Capabilities) -> Option<&str> {
        let hidden = self.hidden.as_deref();
        hidden.filter(|_| !host.missing.contains_key(&Need::Mounts))
    }

    fn add_path(&mut self, host: &Host) {
        let path = text(host, "PATH").unwrap_or_else(|| PATH.to_owned());
        let entries: Vec<&str> = path.split(':').filter(|dir| dir.starts_with('/')).collect();
        if entries.iter().any(|dir| dir.ends_with("/ccache")) {
            self.variables.insert("CCACHE_DISABLE".into(), "1".into());
            self.notes.push(
                "ccache stands on PATH and is disabled: a warm cache would hide differences".into(),
            );
        }
        self.path = entries
            .iter()
            .map(|dir| resolve(Path::new(dir)))
            .filter(|dir| dir.is_dir())
            .collect();
        self.hidden = hidden(&self.path, host.uid == 0);
        self.variables.insert("PATH".into(), entries.join(":"));
    }

    fn add_home(&mut self, host: &Host, home: TableHome) {
        let given = text(host, &home.variable).filter(|value| value.starts_with('/'));
        // GOPATH may be a list; its first directory is the one that is written.
        let first = given.as_deref().and_then(|value| value.split(':').next());
        let default = home.default.map(|default| host_home(host).join(default));
        let Some(dir) = first.map(PathBuf::from).or(default) else {
            return;
        };
        if !dir.is_dir() || dir == Path::new("/") {
            return;
        }
        let value = given.unwrap_or_else(|| dir.to_string_lossy().into_owned());
        self.variables.insert(home.variable.clone(), value);
        let path = resolve(&dir);
        // What belongs to the system is not the caller's to write, in a trial or elsewhere.
        let of_the_system = ["/usr", "/opt", "/nix", "/snap"];
        if !of_the_system.iter().any(|system| path.starts_with(system)) {
            self.homes.push(ToolchainHome {
                variable: home.variable,
                path,
                secrets: home.secrets,
            });
        }
    }
}

/// What to say of directories on `PATH` that a trial has an empty one in place of.
fn hidden(path: &[PathBuf], root: bool) -> Option<String> {
    let own: &[&str] = if root {
        &["/tmp", "/run"]
    } else {
        &["/tmp", "/run", "/var/tmp"]
    };
    let hides = |dir: &&PathBuf| own.iter().any(|own| dir.starts_with(own));
    let hidden: Vec<String> = path
        .iter()
        .filter(hides)
        .map(|dir| dir.display().to_string())
        .collect();
    (!hidden.is_empty()).then(|| {
        format!(
            "builds do not see {} of PATH, for temporary directories are empty in every trial: what \
             is called by name there (python3 of a virtual environment) is another program or \
             missing; move it elsewhere",
            hidden.join(" and ")
        )
    })
}

/// `HOME` decides, as it does for the toolchains themselves.
pub(super) fn host_home(host: &Host) -> PathBuf {
    text(host, "HOME").map_or_else(|| host.caller.home.clone(), PathBuf::from)
}

fn text(host: &Host, name: &str) -> Option<String> {
    let value = host.variables.get(std::ffi::OsStr::new(name))?;
    Some(value.to_str()?.to_owned()).filter(|value| !value.is_empty())
}

/// All variables of a build that begins in `directory`; `given` are the user's, which win.
pub(super) fn of_build(
    host: &Host,
    passed: &Passed,
    environment: &Environment,
    given: &BTreeMap<String, String>,
    directory: &Path,
) -> BTreeMap<String, String> {
    let mut variables = passed.variables.clone();
    if environment.network == Network::Host {
        variables.extend(passed.of_the_network.clone());
    }
    let common = size(&variables) + size(given);
    let account = identity::account(host, &environment.user);
    let locale = &environment.locale;
    let settings = [
        ("TZ", environment.timezone.clone()),
        ("LANG", locale.lang.clone()),
        ("LC_ALL", locale.lc_all.clone()),
        ("LANGUAGE", locale.language.clone()),
        ("HOME", environment.home.to_string_lossy().into_owned()),
        ("USER", account.name.clone()),
        ("LOGNAME", account.name.clone()),
        ("MAIL", format!("/var/mail/{}", account.name)),
        ("SHELL", account.shell.to_string_lossy().into_owned()),
        ("TERM", environment.terminal.term.clone()),
    ];
    for (name, value) in settings {
        if !value.is_empty() {
            variables.insert(name.to_owned(), value);
        }
    }
    if let Some(columns) = environment.terminal.columns {
        variables.insert("COLUMNS".into(), columns.to_string());
    }
    if locale.compile.is_some() {
        variables.insert("LOCPATH".into(), LOCALES.into());
    }
    if let Some(path) = variables.get_mut("PATH") {
        for dir in &environment.exec_path {
            path.push(':');
            path.push_str(&dir.to_string_lossy());
        }
    }
    variables.extend(environment.variables.clone());
    variables.extend(given.clone());
    // A shell adds it for whatever it starts.
    let directory = directory.as_os_str().len();
    pad(&mut variables, common + ROOM, directory, environment.stack);
    variables
}

/// Fills the variables up to a size, to which `more` bytes of another one will come, and by so many
/// bytes further. Where there is no room, they stay as they are.
fn pad(variables: &mut BTreeMap<String, String>, to: usize, more: usize, further: i64) {
    variables.insert(PADDING.into(), String::new());
    let wanted = i64::try_from(to).unwrap_or(i64::MAX) + further;
    let there = i64::try_from(size(variables) + more).unwrap_or(i64::MAX);
    let missing = usize::try_from(wanted - there).unwrap_or(0);
    variables.insert(PADDING.into(), "-".repeat(missing));
}

/// What variables take on the stack, with the pointers to them.
fn size(variables: &BTreeMap<String, String>) -> usize {
    let of = |(name, value): (&String, &String)| name.len() + value.len() + 2 + POINTER;
    variables.iter().map(of).sum()
}

/// What of the caller's variables reached a trial: name to SHA-256 of the value, in hexadecimal.
pub(super) fn fingerprints(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| (name.clone(), fingerprint(value)))
        .collect()
}

/// SHA-256 of a text, in hexadecimal.
pub fn fingerprint(text: &str) -> String {
    use std::fmt::Write as _;

    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_environment_in_a_temporary_directory_is_said_to_be_hidden() {
        let path = ["/usr/bin", "/tmp/v/bin", "/var/tmp/w/bin", "/tmpfiles/bin"].map(PathBuf::from);
        let said = |root| hidden(&path, root).unwrap();
        assert!(said(true).starts_with("builds do not see /tmp/v/bin of PATH"));
        assert!(said(false).contains("see /tmp/v/bin and /var/tmp/w/bin of PATH"));
        assert_eq!(hidden(&path[..1], false), None);
    }

    fn variables(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        let of = of.iter();
        of.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn variables_of_any_length_and_number_take_the_same_room() {
        for own in [
            &[][..],
            &[("TZ", "UTC")],
            &[("TZ", "Pacific/Kiritimati")],
            &[("TZ", "UTC"), ("LANGUAGE", "et")],
        ] {
            let mut padded = variables(own);
            pad(&mut padded, 1000, 5, 0);
            assert_eq!(size(&padded) + 5, 1000);
            pad(&mut padded, 1000, 5, -32);
            assert_eq!(size(&padded) + 5, 1000 - 32);
        }
        let mut long = variables(&[("A", &"x".repeat(2000))]);
        pad(&mut long, 1000, 0, 0);
        assert_eq!(long[PADDING], "");
    }

    #[test]
    fn the_table_of_toolchains_is_well_formed_and_names_no_cache() {
        let table: Table = toml::from_str(include_str!("toolchains.toml")).unwrap();
        assert!(table.home.iter().any(|home| home.variable == "CARGO_HOME"));
        assert!(
            !table
                .home
                .iter()
                .any(|home| home.variable.contains("CACHE"))
        );
    }
}
