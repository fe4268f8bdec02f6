# fish completion for stbeacon-collector, from the program's own --help.
function __stbeacon_collector_options
    set -l words (commandline -opc)
    set -l load
    if test (count $words) -gt 1; and test $words[2] = load
        set load load
    end
    stbeacon-collector $load --help 2>/dev/null | sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
end
complete -c stbeacon-collector -n '__fish_is_first_arg' -a load -d 'sends a collector what a fleet would'
complete -c stbeacon-collector -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__stbeacon_collector_options)'
