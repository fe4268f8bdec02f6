# bash completion for stbeacon-collector. What there is to complete is asked of the program's own --help, so it cannot be
# out of date.
_stbeacon_collector() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} help=--help words=
    COMPREPLY=()
    case $previous in
        --log) words="error warn info debug" ;;
        --source) words="reports lines heartbeats mixed" ;;
    esac
    if [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = load ]; then
        help="load --help"
    elif [ "$COMP_CWORD" -eq 1 ] && [ "${current#-}" = "$current" ]; then
        words="load --help --version"
    fi
    if [ -z "$words" ] && [ "${current#-}" != "$current" ]; then
        # shellcheck disable=SC2086
        words="$(stbeacon-collector $help 2> /dev/null | sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p')"
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _stbeacon_collector stbeacon-collector
