//! What a host lacks, in words.

use crate::model::{Capabilities, Missing, Need};

/// Why the supervisor's answers may not arrive, though it runs.
const FORBIDDEN: &str = "an outer sandbox may forbid pidfd_getfd, process_vm_readv, \
    process_vm_writev, openat2 or statx, which answering needs: allow them (Docker: \
    --security-opt seccomp=unconfined); else please report it, with the output of reprobe doctor";

/// A thing that is missing, why, and the way out.
pub(super) fn missing(what: &str, reason: &str, hint: &str) -> Missing {
    Missing {
        what: what.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Why what was asked for did not arrive.
pub(super) fn unanswered(need: Need, capabilities: &Capabilities) -> Missing {
    let mounts = capabilities.missing.get(&Need::Mounts);
    if let (Need::RandomBytes, Some(mounts)) = (need, mounts) {
        let reason = format!(
            "the random devices cannot be replaced without mounts ({})",
            mounts.reason
        );
        return missing(name_of(need), &reason, &mounts.hint);
    }
    let reason = "a trial build that was to see it saw the host's own";
    missing(name_of(need), reason, FORBIDDEN)
}

/// What a need is called.
pub(super) fn name_of(need: Need) -> &'static str {
    match need {
        Need::Mounts => "namespaces and mounts",
        Need::OtherUser => "another user",
        Need::HostName => "a host name of its own",
        Need::Pids => "chosen pids",
        Need::PrivateNetwork => "a private network",
        Need::Affinity => "a choice of processors",
        Need::FixedAddresses => "fixed addresses",
        Need::SecondShell => "a second shell",
        Need::Terminals => "pseudo-terminals",
        Need::MonotonicClocks => "time namespaces",
        Need::Supervisor => "the supervisor of system calls",
        Need::ClockHook => "a clock of its own",
        Need::FileTimes => "file times of its own",
        Need::DirectoryEntries => "a chosen order of directories",
        Need::TimeZones => "time zones",
        Need::RandomBytes => "random bytes of its own",
        Need::KernelNames => "another name of the kernel",
        Need::InodeNumbers => "inode numbers of its own",
        Need::SourceOwners => "owners of the sources of its own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn random_devices_are_lost_for_want_of_mounts_where_there_are_none() {
        let mut capabilities = Capabilities {
            kernel: String::new(),
            root: false,
            caller: (1000, 1000),
            cpus: 2,
            locales: Vec::new(),
            locale_sources: Vec::new(),
            shells: Vec::new(),
            missing: BTreeMap::new(),
            notes: Vec::new(),
        };
        let without = unanswered(Need::RandomBytes, &capabilities);
        assert!(without.hint.contains("pidfd_getfd"));
        let mounts = missing("namespaces and mounts", "unshare: EPERM", "allow them");
        capabilities.missing.insert(Need::Mounts, mounts);
        let with = unanswered(Need::RandomBytes, &capabilities);
        assert!(with.reason.contains("unshare: EPERM"), "{}", with.reason);
        assert_eq!(with.hint, "allow them");
        let clock = unanswered(Need::ClockHook, &capabilities);
        assert!(clock.hint.contains("pidfd_getfd"));
    }
}
