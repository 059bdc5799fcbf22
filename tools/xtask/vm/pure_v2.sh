#!/bin/bash
# Containers on a machine that has cgroup v2 and nothing else: boots Debian's kernel in QEMU, without
# acceleration and without a network, and runs pure_v2_guest.sh in it with the binary that is given.
#
#   tools/xtask/vm/pure_v2.sh DHOW-BINARY [FOLDER FOR WHAT IS KEPT]
#
# It needs qemu-system-x86, busybox-static, cpio and binutils; the kernel is fetched once with apt-get download.
# What is missing is said, and ends it with 77: the caller decides whether that is a failure.
set -euo pipefail
binary=$(readlink -f "$1")
kept=$(readlink -m "${2:-target/vm}")
here=$(dirname "$(readlink -f "$0")")

left_out() { echo "LEFT OUT: $*" >&2; exit 77; }
for program in qemu-system-x86_64 busybox cpio strip apt-get dpkg modinfo; do
    command -v "$program" >/dev/null || left_out "$program is not installed"
done

# The kernel and its overlayfs.
mkdir -p "$kept"
cd "$kept"
if ! ls kernel/boot/vmlinuz-* >/dev/null 2>&1; then
    package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)
    [ -n "$package" ] || left_out "no package of a kernel is known: apt-get update"
    apt-get download "$package" >/dev/null 2>&1 || left_out "$package cannot be fetched"
    rm -rf kernel.new && dpkg -x "$package"_*.deb kernel.new && rm "$package"_*.deb && mv kernel.new kernel
fi
kernel=$(ls kernel/boot/vmlinuz-* | head -1)
modules=kernel/lib/modules/${kernel#kernel/boot/vmlinuz-}
overlay=$(find "$modules" -name 'overlay.ko*' | head -1)
case $overlay in
    *.ko) ;;
    *) left_out "the kernel's overlay module is not there, or compressed: $overlay" ;;
esac

# A first root with all that is needed; the second one is a tmpfs, because no root can be changed for the first.
rm -rf first && mkdir -p first/{bin,proc,new,mods}
cp "$(command -v busybox)" first/bin/busybox
cp "$overlay" first/mods/overlay.ko
strip -o first/bin/dhow "$binary"
cp "$here/pure_v2_guest.sh" first/guest.sh
cat >first/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t tmpfs -o mode=755 root /new
$b mkdir -p /new/bin /new/proc /new/sys /new/dev /new/tmp /new/run /new/etc /new/data /new/root
$b cp /bin/busybox /bin/dhow /new/bin/
$b cp /guest.sh /mods/overlay.ko /new/
$b chroot /new /bin/busybox --install -s /bin
echo 'root:x:0:0::/root:/bin/sh' >/new/etc/passwd
exec $b switch_root /new /bin/sh /guest.sh
INIT
chmod +x first/init
(cd first && find . | cpio -o -H newc --quiet) >first.cpio

# Mitigations and the search for clocks take longest without acceleration.
timeout "${VM_PATIENCE:-300}" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
    -M q35 -accel tcg -cpu Nehalem -m 1536 -smp 1 -serial stdio -kernel "$kernel" -initrd first.cpio \
    -append "console=ttyS0 quiet panic=-1 reboot=t tsc=unstable no_timer_check mitigations=off random.trust_cpu=on" \
    </dev/null | tr -d '\r' | tee guest.log
grep -q '^ALL GOOD$' guest.log
