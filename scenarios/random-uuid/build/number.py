import sys
import uuid

text = open("text").read()
if sys.argv[1:] == ["--from-content"]:
    name = uuid.uuid5(uuid.NAMESPACE_URL, text)
else:
    name = uuid.uuid4()
with open("document.xml", "w") as document:
    document.write(f'<document id="{name}">{text}</document>\n')
