# bash completion for stbeacon. What there is to complete is asked of the program's own --help, so it cannot be out of
# date: two spaces and a command in the overview; long options in a command's help.
_stbeacon() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$(stbeacon --help 2> /dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p') --help --version"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
    fi
    case $previous in
        --unit) words=$(systemctl list-unit-files --type=service --no-legend --plain 2> /dev/null | cut -d ' ' -f 1) ;;
        --log) words="error warn info debug" ;;
    esac
    if [ -z "$words" ] && [ "${current#-}" != "$current" ]; then
        words="$(stbeacon "${COMP_WORDS[1]}" --help 2> /dev/null | sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p')"
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _stbeacon stbeacon
