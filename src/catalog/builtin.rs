//! The registry of the shipped variations, in the order in which they are shown and planned.

macro_rules! variations {
    ($($name:literal),+ $(,)?) => {
        /// The file name and the text of every shipped variation.
        pub const FILES: &[(&str, &str)] = &[$((
            concat!("variations/", $name, ".toml"),
            include_str!(concat!("../../variations/", $name, ".toml")),
        )),+];
    };
}

variations![
    "time",
    "timezone",
    "locale",
    "umask",
    "build-path",
    "hostname",
    "user",
    "home",
    "environment",
    "exec-path",
    "shell",
    "terminal",
    "file-order",
    "source-mtime",
    "source-mode",
    "source-owner",
    "cpus",
    "kernel",
    "aslr",
    "pid",
    "randomness",
    "inode",
    "network",
];
