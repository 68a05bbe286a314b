//! What the readers of formats find in archives that the ordinary programs write, against what
//! those programs were told to write.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says why it fails, and why it skips"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use reprobe::formats::{self, Examined};
use reprobe::model::Value;

/// Runs a shell line in `directory`; false, with a line on why, where a program is missing.
fn run(directory: &Path, needs: &[&str], line: &str) -> bool {
    for program in needs {
        let found = Command::new("sh")
            .args(["-c", "command -v -- \"$0\" >/dev/null", program])
            .status()
            .unwrap();
        if !found.success() {
            let required = std::env::var_os("REPROBE_REQUIRE").is_some();
            assert!(!required, "{program} is not installed");
            println!("skipped: {program} is not installed");
            return false;
        }
    }
    let output = Command::new("sh")
        .args(["-ec", line])
        .current_dir(directory)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    true
}

fn examine(directory: &Path, name: &str) -> Examined {
    let mut file = std::fs::File::open(directory.join(name)).unwrap();
    formats::examine(name, &mut file)
}

/// The texts of all elements, by `path field`.
fn texts(examined: &Examined) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for item in examined.elements.iter() {
        let text = match item.value {
            Value::Text(text) => text.clone(),
            Value::Order(names) => names.join(" "),
            Value::Digest { size, .. } => format!("{size} bytes"),
        };
        texts.insert(format!("{} {}", item.path, item.field), text);
    }
    texts
}

/// A tree with names and times worth storing.
const TREE: &str = "mkdir -p t/d t/empty; printf hello >t/d/a; printf '' >t/none
    n=$(printf 'n%.0s' $(seq 60)); mkdir t/$n; printf x >t/$n/$n; ln -s d/a t/link; ln t/d/a t/hard; chmod 750 t/d
    chmod 640 t/d/a; find t -exec touch -h -d @1690001000.25 {} +";

#[test]
fn every_format_of_gnu_tar_gives_the_same_fields() {
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        let directory = tempfile::tempdir().unwrap();
        let line = format!(
            "{TREE}; [ {format} != v7 ] || rm -r t/nnn*
            tar --format={format} --sort=name --owner=me:1234 --group=us:4321 -cf x.tar t"
        );
        if !run(directory.path(), &["tar"], &line) {
            return;
        }
        let examined = examine(directory.path(), "x.tar");
        assert_eq!(examined.problems, [], "{format}");
        let texts = texts(&examined);
        let field = |name: &str| texts.get(name).map(String::as_str);
        let mtime = if format == "posix" {
            "1690001000.25"
        } else {
            "1690001000"
        };
        for (name, expected) in [
            ("t/d/a tar.mtime", mtime),
            ("t/d/a tar.mode", "0640"),
            ("t/d/a tar.uid", "1234"),
            ("t/d/a tar.gid", "4321"),
            ("t/d/a content", "5 bytes"),
            ("t/d/ tar.type", "directory"),
            ("t/hard tar.link-target", "t/d/a"),
            ("t/link tar.link-target", "d/a"),
        ] {
            assert_eq!(
                field(&format!("x.tar!/{name}")),
                Some(expected),
                "{format} {name}"
            );
        }
        if format == "v7" {
            assert_eq!(field("x.tar tar.format"), Some("v7"));
            continue;
        }
        assert_eq!(field("x.tar!/t/d/a tar.gname"), Some("us"), "{format}");
        let n = "n".repeat(60);
        let long = format!("x.tar!/t/{n}/{n} content");
        assert_eq!(field(&long), Some("1 bytes"), "{format}");
    }
}

#[test]
fn fields_stand_at_the_offsets_that_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("{TREE}; tar --format=posix --owner=me:1234 --sort=name -cf x.tar t");
    if !run(directory.path(), &["tar"], &line) {
        return;
    }
    let bytes = std::fs::read(directory.path().join("x.tar")).unwrap();
    let mut checked = 0;
    for item in examine(directory.path(), "x.tar").elements.iter() {
        let (Some(at), Value::Text(text)) = (item.offset, item.value) else {
            continue;
        };
        let at = usize::try_from(at).unwrap();
        let expected = match item.field.as_str() {
            "tar.mtime" | "tar.uname" | "tar.pax.atime" => text.clone(),
            "tar.mode" => format!("{text:0>7}\0"),
            "tar.uid" => format!("{:07o}\0", text.parse::<u32>().unwrap()),
            _ => continue,
        };
        let found = bytes[at..].starts_with(expected.as_bytes());
        assert!(found, "{item:?} is not at {at}");
        checked += 1;
    }
    assert!(checked > 20, "only {checked} fields were looked at");
}

#[test]
fn sparse_members_are_read_past() {
    for format in ["gnu", "posix"] {
        let directory = tempfile::tempdir().unwrap();
        let line = format!(
            "truncate -s 9M s; for at in 1 2 3 4 5 6 7 8; do
                printf x | dd of=s bs=1M seek=$at conv=notrunc 2>&1
            done; printf after >z; tar --format={format} -Scf x.tar s z"
        );
        if !run(directory.path(), &["tar"], &line) {
            return;
        }
        let examined = examine(directory.path(), "x.tar");
        assert_eq!(examined.problems, [], "{format}");
        let texts = texts(&examined);
        assert_eq!(texts["x.tar tar.order"], "s z", "{format}");
        assert_eq!(texts["x.tar!/z content"], "5 bytes", "{format}");
    }
}

#[test]
fn archives_are_read_through_every_layer() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!(
        "{TREE}; tar --sort=name -cf inner.tar t; gzip -k inner.tar; touch -d @1500000000 inner.tar
        gzip -kN inner.tar -c >again.tgz; zip -q x.zip inner.tar.gz; tar czf x.tar.gz x.zip"
    );
    if !run(directory.path(), &["tar", "gzip", "zip"], &line) {
        return;
    }
    let examined = examine(directory.path(), "x.tar.gz");
    assert_eq!(examined.problems, []);
    let path = "x.tar.gz!/x.tar!/x.zip!/inner.tar.gz!/inner.tar!/t/d/a";
    assert_eq!(texts(&examined)[&format!("{path} content")], "5 bytes");
    let texts = texts(&examine(directory.path(), "again.tgz"));
    assert_eq!(texts["again.tgz gzip.mtime"], "1500000000");
    assert_eq!(texts["again.tgz gzip.name"], "inner.tar");
    assert!(texts.contains_key("again.tgz!/again.tar!/t/d/a content"));
}

#[test]
fn concatenated_gzip_members_are_one_payload() {
    let directory = tempfile::tempdir().unwrap();
    let line = "printf one | gzip -n >x.gz; printf two | gzip -n >>x.gz";
    if !run(directory.path(), &["gzip"], line) {
        return;
    }
    let examined = examine(directory.path(), "x.gz");
    assert_eq!(examined.problems, []);
    let texts = texts(&examined);
    assert_eq!(texts["x.gz!/x content"], "6 bytes");
    assert_eq!(texts["x.gz gzip.os#2"], "3");
}

#[test]
fn info_zip_archives_have_times_owners_and_modes() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("{TREE}; find t | sort | zip -q -y -@ x.zip; printf c | zip -z x.zip");
    if !run(directory.path(), &["zip"], &line) {
        return;
    }
    let examined = examine(directory.path(), "x.zip");
    assert_eq!(examined.problems, []);
    let texts = texts(&examined);
    for (name, expected) in [
        ("!/t/d/a zip.date", "2023-07-22 04:43:20"),
        ("!/t/d/a zip.extra.UT.mtime", "1690001000"),
        ("!/t/d/a zip.attributes", "100640"),
        ("!/t/d/a zip.create-system", "3"),
        ("!/t/d/a content", "5 bytes"),
        ("!/t/link content", "3 bytes"),
        (" zip.archive-comment", "c"),
    ] {
        assert_eq!(texts[&format!("x.zip{name}")], expected, "{name}");
    }
    assert!(texts.contains_key("x.zip!/t/d/a zip.extra.ux.uid"));
}

#[test]
fn zip_written_to_a_pipe_has_its_sizes_behind_the_content() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("{TREE}; seq 9999 | zip -q x.zip -; zip -qr - t | cat >y.zip");
    if !run(directory.path(), &["zip"], &line) {
        return;
    }
    for (name, member, size) in [("x.zip", "-", 48_888), ("y.zip", "t/d/a", 5)] {
        let examined = examine(directory.path(), name);
        assert_eq!(examined.problems, [], "{name}");
        let content = format!("{name}!/{member} content");
        assert_eq!(texts(&examined)[&content], format!("{size} bytes"));
    }
}

#[test]
fn encrypted_members_are_opaque() {
    let directory = tempfile::tempdir().unwrap();
    let line = "printf a >a; printf b >b; zip -q -P secret x.zip a; zip -q x.zip b";
    if !run(directory.path(), &["zip"], line) {
        return;
    }
    let examined = examine(directory.path(), "x.zip");
    assert!(
        examined.problems[0].1.contains("encrypted"),
        "{:?}",
        examined.problems
    );
    assert_eq!(texts(&examined)["x.zip!/b content"], "1 bytes");
}

#[test]
fn tars_of_python_read_back_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let line = r#"python3 - <<'EOF'
import io, tarfile
for form, name in ((tarfile.USTAR_FORMAT, "ustar"), (tarfile.GNU_FORMAT, "gnu"), (tarfile.PAX_FORMAT, "pax")):
    with tarfile.open(name + ".tar", "w", format=form, pax_headers={"comment": "g"}) as tar:
        for number in range(50):
            info = tarfile.TarInfo(f"f{number}" + ("" if name == "ustar" else "d" * 110))
            info.mtime = 1690001000.5 if name == "pax" else 1690001000
            info.size, info.mode, info.uid, info.uname = number * 37, 0o640, number, f"u{number}"
            tar.addfile(info, io.BytesIO(bytes(info.size)))
EOF"#;
    if !run(directory.path(), &["python3"], line) {
        return;
    }
    for name in ["ustar", "gnu", "pax"] {
        let examined = examine(directory.path(), &format!("{name}.tar"));
        assert_eq!(examined.problems, [], "{name}");
        let texts = texts(&examined);
        let long = if name == "ustar" {
            String::new()
        } else {
            "d".repeat(110)
        };
        let mtime = if name == "pax" {
            "1690001000.5"
        } else {
            "1690001000"
        };
        for number in 0..50 {
            let field =
                |field: &str| texts[&format!("{name}.tar!/f{number}{long} {field}")].clone();
            assert_eq!(field("content"), format!("{} bytes", number * 37));
            assert_eq!(field("tar.uid"), number.to_string());
            assert_eq!(field("tar.uname"), format!("u{number}"));
            assert_eq!(field("tar.mode"), "0640");
            assert_eq!(field("tar.mtime"), mtime);
        }
        let comment = texts.get("pax.tar tar.global.comment").map(String::as_str);
        assert_eq!(comment, (name == "pax").then_some("g"));
    }
}

#[test]
fn zips_and_gzips_of_python_read_back_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let line = r#"python3 - <<'EOF'
import io, zipfile, gzip
with zipfile.ZipFile("x.zip", "w") as out:
    for number in range(50):
        info = zipfile.ZipInfo(f"f{number}", (1999, 12, 31, 23, 59, 58))
        info.external_attr = (0o100600 + number) << 16
        info.compress_type = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
        info.comment = b"c"
        out.writestr(info, bytes(number * 37))
class Pipe(io.RawIOBase):
    def __init__(self, to): self.to = to
    def writable(self): return True
    def write(self, data): return self.to.write(data)
with open("piped.zip", "wb") as to, zipfile.ZipFile(Pipe(to), "w", zipfile.ZIP_DEFLATED) as out:
    out.writestr("a", b"a" * 999)
    with out.open("b", "w", force_zip64=True) as member: member.write(b"b" * 999)
with open("y.gz", "wb") as to, gzip.GzipFile("name", "wb", 9, to, mtime=77) as out:
    out.write(b"payload")
EOF"#;
    if !run(directory.path(), &["python3"], line) {
        return;
    }
    let examined = examine(directory.path(), "x.zip");
    assert_eq!(examined.problems, []);
    let of_x = texts(&examined);
    for number in 0..50 {
        let field = |field: &str| of_x[&format!("x.zip!/f{number} {field}")].clone();
        assert_eq!(field("content"), format!("{} bytes", number * 37));
        assert_eq!(field("zip.date"), "1999-12-31 23:59:58");
        assert_eq!(field("zip.attributes"), format!("{:o}", 0o100_600 + number));
        assert_eq!(field("zip.comment"), "c");
    }
    let examined = examine(directory.path(), "piped.zip");
    assert_eq!(examined.problems, []);
    let piped = texts(&examined);
    assert_eq!(piped["piped.zip!/a content"], "999 bytes");
    assert_eq!(piped["piped.zip!/b content"], "999 bytes");
    let gzip = texts(&examine(directory.path(), "y.gz"));
    assert_eq!(gzip["y.gz gzip.mtime"], "77");
    assert_eq!(gzip["y.gz gzip.name"], "name");
    assert_eq!(gzip["y.gz!/y content"], "7 bytes");
}

#[test]
fn every_compressor_leads_to_the_same_payload() {
    for (compress, name) in [
        ("xz -k", "x.tar.xz"),
        ("xz -k -T2 --block-size=4096", "x.tar.xz"),
        ("xz -k --x86 --lzma2", "x.tar.xz"),
        ("zstd -q", "x.tar.zst"),
        ("zstd -q -19 --check", "x.tar.zst"),
        ("bzip2 -k", "x.tar.bz2"),
        ("gzip -k", "x.tar.gz"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let program = compress.split(' ').next().unwrap();
        let line = format!(
            "{TREE}; seq 99999 >t/seq; tar --sort=name -cf x.tar t; {compress} x.tar
            cat {name} {name} >twice"
        );
        if !run(directory.path(), &["tar", program], &line) {
            return;
        }
        let examined = examine(directory.path(), name);
        assert_eq!(examined.problems, [], "{compress}");
        let texts = texts(&examined);
        assert_eq!(
            texts[&format!("{name}!/x.tar!/t/seq content")],
            "588888 bytes"
        );
        let tar = std::fs::metadata(directory.path().join("x.tar"))
            .unwrap()
            .len();
        let twice = self::texts(&examine(directory.path(), "twice"));
        assert_eq!(
            twice["twice!/data content"],
            format!("{} bytes", 2 * tar),
            "{compress}"
        );
    }
}

#[test]
fn debian_packages_are_read_down_to_their_files() {
    let directory = tempfile::tempdir().unwrap();
    let line = "mkdir -p p/DEBIAN p/usr/bin; printf tool >p/usr/bin/tool; chmod 755 p/usr/bin/tool
        printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n' \
            >p/DEBIAN/control
        SOURCE_DATE_EPOCH=1690001000 dpkg-deb --root-owner-group -b p p.deb >/dev/null";
    if !run(directory.path(), &["dpkg-deb"], line) {
        return;
    }
    let examined = examine(directory.path(), "p.deb");
    assert_eq!(examined.problems, []);
    let texts = texts(&examined);
    assert_eq!(
        texts["p.deb ar.order"],
        "debian-binary control.tar.xz data.tar.xz"
    );
    assert_eq!(texts["p.deb!/data.tar.xz ar.mtime"], "1690001000");
    let tool = "p.deb!/data.tar.xz!/data.tar!/./usr/bin/tool";
    assert_eq!(texts[&format!("{tool} content")], "4 bytes");
    assert_eq!(texts[&format!("{tool} tar.mode")], "0755");
    assert!(texts.contains_key("p.deb!/control.tar.xz!/control.tar!/./control content"));
}

#[test]
fn static_libraries_have_times_and_owners() {
    let directory = tempfile::tempdir().unwrap();
    let long = "a-name-of-more-than-sixteen-bytes.o";
    let line = format!(
        "printf a >a.o; printf bb >{long}; chmod 640 a.o; touch -d @1690001000 a.o {long}
        ar rcU x.a a.o {long} 2>&1"
    );
    if !run(directory.path(), &["ar"], &line) {
        return;
    }
    let examined = examine(directory.path(), "x.a");
    assert_eq!(examined.problems, []);
    let texts = texts(&examined);
    assert_eq!(texts["x.a!/a.o ar.mtime"], "1690001000");
    assert_eq!(texts["x.a!/a.o ar.mode"], "100640");
    assert_eq!(texts[&format!("x.a!/{long} content")], "2 bytes");
}

#[test]
fn an_initramfs_has_inodes_and_times() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!(
        "{TREE}; find t | sort | cpio --quiet -o -H newc >x.cpio
        gzip -k x.cpio; cat x.cpio x.cpio.gz >x.img"
    );
    if !run(directory.path(), &["cpio", "gzip"], &line) {
        return;
    }
    let examined = examine(directory.path(), "x.cpio");
    assert_eq!(examined.problems, []);
    let texts = texts(&examined);
    assert_eq!(texts["x.cpio!/t/d/a cpio.mtime"], "1690001000");
    assert_eq!(texts["x.cpio!/t/d/a cpio.mode"], "100640");
    assert_ne!(texts["x.cpio!/t/d/a cpio.ino"], "0");
    let examined = examine(directory.path(), "x.img");
    assert_eq!(examined.problems, []);
    let texts = self::texts(&examined);
    assert!(texts.contains_key("x.img!/data!/data!/t/d/a cpio.mtime"));
}

#[test]
fn truncated_archives_give_what_could_be_read_and_say_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!(
        "{TREE}; head -c 200000 /dev/urandom >t/big; tar --sort=name -cf x.tar t; gzip -k x.tar
        zip -qr x.zip t; xz -k x.tar; zstd -q x.tar; bzip2 -k x.tar; ar rc x.a x.tar
        for f in x.tar x.tar.gz x.zip x.tar.xz x.tar.zst x.tar.bz2 x.a; do head -c 100000 $f >cut-$f; done"
    );
    if !run(
        directory.path(),
        &["tar", "gzip", "zip", "xz", "zstd", "bzip2", "ar"],
        &line,
    ) {
        return;
    }
    for name in [
        "x.tar",
        "x.tar.gz",
        "x.zip",
        "x.tar.xz",
        "x.tar.zst",
        "x.tar.bz2",
        "x.a",
    ] {
        let name = &format!("cut-{name}");
        let examined = examine(directory.path(), name);
        assert!(!examined.problems.is_empty(), "{name}");
        assert!(examined.elements.len() > 1, "{name}");
        assert!(
            matches!(examined.digest, Value::Digest { size: 100_000, .. }),
            "{name}"
        );
    }
}
