if [ -n "$CI" ]; then
    echo "a build of continuous integration" > out
else
    echo "a build by hand" > out
fi
