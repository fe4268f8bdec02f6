SUMMARY = "Quality-of-experience agent for set-top boxes"
DESCRIPTION = "A daemon that makes sessions of what the box's players tell it and reports them to the operator, and a GStreamer tracer that tells it what any player does."
HOMEPAGE = "https://stbeacon.invalid/"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=186dfe6ac224346b34e807ef7868efd8 file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# Where the sources are: set both in a .bbappend or in local.conf.
STBEACON_GIT ?= "git://git.example.net/stbeacon.git;protocol=https;branch=main"
SRC_URI = "${STBEACON_GIT}"
SRCREV ?= "${AUTOREV}"
PV = "0.1.0+git"
S = "${WORKDIR}/git"

inherit cargo cargo-update-recipe-crates pkgconfig systemd update-rc.d useradd

# Every crate with its checksum, from Cargo.lock; make-crates writes it.
require stbeacon-crates.inc

DEPENDS = "gstreamer1.0"

# The daemon ends on a panic, the tracer catches its own: two profiles, so two builds.
CARGO_BUILD_FLAGS:append = " --package stbeacon"
do_compile:append() {
    oe_cargo_build --profile tracer --package gst-plugin-stbeacon
}

# Not the class's own: it takes every program and library that it finds.
do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/stbeacon ${D}${bindir}/stbeacon
    install -D -m 0644 ${B}/target/${RUST_TARGET_SYS}/tracer/libgststbeacon.so \
        ${D}${libdir}/gstreamer-1.0/libgststbeacon.so
    install -D -m 0640 ${S}/packaging/provision.xml ${D}${sysconfdir}/stbeacon/provision.xml
    install -D -m 0644 ${S}/packaging/player.env ${D}${sysconfdir}/stbeacon/player.env
    install -D -m 0644 ${S}/packaging/elements.toml ${D}${sysconfdir}/stbeacon/elements.toml
    install -D -m 0644 ${S}/packaging/default ${D}${sysconfdir}/default/stbeacon
    install -D -m 0644 ${S}/packaging/man/stbeacon.8 ${D}${mandir}/man8/stbeacon.8
    install -D -m 0644 ${S}/packaging/man/stbeacon-line.7 ${D}${mandir}/man7/stbeacon-line.7
    chown root:stbeacon ${D}${sysconfdir}/stbeacon/provision.xml
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/systemd/stbeacon.service ${D}${systemd_system_unitdir}/stbeacon.service
        install -D -m 0644 ${S}/systemd/tmpfiles.d/stbeacon.conf ${D}${nonarch_libdir}/tmpfiles.d/stbeacon.conf
    else
        install -D -m 0755 ${S}/packaging/init.d/stbeacon ${D}${sysconfdir}/init.d/stbeacon
    fi
}

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir /var/lib/stbeacon --shell /bin/false stbeacon"
SYSTEMD_SERVICE:${PN} = "stbeacon.service"
INITSCRIPT_NAME = "stbeacon"
INITSCRIPT_PARAMS = "defaults 95 05"

PACKAGES =+ "gstreamer1.0-stbeacon"
FILES:gstreamer1.0-stbeacon = "${libdir}/gstreamer-1.0/libgststbeacon.so ${sysconfdir}/stbeacon/player.env \
    ${sysconfdir}/stbeacon/elements.toml"
FILES:${PN} += "${systemd_system_unitdir} ${nonarch_libdir}/tmpfiles.d"
CONFFILES:${PN} = "${sysconfdir}/stbeacon/provision.xml ${sysconfdir}/default/stbeacon"
CONFFILES:gstreamer1.0-stbeacon = "${sysconfdir}/stbeacon/player.env ${sysconfdir}/stbeacon/elements.toml"
RRECOMMENDS:${PN} = "gstreamer1.0-stbeacon"
