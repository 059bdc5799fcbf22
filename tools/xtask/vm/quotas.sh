#!/bin/bash
# Limits of size on a machine whose kernel has project quotas, which those of developers and of CI may lack: runs the tests
# that are given there (machine.sh), on ext4 and on xfs.
#
#   tools/xtask/vm/quotas.sh FOLDER FOR WHAT IS KEPT DHOW-BINARY TEST-BINARY…
set -euo pipefail
kept=$(readlink -m "$1")
here=$(dirname "$(readlink -f "$0")")
mapfile -t binaries < <(shift; readlink -f "$@")
. "$here/machine.sh"

prepare_machine "$kept"
add_modules ext4 xfs quota_v2 loop overlay erofs
add_programs mkfs.ext4 mkfs.xfs mount unshare nsenter tar
add_dhow "${binaries[@]}"
VM_PATIENCE=${VM_PATIENCE:-600} boot_machine "$here/quotas_guest.sh"
