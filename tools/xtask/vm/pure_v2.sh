#!/bin/bash
# Containers on a machine that has cgroup v2 and nothing else: runs pure_v2_guest.sh there (machine.sh) with the binary
# that is given.
#
#   tools/xtask/vm/pure_v2.sh DHOW-BINARY [FOLDER FOR WHAT IS KEPT]
set -euo pipefail
binary=$(readlink -f "$1")
kept=$(readlink -m "${2:-target/vm}")
here=$(dirname "$(readlink -f "$0")")
. "$here/machine.sh"

prepare_machine "$kept"
add_modules overlay
strip -o first/bin/dhow "$binary"
boot_machine "$here/pure_v2_guest.sh"
