#compdef dhow
# zsh completion of dhow: keep this file as "_dhow" in a folder of fpath, or source it after compinit.
_dhow() {
    local -a lines candidates
    local line directive
    lines=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    directive=${lines[-1]#:}
    lines=("${(@)lines[1,-2]}")
    for line in $lines; do
        line=${line//:/\\:}
        candidates+=("${line/$'\t'/:}")
    done
    local -a options
    (( directive & 2 )) && options=(-S '')
    if (( $#candidates )); then
        _describe -t words dhow candidates $options
    fi
    if (( (directive & 4) == 0 )); then
        _files
    fi
}
if [ "$funcstack[1]" = "_dhow" ]; then
    _dhow "$@"
else
    compdef _dhow dhow
fi
