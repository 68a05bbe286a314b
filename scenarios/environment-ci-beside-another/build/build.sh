echo "maintainer: ${EMAIL:-nobody}" >about.txt
if [ -n "$CI" ]; then echo quick; else echo full; fi >mode.txt
