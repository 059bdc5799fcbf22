# fish completion of dhow: keep this file as dhow.fish in ~/.config/fish/completions, or source it.
function __dhow_complete
    set -l before (commandline -opc)
    set -l answer ($before[1] __complete $before[2..-1] (commandline -ct) 2>/dev/null)
    test (count $answer) -gt 0; or return
    set -l directive (string sub --start 2 -- $answer[-1])
    if test (count $answer) -gt 1
        printf '%s\n' $answer[1..-2]
    end
    if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path (commandline -ct)
    end
end
complete --command dhow --no-files --arguments '(__dhow_complete)'
