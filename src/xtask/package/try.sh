# shellcheck shell=sh
# Installs the collector's package in a Debian that is thrown away afterwards, and in which systemd runs, in namespaces
# and a control group of its own. Needs root.
#
#   sh -eu try.sh DEBIAN PACKAGE
#
# Each thing that is looked at is said, and the first that is wrong ends it.
debian=$1 package=$2

# === Before it: a control group ===
if [ -z "${INSIDE:-}" ]; then
    groups=/sys/fs/cgroup
    [ -e "$groups/cgroup.controllers" ] || groups=$groups/systemd
    group=$groups/stbeacon-try-$$
    said=$(mktemp)
    mkdir "$group"
    status=0
    sh -eu -c 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"' sh "$group" \
        unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child \
        env INSIDE="$said" sh -eu "$0" "$debian" "$package" > "$said.boot" 2>&1 || status=$?
    cat "$said"
    if [ $status -ne 0 ]; then
        tail -n 30 "$said.boot" >&2
    fi
    rm "$said" "$said.boot"
    # What has died there leaves it in a moment.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$group" -depth -type d -exec rmdir {} + 2> /dev/null && break
        sleep 0.2
    done
    exit $status
fi

# === Within: process 1 of a machine that is made up ===
work=$(mktemp -d)
mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$debian,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
root=$work/root
cp "$package" "$root/package.deb"
: > "$root/said"
mount --bind "$INSIDE" "$root/said"
: > "$root/etc/machine-id"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
ip link set lo up
hostname collector

# What boots, and what then looks at it.
cat > "$root/look.sh" << 'LOOK'
set -eu
say() { echo "  ✓ $*"; }
wrong() {
    echo "  ✗ $*" >&2
    journalctl --no-pager -u stbeacon-collector -n 30 >&2 || :
    exit 1
}
name=stbeacon-collector
# What dpkg, systemd and the kernel keep for themselves is nobody's package.
list() {
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/lib/dpkg \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/systemd -o -path /var/tmp -o -name 'passwd-' \
        -o -name 'group-' -o -name 'shadow-' -o -name 'gshadow-' -o -name .pwd.lock \) -prune -o -print | sort
    # They may be written anew, in another order.
    for file in /etc/passwd /etc/group /etc/shadow /etc/gshadow; do sort "$file"; done
}
get() {
    exec 3<> /dev/tcp/127.0.0.1/8480 || return 1
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
    cat <&3
}
answers() {
    for _ in $(seq 300); do
        if get /-/status 2> /dev/null | grep -q '"store_writable":true'; then return; fi
        sleep 0.1
    done
    wrong "it does not answer"
}
property() { systemctl show -P "$1" "$name"; }

list > /tmp/before
dpkg -i /package.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; wrong "dpkg -i"; }
answers
say "installed, it is $(property ActiveState) under systemd as the user $(property User), and answers"
[ "$(property UnitFileState)" = enabled ] || wrong "it is not enabled: $(property UnitFileState)"
pid=$(property MainPID)
owner=$(stat -c %U "/proc/$pid")
[ "$owner" = "$name" ] || wrong "it runs as $owner"
[ "$(stat -c '%U %a' /var/lib/$name)" = "$name 750" ] || wrong "its directory is $(stat -c '%U %a' /var/lib/$name)"
say "it runs as $owner, and its directory is nobody else's; exposure: $(systemd-analyze security --no-pager $name | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')"

stbeacon-collector load --sessions 60 --rate 0 --source mixed --at-once --retries 10 > /tmp/load || wrong "$(cat /tmp/load)"
say "$(head -1 /tmp/load | cut -d: -f1)"
summary=/insights/2.6/metrics.json?metrics=quality_summary
get "$summary&account=1&filter_ids=1" | grep -q '"1":\[60[,.]' || wrong "its summary has not 60 attempts: $(get "$summary&account=1&filter_ids=1")"
say "it answers 60 attempts"

systemctl kill -s KILL $name
while [ "$(property MainPID)" = "$pid" ]; do sleep 0.1; done
answers
get "$summary&account=1&filter_ids=1" | grep -q '"1":\[60[,.]' || wrong "killed, it has lost some"
say "killed, it comes back with them"

echo 'STBEACON_LOG=debug' >> /etc/default/$name
dpkg -i /package.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; wrong "dpkg -i, again"; }
answers
grep -q '^STBEACON_LOG=debug' /etc/default/$name || wrong "an upgrade has lost what was set"
say "installed again, it keeps what was set, and answers"

systemctl disable --quiet --now $name
dpkg -i /package.deb > /tmp/dpkg.log 2>&1
[ "$(property UnitFileState) $(property ActiveState)" = "disabled inactive" ] ||
    wrong "switched off, an upgrade switches it on: $(property UnitFileState) $(property ActiveState)"
say "switched off, it stays so over an upgrade"
systemctl enable --quiet --now $name
answers

dpkg -r $name > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; wrong "dpkg -r"; }
[ -e /var/lib/$name/collector.sqlite ] && [ -e /etc/default/$name ] || wrong "removed, it takes what was kept along"
if pgrep -x stbeacon-collec > /dev/null 2>&1; then wrong "removed, it runs on"; fi
say "removed, it leaves what it has kept and what was set"
dpkg -P $name > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; wrong "dpkg -P"; }
list > /tmp/after
diff /tmp/before /tmp/after > /tmp/diff || wrong "purged, it leaves: $(cat /tmp/diff)"
say "purged, it leaves nothing"
LOOK
cat > "$root/etc/systemd/system/look.service" << 'UNIT'
[Unit]
After=multi-user.target
SuccessAction=exit-force
SuccessActionExitStatus=0
FailureAction=exit-force
FailureActionExitStatus=1
[Service]
Type=oneshot
ExecStart=/bin/bash /look.sh
StandardOutput=append:/said
StandardError=append:/said
TimeoutStartSec=150
[Install]
WantedBy=multi-user.target
UNIT
ln -s ../look.service "$root/etc/systemd/system/multi-user.target.wants/look.service" 2> /dev/null ||
    { mkdir -p "$root/etc/systemd/system/multi-user.target.wants" &&
        ln -s ../look.service "$root/etc/systemd/system/multi-user.target.wants/look.service"; }
# A root as systemd expects it, which makes mount namespaces for its units.
mkdir "$root/old"
cd "$root"
pivot_root . old
# What process 1 exits with is what all this exits with.
exec chroot . sh -c 'umount -l /old && rmdir /old && exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=multi-user.target'
