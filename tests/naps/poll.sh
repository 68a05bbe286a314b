# Ways of a shell to wait, and of make and ninja. poll.sh WAY REPEATS
way=$1 repeats=$2 number=0
cd "$(mktemp -d)" || exit
work='i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done'
case $way in
make) printf 'all: a b c d\na b c d:\n\t@%s; sleep 0.0$$(printf $@ | tr abcd 1234)\nb: a\n' 'i=0; while [ $$i -lt 2000 ]; do i=$$((i+1)); done' >Makefile ;;
ninja)
    echo 'rule w' >build.ninja
    echo '  command = i=0; while [ $$i -lt 2000 ]; do i=$$((i+1)); done; echo $$i >$out' >>build.ninja
    printf 'build %s: w\n' a b c d >>build.ninja
    ;;
index-lock | npm) git init -q . && git config user.email a && git config user.name a ;;
esac
[ $way != npm ] || echo '{"name": "a", "version": "1.0.0", "scripts": {"w": "true"}}' >package.json
while [ $number -lt $repeats ]; do
    case $way in
    until)
        rm -f made
        (eval "$work"; : >made) &
        until [ -e made ]; do sleep 0.01; done
        wait
        ;;
    sleep) sleep 0.02 ;;
    kill)
        sh -c "$work" &
        while kill -0 $! 2>/dev/null; do sleep 0.005; done
        wait
        ;;
    mkdir)
        mkdir lock$number
        (eval "$work; $work"; rmdir lock$number) &
        until mkdir lock$number 2>/dev/null; do sleep 0.003; done
        wait
        ;;
    background) sleep 0.03 & wait ;;
    pair) sleep 0.02 & sleep 0.03; wait ;;
    reader) { sleep 1; sleep 0.1; echo; } | cat >/dev/null ;;
    make) make -s -j2 ;;
    ninja) rm -f a b c d; ninja >/dev/null ;;
    index-lock)
        : >.git/index.lock
        (eval "$work"; rm .git/index.lock) &
        echo $number >a
        until git add a 2>/dev/null; do sleep 0.01; done
        wait
        ;;
    npm) npm run -s w ;;
    esac
    number=$((number + 1))
    echo $number $(date +%s.%N)
done
