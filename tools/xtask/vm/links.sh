#!/bin/bash
# Networks on a machine whose kernel has kinds of links and protocols that those of developers and of CI lack (ipvlan, VLANs,
# dummy links, SCTP): runs the tests that are given there (machine.sh).
#
#   tools/xtask/vm/links.sh FOLDER FOR WHAT IS KEPT DHOW-BINARY TEST-BINARY…
set -euo pipefail
kept=$(readlink -m "$1")
here=$(dirname "$(readlink -f "$0")")
mapfile -t binaries < <(shift; readlink -f "$@")
. "$here/machine.sh"

prepare_machine "$kept"
add_modules overlay loop erofs veth bridge macvlan ipvlan dummy 8021q sctp nf_tables nft_nat nft_masq nft_ct nft_fib_inet \
    nft_reject_inet nft_chain_nat nf_conntrack_netlink nft_dup_ipv4 nft_dup_ipv6 nft_dup_netdev
add_programs ip nft tar unshare nsenter mount
add_dhow "${binaries[@]}"
VM_PATIENCE=${VM_PATIENCE:-900} boot_machine "$here/links_guest.sh"
