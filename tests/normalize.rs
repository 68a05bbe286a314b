//! `reprobe normalize` on files that the ordinary programs write, against what these programs say of
//! the result. Each test is a shell script: `$R` is the program, what it checks ends it where it fails.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says why it fails, and why it skips"
)]

use std::fs;
use std::io::{self, Cursor};
use std::path::Path;
use std::process::Command;

use reprobe::normalize::{self, Class, Error, Options, Report, Spool, Spools};
use reprobe::snapshot::walk::sorted_entries;

/// What all scripts may use.
const PRELUDE: &str = r#"
set -eu
unset SOURCE_DATE_EPOCH
umask 022
# GNU tar's recipe: recipe TIME OUT DIR NAME
recipe() {
    tar --sort=name --mtime=@"$1" --owner=0 --group=0 --numeric-owner \
        --mode=a+rX,u+w,go-w,ug-s,o-t --format=posix \
        --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
        -cf "$2" -C "$3" "$4"
}
# code N COMMAND: it ends with N; what it says is in `said`.
code() {
    want=$1; shift; got=0
    "$@" >said 2>&1 || got=$?
    [ "$got" = "$want" ] || { echo "$*: exit code $got instead of $want"; cat said; exit 1; }
}
# says WORDS: the last `code` said so.
says() { tr -s ' \n' '  ' <said | grep -qF -- "$1" || { echo "not said: $1"; cat said; exit 1; }; }
# refused FILE WORDS: it is, for this reason, and untouched.
refused() {
    cp -p "$1" before; code 2 "$R" normalize "$1"; says "$2"; cmp before "$1"
}
hash() { sha256sum <"$1"; }
same() { [ "$(hash "$1")" = "$(hash "$2")" ] || { echo "$1 and $2 differ"; exit 1; }; }
"#;

/// Runs a script in an empty directory; says which program is missing where it skips.
fn script(needs: &[&str], text: &str) {
    for program in needs {
        let found = Command::new("sh")
            .args([
                "-c",
                "command -v -- \"$0\" >/dev/null || test -e \"$0\"",
                program,
            ])
            .status()
            .unwrap();
        if !found.success() {
            let required = std::env::var_os("REPROBE_REQUIRE").is_some();
            assert!(!required, "{program} is not installed");
            println!("skipped: {program} is not installed");
            return;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), text);
}

fn run(directory: &Path, text: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{PRELUDE}\n{text}")])
        .current_dir(directory)
        .env("R", env!("CARGO_BIN_EXE_reprobe"))
        .env(
            "DATA",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/normalize"),
        )
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", directory)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}

/// A tree with everything that names and links can be: `t/p`.
const TREE: &str = r#"
mkdir -p t/p/a t/p/empty t/p/closed; (cd t/p
echo one >a/x; echo two >a-b; printf '#!/bin/sh\n' >a.c; seq 9999 >big
chmod 4755 a.c; chmod 641 a/x; chmod 700 closed; chmod 600 big
ln a-b zz; ln a/x 0first; ln -s a/x link; ln link zlink; ln -s 'ü' short; echo ü >'ü'; ln 'ü' 'üz'
L=$(printf 'n%.0s' $(seq 120)); echo hi >"$L"; ln -s "$L$L" "${L}s"; ln "$L" "${L}z"; mkdir "${L}d"
echo u >'ünï'; printf x >"$(printf 'bad\377')"; printf x >"$(printf 'ctl\001\nline')"
touch -d '1969-12-31 23:59:58.5 UTC' old)
"#;

#[test]
fn a_tar_becomes_what_gnu_tars_recipe_writes_for_its_tree() {
    let text = r#"
recipe 1700000000 want.tar t p
recipe 1700000000 dot.tar t/p .
for format in posix gnu; do
    (cd t; find p -print0 | sort -zr | tar --null --no-recursion --format=$format -cf ../x.tar -T -)
    "$R" normalize --class exchange --mtime 1700000000 x.tar
    cmp x.tar want.tar
done
(cd t/p; tar -cf ../../d.tar .)
"$R" normalize --class exchange --mtime @1700000000 d.tar
cmp d.tar dot.tar
# Without members for directories: none is added.
(cd t; find p ! -type d -print0 | sort -z | tar --null --no-recursion -cf ../n.tar -T -)
(cd t; find p ! -type d -print0 >../names)
SOURCE_DATE_EPOCH=1700000000 "$R" normalize --class exchange n.tar
[ "$(tar -tf n.tar | wc -l)" = "$(tr -cd '\0' <names | wc -c)" ]
# The class is the user's to say where owners or modes may be content.
(cd t; tar -cf ../s.tar p)
refused s.tar 'special mode 4755'; says '--class exchange'
"#;
    script(&["tar"], &format!("{TREE}{text}"));
}

#[test]
fn compressed_files_are_what_common_programs_write_and_never_change() {
    let text = r#"
recipe 1700000000 want.tar t p
for kind in gzip xz bzip2 zstd; do
    (cd t; tar -cf - p) | $kind -c >x.$kind
    "$R" normalize --class exchange --mtime 1700000000 x.$kind
    $kind -dc <x.$kind | cmp - want.tar
done
xz -6 -T1 -c want.tar | cmp - x.xz
bzip2 -9 -c want.tar | cmp - x.bzip2
python3 - <<'END'
import gzip, io
out = io.BytesIO()
with gzip.GzipFile("", "wb", 6, out, mtime=0) as file:
    file.write(open("want.tar", "rb").read())
assert out.getvalue() == open("x.gzip", "rb").read()
END
# What no encoder may change without a new number of the form.
seq 30000 >numbers
for kind in gzip xz bzip2 zstd; do
    $kind -1 -c numbers >n.$kind; "$R" normalize n.$kind >/dev/null; sha256sum n.$kind
done >hashes
diff "$DATA/golden" hashes
"#;
    let needs = ["tar", "gzip", "xz", "bzip2", "zstd", "python3"];
    script(&needs, &format!("{TREE}{text}"));
}

#[test]
fn pristine_tar_makes_the_file_again_from_few_bytes() {
    let text = r#"
tar -czf x.tar.gz --exclude='ctl*' --exclude='bad*' -C t p
"$R" normalize --class exchange x.tar.gz
pristine-tar gendelta x.tar.gz delta
[ "$(stat -c %s delta)" -lt 5000 ]
"#;
    script(&["pristine-tar", "tar"], &format!("{TREE}{text}"));
}

/// A Python project with an executable script.
const PROJECT: &str = r#"
mkdir -p src/pkg; cd src
cat >setup.py <<'END'
from setuptools import setup
setup(name="pkg", version="1", packages=["pkg"], scripts=["tool"])
END
echo 'A = 1' >pkg/__init__.py; echo 'B = 2' >pkg/b.py
printf '#!/bin/sh\necho hello\n' >tool; chmod 755 tool; echo include tool >MANIFEST.in
cd ..
"#;

#[test]
fn sdists_and_wheels_from_other_umasks_times_and_places_become_one_hash() {
    let text = r#"
number=0
build() {
    number=$((number + 1)); dir=$PWD/w$number/${2:-x}; mkdir -p "$dir"
    cp -r src/. "$dir"; find "$dir" -exec touch -d "@$((1600000000 + number * 1000))" {} +
    (cd "$dir"; umask $1; [ "$1" = 022 ] || chmod -R g-rwx,o-rwx .
     /usr/bin/python3 setup.py -q sdist bdist_wheel >/dev/null 2>&1)
    cp "$dir"/dist/*.tar.gz s$number.tar.gz; cp "$dir"/dist/*.whl ./pkg-$number-py3-none-any.whl
}
build 022; build 077; build 022 other/place; build 077 y
[ "$(sha256sum s?.tar.gz | cut -d' ' -f1 | sort -u | wc -l)" -gt 1 ]
"$R" normalize s?.tar.gz pkg-*.whl
for n in 2 3 4; do same s1.tar.gz s$n.tar.gz; same pkg-1-*.whl pkg-$n-*.whl; done
code 0 "$R" normalize --check s1.tar.gz pkg-1-*.whl
# They still install, with the x bit.
mv pkg-1-*.whl pkg-1-py3-none-any.whl 2>/dev/null || true
for file in s1.tar.gz pkg-1-py3-none-any.whl; do
    rm -rf to; mv s1.tar.gz pkg-1.tar.gz 2>/dev/null || true; [ -e "$file" ] || file=pkg-1.tar.gz
    /usr/bin/python3 -m pip install -q --no-index --no-build-isolation --no-deps --target to $file
    [ -x to/bin/tool ]; [ "$(to/bin/tool)" = hello ]
done
"#;
    let needs = [
        "/usr/lib/python3/dist-packages/setuptools",
        "/usr/lib/python3/dist-packages/wheel",
        "/usr/lib/python3/dist-packages/pip",
    ];
    script(&needs, &format!("{PROJECT}{text}"));
}

#[test]
fn npm_packages_from_two_umasks_become_one_hash() {
    script(
        &["npm"],
        r#"
for mask in 022 077; do
    mkdir $mask; (umask $mask; cd $mask
    echo '{"name":"x","version":"1.0.0","bin":"x.js"}' >package.json
    echo '#!/usr/bin/env node' >x.js; chmod u+x x.js
    npm pack --silent --offline >/dev/null 2>&1)
done
"$R" normalize 022/*.tgz 077/*.tgz
same 022/*.tgz 077/*.tgz
mkdir to; cd to; npm install --silent --offline --no-audit ../022/x-1.0.0.tgz >/dev/null 2>&1
[ -x node_modules/x/x.js ]
"#,
    );
}

#[test]
fn jars_keep_their_manifest_their_stored_entries_and_one_hash() {
    script(
        &["javac", "zip", "unzip"],
        r#"
cat >M.java <<'END'
import java.io.*; import java.util.jar.*; import java.util.zip.*;
public class M { public static void main(String[] a) throws Exception {
    try (JarInputStream in = new JarInputStream(new FileInputStream(a[0]))) {
        if (in.getManifest() == null) throw new Exception("no manifest");
        while (in.getNextEntry() != null) {}
    }
    try (ZipFile zip = new ZipFile(a[0])) {
        ZipEntry nested = zip.getEntry("BOOT-INF/lib/n.jar");
        if (nested != null && nested.getMethod() != ZipEntry.STORED) throw new Exception("deflated");
    }
    System.out.print("well");
} }
END
javac M.java
printf 'Main-Class: M\n' >m
jar cfm 1.jar m M.class M.java
sleep 2; jar cfm 2.jar m M.java M.class
"$R" normalize 1.jar 2.jar
same 1.jar 2.jar
[ "$(java -jar 1.jar 1.jar)" = well ]
# As Spring Boot's: a nested jar that must stay stored, and the manifest not in front.
mkdir -p BOOT-INF/lib; cp 1.jar BOOT-INF/lib/n.jar; unzip -q 1.jar 'META-INF/*'
zip -q -X -0 boot.jar BOOT-INF/lib/n.jar; zip -q -X boot.jar M.class META-INF/MANIFEST.MF
"$R" normalize boot.jar
[ "$(java M boot.jar)" = well ]
# In front stands a shell script, and offsets count from the file's beginning.
{ echo '#!/bin/sh'; cat boot.jar; } >run.jar
"$R" normalize run.jar
[ "$(head -c 9 run.jar)" = '#!/bin/sh' ]; unzip -tq run.jar >/dev/null; [ "$(java -jar run.jar boot.jar)" = well ]
code 0 "$R" normalize --check run.jar
"#,
    );
}

#[test]
fn a_deb_from_another_clock_and_order_is_the_same_and_its_modes_stay() {
    script(
        &["dpkg-deb", "xz"],
        r#"
long=$(printf 'd%.0s' $(seq 130))
mkdir -p p/DEBIAN p/usr/bin p/usr/share/doc
printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n' >p/DEBIAN/control
seq 100 >p/usr/bin/x; ln -s x p/usr/bin/a; ln p/usr/bin/x p/usr/bin/zz; echo y >p/usr/share/doc/$long
chmod 4755 p/usr/bin/x; chmod 440 p/usr/share/doc/$long
SOURCE_DATE_EPOCH=1700000000 dpkg-deb --root-owner-group -b p want.deb >/dev/null
dpkg-deb --root-owner-group -b p 1.deb >/dev/null
# The same parts by hand, with other orders and clocks.
mkdir parts; cd parts; ar x ../1.deb; rm data.tar.xz
(cd ../p; find usr -depth | sort -r | tar --owner=root:0 --group=root:0 --format=gnu --no-recursion \
    --transform='s,^usr,./usr,S' -cJf ../parts/data.tar.xz --mtime=@5 -T - ./)
ar rc ../2.deb debian-binary control.tar.xz data.tar.xz; cd ..
"$R" normalize --mtime 1700000000 1.deb 2.deb
[ "$(dpkg-deb -c 1.deb | sort)" = "$(dpkg-deb -c want.deb | sort)" ]
# Inside they are the bytes of dpkg-deb.
for part in control.tar.xz data.tar.xz; do
    ar p want.deb $part | xz -dc >w; ar p 1.deb $part | xz -dc | cmp - w
done
same 1.deb 2.deb
if [ "$(id -u)" = 0 ]; then
    mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates; touch root/var/lib/dpkg/status
    dpkg --root=root --unpack 1.deb >/dev/null 2>&1
    [ -u root/usr/bin/x ]; [ -e root/usr/share/doc/$long ]
else
    dpkg-deb -x 1.deb root; [ -e root/usr/share/doc/$long ]
fi
"#,
    );
}

#[test]
fn static_libraries_become_what_ar_writes_with_d() {
    script(
        &["gcc", "ar"],
        r#"
echo 'int f(void){return 1;}' >a_name_of_more_than_fifteen.c; echo 'int g(void){return 1;}' >b.c
gcc -c ./*.c; ar rcU l.a b.o a_name*.o; ar rcD want.a b.o a_name*.o
"$R" normalize l.a; cmp l.a want.a
ar rcT thin.a b.o; refused thin.a 'thin archive'
"#,
    );
}

#[test]
fn an_initramfs_is_numbered_by_its_names() {
    script(
        &["cpio"],
        r#"
mkdir -p c/d; (cd c; echo x >a; ln a z; ln -s a l; echo y >d/f; chmod 4711 d/f
find . | sort | cpio -o -H newc --quiet >../1.cpio
touch -d '2001-01-01' a d; mkdir e; rmdir e; find . -depth | sort -r | cpio -o -H newc --quiet >../2.cpio)
cp -a c copy; (cd copy; find . | cpio -o -H newc --quiet >../3.cpio)
"$R" normalize 1.cpio 2.cpio 3.cpio
cmp 1.cpio 2.cpio; cmp 1.cpio 3.cpio
(cd c; find . -depth | cpio -o -H newc --quiet | gzip >../x.img); "$R" normalize x.img
gzip -dc <x.img | cmp - 1.cpio
mkdir to; (cd to; cpio -idm --quiet <../1.cpio; [ "$(cat z)" = x ]; [ a -ef z ]; [ -u d/f ])
cat 1.cpio 2.cpio >both; refused both 'another archive behind'
"#,
    );
}

#[test]
fn what_is_signed_indexed_or_ambiguous_is_refused_and_untouched() {
    script(
        &["python3", "zip", "tar", "xz"],
        r#"
mkdir d; echo x >d/x; ln d/x d/y
zip -qr plain.zip d; python3 "$DATA/refused.py"
tar -cf plain.tar d; cat plain.tar plain.tar >two.tar
head -c 1200 plain.tar >cut.tar
python3 -c "open('noend.tar','wb').write(open('plain.tar','rb').read().rstrip(b'\0')+bytes(510))"
truncate -s 1M hole; tar -cSf sparse.tar hole
tar -cf label.tar -V label d
zip -q -P secret secret.zip d/x
refused signed.jar 'META-INF/A.SF signs it'; refused sig.jar 'SIG-FOO signs it'
refused x.apk 'Android package'; refused android.zip 'Android package'
refused twice.zip 'a stands twice'; refused n.nupkg 'signs it'
refused block.zip 'signing block'; refused tail.zip 'bytes behind the end record'
refused over.zip 'reaches into'; refused lies.zip 'different things'
refused secret.zip 'is encrypted'
refused bgzf.gz 'extra field'; refused tail.gz 'bytes behind the end'
refused early.tar 'behind a hard link'; refused loop.tar 'hard link'; refused self.tar 'link to itself'
refused both.tar 'a directory and something else'; refused through.tar 'which is a symlink'
refused below.tar 'which is no directory'; refused linked.tar 'stands twice'
refused listed.tar 'lists or signs'; refused alpine.tar 'lists or signs'; refused oci.tar 'lists or signs'
refused device.tar 'a device'; refused root.tar 'root file system'; refused attr.tar 'extended attributes'
refused late.tar 'global header in the middle'
refused pax2.tar 'two extended headers'; refused gnu2.tar 'two extended headers'; refused ways.tar 'a path in two ways'
refused dust.tar 'no valid size'; refused seven.tar 'the name of a directory'
refused two.tar 'behind the end mark'; refused cut.tar 'truncated'; refused noend.tar 'truncated'
refused sparse.tar 'sparse'; refused label.tar 'volume label'
echo text >text; refused text 'not an archive'; : >empty; refused empty 'not an archive'
code 2 "$R" normalize nothing; says 'cannot be opened'
code 2 "$R" normalize d; says 'no regular file'
mkfifo fifo; code 2 timeout 20 "$R" normalize fifo; says 'no regular file'
xz -k plain.tar
python3 - <<'END'
b=bytearray(open('plain.tar.xz','rb').read())
for at in range(24,len(b)-40,3):
    c=b[:]; c[at]^=16; open(f'flip{at}.xz','wb').write(c)
END
for f in flip*.xz; do code 2 "$R" normalize --check $f; says broken; done
# One that is refused does not keep the others.
code 2 "$R" normalize text plain.tar; says 'plain.tar: normalized'
"#,
    );
}

#[test]
fn zip_dates_stay_within_what_zip_can_tell() {
    script(
        &["zip", "python3"],
        r#"
mkdir d; echo x >d/x; zip -qr x.zip d
date_of() { python3 -c 'import sys,zipfile; print(*zipfile.ZipFile(sys.argv[1]).infolist()[0].date_time)' $1; }
for epoch in 0 1 315532799; do
    SOURCE_DATE_EPOCH=$epoch code 0 env TZ=Asia/Tokyo "$R" normalize -o y.zip x.zip
    says '315576060 instead of'; [ "$(date_of y.zip)" = '1980 1 1 12 1 0' ]
done
SOURCE_DATE_EPOCH=1700000001 "$R" normalize -o y.zip x.zip
[ "$(date_of y.zip)" = '2023 11 14 22 13 20' ]
SOURCE_DATE_EPOCH=4354819200 code 2 "$R" normalize -o z.zip x.zip; says 'no time after 2107'
[ ! -e z.zip ]
for wrong in '' -1 1.5 now 1e9; do
    SOURCE_DATE_EPOCH=$wrong code 2 "$R" normalize x.zip; says 'SOURCE_DATE_EPOCH is'
done
tar -cf x.tar d; code 2 "$R" normalize --mtime 8589934592 x.tar; says 'does not fit into a tar header'
"#,
    );
}

#[test]
fn a_second_run_changes_nothing_wherever_it_runs() {
    let text = r#"
tar -czf x.tar.gz -C t p; cp x.tar.gz y.tar.gz
code 1 "$R" normalize --class exchange --check --list x.tar.gz
says 'not canonical'; says 'time'; cmp x.tar.gz y.tar.gz
"$R" normalize --class exchange x.tar.gz
LC_ALL=C TZ=Asia/Tokyo sh -c 'umask 077; "$R" normalize --class exchange y.tar.gz'
same x.tar.gz y.tar.gz
ino=$(stat -c '%i %Y' x.tar.gz)
code 0 "$R" normalize --class exchange x.tar.gz; says ': canonical'
[ "$(stat -c '%i %Y' x.tar.gz)" = "$ino" ]
code 0 "$R" normalize --check x.tar.gz; says '315576060'
"$R" normalize --mtime 77 x.tar.gz
code 0 "$R" normalize --check x.tar.gz; says 'time 77'
code 1 "$R" normalize --check --mtime 78 x.tar.gz
SOURCE_DATE_EPOCH=78 code 1 "$R" normalize --check x.tar.gz
"#;
    script(&["tar", "gzip"], &format!("{TREE}{text}"));
}

#[test]
fn results_go_where_they_are_asked_for_and_nothing_else_changes() {
    script(
        &["tar"],
        r#"
mkdir d out; echo x >d/x; tar -cf x.tar d; cp x.tar keep.tar
"$R" normalize -o y.tar x.tar; cmp x.tar keep.tar
"$R" normalize --output-dir out x.tar; cmp out/x.tar y.tar
"$R" normalize --stdout x.tar 2>said >z.tar; cmp z.tar y.tar; grep -q normalized said
cmp x.tar keep.tar
# In place: a link's target, with its mode; nothing is left beside it.
chmod 640 x.tar; ln -s x.tar l.tar; "$R" normalize l.tar; [ -L l.tar ]; cmp x.tar y.tar
[ "$(stat -c %a x.tar)" = 640 ]; [ -z "$(ls -A | grep '^\.reprobe')" ]
ln keep.tar second.tar; refused keep.tar '2 names'; says '--output'
code 2 "$R" normalize -o a x.tar y.tar; says '--output-dir'
mkdir other; cp keep.tar other/x.tar; rm out/x.tar
code 2 "$R" normalize -o 'out/*.tar' x.tar; says 'a pattern selects what a command makes'; [ -z "$(ls out)" ]
code 125 "$R" normalize -o none/y.tar x.tar; says 'none: No such file'
# Whoever is killed leaves nothing beside the file.
head -c 40000000 /dev/urandom >big; tar -cf big.tar big; xz -0 big.tar
for signal in TERM HUP KILL; do
    "$R" normalize big.tar.xz & pid=$!; sleep 0.7; kill -$signal $pid; wait $pid || true
done
[ -z "$(ls -A | grep '^\.reprobe')" ]; xz -t big.tar.xz
code 2 "$R" normalize --output-dir none x.tar; says '--output-dir none: there is no such directory'
mkfifo fifo; code 2 "$R" normalize -o fifo x.tar; says 'fifo: is no file, and is left as it is'; [ -p fifo ]
code 2 "$R" normalize -o out x.tar; [ -d out ]
echo old >target; ln -s target link; "$R" normalize -o link x.tar; [ -L link ]; cmp target y.tar
ln -s nowhere dangling; code 2 "$R" normalize -o dangling x.tar; [ -L dangling ]
if [ "$(id -u)" = 0 ] && mknod null c 1 3; then code 2 "$R" normalize -o null x.tar; [ -c null ]; fi
code 2 "$R" normalize --output-dir out x.tar other/x.tar; says 'same name'; [ -z "$(ls out)" ]
# Whoever packed a crate: it is no system image.
tar -cf c.tar --owner=0 d; tar -rf c.tar --owner=501 --group=20 x.tar; gzip -n c.tar; mv c.tar.gz c.crate
code 0 "$R" normalize c.crate; says exchange
code 2 "$R" normalize; says 'no file'
code 2 "$R" normalize --keep links x.tar; says 'time, order'
cp second.tar s.tar; touch s.tar.asc; code 0 "$R" normalize s.tar; says 'sign again'
"$R" normalize --stdout x.tar >/dev/full 2>said && exit 1 || [ $? = 125 ]
"#,
    );
}

#[test]
fn what_is_kept_stays() {
    script(
        &["tar", "zip", "unzip", "python3"],
        r#"
mkdir d; echo x >d/b; echo y >d/a; chmod 600 d/a; touch -d @1000000000 d/a
tar --format=posix -cf x.tar d/b d/a
"$R" normalize --keep order,time,mode -o k.tar x.tar
[ "$(tar -tf k.tar | tr '\n' ' ')" = 'd/b d/a ' ]
TZ=UTC tar -tvf k.tar | grep -q -- '-rw-------.*2001-09-09.*d/a'
"$R" normalize --keep owner -o k.tar x.tar; TZ=UTC tar -tvf k.tar | grep -q '1980-01-01'
seq 9999 >d/n; zip -q -1 -r x.zip d; python3 - <<'END'
import zipfile, subprocess, os
def packed(name):
    data = open(name, "rb").read(); found = {}
    for e in zipfile.ZipFile(name).infolist():
        at = e.header_offset; n, x = data[at + 26] + 256 * data[at + 27], data[at + 28] + 256 * data[at + 29]
        found[e.filename] = data[at + 30 + n + x:][:e.compress_size]
    return found
before = packed("x.zip")
subprocess.run([os.environ["R"], "normalize", "--keep", "compression", "-o", "k.zip", "x.zip"], check=True)
assert packed("k.zip") == before
subprocess.run([os.environ["R"], "normalize", "-o", "k.zip", "x.zip"], check=True)
assert packed("k.zip") != before
END
unzip -tq k.zip >/dev/null
code 2 "$R" normalize --keep compression x.tar; says 'zip'
"#,
    );
}

#[test]
fn a_command_is_run_and_what_it_made_is_normalized() {
    script(
        &["tar"],
        r#"
mkdir d dist; echo x >d/x; tar -cf dist/old.tar d; cp dist/old.tar keep
"$R" normalize -o 'dist/*.tar' -- 'tar -cf dist/new.tar d && echo made'
"$R" normalize --check dist/new.tar; cmp dist/old.tar keep
code 7 "$R" normalize -o 'dist/*' -- sh -c 'exit 7'
code 125 "$R" normalize -o 'dist/*.zip' -- true; says 'nothing is there'
code 125 "$R" normalize -o 'dist/*.tar' -- true; says 'untouched'
code 125 "$R" normalize -o 'dist/*' -- /no/such/program x; says 'no/such/program'
code 2 "$R" normalize -- true; says "-o 'dist/*'"
code 2 "$R" normalize dist/new.tar -o 'dist/*' -- true; says 'not both'
"#,
    );
}

#[test]
fn memory_stays_below_32_mb_however_large_the_archive() {
    script(
        &["tar", "gzip", "python3"],
        r#"
mkdir d; python3 - <<'END'
import random
random.seed(1)
words = [bytes(random.choices(b"abcdefghij ", k=9)) for _ in range(4000)]
for n in range(20):
    open(f"d/{n}", "wb").write(b" ".join(random.choices(words, k=100000)))
END
tar -czf x.tar.gz d
python3 - <<'END'
import os, resource, subprocess
subprocess.run([os.environ["R"], "normalize", "x.tar.gz"], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
assert peak < 32 << 10, f"{peak} KiB"
END
"#,
    );
}

struct InMemory;

impl Spools for InMemory {
    fn spool(&self) -> io::Result<Box<dyn Spool>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }
}

fn form(bytes: &[u8]) -> Result<(Vec<u8>, Report), Error> {
    let options = Options {
        class: Some(Class::Exchange),
        time: Some(1_700_000_000),
        ..Options::default()
    };
    let mut out = Cursor::new(Vec::new());
    let mut source = Cursor::new(bytes);
    let report = normalize::rewrite("x", &mut source, &mut out, &options, &InMemory)?;
    Ok((out.into_inner(), report))
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_or_lost_nothing_but_padding() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/normalize");
    let mut formats = Vec::new();
    for entry in sorted_entries(&corpus).unwrap() {
        let bytes = fs::read(&entry.path).unwrap();
        let (whole, report) = form(&bytes).unwrap();
        // An ar archive has no end: cut between two members it is a shorter one.
        let has_end = !bytes.starts_with(b"!<arch>");
        formats.extend(report.formats);
        // Of large files every seventh place: headers and contents are met all the same.
        let step = if bytes.len() > 4096 { 7 } else { 1 };
        for length in (0..bytes.len()).step_by(step) {
            if let Ok((cut, _)) = form(&bytes[..length]) {
                let lost = cut != whole && (has_end || !whole.starts_with(&cut));
                assert!(!lost, "{} cut at {length}", entry.path.display());
            }
        }
    }
    for format in ["tar", "gzip", "zip", "ar", "deb", "cpio"] {
        assert!(formats.contains(&format), "{format} was not tried");
    }
}

#[test]
fn names_that_are_no_utf_8_have_one_form_whoever_packed_them() {
    script(
        &["tar", "python3"],
        r#"
mkdir d; python3 - <<'END'
import os, tarfile
os.mkdir(b"d/sub"); open(b"d/sub/\xff\xfe" + b"n" * 120, "w").close()
for root, _, files in os.walk(b"d"):
    for n in [root] + [os.path.join(root, f) for f in files]: os.utime(n, (5, 5))
with tarfile.open("python.tar", "w", format=tarfile.PAX_FORMAT) as t: t.add("d")
END
recipe 315576060 gnu.tar . d
"$R" normalize python.tar; same python.tar gnu.tar; "$R" normalize --check gnu.tar
"#,
    );
}
