use super::super::samples::{certified, finding, inconclusive, intricate, reproducible, sdist};
use super::*;
use crate::model::{Cause, Finding, Remedy};

fn plain(findings: &Findings) -> String {
    render(
        findings,
        Layout {
            width: 90,
            colour: false,
        },
    )
}

#[test]
fn a_reproducible_build_says_so_first_and_lists_what_was_not_tested() {
    insta::assert_snapshot!(plain(&reproducible()), @r#"
    REPRODUCIBLE: both outputs are identical under the 4 variations tested

    Build     make dist
    Source    /home/ada/hello
    Judged    *.tar.gz *.zip (from --output)
    Dates     SOURCE_DATE_EPOCH was 1700000000; the clock was running as usual

    Outputs
      hello-2.10.tar.gz  same
                         sha256:5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f
      hello-2.10.zip     same
                         sha256:5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f

    Other variations
      cleared           build-path, locale, umask, user
      not tested        time – clocks are not varied by this version

    3 trials (1 control, 1 repeat, 1 search); 2.15 s; seed 17446744073709551615; as an
      ordinary user
    "#);
}

#[test]
fn what_differs_by_the_checkout_alone_is_told_apart() {
    let mut findings = reproducible();
    findings.checkout = Checkout::Apart;
    findings.by_checkout =
        Some("1 of 2 outputs differs by the checkout alone (source-mtime)".into());
    let output = &mut findings.artifacts[0];
    output.verdict = ArtifactVerdict::Differs;
    output.culprits = vec![vec!["source-mtime".into()]];
    let mut finding = finding("hello-2.10.tar.gz", "tar.mtime", ["1", "2"]);
    finding = certified(finding, &[(&["source-mtime"], &[2], &[0])]);
    finding.by_checkout = true;
    findings.findings = vec![finding];
    findings.artifacts[0].without_checkout = ArtifactVerdict::Same;
    let page = plain(&findings);
    let (apart, rest) = page.split_once("Other variations").unwrap();
    assert!(!rest.contains("tar.mtime"));
    insta::assert_snapshot!(apart, @"
    REPRODUCIBLE: both outputs are identical under the 4 variations tested
    CHECKOUT: 1 of 2 outputs differs by the checkout alone (source-mtime)

    Build     make dist
    Source    /home/ada/hello
    Judged    *.tar.gz *.zip (from --output)
    Dates     SOURCE_DATE_EPOCH was 1700000000; the clock was running as usual

    Outputs
      hello-2.10.tar.gz  differs by the checkout alone: source-mtime
      hello-2.10.zip     same
                         sha256:5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f5b0f

    By the checkout alone: does not decide here (--checkout decides makes it count)
      source-mtime
        tar.mtime  hello-2.10.tar.gz: 1 (1970-01-01 00:00:01) -> 2 (1970-01-01 00:00:02)
        proof: differs in trial 2 (everything varied); same in trial 0 (nothing varied)
    ");
}

#[test]
fn an_sdist_names_its_culprits_and_groups_their_members() {
    insta::assert_snapshot!(plain(&sdist()), @r#"
    NOT REPRODUCIBLE: 1 of 2 outputs differs, because of source-mtime, umask and user

    Build     python3 -m build --no-isolation
    Source    /home/ada/hello
    Judged    dist/* (the usual ones of such a project)
    Dates     SOURCE_DATE_EPOCH was not set; the clock was running as usual

    Outputs
      dist/six-1.16.0.tar.gz            differs: source-mtime; umask; user; 3 elements
                                        unstable
      dist/six-1.16.0-py3-none-any.whl  same

    Culprits
      source-mtime (given -> shifted)
        in dist/six-1.16.0.tar.gz
          tar.mtime  4 of 32 members: each by +86400, e.g. six-1.16.0/README.rst: 1690001000
                     (2023-07-22 04:43:20) -> 1690087400 (2023-07-23 04:43:20)
        proof: differs in trial 3 (source-mtime); same in trials 0 (nothing varied), 6
          (everything varied but source-mtime)

      umask (0022 -> 0077)
        in dist/six-1.16.0.tar.gz
          tar.mode  4 of 32 members: 0644 -> 0600 (e.g. six-1.16.0/README.rst), 0755 -> 0700
                    (six-1.16.0/bin/run.sh)
        proof: differs in trial 5 (umask); same in trials 0 (nothing varied), 4 (everything
          varied but umask)

      user (caller -> other)
        in dist/six-1.16.0.tar.gz
          tar.uname  all 32 members: ada -> vary-userzoqa (e.g. six-1.16.0/file00)
        proof: differs in trial 7 (user); same in trials 0 (nothing varied), 8 (everything
          varied but user)

    Unstable: differs between trials of the same environment
      gzip.mtime  dist/six-1.16.0.tar.gz: 1763833440 (2025-11-22 17:44:00) -> 1763833443
                  (2025-11-22 17:44:03) – differed in 2 of 2 repeats; 95% interval 34–100%
      in dist/six-1.16.0.tar.gz
        tar.mtime   2 of 32 members: 1763833440 (2025-11-22 17:44:00) -> 1763833443
                    (2025-11-22 17:44:03) (e.g. six-1.16.0/PKG-INFO) – differed in 2 of 2
                    repeats; 95% interval 34–100%

    Other variations
      cleared           locale, build-path
      not tested        time, file-order – this version cannot hold a build's clock
                        network – network namespaces: unshare: EPERM; sysctl
                        kernel.unprivileged_userns_clone=1 allows them

    Notes
      - the build ran without a network in every trial

    What to change
      umask: set the modes when packing: tar --mode='a+rX,u+w,go-w'

    9 trials (1 control, 1 repeat, 3 search, 4 certificates); 13.4 s; seed
      17446744073709551615; as an ordinary user
    "#);
}

#[test]
fn pairs_alternatives_breakers_and_doubts_are_told_apart() {
    insta::assert_snapshot!(plain(&intricate()), @r#"
    NOT REPRODUCIBLE: 3 of 3 outputs differ
    THE BUILD FAILS under shell (other): exit code 2, in trial 9; see the notes

    Build     python3 -m build --no-isolation
    Source    /home/ada/hello
    Judged    dist/* (the usual ones of such a project)
    Dates     SOURCE_DATE_EPOCH was not set; the clock was running as usual

    Outputs
      out/a  differs: file-order AND locale together
      out/b  differs: hostname; time
      out/c  differs: 1 element unsettled

    Culprits
      file-order AND locale together (file-order keyed -> reversed; locale C.UTF-8 ->
        et_EE.UTF-8)
        content  out/a: sha256:1a2b1a2b1a2b… (120 bytes) -> sha256:9f8e9f8e9f8e… (120 bytes)
        proof: differs in trial 1 (file-order, locale); same in trials 0 (nothing varied), 2
          (file-order), 3 (locale)

      either of hostname OR time (each alone is enough) (hostname reprobe -> other; time t0 ->
        soon)
        content  out/b: sha256:1a2b1a2b1a2b… (120 bytes) -> sha256:9f8e9f8e9f8e… (120 bytes)
        proof of hostname: differs in trial 4 (hostname); same in trial 0 (nothing varied)
        proof of time: differs in trial 5 (time=soon); same in trial 0 (nothing varied)

    Unsettled: differs, and no culprit could be proven
      content  out/c: sha256:1a2b1a2b1a2b… (120 bytes) -> sha256:9f8e9f8e9f8e… (120 bytes) –
               the limit of 60 builds was reached

    Intermediate files differ as well; they do not decide (-o '**' judges all)
      content  x.o: sha256:1a2b1a2b1a2b… (120 bytes) -> sha256:9f8e9f8e9f8e… (120 bytes) –
               because of time

    Other variations
      breaks the build  shell

    Notes
      - trial 9 failed under shell (other); the end of its log:
          conf: 12: Bad substitution
          make: *** [conf] Error 2

    7 trials (1 control, 1 search, 5 certificates); trial 9 failed; 13.4 s; seed
      17446744073709551615; as an ordinary user
    "#);
}

#[test]
fn what_each_of_several_culprits_changes_stands_in_a_line_of_its_own() {
    let mut findings = intricate();
    let several = |finding: &&mut Finding| finding.culprits.len() > 1;
    let one = findings.findings.iter_mut().find(several).unwrap();
    one.evidence = Some("hostname: \"a\" -> \"b\"\ntime: .rodata: \"1\" -> \"2\"".into());
    let page = plain(&findings);
    let from = page.find("    content  out/b:").unwrap();
    insta::assert_snapshot!(page[from..].lines().take(3).collect::<Vec<_>>().join("\n"), @r#"
    content  out/b:
             hostname: "a" -> "b"
             time: .rodata: "1" -> "2"
    "#);
}

#[test]
fn a_build_that_fails_shows_the_end_of_its_log() {
    insta::assert_snapshot!(plain(&inconclusive()), @r#"
    COULD NOT DECIDE: the build fails with nothing varied: exit code 101

    Notes
      - the end of the build's log:
          error: failed to get `itoa`
            Could not resolve host: crates.registry
      - no build reaches the network unless --network is given; --prepare 'cargo fetch'
        downloads once, before

    Build     make dist
    Source    /home/ada/hello
    Judged    *.tar.gz *.zip (from --output)
    Dates     SOURCE_DATE_EPOCH was 1700000000; the clock was running as usual

    1 trial (1 control); trial 0 failed; 2.15 s; seed 17446744073709551615; as an ordinary
      user
    "#);
}

#[test]
fn two_thousand_members_take_one_line() {
    let mut findings = sdist();
    findings.findings = (0..2000)
        .map(|index| {
            let element = format!("dist/six-1.16.0.tar.gz!/six-1.16.0.tar!/f{index:04}");
            let [before, after] = [1000 + index, 2000 + index].map(|time| time.to_string());
            let finding = finding(&element, "tar.mtime", [&before, &after]);
            certified(finding, &[(&["source-mtime"], &[3], &[0])])
        })
        .collect();
    let page = plain(&findings);
    assert!(page.lines().count() < 40, "{page}");
    assert!(
        page.contains("each by +1000, e.g. f0000: 1000 (1970-01-01 00:16:40) ->"),
        "{page}"
    );
}

/// What is said of causes where these are the findings.
fn causes(all: &[Finding]) -> Vec<String> {
    let mut findings = sdist();
    findings.findings = all.to_vec();
    let page = plain(&findings);
    let lines = page.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("cause"));
    lines.map(str::to_owned).collect()
}

fn caused(element: &str, field: &str, because: &[(&str, &str)]) -> Finding {
    let sets: Vec<[&str; 1]> = because.iter().map(|(name, _)| [*name]).collect();
    let sets: Vec<(&[&str], &[u32], &[u32])> = sets
        .iter()
        .map(|set| (set.as_slice(), [3].as_slice(), [0].as_slice()))
        .collect();
    let mut finding = certified(finding(element, field, ["1", "2"]), &sets);
    for (culprit, (_, words)) in finding.culprits.iter_mut().zip(because) {
        culprit.cause = (!words.is_empty()).then(|| Cause {
            words: (*words).to_owned(),
            processes: Vec::new(),
        });
    }
    finding
}

#[test]
fn a_cause_says_of_what_it_is_one_unless_of_everything() {
    let one = [("randomness", "`one` does it")];
    let two = [("randomness", "`two` does it")];
    let of = |name: &str, cause| caused(name, "content", cause);
    assert!(causes(&[of("a", &[("randomness", "")])]).is_empty());
    assert_eq!(
        causes(&[of("a", &one), of("b", &one)]),
        ["cause: `one` does it"]
    );
    assert_eq!(
        causes(&[of("a", &one), of("b", &two), of("c", &one)]),
        [
            "cause of a and c: `one` does it",
            "cause of b: `two` does it"
        ]
    );
    assert_eq!(
        causes(&[
            caused("a", "gzip.mtime", &one),
            caused("a", "tar.mtime", &two)
        ]),
        [
            "cause of gzip.mtime: `one` does it",
            "cause of tar.mtime: `two` does it"
        ]
    );
    assert_eq!(
        causes(&[of("a!/1", &one), of("a!/2", &two), of("a!/3", &one)]),
        [
            "cause of a!/1 and 1 more element: `one` does it",
            "cause of a!/2: `two` does it"
        ]
    );
}

#[test]
fn of_several_variations_it_is_said_which_one_a_cause_belongs_to_and_each_cause_once() {
    let words =
        "`date`, called by `make`, reads the clock (trial 9 varied it for that process alone)";
    assert_eq!(
        causes(&[
            caused("a", "content", &[("time", words)]),
            caused("b", "content", &[("time", words), ("timezone", "")]),
        ]),
        [
            "cause: `date`, called by `make`, reads the clock (trial 9 varied it for that process",
            "cause (time): as above, `date`"
        ]
    );
}

#[test]
fn what_is_equal_in_several_places_is_told_once() {
    let mut findings = sdist();
    let places = [
        "d",
        "a.tar!/d",
        "b.zip!/d",
        "c.cpio!/d",
        "e.tar!/d",
        "f.tar!/d",
    ];
    let umask = [("umask", "")];
    findings.findings = places
        .map(|place| caused(place, "content", &umask))
        .to_vec();
    for place in ["a.tar!/d", "b.tar!/d"] {
        findings.findings.push(caused(place, "tar.mode", &umask));
    }
    let page = plain(&findings);
    let from = page.find("    content").unwrap();
    insta::assert_snapshot!(page[from..].lines().take(3).collect::<Vec<_>>().join("\n"), @"
    content   d (also in a.tar, b.zip, c.cpio and 2 more): 1 -> 2
    in a.tar and b.tar
      tar.mode  d: 1 -> 2
    ");
}

#[test]
fn advice_stands_in_the_order_of_the_variations() {
    let mut findings = sdist();
    let mut one = caused("a", "content", &[("user", ""), ("locale", "")]);
    let remedy = |(name, text): (&str, &str)| Remedy {
        variation: Some(name.to_owned()),
        text: text.to_owned(),
        verified: false,
        attempt: None,
    };
    one.remedies = [("user", "a"), ("umask", "c"), ("locale", "b")]
        .map(remedy)
        .to_vec();
    findings.findings = vec![one];
    let page = plain(&findings);
    let places = ["  locale: b", "  umask: c", "  user: a"].map(|line| page.find(line).unwrap());
    assert!(places.is_sorted(), "{page}");
}

#[test]
fn no_line_of_words_exceeds_the_width() {
    for findings in [reproducible(), sdist(), intricate(), inconclusive()] {
        let page = render(
            &findings,
            Layout {
                width: 60,
                colour: false,
            },
        );
        for line in page.lines() {
            assert!(
                line.chars().count() <= 60 || !line.trim().contains(' '),
                "{line:?}"
            );
        }
    }
}

#[test]
fn the_same_findings_give_the_same_bytes() {
    assert_eq!(plain(&sdist()), plain(&sdist()));
}
