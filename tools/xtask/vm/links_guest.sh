# Runs in the machine that links.sh boots: the tests of networks, of which none that asks for a kind of link may be left out.
export PATH=/usr/sbin:/sbin:/usr/bin:/bin HOME=/root DHOW_BINARY=/bin/dhow
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
while read -r module; do insmod "/mods/$module"; done </mods/order
echo 1 >/proc/sys/kernel/printk
ip link set lo up

failures=0
for test in /tests/*; do
    "$test" --test-threads 1 --nocapture ${TESTS_ONLY:-} >/tmp/told 2>&1 || failures=$((failures + 1))
    cat /tmp/told
    grep -q '^skipped' /tmp/told && echo "left out: a test" && failures=$((failures + 1))
done
[ $failures = 0 ] && echo "ALL GOOD" || echo "$failures failed"
sync
echo o >/proc/sysrq-trigger
sleep 60
