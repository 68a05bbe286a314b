//! What plans are made of in tests: a host, and what a user asks for.

use std::collections::BTreeMap;

use reprobe::model::Capabilities;
use reprobe::plan::{Hold, Request};

/// Seconds since 1970.
const NOW: i64 = 1_795_370_000;

/// A host that allows everything.
pub(crate) fn able() -> Capabilities {
    Capabilities {
        kernel: "Linux 6.18.44 x86_64".into(),
        root: true,
        caller: (0, 0),
        cpus: 2,
        locales: vec!["C".into(), "C.utf8".into(), "POSIX".into()],
        locale_sources: vec!["en_US".into(), "et_EE".into(), "tr_TR".into()],
        shells: vec!["/usr/bin/dash".into(), "/usr/bin/bash".into()],
        missing: BTreeMap::new(),
        notes: Vec::new(),
    }
}

/// Everything, with one seed and one moment.
pub(crate) fn request() -> Request {
    Request {
        only: None,
        skip: Vec::new(),
        require: Vec::new(),
        seed: 42,
        now: NOW,
        network: false,
        clock: Hold::Stepped,
        source_name: "hello-2.10".into(),
        source_owner: (0, 0),
        source_mode: 0o755,
    }
}
