# Sourced by the scripts beside it, whose folder is $here: a machine with Debian's kernel, emulated by QEMU without acceleration and without a network.
#
# What is missing is said, and ends the script with 77: the caller decides whether that is a failure.
# Needs qemu-system-x86, busybox-static, cpio, binutils and kmod; the kernel is fetched once with apt-get download.

left_out() { echo "LEFT OUT: $*" >&2; exit 77; }

# FOLDER FOR WHAT IS KEPT: goes there, with a kernel, and begins a first root file system.
prepare_machine() {
    for program in qemu-system-x86_64 busybox cpio strip apt-get dpkg modprobe depmod; do
        command -v "$program" >/dev/null || left_out "$program is not installed"
    done
    mkdir -p "$1"
    cd "$1"
    if ! ls kernel/boot/vmlinuz-* >/dev/null 2>&1; then
        package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)
        [ -n "$package" ] || left_out "no package of a kernel is known: apt-get update"
        apt-get download "$package" >/dev/null 2>&1 || left_out "$package cannot be fetched"
        rm -rf kernel.new && dpkg -x "$package"_*.deb kernel.new && rm "$package"_*.deb && mv kernel.new kernel
    fi
    kernel=$(ls kernel/boot/vmlinuz-* | head -1)
    release=${kernel#kernel/boot/vmlinuz-}
    [ -e "kernel/lib/modules/$release/modules.dep" ] || depmod -b kernel "$release"
    rm -rf first && mkdir -p first/{bin,proc,new,mods,more}
    cp "$(command -v busybox)" first/bin/busybox
}

# MODULE…: with those that it needs, in the order in which they are loaded.
add_modules() {
    for module in "$@"; do
        modprobe -d kernel -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++' | while read -r file; do
        case $file in
            *.ko) ;;
            *) left_out "modules of this kernel are compressed: $file" ;;
        esac
        cp "$file" "first/mods/"
        basename "$file" >>first/mods/order
    done
    [ -s first/mods/order ] || left_out "the kernel has no modules $*"
}

# PROGRAM…: with the libraries that they need, each where it is here.
add_programs() {
    for program in "$@"; do
        file=$(command -v "$program") || left_out "$program is not installed"
        for needed in "$file" $(ldd "$file" | grep -o '/[^ ]*'); do
            mkdir -p "first/more$(dirname "$needed")"
            cp -L "$needed" "first/more$needed"
        done
    done
}

# BINARY TEST…: the engine, which goes by the stock command line's name as well, and the tests that run there.
add_dhow() {
    strip -o first/bin/dhow "$1"
    ln first/bin/dhow first/bin/docker
    mkdir -p first/more/tests
    for test in "${@:2}"; do
        strip -o "first/more/tests/$(basename "$test")" "$test"
    done
}

# SCRIPT: boots, and runs it there; the second root is a tmpfs, because no root can be changed for the first.
boot_machine() {
    cat "$here/guest.sh" "$1" >first/guest.sh
    cat >first/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t tmpfs -o mode=755 root /new
$b mkdir -p /new/bin /new/proc /new/sys /new/dev /new/tmp /new/run /new/etc /new/data /new/root
for file in /bin/*; do $b cp "$file" /new/bin/; done
$b cp -r /guest.sh /mods /new/
$b cp -a /more/. /new/
$b chroot /new /bin/busybox --install -s /bin 2>/dev/null
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
}
