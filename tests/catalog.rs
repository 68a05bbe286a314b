//! The shipped variations, the plans made of them, and what wrong files and requests are told.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod plans;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use insta::assert_snapshot;
use plans::{able, request};
use proptest::prelude::*;
use reprobe::catalog::{Catalog, FILES};
use reprobe::model::{
    Capabilities, Clock, Cpus, DirectoryOrder, Level, Missing, Need, Network, Row, Setting, Slot,
    UserIdentity, Varies,
};
use reprobe::plan::{self, Hold, Plan, Request, Why, plan};

/// A host that lacks these.
fn lacking(needs: &[Need]) -> Capabilities {
    let mut host = able();
    for need in needs {
        let missing = Missing {
            what: format!("{need:?}"),
            reason: format!("{need:?} is refused here"),
            hint: "ask the administrator".into(),
        };
        host.missing.insert(*need, missing);
    }
    host
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn planned(host: &Capabilities, request: &Request) -> Plan {
    plan(&Catalog::builtin().unwrap(), host, request).unwrap()
}

fn refused(request: &Request) -> String {
    let catalog = Catalog::builtin().unwrap();
    plan(&catalog, &able(), request).unwrap_err().to_string()
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.variations.iter().map(|v| v.name.as_str()).collect()
}

fn problems(files: &[(&str, &str)]) -> String {
    Catalog::parse(files).unwrap_err().to_string()
}

const SHIPPED: [&str; 23] = [
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

#[test]
fn every_variation_of_the_design_ships() {
    let catalog = Catalog::builtin().unwrap();
    let names: Vec<_> = catalog.entries().iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, SHIPPED);
}

#[test]
fn every_shipped_variation_says_whether_it_is_of_the_checkout_or_of_the_machine() {
    let catalog = Catalog::builtin().unwrap();
    let says = |file: &str, kind: &str| {
        let (_, text) = FILES.iter().find(|(name, _)| *name == file).unwrap();
        text.lines()
            .any(|line| line == format!("varies = \"{kind}\""))
    };
    for entry in catalog.entries() {
        let (kind, said) = if entry.name.starts_with("source-") {
            (Varies::Checkout, "checkout")
        } else {
            (Varies::Machine, "machine")
        };
        assert_eq!(entry.varies, kind, "{}", entry.name);
        assert!(says(&entry.file, said), "{}", entry.file);
    }
    let own = "name = 'x'\nvaries = 'moon'\nsummary = 's'\ncatches = 'c'\nweight = 1\n\
               [control]\nname = 'a'\nsettings = { umask = 0o022 }\n";
    assert_eq!(
        problems(&[("x.toml", own)]),
        "x.toml:2: `varies` cannot be `moon`; known are `checkout`, `machine`"
    );
}

/// The first varied level of a variation.
fn first_level(variation: &str, wanted: &Request) -> Level {
    let plan = planned(&able(), wanted);
    let mut variations = plan.variations.into_iter();
    let found = variations.find(|one| one.name == variation).unwrap();
    found.varied.into_iter().next().unwrap()
}

#[test]
fn a_level_that_leaves_the_mode_of_the_sources_as_it_is_comes_last() {
    let first = |source_mode| {
        let wanted = Request {
            source_mode,
            ..request()
        };
        first_level("source-mode", &wanted).name
    };
    assert_eq!(first(0o755), "group-writable");
    assert_eq!(first(0o2755), "group-writable");
    assert_eq!(first(0o700), "group-writable");
    assert_eq!(first(0o775), "private");
}

#[test]
fn sources_of_the_caller_become_somebody_elses_and_those_of_others_the_builders() {
    let level = |source_owner| {
        let wanted = Request {
            source_owner,
            ..request()
        };
        plan::describe_level(&first_level("source-owner", &wanted))
    };
    let other = "sources of vary-ownrzoqa (45673), group vary-ogrpzoqa (56734)";
    assert_eq!(level((0, 0)), other);
    assert_eq!(level((1000, 1000)), "sources of who builds");
}

#[test]
fn every_file_beside_the_registry_is_registered() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("variations");
    let found = std::process::Command::new("ls")
        .arg(folder)
        .output()
        .unwrap();
    let found: BTreeSet<String> = String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .filter(|name| *name != "README.md")
        .map(|name| format!("variations/{name}"))
        .collect();
    let registered: BTreeSet<String> = FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, registered);
}

#[test]
fn every_slot_has_exactly_one_owner() {
    let catalog = Catalog::builtin().unwrap();
    let mut slots: Vec<Slot> = Vec::new();
    for entry in catalog.entries() {
        slots.extend(entry.control.slots());
    }
    let distinct: BTreeSet<_> = slots.iter().copied().collect();
    assert_eq!(distinct.len(), slots.len());
    assert_eq!(
        distinct.len(),
        24,
        "a slot that nothing varies: {distinct:?}"
    );
}

#[test]
fn every_reprotest_name_is_understood() {
    let catalog = Catalog::builtin().unwrap();
    let ours = |name: &str| catalog.find(name).unwrap().name.clone();
    for (theirs, name) in [
        ("environment", "environment"),
        ("build_path", "build-path"),
        ("kernel", "kernel"),
        ("aslr", "aslr"),
        ("num_cpus", "cpus"),
        ("time", "time"),
        ("user_group", "user"),
        ("fileordering", "file-order"),
        ("domain_host", "hostname"),
        ("home", "home"),
        ("locales", "locale"),
        ("exec_path", "exec-path"),
        ("timezone", "timezone"),
        ("umask", "umask"),
    ] {
        assert_eq!(ours(theirs), name);
    }
}

#[test]
fn on_an_able_host_everything_is_tested_at_every_level() {
    let plan = planned(&able(), &request());
    assert_eq!(names(&plan), SHIPPED);
    assert!(plan.left_out.is_empty());
    assert!(plan.dropped.is_empty(), "{:?}", plan.dropped);
    for variation in &plan.variations {
        assert!(!variation.remedies.is_empty(), "{}", variation.name);
        for level in &variation.varied {
            assert_ne!(level.settings, variation.control.settings);
            assert_eq!(level.note, None);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the catalogue in full")]
fn the_levels_read_like_this() {
    let plan = planned(&able(), &request());
    let mut text = String::new();
    for variation in &plan.variations {
        if ["randomness", "inode"].contains(&variation.name.as_str()) {
            continue;
        }
        text.push_str(&variation.name);
        for level in std::iter::once(&variation.control).chain(&variation.varied) {
            write!(text, "\n  {}: {}", level.name, plan::describe_level(level)).unwrap();
        }
        text.push('\n');
    }
    assert_snapshot!(text, @"
    time
      t0: stepped from 2026-11-24 17:53:21 UTC
      later: stepped from 2027-12-29 18:54:22 UTC
      running: running from 2027-12-29 18:54:22 UTC
      soon: stepped from 2027-01-03 17:53:21 UTC
    timezone
      utc: TZ=UTC
      another-day: TZ=Pacific/Kiritimati
      summer-time: TZ=America/St_Johns
      rule: TZ=VRY-13:45
    locale
      C.UTF-8: LANG=C.UTF-8 LC_ALL=C.UTF-8
      other-collation: LANG=et_EE.UTF-8 LC_ALL=et_EE.UTF-8 LANGUAGE=et_EE:et (compiled for the session)
      other-case: LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 LANGUAGE=tr_TR:tr (compiled for the session)
      C: LANG=C LC_ALL=C
    umask
      022: umask 0022
      077: umask 0077
      002: umask 0002
    build-path
      control: /reprobe/ctrl-pathkivu/<its own name>
      deeper: /reprobe/vary-pathzoqa/deeper-juxo/wyqe/vary-treezoqa-of-another-name
      same-length: /reprobe/vary-pathzoqa/zoqajuxowy
    hostname
      control: host ctrl-hostkivu, domain ctrl-domkivu.test
      other: host vary-hostzoqa, domain vary-domzoqa.test
    user
      caller: the caller
      other: vary-userzoqa (43217), group vary-grpzoqa (54321)
    home
      control: HOME=/reprobe/ctrl-homekivu
      other: HOME=/reprobe/vary-homezoqa
    environment
      none: no extra variables
      extra: EMAIL=vary-mailzoqa@vary-domzoqa.test REPROBE_VARY=vary-envzoqa SSH_CLIENT=192.0.2.77 54321 22
      continuous-integration: BUILD_ID=vary-buildzoqa BUILD_NUMBER=76543 CI=true CONTINUOUS_INTEGRATION=true GITHUB_ACTIONS=true GITHUB_RUN_NUMBER=76543 GITHUB_SHA=7a6f71610000000000000000000000000000f00d GITLAB_CI=true
    exec-path
      as-given: PATH as given
      longer: PATH:/reprobe/vary-execzoqa
    shell
      host: /bin/sh as on the host
      other: /bin/sh is /usr/bin/bash
    terminal
      none: TERM=dumb without a terminal
      terminal: TERM=xterm-256color COLUMNS=57 on a terminal
      variables: TERM=xterm-256color COLUMNS=57 without a terminal
    file-order
      forward: keyed order
      reverse: the reverse of that order
    source-mtime
      as-given: source times as given
      shifted: source times shifted by -37437218 s
      equal: all source times @1500000000
      reversed: source times in reversed order
    source-mode
      as-given: modes as given
      group-writable: modes of a checkout under umask 0002
      private: modes of a checkout under umask 0077
    source-owner
      as-given: owners as given
      other: sources of vary-ownrzoqa (45673), group vary-ogrpzoqa (56734)
      builder: sources of who builds
    cpus
      all: all processors
      one: one processor
    kernel
      host: the host's kernel
      named: release 9.87.65-vary-kernzoqa, version #76543 SMP vary-versionzoqa Mon Feb  3 04:05:06 UTC 2042
      older: release 4.56.78-vary-kernxopu, version #65432 SMP vary-versionxopu Tue Mar  4 05:06:07 UTC 2014
    aslr
      fixed: fixed addresses
      random: random addresses
    pid
      11003: pids after 11003
      23460: pids after 23460
    network
      loopback: loopback alone
      interface: also varyzoqa0 with 192.0.2.77/24 and 2001:db8::7a6f:7161/64
    ");
}

/// Whatever a build takes of its process id, a digit, some bits or a remainder: the levels differ.
#[test]
fn the_levels_of_pid_differ_in_every_part_of_a_number() {
    let text = include_str!("../variations/pid.toml");
    let numbers = text.lines().filter_map(|line| {
        let (_, number) = line.split_once("last-pid = ")?;
        number.trim_end_matches([' ', '}']).parse().ok()
    });
    let numbers: Vec<u32> = numbers.collect();
    let [control, varied] = numbers[..] else {
        panic!("{numbers:?}");
    };
    for part in 2..=10_000 {
        assert_ne!(control % part, varied % part, "modulo {part}");
    }
}

#[test]
fn the_first_trial_with_everything_varied_uses_the_running_clock() {
    let plan = planned(&able(), &request());
    assert!(plan.admits(&plan.opening_row()));
    let environment = plan.environment(&plan.opening_row());
    assert!(matches!(environment.clock, Clock::Running { .. }));
    assert_eq!(environment.umask, 0o077);
    let varied = plan.varied(&plan.opening_row());
    assert_eq!(varied.len(), SHIPPED.len());
    assert_eq!(plan.row(&varied), Some(plan.opening_row()));
}

#[test]
fn without_a_supervisor_its_variations_are_left_out_and_the_control_holds_nothing_of_theirs() {
    let host = lacking(&[
        Need::Supervisor,
        Need::ClockHook,
        Need::FileTimes,
        Need::DirectoryEntries,
    ]);
    let plan = planned(&host, &request());
    let left: Vec<_> = plan.left_out.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(
        left,
        [
            "time",
            "file-order",
            "source-owner",
            "kernel",
            "randomness",
            "inode"
        ]
    );
    assert!(
        plan.left_out
            .iter()
            .all(|l| l.why == Why::Lacking && !l.asked)
    );
    assert_eq!(plan.left_out[0].hint, "ask the administrator");
    assert_eq!(plan.control.clock, Clock::Host);
    assert_eq!(plan.control.directory_order, DirectoryOrder::Host);
}

#[test]
fn what_the_host_allows_nothing_of_leaves_the_variations_that_need_nothing() {
    let all = [
        Need::Mounts,
        Need::OtherUser,
        Need::HostName,
        Need::Pids,
        Need::PrivateNetwork,
        Need::Affinity,
        Need::FixedAddresses,
        Need::SecondShell,
        Need::Terminals,
        Need::MonotonicClocks,
        Need::Supervisor,
        Need::ClockHook,
        Need::FileTimes,
        Need::DirectoryEntries,
        Need::TimeZones,
    ];
    let plan = planned(&lacking(&all), &request());
    assert_eq!(
        names(&plan),
        [
            "timezone",
            "locale",
            "umask",
            "environment",
            "exec-path",
            "terminal"
        ]
    );
    assert_eq!(plan.control.network, Network::Host);
    assert!(plan.control.random_addresses);
}

#[test]
fn a_single_processor_leaves_cpus_untested_with_a_way_out() {
    let host = Capabilities { cpus: 1, ..able() };
    let asked = Request {
        require: words("num_cpus"),
        ..request()
    };
    let plan = planned(&host, &asked);
    assert_eq!(plan.control.cpus, Cpus::All);
    let unmet: Vec<_> = plan.unmet().collect();
    assert_eq!(unmet.len(), 1);
    assert_eq!(unmet[0].name, "cpus");
    assert_snapshot!(unmet[0].reason, @"the build has one processor here in any case");
    assert_snapshot!(unmet[0].hint, @"run on a machine, or with an affinity, of more processors");
}

#[test]
fn an_open_network_is_open_in_every_trial_and_network_is_not_tested() {
    let open = Request {
        network: true,
        ..request()
    };
    let plan = planned(&able(), &open);
    assert_eq!(plan.left_out.len(), 1);
    assert_eq!(plan.left_out[0].name, "network");
    assert_eq!(plan.left_out[0].why, Why::Overruled);
    for row in [plan.control_row(), plan.opening_row()] {
        assert_eq!(plan.environment(&row).network, Network::Host);
    }
}

fn locale_of(host: &Capabilities) -> (String, Option<(String, String)>, Option<String>) {
    let plan = planned(host, &request());
    let locale = plan.variations.iter().find(|v| v.name == "locale").unwrap();
    let Setting::Locale(value) = &locale.varied[0].settings[0] else {
        panic!("another slot");
    };
    let note = locale.varied[0].note.clone();
    (value.lang.clone(), value.compile.clone(), note)
}

#[test]
fn an_installed_locale_is_taken_before_one_that_must_be_compiled() {
    let host = Capabilities {
        locales: vec!["C.utf8".into(), "sv_SE.utf8".into(), "et_EE".into()],
        ..able()
    };
    assert_eq!(locale_of(&host), ("sv_SE.UTF-8".into(), None, None));
    let sources = Some(("et_EE".into(), "UTF-8".into()));
    assert_eq!(locale_of(&able()), ("et_EE.UTF-8".into(), sources, None));
}

#[test]
fn without_any_locale_the_level_c_says_that_collation_was_not_tested() {
    let host = Capabilities {
        locale_sources: Vec::new(),
        ..able()
    };
    let (lang, compile, note) = locale_of(&host);
    assert_eq!((lang.as_str(), compile), ("C", None));
    assert_snapshot!(note.unwrap(), @"`other-collation` and `other-case` not tested: no locale with other rules is installed, and none can be compiled; install one (Debian: the package `locales-all`, or `locales`)");
}

#[test]
fn a_running_hold_makes_every_level_of_time_volatile_and_drops_the_one_that_repeats_another() {
    let running = Request {
        clock: Hold::Running,
        ..request()
    };
    let plan = planned(&able(), &running);
    let time = &plan.variations[0];
    assert!(time.control.volatile && time.varied.iter().all(|level| level.volatile));
    let levels: Vec<_> = time.varied.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(levels, ["later", "soon"]);
    assert!(plan.admits(&plan.opening_row()));
}

#[test]
fn skipping_takes_away_and_never_resets_the_set() {
    let mut wanted = request();
    wanted.skip = words("umask");
    assert_eq!(names(&planned(&able(), &wanted)).len(), SHIPPED.len() - 1);
    wanted.only = Some(words("umask,time,locales"));
    let plan = planned(&able(), &wanted);
    assert_eq!(names(&plan), ["time", "locale"]);
    let umask = plan.left_out.iter().find(|l| l.name == "umask").unwrap();
    assert!(!umask.asked);
    assert_eq!(umask.reason, "left out by --skip");
    // What is not tried is held all the same.
    assert!(!plan.control.random_addresses);
}

#[test]
fn what_is_asked_for_by_name_and_cannot_be_tested_is_reported() {
    let host = lacking(&[Need::ClockHook]);
    let mut wanted = request();
    wanted.only = Some(words("time,umask"));
    let unmet = |wanted: &Request| -> Vec<String> {
        planned(&host, wanted)
            .unmet()
            .map(|l| l.name.clone())
            .collect()
    };
    assert_eq!(unmet(&wanted), ["time"]);
    wanted.only = None;
    assert!(unmet(&wanted).is_empty());
    wanted.require = words("all");
    assert_eq!(unmet(&wanted), ["time"]);
    wanted.skip = words("time");
    assert!(unmet(&wanted).is_empty());
}

#[test]
fn an_empty_set_is_refused() {
    let mut wanted = request();
    wanted.only = Some(words("umask"));
    wanted.skip = words("umask");
    assert_snapshot!(refused(&wanted), @"--only umask --skip umask leaves nothing to vary; known are `time`, `timezone`, `locale`, `umask`, `build-path`, `hostname`, `user`, `home`, `environment`, `exec-path`, `shell`, `terminal`, `file-order`, `source-mtime`, `source-mode`, `source-owner`, `cpus`, `kernel`, `aslr`, `pid`, `randomness`, `inode`, `network`");
    wanted.only = Some(Vec::new());
    wanted.skip = Vec::new();
    assert_snapshot!(refused(&wanted), @"--only '' leaves nothing to vary; known are `time`, `timezone`, `locale`, `umask`, `build-path`, `hostname`, `user`, `home`, `environment`, `exec-path`, `shell`, `terminal`, `file-order`, `source-mtime`, `source-mode`, `source-owner`, `cpus`, `kernel`, `aslr`, `pid`, `randomness`, `inode`, `network`");
    wanted.only = None;
    wanted.skip = words("all");
    assert_snapshot!(refused(&wanted), @"--skip all leaves nothing to vary; known are `time`, `timezone`, `locale`, `umask`, `build-path`, `hostname`, `user`, `home`, `environment`, `exec-path`, `shell`, `terminal`, `file-order`, `source-mtime`, `source-mode`, `source-owner`, `cpus`, `kernel`, `aslr`, `pid`, `randomness`, `inode`, `network`");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_one() {
    let mut wanted = request();
    wanted.only = Some(words("umsk"));
    assert_snapshot!(refused(&wanted), @"no variation is named `umsk`; did you mean `umask`?");
    wanted.only = Some(words("-umask"));
    assert_snapshot!(refused(&wanted), @"no variation is named `-umask`; did you mean `umask`?");
    wanted.only = Some(words("moon-phase"));
    assert_snapshot!(refused(&wanted), @"no variation is named `moon-phase`; known are `time`, `timezone`, `locale`, `umask`, `build-path`, `hostname`, `user`, `home`, `environment`, `exec-path`, `shell`, `terminal`, `file-order`, `source-mtime`, `source-mode`, `source-owner`, `cpus`, `kernel`, `aslr`, `pid`, `randomness`, `inode`, `network`");
}

#[test]
fn what_is_required_cannot_be_left_out() {
    let mut wanted = request();
    wanted.require = words("fileordering");
    wanted.skip = words("file-order");
    assert_snapshot!(refused(&wanted), @"`file-order` is required, but --skip file-order leaves it out");
}

#[test]
fn one_environment_can_be_named_in_words() {
    let plan = planned(&lacking(&[Need::ClockHook, Need::Terminals]), &request());
    let row = plan.vary(&["umask=002", "locales"]).unwrap();
    let varied = plan.varied(&row);
    assert_eq!(varied["umask"], "002");
    assert_eq!(varied["locale"], "other-collation");
    assert_eq!(varied.len(), 2);
    let all = plan.vary(&["all", "umask=022"]).unwrap();
    assert_eq!(plan.varied(&all).len(), plan.variations.len() - 1);
    let refusal = |word: &str| plan.vary(&[word]).unwrap_err().to_string();
    assert_snapshot!(refusal("umsk"), @"no variation is named `umsk`; did you mean `umask`?");
    assert_snapshot!(refusal("umask=07"), @"`umask` has no level `07`; did you mean `077`?");
    assert_snapshot!(refusal("clock"), @"`time` cannot be varied here: ClockHook is refused here; ask the administrator");
    assert_snapshot!(refusal("terminal=terminal"), @"`terminal=terminal` cannot be varied here: Terminals is refused here; ask the administrator");
}

#[test]
fn a_plan_survives_the_journal() {
    let plan = planned(&lacking(&[Need::ClockHook]), &request());
    let json = serde_json::to_string(&plan).unwrap();
    let back: Plan = serde_json::from_str(&json).unwrap();
    assert_eq!(back, plan);
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_other_keys() {
    let one = planned(&able(), &request());
    assert_eq!(one, planned(&able(), &request()));
    let reseeded = Request {
        seed: 43,
        ..request()
    };
    let other = planned(&able(), &reseeded);
    assert_ne!(one.control.directory_order, other.control.directory_order);
    assert_ne!(one.control.randomness, other.control.randomness);
    assert_ne!(one.control.inodes, other.control.inodes);
}

#[test]
fn the_second_build_path_has_the_length_and_depth_of_the_control() {
    let plan = planned(&able(), &request());
    let varied = BTreeMap::from([("build-path".to_owned(), "same-length".to_owned())]);
    let row = plan.row(&varied).unwrap();
    let control = &plan.control.build_path;
    let other = &plan.environment(&row).build_path;
    assert_eq!(control.leaf, None);
    assert_eq!(other.leaf.as_ref().unwrap().len(), "hello-2.10".len());
    let length = |path: &std::path::Path| path.as_os_str().len();
    assert_eq!(length(&control.parent), length(&other.parent));
    assert_eq!(
        control.parent.components().count(),
        other.parent.components().count()
    );
    assert_ne!(control.parent, other.parent);
}

#[test]
fn a_users_own_file_adds_a_variation_or_takes_the_place_of_a_shipped_one() {
    let own = [
        (
            "mine/distcc.toml",
            "name = 'distcc'\nsummary = 's'\ncatches = 'c'\nweight = 1\n\
             [control]\nname = 'off'\nsettings = { variables = { DISTCC = 'no' } }\n\
             [[varied]]\nname = 'on'\nsettings = { variables = { DISTCC = 'yes', MORE = '1' } }\n",
        ),
        (
            "mine/umask.toml",
            "name = 'umask'\nsummary = 's'\ncatches = 'c'\nweight = 1\n\
             [control]\nname = 'a'\nsettings = { umask = 0o022 }\n\
             [[varied]]\nname = 'b'\nsettings = { umask = 0o027 }\n",
        ),
    ];
    let catalog = Catalog::with_own(&own).unwrap();
    let plan = plan(&catalog, &able(), &request()).unwrap();
    assert_eq!(plan.variations.len(), SHIPPED.len() + 1);
    assert_eq!(plan.control.variables["DISTCC"], "no");
    let first = Row(vec![1; plan.variations.len()]);
    let environment = plan.environment(&first);
    assert_eq!(environment.umask, 0o027);
    assert_eq!(environment.variables["DISTCC"], "yes");
    assert_eq!(environment.variables["MORE"], "1");
    assert_eq!(environment.variables["REPROBE_VARY"], "vary-envzoqa");
}

#[test]
fn all_mistakes_of_a_file_are_named_with_their_lines() {
    let text = "\
name = 'moon'
sumary = 'the moon'
catches = 'tides'
weight = 1
needs = ['mount', 'supervisor']
[control]
name = 'new'
settings = { umask = 22 }
[[varied]]
name = 'full'
volatil = true
settings = { tmezone = 'UTC', timezone = 'Mars/Olympus', clock = { stepped = 't9' } }
[[remedy]]
text = 'howl'
try = 'howl'
";
    assert_snapshot!(problems(&[("moon.toml", text)]), @"
    moon.toml:1: `summary` is missing
    moon.toml:2: unknown key `sumary`; did you mean `summary`?
    moon.toml:5: unknown need `mount`; did you mean `mounts`?
    moon.toml:8: `umask` must be octal, for example 0o022; this is not octal, or above 0o777
    moon.toml:11: unknown key `volatil` in `[[varied]]`; did you mean `volatile`?
    moon.toml:12: `clock` cannot be `t9`; known are `t0`, `t1`, `soon`
    moon.toml:12: `timezone` cannot be `Mars/Olympus`; write `another-day`, a zone's name, or a POSIX rule
    moon.toml:12: unknown key `tmezone` among the settings; did you mean `timezone`?
    moon.toml:13: `try` must be NAME=VALUE; this is `howl`
    ");
}

#[test]
fn variations_that_contradict_each_other_are_refused() {
    let of = |name: &str, settings: &str| {
        format!(
            "name = '{name}'\nsummary = 's'\ncatches = 'c'\nweight = 1\n\
             [control]\nname = 'a'\nsettings = {{ umask = 0o022 }}\n\
             [[varied]]\nname = 'a'\nsettings = {{ {settings} }}\n"
        )
    };
    let one = of("one", "timezone = 'UTC'");
    let two = of("two", "umask = 0o077");
    let all = "name = 'all'\naliases = ['one']\nsummary = 's'\ncatches = 'c'\nweight = 1\n\
               [control]\nname = 'x'\nsettings = { cpus = 'all' }\n";
    assert_snapshot!(problems(&[("1.toml", &one), ("2.toml", &two), ("3.toml", all)]), @"
    1.toml:8: level `a` does not fill the slots that the control fills
    1.toml:8: two levels are named `a`
    2.toml: `two` and `one` both set the umask: a variation of the name `one` would take its place
    2.toml:8: two levels are named `a`
    3.toml: no `[[varied]]` level: nothing would vary
    3.toml: the name `all` is reserved: it stands for every variation
    3.toml: the name `one` is taken by 1.toml
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn at_any_time_the_zone_of_the_plan_is_another_day(now in 946_684_800i64..8_000_000_000) {
        let wanted = Request { now, only: Some(words("time,timezone")), ..request() };
        let plan = planned(&able(), &wanted);
        let environment = plan.environment(&Row(vec![0, 1]));
        let Clock::Stepped { start } = environment.clock else { panic!("not held") };
        let zone: chrono_tz::Tz = environment.timezone.parse().unwrap();
        let moment = chrono::DateTime::from_timestamp(start, 0).unwrap();
        prop_assert_ne!(moment.date_naive(), moment.with_timezone(&zone).date_naive());
    }
}

proptest! {
    #[test]
    fn the_order_in_which_variations_are_applied_does_not_matter(
        levels in proptest::collection::vec(0u8..4, SHIPPED.len()),
        order in Just((0..SHIPPED.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let plan = planned(&able(), &request());
        let whole: Vec<u8> = levels
            .iter()
            .zip(&plan.variations)
            .map(|(level, variation)| level % u8::try_from(variation.varied.len() + 1).unwrap())
            .collect();
        let mut environment = plan.control.clone();
        for index in order {
            plan.variations[index].level(whole[index]).unwrap().apply(&mut environment);
        }
        prop_assert_eq!(environment, plan.environment(&Row(whole)));
    }
}

#[test]
fn another_user_is_another_one_for_every_caller() {
    let ids = |caller| {
        let host = Capabilities { caller, ..able() };
        let catalog = Catalog::builtin().unwrap();
        let plan = plan(&catalog, &host, &request()).unwrap();
        let user = plan.variations.iter().find(|v| v.name == "user").unwrap();
        match &user.varied[0].settings[0] {
            Setting::User(UserIdentity::Other { uid, gid, .. }) => (*uid, *gid),
            other => panic!("{other:?}"),
        }
    };
    let usual = ids((0, 0));
    let met = ids(usual);
    assert_ne!(met.0, usual.0);
    assert_ne!(met.1, usual.1);
}
