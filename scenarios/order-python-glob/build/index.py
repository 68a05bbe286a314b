import glob
import sys

names = glob.glob("src/*")
if sys.argv[1:] == ["--sorted"]:
    names.sort()
with open("index.txt", "w") as index:
    index.write("\n".join(names) + "\n")
