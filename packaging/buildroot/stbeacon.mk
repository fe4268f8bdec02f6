################################################################################
#
# stbeacon
#
################################################################################

STBEACON_VERSION = 0.1.0
# A checkout beside Buildroot's own; its crates are fetched with `cargo vendor`
# as for any cargo package.
STBEACON_SITE = $(TOPDIR)/../stbeacon
STBEACON_SITE_METHOD = local
STBEACON_LICENSE = MIT or Apache-2.0
STBEACON_LICENSE_FILES = LICENSE LICENSE-MIT LICENSE-APACHE
STBEACON_CARGO_BUILD_OPTS = -p stbeacon
STBEACON_CARGO_INSTALL_OPTS = --path src/agent

ifeq ($(BR2_PACKAGE_STBEACON_TRACER),y)
STBEACON_DEPENDENCIES += gstreamer1 host-pkgconf

define STBEACON_BUILD_TRACER
	cd $(@D) && $(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(PKG_CARGO_ENV) \
		cargo build --offline --locked --profile tracer \
			-p gst-plugin-stbeacon
endef
STBEACON_POST_BUILD_HOOKS += STBEACON_BUILD_TRACER

define STBEACON_INSTALL_TRACER
	$(INSTALL) -D -m 0644 $(@D)/target/$(RUSTC_TARGET_NAME)/tracer/libgststbeacon.so \
		$(TARGET_DIR)/usr/lib/gstreamer-1.0/libgststbeacon.so
	$(INSTALL) -D -m 0644 $(@D)/packaging/player.env \
		$(TARGET_DIR)/etc/stbeacon/player.env
	$(INSTALL) -D -m 0644 $(@D)/packaging/elements.toml \
		$(TARGET_DIR)/etc/stbeacon/elements.toml
endef
STBEACON_POST_INSTALL_TARGET_HOOKS += STBEACON_INSTALL_TRACER
endif

define STBEACON_INSTALL_SETTINGS
	$(INSTALL) -D -m 0640 $(@D)/packaging/provision.xml \
		$(TARGET_DIR)/etc/stbeacon/provision.xml
	$(INSTALL) -D -m 0644 $(@D)/packaging/default \
		$(TARGET_DIR)/etc/default/stbeacon
endef
STBEACON_POST_INSTALL_TARGET_HOOKS += STBEACON_INSTALL_SETTINGS

define STBEACON_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/systemd/stbeacon.service \
		$(TARGET_DIR)/usr/lib/systemd/system/stbeacon.service
	$(INSTALL) -D -m 0644 $(@D)/systemd/tmpfiles.d/stbeacon.conf \
		$(TARGET_DIR)/usr/lib/tmpfiles.d/stbeacon.conf
endef

define STBEACON_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/packaging/init.d/stbeacon \
		$(TARGET_DIR)/etc/init.d/S95stbeacon
endef

define STBEACON_USERS
	stbeacon -1 stbeacon -1 * /var/lib/stbeacon - - Quality-of-experience agent
endef


# Only the daemon's user and group may read what it is provisioned with.
define STBEACON_PERMISSIONS
	/etc/stbeacon/provision.xml f 640 0 stbeacon - - - - -
endef

$(eval $(cargo-package))
