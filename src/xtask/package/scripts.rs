//! The maintainer scripts, put together and tried on root file systems of all kinds.

use super::read;
use crate::run;

/// What stands in packaging/scripts, and goes into a package with `common.sh` before it.
pub(super) const NAMES: [&str; 5] = [
    "stbeacon.preinst",
    "stbeacon.postinst",
    "stbeacon.prerm",
    "stbeacon.postrm",
    "gstreamer1.0-stbeacon.postinst",
];

/// The same of the collector's package, which dpkg alone installs.
pub(super) const COLLECTOR: [&str; 3] =
    ["stbeacon-collector.postinst", "stbeacon-collector.prerm", "stbeacon-collector.postrm"];

/// A script as a package has it.
pub(super) fn assemble(name: &str) -> Result<String, String> {
    let dir = run::root().join("packaging/scripts");
    let (common, own) = (read(&dir.join("common.sh"))?, read(&dir.join(name))?);
    Ok(format!("#!/bin/sh\n{common}\n{own}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Output};

    use tempfile::TempDir;

    use super::*;

    /// The shells that run them: Debian's, and small boxes'.
    const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];

    /// A root file system with what is given, and the package's own files.
    struct Box {
        root: TempDir,
        shell: &'static [&'static str],
    }

    impl Box {
        fn new(shell: &'static [&'static str], files: &[(&str, &str)]) -> Self {
            let root = TempDir::new().unwrap();
            let there = Self { root, shell };
            there.put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ntaken:x:999:999::/:/bin/false\n");
            there.put("etc/group", "root:x:0:\ntaken:x:998:\n");
            files.iter().for_each(|(path, text)| there.put(path, text));
            there
        }

        fn put(&self, path: &str, text: &str) {
            let file = self.root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn unpack_ipk(&self) {
            for path in ["usr/bin/stbeacon", "usr/share/stbeacon/init/sysv", "usr/share/stbeacon/init/procd"]
            {
                self.put(path, "#!/bin/sh\n");
            }
            self.put("etc/stbeacon/provision.xml", "<provision/>\n");
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.root.path().join(path)).unwrap()
        }

        fn link(&self, path: &str) -> Option<String> {
            let target = fs::read_link(self.root.path().join(path)).ok()?;
            Some(target.to_str().unwrap().to_owned())
        }

        /// Runs a script as a package manager on the machine that makes the image does.
        fn run(&self, variable: &str, script: &str, args: &[&str]) -> Output {
            let file = self.root.path().with_extension(script);
            fs::write(&file, assemble(script).unwrap()).unwrap();
            let (shell, first) = self.shell.split_first().unwrap();
            // None of the programs that make users and links on a full system: the bare minimum.
            let tools = self.root.path().with_extension("tools");
            fs::create_dir_all(&tools).unwrap();
            for tool in ["cat", "chown", "grep", "ln", "mkdir", "rm", "rmdir", "sed", "uname"] {
                let _ = std::os::unix::fs::symlink("/bin/busybox", tools.join(tool));
            }
            let mut command = Command::new(which(shell));
            command.env_clear().env("PATH", &tools).env(variable, self.root.path());
            let output = command.args(first).arg(&file).args(args).output().unwrap();
            fs::remove_file(&file).unwrap();
            fs::remove_dir_all(&tools).unwrap();
            assert!(output.status.success(), "{script} {args:?}: {output:?}");
            output
        }

        fn install(&self) -> String {
            self.run("IPKG_INSTROOT", "stbeacon.preinst", &["install"]);
            self.unpack_ipk();
            String::from_utf8(self.run("IPKG_INSTROOT", "stbeacon.postinst", &["configure"]).stderr).unwrap()
        }

        fn remove(&self) {
            self.run("IPKG_INSTROOT", "stbeacon.prerm", &["remove"]);
            for path in ["usr", "etc/stbeacon/provision.xml"] {
                let path = self.root.path().join(path);
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
            self.run("IPKG_INSTROOT", "stbeacon.postrm", &["remove"]);
        }

        /// Every file and link that is there, with what is in it.
        fn everything(&self) -> BTreeMap<String, String> {
            let mut all = BTreeMap::new();
            walk(self.root.path(), self.root.path(), &mut all);
            all
        }
    }

    fn which(program: &str) -> String {
        let found = ["/bin", "/usr/bin"].iter().map(|dir| format!("{dir}/{program}"));
        found.into_iter().find(|path| Path::new(path).exists()).unwrap()
    }

    fn walk(root: &Path, dir: &Path, all: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if let Ok(target) = fs::read_link(&path) {
                all.insert(name, format!("-> {}", target.display()));
            } else if path.is_dir() {
                walk(root, &path, all);
            } else {
                all.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn an_image_gets_a_user_with_a_free_number() {
        for shell in SHELLS {
            let image = Box::new(shell, &[("etc/shadow", "root:*:::::::\n")]);
            image.install();
            assert!(
                image.read("etc/passwd").contains("\nstbeacon:x:997:997:"),
                "{}",
                image.read("etc/passwd")
            );
            assert!(image.read("etc/group").contains("\nstbeacon:x:997:\n"));
            assert!(image.read("etc/shadow").contains("\nstbeacon:!:"));
        }
    }

    #[test]
    fn each_init_gets_its_own_script() {
        for shell in SHELLS {
            let openwrt = Box::new(shell, &[("etc/rc.common", "")]);
            openwrt.install();
            assert_eq!(
                openwrt.link("etc/init.d/stbeacon").as_deref(),
                Some("/usr/share/stbeacon/init/procd")
            );
            assert_eq!(openwrt.link("etc/rc.d/S95stbeacon").as_deref(), Some("../init.d/stbeacon"));

            let busybox = Box::new(shell, &[("etc/init.d/rcS", "")]);
            busybox.install();
            assert_eq!(busybox.link("etc/init.d/stbeacon").as_deref(), Some("/usr/share/stbeacon/init/sysv"));
            assert_eq!(busybox.link("etc/init.d/S95stbeacon").as_deref(), Some("stbeacon"));

            let systemd = Box::new(shell, &[("lib/systemd/systemd", "")]);
            systemd.install();
            assert_eq!(systemd.link("etc/init.d/stbeacon"), None);
            let wants = "etc/systemd/system/multi-user.target.wants/stbeacon.service";
            assert_eq!(systemd.link(wants).as_deref(), Some("/lib/systemd/system/stbeacon.service"));
        }
    }

    #[test]
    fn what_is_done_twice_is_done_once() {
        for shell in SHELLS {
            for init in ["etc/rc.common", "etc/init.d/rcS", "lib/systemd/systemd", "nothing"] {
                let image = Box::new(shell, &[(init, "")]);
                image.install();
                let once = image.everything();
                image.run("IPKG_INSTROOT", "stbeacon.postinst", &["configure"]);
                assert_eq!(image.everything(), once);
                // An upgrade: the scripts of both, and the configuration stays.
                image.run("OPKG_OFFLINE_ROOT", "stbeacon.preinst", &["upgrade", "0.1.0"]);
                image.run("OPKG_OFFLINE_ROOT", "stbeacon.postinst", &["configure"]);
                assert_eq!(image.everything(), once);
            }
        }
    }

    #[test]
    fn what_an_operator_switched_off_stays_off() {
        for (init, link) in [
            ("etc/rc.common", "etc/rc.d/S95stbeacon"),
            ("etc/init.d/rcS", "etc/init.d/S95stbeacon"),
            ("lib/systemd/systemd", "etc/systemd/system/multi-user.target.wants/stbeacon.service"),
        ] {
            let image = Box::new(SHELLS[1], &[(init, "")]);
            image.install();
            fs::remove_file(image.root.path().join(link)).unwrap();
            image.install();
            assert_eq!(image.link(link), None, "{link}");
        }
    }

    #[test]
    fn nothing_is_left_behind() {
        for shell in SHELLS {
            for init in ["etc/rc.common", "etc/init.d/rcS", "lib/systemd/systemd", "nothing"] {
                let image = Box::new(shell, &[(init, "")]);
                let before = image.everything();
                image.install();
                image.put("var/lib/stbeacon/spool/1", "a report");
                image.remove();
                assert_eq!(image.everything(), before);
                // What was put there by hand is not ours to remove.
                image.install();
                image.put("etc/stbeacon/stats.secret", "secret");
                image.remove();
                assert_eq!(image.read("etc/stbeacon/stats.secret"), "secret");
            }
        }
    }

    #[test]
    fn a_box_that_cannot_be_written_gets_the_package_and_is_told() {
        for shell in SHELLS {
            let image = Box::new(shell, &[]);
            image.unpack_ipk();
            // As a read-only file system would: nothing can be made in it, not even by root.
            fs::remove_dir_all(image.root.path().join("etc")).unwrap();
            fs::write(image.root.path().join("etc"), "").unwrap();
            let output = image.run("IPKG_INSTROOT", "stbeacon.postinst", &["configure"]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("/etc cannot be written, so there is no user stbeacon"), "{said}");
            image.run("IPKG_INSTROOT", "stbeacon.prerm", &["remove"]);
            image.run("IPKG_INSTROOT", "stbeacon.postrm", &["remove"]);
        }
    }

    #[test]
    fn a_box_without_gstreamer_is_told() {
        for shell in SHELLS {
            let image = Box::new(shell, &[]);
            let said = |image: &Box| {
                let output = image.run("IPKG_INSTROOT", "gstreamer1.0-stbeacon.postinst", &["configure"]);
                String::from_utf8(output.stderr).unwrap()
            };
            assert!(said(&image).contains("there is no libgstreamer-1.0.so.0"), "{}", said(&image));
            image.put("usr/lib/libgstreamer-1.0.so.0", "");
            image.put("usr/lib/gstreamer-1.0/libgstcoreelements.so", "");
            assert_eq!(said(&image), "");
        }
    }

    #[test]
    fn dpkg_takes_back_without_a_change() {
        let image = Box::new(SHELLS[0], &[]);
        let before = image.everything();
        for (script, args) in [
            ("stbeacon.postinst", ["abort-upgrade", "2"].as_slice()),
            ("stbeacon.prerm", &["upgrade", "2"]),
            ("stbeacon.postrm", &["upgrade", "2"]),
            ("stbeacon.postrm", &["failed-upgrade", "2"]),
            ("stbeacon.postrm", &["abort-install"]),
        ] {
            image.run("DPKG_ROOT", script, args);
        }
        assert_eq!(image.everything(), before);
    }
}
