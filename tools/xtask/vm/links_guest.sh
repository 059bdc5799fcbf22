# Runs in the machine that links.sh boots: the tests of networks, of which none that asks for a kind of link may be left out.
export DHOW_BINARY=/bin/dhow

for test in /tests/*; do
    "$test" --test-threads 1 --nocapture ${TESTS_ONLY:-} >/tmp/told 2>&1 || failures=$((failures + 1))
    cat /tmp/told
    grep -q '^skipped' /tmp/told && echo "left out: a test" && failures=$((failures + 1))
done
finish
