# Begins what runs in an emulated machine: the file systems and modules that every story there needs (machine.sh).
export PATH=/usr/sbin:/sbin:/usr/bin:/bin HOME=/root
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

# Says how it went, and turns the machine off.
finish() {
    [ $failures = 0 ] && echo "ALL GOOD" || echo "$failures failed"
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
}

