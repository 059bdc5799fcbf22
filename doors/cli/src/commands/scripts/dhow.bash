# bash completion of dhow: source this file, or keep it in bash-completion's folder as "dhow".
_dhow() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$' \t\n'
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local answer directive candidate
    answer=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null) || return
    directive=${answer##*:}
    # Bash replaces only what follows the last "=" or ":" of a word.
    local current=${words[-1]} kept=
    [[ $current == *[=:]* ]] && kept=${current%"${current##*[=:]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        [[ -n $candidate && $candidate == "$current"* ]] && COMPREPLY+=("${candidate#"$kept"}")
    done <<<"${answer%:*}"
    if ((directive & 2)); then
        compopt -o nospace 2>/dev/null
    fi
    if ((${#COMPREPLY[@]} == 0 && (directive & 4) == 0)); then
        compopt -o default 2>/dev/null
    fi
}
complete -F _dhow dhow
