//! Unix sockets to listen on.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::unistd::Gid;

use crate::cli::Failure;

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Permission bits.
    mode: u32,
    /// In place of the process's own.
    group: Option<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    gid: Gid,
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 16;

/// A socket file that is listened on, and removed in the end.
#[derive(Debug)]
pub(crate) struct Bound {
    path: PathBuf,
}

/// Listens on `path`. A file left over by a process that is gone is replaced; one on which somebody answers is
/// not.
///
/// # Errors
/// One line with the remedy.
pub(crate) fn listen_on(
    path: &Path,
    kind: SockType,
    access: &Access,
) -> Result<(UnixListener, Bound), Failure> {
    let shown = path.display();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(Failure::environment(format!(
            "cannot listen on {shown}: there is no directory {0}; create it (mkdir -p {0}), or let systemd do so with \
             RuntimeDirectory=stbeacon",
            directory.display()
        )));
    }
    remove_stale(path, kind)?;
    open(path, kind, access).map(|listener| (listener, Bound { path: path.to_owned() })).map_err(|error| {
        let remedy = match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
            Errno::EACCES | Errno::EPERM | Errno::EROFS => {
                format!("; make {} writable for this user, or give another path", directory.display())
            }
            Errno::ENAMETOOLONG => "; a socket's path has at most 107 bytes".to_owned(),
            _ => String::new(),
        };
        Failure::environment(format!("cannot listen on {shown}: {error}{remedy}"))
    })
}

fn open(path: &Path, kind: SockType, access: &Access) -> io::Result<UnixListener> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, kind, flags, None)?;
    bind(fd.as_raw_fd(), &address)?;
    // Before anybody can connect: that begins with listen.
    if let Some(group) = &access.group {
        chown(path, None, Some(group.gid.as_raw())).map_err(|error| {
            let name = &group.name;
            io::Error::new(
                error.kind(),
                format!("its group cannot be {name}, this user has to be in it: {error}"),
            )
        })?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode))?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(fd))
}

fn remove_stale(path: &Path, kind: SockType) -> Result<(), Failure> {
    let shown = path.display();
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(Failure::environment(format!(
            "cannot listen on {shown}: a file that is no socket is in the way; remove it, or give another path"
        )));
    }
    match probe(path, kind) {
        Err(Errno::ECONNREFUSED) => std::fs::remove_file(path).map_err(|error| {
            Failure::environment(format!(
                "cannot replace {shown}, left over by a process that is gone: {error}"
            ))
        }),
        Err(Errno::ENOENT) => Ok(()),
        Ok(_) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Err(Failure::environment(format!(
            "cannot listen on {shown}: another process answers there; stop it, or give another path"
        ))),
        Err(error) => Err(Failure::environment(format!(
            "cannot tell whether anybody listens on {shown}: {}; run as its owner, or give another path",
            error.desc()
        ))),
    }
}

fn probe(path: &Path, kind: SockType) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, kind, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

// === impl Access ===

impl Access {
    /// Owner and group may connect, nobody else.
    pub(crate) const OWNER_AND_GROUP: Self = Self { mode: 0o660, group: None };

    /// From what the user wrote: an octal mode, a group's name or number.
    ///
    /// # Errors
    /// Where it makes no sense, or there is no such group.
    pub(crate) fn new(mode: Option<&str>, group: Option<&str>) -> Result<Self, Failure> {
        let mode = mode.map_or(Ok(Self::OWNER_AND_GROUP.mode), |text| {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
            mode.ok_or_else(|| {
                Failure::usage(format!("--socket-mode {text:?} is no octal mode; expected such as 0660"))
            })
        })?;
        let group = group.map(|name| {
            let found = match name.parse() {
                Ok(gid) => Ok(Some(Gid::from_raw(gid))),
                Err(_) => nix::unistd::Group::from_name(name).map(|group| group.map(|group| group.gid)),
            };
            match found {
                Ok(Some(gid)) => Ok(Group { name: name.to_owned(), gid }),
                _ => Err(Failure::environment(format!(
                    "--socket-group: there is no group {name:?}; groupadd it"
                ))),
            }
        });
        Ok(Self { mode, group: group.transpose()? })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // The process ends; a file that stays is replaced by the next one.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_for_owner_and_group_and_cleans_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("player.sock");
        let (listener, bound) = listen_on(&path, SockType::SeqPacket, &Access::OWNER_AND_GROUP).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);

        let second = listen_on(&path, SockType::SeqPacket, &Access::OWNER_AND_GROUP).unwrap_err();
        assert!(second.message.contains("another process answers"), "{}", second.message);

        drop(listener);
        assert!(path.exists(), "left over as by a process that was killed");
        let (_listener, _bound) = listen_on(&path, SockType::SeqPacket, &Access::OWNER_AND_GROUP).unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        let failure = listen_on(&file, SockType::SeqPacket, &Access::OWNER_AND_GROUP).unwrap_err();
        assert!(failure.message.contains("no socket is in the way"), "{}", failure.message);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

        let failure = listen_on(
            &directory.path().join("no/such/player.sock"),
            SockType::SeqPacket,
            &Access::OWNER_AND_GROUP,
        )
        .unwrap_err();
        assert!(failure.message.contains("mkdir -p"), "{}", failure.message);
        assert_eq!(failure.code, crate::cli::ENVIRONMENT);

        let long = directory.path().join("x".repeat(120));
        let failure = listen_on(&long, SockType::SeqPacket, &Access::OWNER_AND_GROUP).unwrap_err();
        assert!(failure.message.contains("107 bytes"), "{}", failure.message);
    }

    #[test]
    fn who_may_connect_is_the_users_choice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("player.sock");
        // The group that this process has in any case.
        let gid = nix::unistd::getegid().to_string();
        let access = Access::new(Some("0666"), Some(&gid)).unwrap();
        let (_listener, _bound) = listen_on(&path, SockType::SeqPacket, &access).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(Access::new(None, None).unwrap(), Access::OWNER_AND_GROUP);
        assert_eq!(
            Access::new(None, Some("root")).unwrap(),
            Access::new(None, Some("0")).unwrap().named("root")
        );
        for bad in ["0888", "rw", "01000", ""] {
            assert_eq!(Access::new(Some(bad), None).unwrap_err().code, crate::cli::USAGE, "{bad}");
        }
        let failure = Access::new(None, Some("no-such-group")).unwrap_err();
        assert!(failure.message.contains("groupadd"), "{}", failure.message);
    }

    impl Access {
        fn named(mut self, name: &str) -> Self {
            if let Some(group) = &mut self.group {
                group.name = name.to_owned();
            }
            self
        }
    }
}
