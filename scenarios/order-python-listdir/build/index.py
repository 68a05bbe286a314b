import os
import sys

names = os.listdir("src")
if sys.argv[1:] == ["--sorted"]:
    names.sort()
with open("index.txt", "w") as index:
    index.write("\n".join(names) + "\n")
