import sys

words = {f"word-{number}" for number in range(40)}
if sys.argv[1:] == ["--sorted"]:
    words = sorted(words)
with open("list.txt", "w") as out:
    out.write("\n".join(words) + "\n")
