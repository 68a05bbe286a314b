echo "a build" > out
