"""Makes, beside plain.zip, archives that have no canonical form: one for each reason."""
import gzip, struct, tarfile, warnings, zipfile
warnings.simplefilter("ignore")
def made(name, members):
    with zipfile.ZipFile(name, "w") as z:
        for member in members: z.writestr(member, "x" * 50)
made("signed.jar", ["META-INF/MANIFEST.MF", "META-INF/A.SF", "META-INF/A.RSA"])
made("sig.jar", ["META-INF/MANIFEST.MF", "META-INF/SIG-FOO"])
made("x.apk", ["AndroidManifest.xml"])
made("android.zip", ["AndroidManifest.xml", "classes.dex"])
made("twice.zip", ["a", "a"])
made("n.nupkg", [".signature.p7s"])
data = open("plain.zip", "rb").read()
end = data.rindex(b"PK\5\6"); start = struct.unpack("<L", data[end + 16:end + 20])[0]
block = b"x" * 40
moved = data[end:end + 16] + struct.pack("<L", start + 40) + data[end + 20:]
open("block.zip", "wb").write(data[:start] + block + data[start:end] + moved)
open("tail.zip", "wb").write(data + b"more")
# Two entries of the directory that lead to one local header.
made("one.zip", ["a", "b"]); data = bytearray(open("one.zip", "rb").read())
at = data.rindex(b"PK\1\2"); data[at + 42:at + 46] = bytes(4); data[at + 46] = ord("a")
open("over.zip", "wb").write(data)
made("lies.zip", ["name"]); data = bytearray(open("lies.zip", "rb").read())
data[30] = ord("N"); open("lies.zip", "wb").write(data)
raw = gzip.compress(b"x" * 100)
bgzf = raw[:3] + b"\4" + raw[4:10] + struct.pack("<H", 6) + b"BC\2\0\x1b\0" + raw[10:]
open("bgzf.gz", "wb").write(bgzf)
open("tail.gz", "wb").write(raw + b"more")
def tar(name, members, **more):
    with tarfile.open(name, "w", **more) as t:
        for member, kind, link in members:
            info = tarfile.TarInfo(member); info.type = kind; info.linkname = link; t.addfile(info)
f, h, s, d = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE
tar("early.tar", [("a", h, "b"), ("b", f, "")])
tar("loop.tar", [("a", h, "b"), ("b", h, "a")])
tar("self.tar", [("a", h, "./a")])
tar("both.tar", [("a", f, ""), ("a", d, "")])
tar("through.tar", [("a", s, "/tmp"), ("a/b", f, "")])
tar("below.tar", [("a", f, ""), ("./a/b", f, "")])
tar("linked.tar", [("a", f, ""), ("b", h, "a"), ("./a", f, "")])
tar("listed.tar", [(".MTREE", f, ""), ("usr", d, "")])
tar("alpine.tar", [(".SIGN.RSA.x", f, "")])
tar("oci.tar", [("oci-layout", f, "")])
tar("device.tar", [("null", tarfile.CHRTYPE, "")])
tar("root.tar", [("etc", d, ""), ("usr", d, "")])
info = tarfile.TarInfo("a"); info.pax_headers = {"SCHILY.xattr.user.x": "1"}
with tarfile.open("attr.tar", "w", format=tarfile.PAX_FORMAT) as t: t.addfile(info)
with tarfile.open("late.tar", "w", format=tarfile.PAX_FORMAT) as t:
    t.addfile(tarfile.TarInfo("a"))
    t.fileobj.write(tarfile.TarInfo.create_pax_global_header({"comment": "x"}))
    t.addfile(tarfile.TarInfo("b"))
# Extended headers that say a name twice, and numbers with something else in them.
def block(name, kind, content=b""):
    info = tarfile.TarInfo(name); info.type = kind; info.size = len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)
def pax(record): return block("PaxHeaders/x", b"x", b"%d %s\n" % (len(record) + 4, record))
def gnu(name): return block("././@LongLink", b"L", name + b"\0")
member = block("a", f, b"aaa")
for name, before in [
    ("pax2", pax(b"path=first") + pax(b"mtime=7.5")), ("gnu2", gnu(b"first") + gnu(b"second")),
    ("ways", gnu(b"gnu") + pax(b"path=pax-na")),
]: open(name + ".tar", "wb").write(before + member + bytes(10240))
def summed(block):
    block = bytearray(block); block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block); return bytes(block)
empty = block("b", f)
open("dust.tar", "wb").write(summed(empty[:124] + b"0000/000000\0" + empty[136:]) + bytes(10240))
open("seven.tar", "wb").write(block("d/", b"7") + bytes(10240))
