//! `reprobe diff` on what real tools make: what differs, how it is said, and the exit code.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail loudly, in its helpers as well"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use reprobe::snapshot::walk::sorted_entries;
use serde_json::Value;
use tempfile::TempDir;

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn reprobe(directory: &Path, words: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_reprobe"))
        .arg("diff")
        .args(words)
        .current_dir(directory)
        .env_remove("CLICOLOR_FORCE")
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    #[track_caller]
    fn expect(self, code: i32, said: &[&str]) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in said {
            assert!(words.contains(said), "{said:?} is not in:\n{all}");
        }
        self
    }
}

/// What the JSON says, checked against the shipped schema.
#[track_caller]
fn json(directory: &Path, first: &str, second: &str) -> Value {
    let ran = reprobe(directory, &["--json", "-", first, second]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let schema = include_str!("../schema/differences-1.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = schema
        .iter_errors(&found)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    found
}

/// Runs a shell line in a new directory; nothing where it lacks a program.
fn made(programs: &[&str], line: &str) -> Option<TempDir> {
    for program in programs {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .unwrap();
        if !found.status.success() {
            let required = std::env::var_os("REPROBE_REQUIRE").is_some();
            assert!(!required, "{program} is missing");
            eprintln!("skipped: {program} is missing");
            return None;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let ran = Command::new("sh")
        .args(["-ec", line])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Some(directory)
}

fn fields(found: &Value) -> Vec<String> {
    let all = found["differences"].as_array().unwrap().iter();
    let mut fields: Vec<String> = all
        .map(|found| found["field"].as_str().unwrap().to_owned())
        .collect();
    fields.dedup();
    fields
}

#[test]
fn files_that_are_the_same_are_identical_however_they_are_reached() {
    let directory = made(&[], "echo one >a; cp a b; ln -s b c; mkdir d; cp a d/a").unwrap();
    reprobe(directory.path(), &["a", "b"]).expect(0, &["IDENTICAL: byte for byte"]);
    reprobe(directory.path(), &["a", "c"]).expect(0, &["IDENTICAL"]);
    reprobe(directory.path(), &["d", "d"]).expect(0, &["IDENTICAL: 1 file, byte for byte"]);
    let found = json(directory.path(), "a", "b");
    assert_eq!(
        (&found["verdict"], &found["files"]),
        (&"identical".into(), &1.into())
    );
}

#[test]
fn devices_with_other_numbers_differ() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make devices");
        return;
    }
    let line = "mkdir a b; mknod a/n c 1 3; mknod b/n c 1 5; mknod a/s c 1 7; mknod b/s c 1 7";
    let directory = made(&[], line).unwrap();
    let ran = reprobe(directory.path(), &["a", "b"]);
    ran.expect(1, &["DIFFERENT: 1 of 2 files (device)", "n: 1:3 -> 1:5"]);
    assert_eq!(fields(&json(directory.path(), "a", "b")), ["device"]);
}

#[test]
fn of_two_tarballs_with_other_times_one_line_says_it_all() {
    let line = "mkdir t; for n in $(seq 300); do echo $n >t/$n; done
        touch -d @1600000000 t/*; tar cf a.tar t; touch -d @1600001000 t/*; tar cf b.tar t
        gzip -n a.tar b.tar";
    let directory = made(&["tar", "gzip"], line).unwrap();
    let ran = reprobe(directory.path(), &["a.tar.gz", "b.tar.gz"]).expect(
        1,
        &[
            "EQUAL WHEN NORMALISED: what is inside is the same; only tar.mtime differs, which tar-time removes",
            "tar.mtime 300 of 301 members: 1600000000 (2020-09-13 12:26:40) -> 1600001000",
            "likely time or source-mtime",
            "reprobe check --only source-mtime,time",
        ],
    );
    assert!(ran.out.lines().count() < 20, "{}", ran.out);
    let found = json(directory.path(), "a.tar.gz", "b.tar.gz");
    assert_eq!(found["differences"].as_array().unwrap().len(), 300);
    assert_eq!(found["passes"], serde_json::json!(["tar-time"]));
    assert_eq!(found["members"]["a.tar.gz!/a.tar"], 301);
    assert_eq!(found["first"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_header_of_gzip_alone_hides_no_other_bytes() {
    let line = "echo text >x; gzip -c x >a.gz; touch -d @1 x; gzip -c x >b.gz; gzip -nc x >c.gz
        printf more | cat b.gz - >d.gz; gzip -9nc x >e.gz; cp c.gz f.gz; printf '\\0' >>f.gz";
    let directory = made(&["gzip"], line).unwrap();
    let only = "only gzip.mtime differs, which gzip-time removes";
    reprobe(directory.path(), &["a.gz", "b.gz"]).expect(1, &["EQUAL WHEN NORMALISED", only]);
    // What stands behind the last member was not understood.
    let ran = reprobe(directory.path(), &["a.gz", "d.gz"]);
    ran.expect(1, &["DIFFERENT:", "(second): bytes after the last member"]);
    reprobe(directory.path(), &["c.gz", "e.gz"])
        .expect(1, &["EQUAL WHEN NORMALISED", "gzip-header"]);
    assert_ne!(
        json(directory.path(), "c.gz", "f.gz")["verdict"],
        "identical"
    );
}

#[test]
fn the_same_bytes_compressed_otherwise_are_equal_when_compressed_anew() {
    let line = "seq 20000 >x; xz -kc -0 x >a.xz; xz -kc -9 x >b.xz; seq 20001 | xz >c.xz";
    let Some(directory) = made(&["xz"], line) else {
        return;
    };
    let said = "only the compressed form differs, which xz-compression removes";
    reprobe(directory.path(), &["a.xz", "b.xz"]).expect(1, &[said]);
    let ran = reprobe(directory.path(), &["a.xz", "c.xz"]);
    ran.expect(
        1,
        &[
            "DIFFERENT: 1 element (content)",
            "a.xz!/a",
            "line 20001: + 20001",
        ],
    );
}

#[test]
fn modes_that_change_what_can_be_run_are_content() {
    let line = "mkdir t; echo x >t/x; touch -d @1 t t/x; chmod 755 t
        chmod 644 t/x; tar cf a.tar t; chmod 600 t/x; tar cf b.tar t; chmod 755 t/x; tar cf c.tar t";
    let directory = made(&["tar"], line).unwrap();
    let ran = reprobe(directory.path(), &["a.tar", "b.tar"]);
    ran.expect(
        1,
        &[
            "EQUAL WHEN NORMALISED",
            "tar-mode",
            "likely umask or source-mode",
        ],
    );
    reprobe(directory.path(), &["a.tar", "c.tar"]).expect(1, &["DIFFERENT: 1 element (tar.mode)"]);
}

/// Normalizing is the proof: what is refused is not called equal.
#[test]
fn what_cannot_be_normalised_is_not_called_equal() {
    let line = "echo a >a; echo b >b; touch -d @1 a b; tar cf 1.tar a b
        tar cf 2.tar a; tar rf 2.tar --owner=somebody:77 b";
    let directory = made(&["tar"], line).unwrap();
    let said = [
        "DIFFERENT: ",
        "`reprobe normalize` does not make them one: 1.tar (second): ",
        "b has another owner than the first",
    ];
    reprobe(directory.path(), &["1.tar", "2.tar"]).expect(1, &said);
    let found = json(directory.path(), "1.tar", "2.tar");
    assert_eq!(found["passes"], serde_json::json!([]));
    let why = found["not_normalised"].as_str().unwrap();
    assert!(why.contains("--class"), "{why}");
}

#[test]
fn another_order_is_likely_a_directorys() {
    let line = "for n in a b c; do echo $n >$n; touch -d @1 $n; done; tar cf 1.tar a b c; tar cf 2.tar c b a";
    let directory = made(&["tar"], line).unwrap();
    let said = [
        "EQUAL WHEN NORMALISED",
        "tar-order removes",
        "likely file-order",
    ];
    reprobe(directory.path(), &["1.tar", "2.tar"]).expect(1, &said);
}

#[test]
fn of_a_program_the_path_in_it_is_shown_and_named_as_the_likely_cause() {
    let line =
        "printf '#include <assert.h>\\nint main(int c, char **v) { assert(c); return !v; }\\n' >x.c
        for n in one second; do mkdir $n; cp x.c $n; (cd $n; gcc -g -O1 -o x \"$PWD/x.c\"); done";
    let Some(directory) = made(&["gcc"], line) else {
        return;
    };
    let ran = reprobe(directory.path(), &["one/x", "second/x"]).expect(
        1,
        &[
            "x likely build-path (absolute paths)",
            ".rodata",
            "/one/x.c\" -> \"",
            "/second/x.c\"",
        ],
    );
    assert!(ran.out.lines().count() < 30, "{}", ran.out);
    let found = json(directory.path(), "one/x", "second/x");
    let evidence = &found["differences"][0]["evidence"];
    assert_eq!(evidence["kind"], "sections");
    let names: Vec<&str> = evidence["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| section["name"].as_str().unwrap())
        .collect();
    // Paths of other lengths move what follows.
    assert!(
        names.contains(&".rodata") && names.contains(&"outside of sections"),
        "{names:?}"
    );
}

#[test]
fn compressed_sections_of_a_program_are_unpacked() {
    let line = "printf 'int main(void) { return 0; }\\n' >x.c
        for n in one second; do mkdir $n; cp x.c $n; (cd $n; gcc -gz=zlib -g -c -o x \"$PWD/x.c\"); done
        objcopy --compress-debug-sections=zlib-gabi one/x zlib
        objcopy --decompress-debug-sections one/x plain";
    let Some(directory) = made(&["gcc", "objcopy"], line) else {
        return;
    };
    let ran = reprobe(directory.path(), &["one/x", "second/x"]);
    ran.expect(1, &["likely build-path", "/one", "-> \"", "/second"]);
    reprobe(directory.path(), &["one/x", "plain"]).expect(1, &["(compressed otherwise)"]);
}

#[test]
fn of_a_jar_the_class_and_the_dates_are_told_apart() {
    let line = "printf 'class A { String s = \"one\"; }\\n' >A.java; javac A.java; touch -d @1600000000 A.class
        jar --create --file a.jar --date=2020-01-01T10:00:00Z A.class
        jar --create --file b.jar --date=2020-01-01T15:30:00Z A.class
        printf 'class A { String s = \"other\"; }\\n' >A.java; javac A.java
        jar --create --file c.jar --date=2020-01-01T10:00:00Z A.class";
    let Some(directory) = made(&["javac", "jar"], line) else {
        return;
    };
    let said = [
        "only zip.date differs, which zip-time removes",
        "likely timezone",
    ];
    reprobe(directory.path(), &["a.jar", "b.jar"]).expect(1, &said);
    let found = json(directory.path(), "a.jar", "c.jar");
    assert_eq!(fields(&found), ["content"]);
    assert_eq!(found["differences"][0]["element"], "a.jar!/A.class");
}

#[test]
fn in_a_package_the_members_of_its_archives_are_named() {
    let line = "for n in 1 2; do
        mkdir -p p/DEBIAN p/usr/share/x; echo \"in /build/$n/src\" >p/usr/share/x/README
        printf 'Package: x\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b.c>\\nDescription: x\\n' >p/DEBIAN/control
        find p -exec touch -d @1 {} +; chmod -R u+rwX,go+rX,go-w p
        SOURCE_DATE_EPOCH=1 dpkg-deb --root-owner-group -b p $n.deb; done >&2";
    let Some(directory) = made(&["dpkg-deb"], line) else {
        return;
    };
    let said = [
        "DIFFERENT: 1 element (content)",
        "1.deb!/data.tar",
        "!/./usr/share/x/README likely build-path",
        "line 1: \"in /build/1/src\" -> \"in /build/2/src\"",
    ];
    reprobe(directory.path(), &["1.deb", "2.deb"]).expect(1, &said);
}

#[test]
fn directories_are_compared_by_name_and_only_what_differs_is_looked_into() {
    let line = "mkdir -p one/d two/d; for t in one two; do echo same >$t/d/same; echo $t >$t/d/text; done
        echo x >one/gone; echo x >two/new; ln -s /a one/link; ln -s /b two/link; mkdir one/kind; echo >two/kind";
    let directory = made(&[], line).unwrap();
    let ran = reprobe(directory.path(), &["one", "two"]);
    ran.expect(
        1,
        &[
            "DIFFERENT: 5 of 6 files",
            "link-target",
            "line 1: \"one\" -> \"two\"",
            "presence",
        ],
    );
    let found = json(directory.path(), "one", "two");
    assert_eq!(found["identical"], 1);
    let of = |element: &str| {
        let mut all = found["differences"].as_array().unwrap().iter();
        let found = all.find(|found| found["element"] == element).unwrap();
        found["values"].clone()
    };
    assert_eq!(of("gone")["second"], Value::Null);
    assert_eq!(of("new")["first"], Value::Null);
    assert_eq!(of("link")["second"], "/b");
}

#[test]
fn a_link_to_a_directory_is_a_link_and_not_walked_into() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["one/d", "two", "far"] {
        fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    fs::write(directory.path().join("far/secret"), "x").unwrap();
    symlink("../far", directory.path().join("two/d")).unwrap();
    let found = json(directory.path(), "one", "two");
    let text = found.to_string();
    assert!(
        text.contains("symlink") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn modes_of_the_files_themselves_count_only_where_they_are_asked_for() {
    let directory = made(
        &[],
        "mkdir one two; echo x >one/x; echo x >two/x; chmod 600 two/x; chmod 644 one/x",
    )
    .unwrap();
    reprobe(directory.path(), &["one", "two"]).expect(0, &["IDENTICAL"]);
    let ran = reprobe(directory.path(), &["--metadata", "one", "two"]);
    ran.expect(1, &["mode x: 0644 -> 0600", "likely umask"]);
}

#[test]
fn what_cannot_be_compared_is_named_with_the_way_out() {
    let directory = made(&[], "mkdir d; echo x >x; mkfifo f").unwrap();
    let wrong = |words: &[&str], said: &str| {
        reprobe(directory.path(), words).expect(2, &[said]);
    };
    wrong(&["x"], "<SECOND>");
    wrong(&["x", "none"], "none: No such file");
    wrong(
        &["x", "d"],
        "x is a file and d is a directory; name two of a kind",
    );
    wrong(&["x", "f"], "f: neither a file nor a directory");
    wrong(&["--json", "no/f.json", "x", "x"], "--json no/f.json");
}

#[test]
fn what_cannot_be_read_is_said_and_is_not_called_identical() {
    let directory = made(
        &[],
        "mkdir -p one/d two/d; echo 1 >one/d/x; echo 1 >two/d/x; chmod 0 two/d",
    )
    .unwrap();
    let two = directory.path().join("two/d");
    // Root may read everything.
    if sorted_entries(&two).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let ran = reprobe(directory.path(), &["one", "two"]);
    // Or nobody could remove it.
    fs::set_permissions(&two, fs::Permissions::from_mode(0o755)).unwrap();
    ran.expect(
        2,
        &[
            "COULD NOT DECIDE",
            "d (second): cannot list the directory: Permission denied",
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_not_called_different() {
    let line = "mkdir one two; echo 1 >one/x; echo 2 >two/x; chmod 0 two/x";
    let directory = made(&[], line).unwrap();
    if fs::read(directory.path().join("two/x")).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let said = [
        "COULD NOT DECIDE",
        "x (second): cannot read: Permission denied",
    ];
    reprobe(directory.path(), &["one", "two"]).expect(2, &said);
    reprobe(directory.path(), &["one/x", "two/x"]).expect(2, &said);
    fs::write(directory.path().join("two/y"), "").unwrap();
    let said = [
        "DIFFERENT: 1 of 2 files (presence)",
        "x (second): cannot read",
    ];
    reprobe(directory.path(), &["one", "two"]).expect(1, &said);
}

#[test]
fn two_large_binaries_are_compared_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let mut seed = 1_u32;
    let mut bytes: Vec<u8> = (0..4 << 20)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        })
        .collect();
    fs::write(directory.path().join("a"), &bytes).unwrap();
    for at in 0..10 {
        bytes[at * 400_000 + 7] ^= 1;
    }
    fs::write(directory.path().join("b"), &bytes).unwrap();
    let said = ["10 bytes in 10 ranges", "0x61a87:", "… and 4 ranges more"];
    reprobe(directory.path(), &["a", "b"]).expect(1, &said);
    // Something was put in: what follows has moved, and is the same.
    bytes.splice(1 << 20..1 << 20, *b"put in");
    fs::write(directory.path().join("c"), &bytes).unwrap();
    let found = json(directory.path(), "b", "c");
    let ranges = &found["differences"][0]["evidence"]["ranges"];
    assert_eq!(ranges.as_array().unwrap().len(), 1, "{ranges}");
    assert_eq!(ranges[0]["length"]["second"], 6);
}

#[test]
fn broken_archives_are_compared_as_far_as_they_go_and_as_a_whole() {
    let line =
        "mkdir t; for n in $(seq 20); do seq $n 500 | md5sum >t/$n; seq $n 900 | sha512sum >t/s$n; done; tar cf a.tar t; gzip -nk a.tar
        head -c 1000 a.tar.gz >cut.tar.gz; cp a.tar.gz flip.tar.gz
        printf '\\377\\377' | dd of=flip.tar.gz bs=1 seek=1200 conv=notrunc";
    let directory = made(&["tar", "gzip"], line).unwrap();
    for broken in ["cut.tar.gz", "flip.tar.gz"] {
        let ran = reprobe(directory.path(), &["a.tar.gz", broken]);
        ran.expect(1, &["DIFFERENT:", "Not read in full", "(second):"]);
    }
}

/// The fields that differ in two files of one name that a shell line makes, with a likely variation.
#[track_caller]
fn named(programs: &[&str], line: &str, expected: &[(&str, Option<&str>)]) {
    let Some(directory) = made(programs, line) else {
        return;
    };
    let found = json(directory.path(), "one", "two");
    let said: Vec<(&str, Option<&str>)> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            (
                found["field"].as_str().unwrap(),
                found["likely"][0]["variation"].as_str(),
            )
        })
        .collect();
    assert_eq!(said, expected, "{found:#}");
}

#[test]
fn byte_code_of_python_holds_the_time_of_its_source() {
    let compile = "python3 -c \"import py_compile as p, sys
p.compile('x.py', sys.argv[1], invalidation_mode=p.PycInvalidationMode.TIMESTAMP)\"";
    let line = |second: &str| {
        format!(
            "mkdir one two; echo 'x = 1' >x.py; touch -d @1600000000 x.py; {compile} one/x.pyc
            {second}; touch -d @1700000000 x.py; {compile} two/x.pyc"
        )
    };
    let time = ("pyc.source-mtime", Some("time"));
    named(&["python3"], &line("true"), &[time]);
    // The code differs as well: the time does not explain it.
    named(
        &["python3"],
        &line("echo 'x = 2' >x.py"),
        &[("content", None), time],
    );
}

#[test]
fn catalogues_of_messages_hold_dates() {
    let line = "for n in one two; do mkdir $n; year=20$(echo $n | wc -c)0; [ $n = one ] || year=2021
        printf 'msgid \"\"\\nmsgstr \"\"\\n\"PO-Revision-Date: %s-01-01 10:00+0000\\\\n\"\\n\"Content-Type: text/plain; charset=UTF-8\\\\n\"\\n\\nmsgid \"a\"\\nmsgstr \"b\"\\n' $year >x.po
        msgfmt -o $n/x.mo x.po; done";
    named(&["msgfmt"], line, &[("mo.PO-Revision-Date", Some("time"))]);
}

#[test]
fn programs_of_windows_hold_the_time_of_linking() {
    let line = "printf '.globl start\\nstart: ret\\n' | as -o x.o; mkdir one two
        ld -m i386pep --insert-timestamp -e start -o one/x.exe x.o; sleep 1.1
        ld -m i386pep --insert-timestamp -e start -o two/x.exe x.o";
    named(
        &["as", "ld"],
        line,
        &[("pe.checksum", None), ("pe.timestamp", Some("time"))],
    );
}

#[test]
fn databases_of_sqlite_count_their_changes() {
    let line = "for n in one two; do mkdir $n; python3 -c \"
import sqlite3
c = sqlite3.connect('$n/x.db')
c.execute('create table t (a)'); c.commit()
for i in range(0 if '$n' == 'one' else 3):
    c.execute('insert into t values (1)'); c.commit(); c.execute('delete from t'); c.commit()
c.execute('vacuum')\"; done";
    named(
        &["python3"],
        line,
        &[
            ("sqlite.change-counter", None),
            ("sqlite.version-valid-for", None),
        ],
    );
}

#[test]
fn images_hold_times_and_texts_in_chunks_of_their_own() {
    let line = "for n in one two; do mkdir $n; python3 -c \"
import struct, zlib
def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
day = 1 if '$n' == 'one' else 2
open('$n/x.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))
    + chunk(b'tIME', struct.pack('>HBBBBB', 2024, 1, day, 0, 0, 0))
    + chunk(b'tEXt', b'Author\\0' + b'$n') + chunk(b'IDAT', zlib.compress(b'\\0\\0')) + chunk(b'IEND', b''))\"; done";
    named(
        &["python3"],
        line,
        &[("png.text.Author", None), ("png.time", Some("time"))],
    );
}

#[test]
fn documents_hold_dates_and_identifiers() {
    let line = "for n in one two; do mkdir $n; day=01; [ $n = one ] || day=02
        printf '%%PDF-1.4\\n1 0 obj\\n<< /CreationDate (D:202401%s000000Z) /ModDate(D:20240101000000Z) >>\\nendobj\\ntrailer\\n<< /Info 1 0 R /ID [<%s> <%s>] >>\\n%%%%EOF\\n' $day aa$day aa$day >$n/x.pdf; done";
    named(
        &[],
        line,
        &[("pdf.CreationDate", Some("time")), ("pdf.ID", None)],
    );
}

#[test]
fn classes_of_java_hold_the_version_that_they_were_compiled_for() {
    let line = "echo 'class A {}' >A.java; for n in 17 11; do mkdir $n
        javac -Xlint:-options --release $n -d $n A.java; done; mv 17 one; mv 11 two";
    named(&["javac"], line, &[("class.version", None)]);
}

#[test]
fn images_of_squashfs_hold_times_of_their_own_and_of_the_files() {
    let made_at = |second: &str, touched: &str, form: &str| {
        format!(
            "mkdir one two t; ln -s a t/l; seq 9 >t/a; mkfifo t/p; seq 90000 >t/b; mkdir t/d
            touch -hd @1600000000 t/* t; make() {{ mksquashfs t $1/x -quiet -no-progress {form} -mkfs-time $2; }}
            make one 1700000000; {touched}; make two {second}"
        )
    };
    let own = ("squashfs.creation-time", Some("time"));
    named(&["mksquashfs"], &made_at("1700000001", "true", ""), &[own]);
    for form in ["", "-comp xz", "-comp zstd", "-noI"] {
        let line = made_at("1700000000", "touch -d @1600000001 t/d", form);
        let files = ("squashfs.inode-times", Some("time"));
        named(&["mksquashfs"], &line, &[("content", None), files]);
    }
}

#[test]
fn images_of_ext_hold_identifiers_times_and_counters() {
    let line = "mkdir one two; truncate -s 1M one/x; mke2fs -q -t ext2 -L old one/x; cp one/x two/x
        tune2fs -L new -U 12345678-1234-1234-1234-123456789012 two/x";
    let fields = [("ext.label", None), ("ext.uuid", None)];
    named(&["mke2fs", "tune2fs"], line, &fields);
    let line = "for n in one two; do mkdir $n; truncate -s 1M $n/x; mke2fs -q -t ext4 $n/x; sleep 1.1; done";
    let Some(directory) = made(&["mke2fs"], line) else {
        return;
    };
    let ran = reprobe(directory.path(), &["one/x", "two/x"]);
    let said = [
        "ext.creation-time",
        "likely time",
        "ext.uuid",
        "ext.hash-seed",
        "content",
    ];
    ran.expect(1, &said);
}

#[test]
fn images_of_fat_hold_an_identifier_and_a_label() {
    for bits in ["12", "16", "32"] {
        let line = format!(
            "for n in one two; do mkdir $n; truncate -s 34M $n/x; done
            mkfs.fat -F{bits} -i 00000001 one/x; mkfs.fat -F{bits} -i 00000002 two/x"
        );
        let Some(directory) = made(&["mkfs.fat"], &line) else {
            return;
        };
        let ran = reprobe(directory.path(), &["one/x", "two/x"]);
        ran.expect(1, &["fat.volume-id", "01000000 -> 02000000"]);
    }
}

#[test]
fn images_of_iso_9660_hold_times_and_texts() {
    let line = "mkdir one two t; seq 9 >t/a; touch -d @1600000000 t/a t
        genisoimage -quiet -J -V OLD -o one/x t; sleep 1.1; genisoimage -quiet -J -V NEW -o two/x t";
    let Some(directory) = made(&["genisoimage"], line) else {
        return;
    };
    let ran = reprobe(directory.path(), &["one/x", "two/x"]);
    let said = [
        "iso.volume",
        "OLD -> NEW",
        "iso.creation",
        "iso.joliet.creation",
        "likely time",
    ];
    ran.expect(1, &said);
}

#[test]
fn times_of_access_and_modes_of_parts_of_a_deb_are_packing() {
    let line = "mkdir d one two; seq 5 >d/a
        for n in one two; do touch -a -d @$(date +%s) d/a; tar --format=posix -czf $n/x.tar.gz d; chmod 644 d/a; sleep 1.1; touch d/a; done";
    if let Some(directory) = made(&["tar"], line) {
        let ran = reprobe(directory.path(), &["one/x.tar.gz", "two/x.tar.gz"]);
        ran.expect(1, &["EQUAL WHEN NORMALISED", "tar.pax.ctime"]);
    }
    let line = "mkdir one two d; echo 2.0 >debian-binary; tar -czf control.tar.gz d; cp control.tar.gz data.tar.gz
        ar rc one/x.deb debian-binary control.tar.gz data.tar.gz; chmod 755 *.gz
        ar rcU two/x.deb debian-binary control.tar.gz data.tar.gz";
    if let Some(directory) = made(&["ar", "tar"], line) {
        let ran = reprobe(directory.path(), &["one/x.deb", "two/x.deb"]);
        ran.expect(1, &["EQUAL WHEN NORMALISED", "ar.mode"]);
    }
}

#[test]
fn what_no_mask_takes_away_is_not_laid_on_one() {
    let line =
        "mkdir d; seq 5 >d/a; chmod 4755 d/a; tar -cf a.tar d; chmod 755 d/a; tar -cf b.tar d";
    let directory = made(&["tar"], line).unwrap();
    let found = json(directory.path(), "a.tar", "b.tar");
    let differences = found["differences"].as_array().unwrap();
    let mode = differences
        .iter()
        .find(|found| found["field"] == "tar.mode");
    assert_eq!(mode.unwrap()["likely"], serde_json::json!([]), "{found:#}");
}
