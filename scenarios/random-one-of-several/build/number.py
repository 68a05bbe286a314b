import sys
import uuid

text = sys.stdin.read()
if sys.argv[1:] == ["--from-content"]:
    name = uuid.uuid5(uuid.NAMESPACE_URL, text)
else:
    name = uuid.uuid4()
print(f'<document id="{name}">{text}</document>')
