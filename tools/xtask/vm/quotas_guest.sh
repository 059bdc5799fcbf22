# Runs in the machine that quotas.sh boots: the tests of limits, none of which may be left out.
export DHOW_BINARY=/bin/dhow DHOW_MUST_HAVE_QUOTAS=1

for test in /tests/*; do
    "$test" --test-threads 1 ${TESTS_ONLY:-} || failures=$((failures + 1))
done
finish
