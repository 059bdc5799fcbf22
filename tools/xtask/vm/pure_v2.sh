#!/bin/bash
# Containers on a machine that has cgroup v2 and nothing else: runs pure_v2_guest.sh there (machine.sh) with the binary
# that is given.
#
#   tools/xtask/vm/pure_v2.sh FOLDER FOR WHAT IS KEPT DHOW-BINARY
set -euo pipefail
kept=$(readlink -m "$1")
binary=$(readlink -f "$2")
here=$(dirname "$(readlink -f "$0")")
. "$here/machine.sh"

prepare_machine "$kept"
add_modules overlay
add_dhow "$binary"
boot_machine "$here/pure_v2_guest.sh"
