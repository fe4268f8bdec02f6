//! Notices when the provisioning file changes (inotify(7)).
//!
//! Its directory is watched, not the file: an editor, a package or `stbeacon`'s own kind of careful program puts a
//! new file in the old one's place, and a watch of the old one would see nothing any more. Where the file is a
//! symbolic link, the directory that it leads to is watched as well.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

use crate::daemon::Input;

/// What is written in several steps is read after the last of them.
const SETTLE: Duration = Duration::from_millis(200);

/// A directory that is not there, or that is replaced, is looked for again this often.
const LOOK: Duration = Duration::from_secs(10);

/// Written to, put in place, or made readable. A file that is merely created has nothing in it yet, and one that
/// is removed changes nothing that is in force.
const EVENTS: AddWatchFlags =
    AddWatchFlags::IN_CLOSE_WRITE.union(AddWatchFlags::IN_MOVED_TO).union(AddWatchFlags::IN_ATTRIB);

/// The watch itself has come to its end, or has lost count.
const ENDS: AddWatchFlags = AddWatchFlags::IN_IGNORED
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_Q_OVERFLOW)
    .union(AddWatchFlags::IN_UNMOUNT);

/// Where the kernel's events are read.
struct Queue(Inotify);

/// A file, by the directories that it can be changed in.
struct Watcher {
    inotify: AsyncFd<Queue>,
    names: Vec<(WatchDescriptor, OsString)>,
}

/// Tells the loop, for as long as the daemon runs, when the file may have changed.
pub(crate) async fn watch(file: PathBuf, inputs: Sender<Input>) {
    let mut is_known = true;
    loop {
        let result = match Watcher::new(&file) {
            Ok(mut watcher) => {
                // What happened while nobody watched.
                if !is_known && inputs.send(Input::FileChanged).await.is_err() {
                    return;
                }
                watcher.pass_on(&inputs).await
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => return,
            Err(error) => log::debug!("{} is not watched: {error}", file.display()),
        }
        is_known = false;
        tokio::time::sleep(LOOK).await;
    }
}

// === impl Watcher ===

impl Watcher {
    fn new(file: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let own = AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        let mut names = Vec::new();
        let target = file.canonicalize().ok().filter(|target| target != file);
        for (at, path) in [Some(file), target.as_deref()].into_iter().flatten().enumerate() {
            let Some(name) = path.file_name() else { continue };
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            match inotify.add_watch(directory.unwrap_or(Path::new(".")), EVENTS | own) {
                Ok(watch) => names.push((watch, name.to_owned())),
                // Where only the far end of a link cannot be watched, the near end still is.
                Err(error) if at == 0 => return Err(error.into()),
                Err(error) => log::debug!("{} is not watched: {error}", path.display()),
            }
        }
        #[allow(
            deprecated,
            reason = "its successor is unsafe; the descriptor is the value's own and stays open"
        )]
        let inotify = AsyncFd::with_interest(Queue(inotify), Interest::READABLE)?;
        Ok(Self { inotify, names })
    }

    /// `Ok` when nobody listens any more, an error when there is nothing to watch any more.
    async fn pass_on(&mut self, inputs: &Sender<Input>) -> io::Result<()> {
        loop {
            while !self.changed().await? {}
            tokio::time::sleep(SETTLE).await;
            // What came meanwhile is the same change.
            let ended = self.drain().err();
            if inputs.send(Input::FileChanged).await.is_err() {
                return Ok(());
            }
            if let Some(error) = ended {
                return Err(error);
            }
        }
    }

    /// Waits for events; whether any of them is about the file.
    async fn changed(&mut self) -> io::Result<bool> {
        let mut ready = self.inotify.readable().await?;
        match ready.get_inner().0.read_events() {
            Ok(events) => {
                drop(ready);
                self.concerns(&events)
            }
            Err(Errno::EAGAIN) => {
                ready.clear_ready();
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn drain(&self) -> io::Result<()> {
        loop {
            match self.inotify.get_ref().0.read_events() {
                Ok(events) => self.concerns(&events).map(drop)?,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn concerns(&self, events: &[nix::sys::inotify::InotifyEvent]) -> io::Result<bool> {
        if events.iter().any(|event| event.mask.intersects(ENDS)) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "its directory was moved, removed or flooded",
            ));
        }
        let is_ours = |event: &nix::sys::inotify::InotifyEvent| {
            self.names.iter().any(|(watch, name)| *watch == event.wd && Some(name) == event.name.as_ref())
        };
        Ok(events.iter().any(is_ours))
    }
}

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rstest::rstest;
    use tokio::sync::mpsc::{Receiver, channel};
    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::*;

    async fn heard(inputs: &mut Receiver<Input>) -> usize {
        let mut count = 0;
        while timeout(SETTLE * 3, inputs.recv()).await.is_ok() {
            count += 1;
        }
        count
    }

    fn run(file: PathBuf, test: impl AsyncFnOnce(&mut Receiver<Input>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let (inputs, mut queue) = channel(8);
            tokio::task::spawn_local(watch(file, inputs));
            assert_eq!(heard(&mut queue).await, 0, "nothing has happened yet");
            test(&mut queue).await;
        });
    }

    #[rstest]
    #[case::written(|file: &Path| fs::write(file, "<provision />").unwrap(), 1)]
    #[case::written_in_steps(|file: &Path| for n in 0..5 { fs::write(file, "x".repeat(n)).unwrap() }, 1)]
    #[case::renamed_over(
        |file: &Path| {
            fs::write(file.with_extension("new"), "<provision/>").unwrap();
            fs::rename(file.with_extension("new"), file).unwrap();
        },
        1
    )]
    #[case::another_file(|file: &Path| fs::write(file.with_extension("bak"), "").unwrap(), 0)]
    #[case::removed(|file: &Path| fs::remove_file(file).unwrap(), 0)]
    fn one_change_is_told_once(#[case] change: fn(&Path), #[case] told: usize) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("provision.xml");
        fs::write(&file, "<provision/>").unwrap();
        run(file.clone(), async |queue| {
            change(&file);
            assert_eq!(heard(queue).await, told);
            // The watch outlives a change of the file itself.
            fs::write(&file, "<provision/>").unwrap();
            assert_eq!(heard(queue).await, 1);
        });
    }

    #[test]
    fn behind_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("provision.xml");
        let target = directory.path().join("data");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("real.xml"), "<provision/>").unwrap();
        symlink(target.join("real.xml"), &file).unwrap();
        run(file, async |queue| {
            fs::write(target.join("real.xml"), "<provision />").unwrap();
            assert_eq!(heard(queue).await, 1);
        });
    }
}
