# shellcheck shell=sh
# Makes a box image from Debian's packages for another architecture, without running a program of that architecture:
# what packages do when they are configured takes minutes under emulation, and a box's image has it done beforehand.
#
#   sh image.sh MIRROR ARCH MULTIARCH DIR
#
# Leaves DIR/deb.tar (systemd, dpkg and apt) and DIR/ipk.tar (busybox and its init). Needs root, mmdebstrap and dpkg.
set -eu
mirror=$1 arch=$2 multiarch=$3 dir=$4
here=$(dirname "$0")

# What apt would have to ask for if it were not there: what Debian calls essential, an init, and a player's libraries.
packages=apt,base-files,base-passwd,bash,bsdutils,coreutils,dash,debianutils,diffutils,dpkg,findutils,grep,gzip
packages=$packages,hostname,init-system-helpers,libc-bin,login,mawk,mount,ncurses-base,ncurses-bin,passwd,perl-base,sed
packages=$packages,sysvinit-utils,tar,usr-is-merged,util-linux,systemd,systemd-sysv,iproute2,procps,busybox-static
packages=$packages,libgstreamer1.0-0,gstreamer1.0-tools,libopenh264-7,libmpg123-0,liborc-0.4-0

# Of GStreamer's large packages a box has the plug-ins that it plays with, not the two hundred libraries of the others.
parts="libgstreamer-plugins-base1.0-0 libgstreamer-plugins-bad1.0-0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
parts="$parts gstreamer1.0-plugins-bad gstreamer1.0-plugins-base-apps"
plugins="app audioconvert audioparsers audioresample autodetect debugutilsbad deinterlace mpegtsdemux mpg123 openh264"
plugins="$plugins playback typefindfunctions udp videoconvertscale videoparsersbad volume"

root=$dir/root
mmdebstrap --quiet --mode=root --variant=extract --architectures="$arch" --include="$packages" \
    --skip=cleanup,check/empty --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --extract-hook="mkdir -p \"\$1/parts\" && cd \"\$1/parts\" && APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download $parts" \
    bookworm "$root" "$mirror"

# === What dpkg would know of packages that it had installed ===
info=$root/var/lib/dpkg/info
status=$root/var/lib/dpkg/status
: > "$status"
echo 1 > "$info/format"
for deb in "$root"/var/cache/apt/archives/*.deb; do
    rm -rf "$dir/control"
    dpkg-deb --control "$deb" "$dir/control"
    field() { sed -n "s/^$1: //p" "$dir/control/control"; }
    name=$(field Package)
    [ "$(field Multi-Arch)" != same ] || name=$name:$arch
    dpkg-deb --fsys-tarfile "$deb" | tar --list | sed 's,^\.,,; s,/$,,; s,^$,/.,' > "$info/$name.list"
    {
        sed '/^Package: /a Status: install ok installed' "$dir/control/control"
        if [ -s "$dir/control/conffiles" ]; then
            echo Conffiles:
            while read -r file; do
                [ ! -f "$root$file" ] || echo " $file $(md5sum < "$root$file" | cut -d' ' -f1)"
            done < "$dir/control/conffiles"
        fi
        echo
    } >> "$status"
    rm "$dir/control/control"
    for script in "$dir"/control/*; do
        [ ! -f "$script" ] || mv "$script" "$info/$name.${script##*/}"
    done
done

# === What their scripts would have done that matters here ===
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
systemd-sysusers --root="$root" > /dev/null
echo 'player:x:990:990:The box'"'"'s player:/var/lib/player:/usr/sbin/nologin' >> "$root/etc/passwd"
echo 'player:x:990:' >> "$root/etc/group"
mkdir -p "$root/var/lib/player"
chown 990:990 "$root/var/lib/player"
ln -sf mawk "$root/usr/bin/awk"

# === The plug-ins ===
gst=usr/lib/$multiarch/gstreamer-1.0
for deb in "$root"/parts/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar --extract --directory="$dir/root/parts"
done
cp -P "$root/parts/usr/lib/$multiarch"/libgst*.so.* "$root/usr/lib/$multiarch/"
cp "$root/parts/usr/bin/gst-play-1.0" "$root/usr/bin/"
for plugin in $plugins; do cp "$root/parts/$gst/libgst$plugin.so" "$root/$gst/"; done

rm -rf "$root/parts" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/man/* \
    "$root"/usr/share/locale/* "$root"/usr/share/i18n "$root"/usr/lib/*/gconv "$root"/usr/lib/udev/hwdb.d \
    "$root"/usr/share/zoneinfo "${root:?}"/dev/*
mkdir -p "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial" "$root/dev"
ldconfig -r "$root"

# === The .deb box: systemd is its init, and the player a unit of its own ===
cp "$here/player.service" "$root/lib/systemd/system/player.service"
for unit in getty.target console-getty.service systemd-logind.service systemd-networkd.service systemd-resolved.service \
    systemd-udevd.service systemd-timesyncd.service systemd-pstore.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer fstrim.timer e2scrub_all.timer systemd-firstboot.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
: > "$root/etc/machine-id"
tar --numeric-owner -C "$root" -cf "$dir/deb.tar" .

# === The .ipk box: busybox is all there is beside the player; no dpkg, no systemd, no perl, no bash ===
small=$dir/small
mkdir -p "$small"
for part in dev etc/init.d etc/opkg proc root run sys tmp usr/bin usr/lib usr/sbin var/lib/opkg var/lib/player var/lock var/log; do
    mkdir -p "$small/$part"
done
chmod 1777 "$small/tmp"
chown 990:990 "$small/var/lib/player"
for part in bin lib sbin; do ln -s "usr/$part" "$small/$part"; done
ln -s /run "$small/var/run"
cp -a "$root/usr/lib/$multiarch" "$small/usr/lib/"
rm -rf "$small/usr/lib/$multiarch"/perl* "$small/usr/lib/$multiarch"/systemd "$small/usr/lib/$multiarch"/libapt* \
    "$small/usr/lib/$multiarch"/security
# Images made for opkg know no multi-arch: their plug-ins are in one place on every architecture.
mv "$small/$gst" "$small/usr/lib/gstreamer-1.0"
ln -s ../gstreamer-1.0 "$small/$gst"
cp -a "$root"/lib/ld-linux* "$small/usr/lib/"
cp "$root"/usr/bin/gst-*-1.0 "$root/bin/busybox" "$small/usr/bin/"
while read -r applet; do
    [ -e "$small/usr/bin/$applet" ] || ln -s busybox "$small/usr/bin/$applet"
done < "$here/applets"
ln -s ../bin/busybox "$small/usr/sbin/init"
cp "$here/opkg-stand-in" "$small/usr/bin/opkg"
chmod 755 "$small/usr/bin/opkg"
cp "$here/busybox-rcS" "$small/etc/init.d/rcS"
chmod 755 "$small/etc/init.d/rcS"
echo '::sysinit:/etc/init.d/rcS' > "$small/etc/inittab"
echo 'root:x:0:0:root:/root:/bin/sh
player:x:990:990:player:/var/lib/player:/bin/false' > "$small/etc/passwd"
echo 'root:x:0:
player:x:990:' > "$small/etc/group"
echo 'root:*:19000:0:99999:7:::
player:*:19000:0:99999:7:::' > "$small/etc/shadow"
echo 'arch all 1' > "$small/etc/opkg/opkg.conf"
ldconfig -r "$small"
tar --numeric-owner -C "$small" -cf "$dir/ipk.tar" .
rm -rf "$root" "$small" "$dir/control"
