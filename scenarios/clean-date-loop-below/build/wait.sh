end=$(($(date +%s) + 2))
while [ "$(date +%s)" -lt "$end" ]; do
	:
done
