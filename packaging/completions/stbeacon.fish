# fish completion for stbeacon, from the program's own --help.
function __stbeacon_commands
    stbeacon --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\)  *\(.*\)/\1\t\2/p'
end
function __stbeacon_options
    set -l command (commandline -opc)[2]
    stbeacon $command --help 2>/dev/null | sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
end
complete -c stbeacon -n '__fish_is_first_arg' -f -a '(__stbeacon_commands)'
complete -c stbeacon -n 'not __fish_is_first_arg; and string match -q -- "-*" (commandline -ct)' -f -a '(__stbeacon_options)'
