//! The sources of a trial, as another checkout would have left them: times, modes and owners.

use serde::{Deserialize, Serialize};

/// Modification times of the source files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SourceMtime {
    /// As they stand on the host.
    AsGiven,
    /// All moved by one constant, so that their order stays.
    Shifted {
        /// By how much.
        seconds: i64,
    },
    /// All the same, as after some checkouts.
    Equal {
        /// Seconds since 1970 (UTC).
        at: i64,
    },
    /// The same times the other way round: what was the newest is the oldest.
    Reversed,
}

/// Permission bits of the source files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SourceMode {
    /// As they stand on the host.
    AsGiven,
    /// As a checkout under this umask would have left them: files 0666 or 0777 where the owner may
    /// execute, directories 0777, each without the bits of the mask.
    Checkout {
        /// The umask of the checkout.
        umask: u32,
    },
}

/// Who the source files belong to, as the build sees it; its user may write them in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SourceOwner {
    /// As on the host, but that what is the caller's is the build user's.
    AsGiven,
    /// As on the host, whoever builds.
    Kept,
    /// The build's user.
    Builder,
    /// Somebody else.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Login name.
        name: String,
        /// Name of the group.
        group: String,
    },
}
