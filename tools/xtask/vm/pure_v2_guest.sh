# Runs in the machine that pure_v2.sh boots: an engine, and containers of it, on cgroup v2 alone.
export DHOW_HOST=unix:///run/dhow.sock

# WHAT FOUND EXPECTED-PATTERN
expect() {
    case $2 in
        $3) echo "ok   $1: $2" ;;
        *) echo "FAIL $1: $2, expected $3"; failures=$((failures + 1)) ;;
    esac
}
file() { dhow exec lim cat "/sys/fs/cgroup/$1"; }

dhow daemon --data-root /data --exec-root /run/dhow -H $DHOW_HOST --pidfile /run/pid >/run/log 2>&1 &
for _ in $(seq 60); do dhow version >/dev/null 2>&1 && break; sleep 1; done
expect "version of cgroups" "$(dhow info -f '{{.CgroupVersion}}')" 2
mkdir -p /tmp/root/bin && cp /bin/busybox /tmp/root/bin && chroot /tmp/root /bin/busybox --install -s /bin
tar -C /tmp/root -c . | dhow import - busybox >/dev/null
expect "a container" "$(dhow run --network none --rm busybox echo hello)" hello

dhow run --network none -d --name lim --memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 20 --cpu-shares 512 \
    --health-cmd 'test -e /ok' --health-interval 1s busybox \
    sh -c 'head -c 20000000 /dev/zero >/file; touch /ok; while :; do :; done' >/dev/null
expect memory.max "$(file memory.max)" 67108864
expect memory.swap.max "$(file memory.swap.max)" 0
expect cpu.max "$(file cpu.max)" "50000 100000"
expect pids.max "$(file pids.max)" 20
for _ in $(seq 30); do [ "$(dhow inspect -f '{{.State.Health.Status}}' lim)" = healthy ] && break; sleep 1; done
expect health "$(dhow inspect -f '{{.State.Health.Status}}' lim)" healthy
expect "stats: memory and processes" "$(dhow stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' lim)" '*iB / 64MiB 1'
# Half a processor is what it may have; the clock of an emulated machine is not exact.
expect "stats: processor" "$(dhow stats --no-stream --format '{{.CPUPerc}}' lim)" '[3-7]?.*%'
dhow update --memory 96m --memory-swap 96m --cpus 0.25 --pids-limit 30 lim >/dev/null
expect "updated memory.max" "$(file memory.max)" 100663296
expect "updated cpu.max" "$(file cpu.max)" "25000 100000"
expect "updated pids.max" "$(file pids.max)" 30
dhow pause lim >/dev/null
expect "paused" "$(cat /sys/fs/cgroup/dhow/*/cgroup.freeze)" 1
dhow unpause lim >/dev/null
expect "going on" "$(cat /sys/fs/cgroup/dhow/*/cgroup.freeze)" 0
expect top "$(dhow top lim | tail -1)" '*while*'

dhow run --network none --name oom --memory 16m --memory-swap 16m busybox sh -c 'head -c 100m /dev/zero | tail' >/dev/null 2>&1
expect "out of memory" "$(dhow inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom)" "true 137"
expect "a device that is allowed" "$(dhow run --network none --rm --device /dev/zero:/dev/z busybox sh -c 'head -c 4 /dev/z | wc -c')" 4
expect "a device that is not" "$(dhow run --network none --rm --cap-add MKNOD busybox sh -c 'mknod /k c 1 11; cat /k' 2>&1)" '*not permitted'

kill -9 "$(cat /run/pid)"
dhow daemon --data-root /data --exec-root /run/dhow -H $DHOW_HOST --pidfile /run/pid >>/run/log 2>&1 &
for _ in $(seq 60); do dhow version >/dev/null 2>&1 && break; sleep 1; done
expect "found again" "$(dhow ps --format '{{.Names}} {{.State}}')" "lim running"
dhow rm -f lim oom >/dev/null
expect "nothing left" "$(ls -d /sys/fs/cgroup/dhow/*/ 2>/dev/null)" ""
expect "warnings" "$(grep -c ' ERROR ' /run/log)" 0
[ $failures = 0 ] || tail -20 /run/log
finish
