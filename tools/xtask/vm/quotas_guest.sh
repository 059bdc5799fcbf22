# Runs in the machine that quotas.sh boots: the tests of limits, none of which may be left out.
export PATH=/usr/sbin:/sbin:/usr/bin:/bin HOME=/root DHOW_BINARY=/bin/dhow DHOW_MUST_HAVE_QUOTAS=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
while read -r module; do insmod "/mods/$module"; done </mods/order
echo 1 >/proc/sys/kernel/printk

failures=0
for test in /tests/*; do
    "$test" --test-threads 1 ${TESTS_ONLY:-} || failures=$((failures + 1))
done
[ $failures = 0 ] && echo "ALL GOOD" || echo "$failures failed"
sync
echo o >/proc/sysrq-trigger
sleep 60
