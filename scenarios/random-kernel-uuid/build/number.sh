# Writes a document with an identifier: that of the kernel, or one that follows the content.
if [ "$1" = --from-content ]; then
    id=$(sha256sum text | cut -c 1-32)
else
    read -r id </proc/sys/kernel/random/uuid
fi
printf '<document id="%s">%s</document>\n' "$id" "$(cat text)" >document.xml
