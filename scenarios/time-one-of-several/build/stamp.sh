echo "started $(date -u)" >&2
seconds=${SOURCE_DATE_EPOCH:-$(date +%s)}
echo "1.0 of $(LC_ALL=C date -u -d "@$seconds")"
