//! Keeps what is known of the interfaces, and asks anew when it is needed.

use std::io;
use std::time::Duration;

use log::Level;
use stbeacon_core::stb::Network;
use tokio::sync::mpsc::Sender;

use crate::daemon::Input;
use crate::netlink::{Interfaces, LinkModes, Monitor, Netlink, Selection};

/// Notifications come in bursts: one look after each burst is enough, and not more than one a second.
const SETTLE: Duration = Duration::from_secs(1);

/// Asks the kernel.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Opened again after a failure.
    netlink: Option<Netlink>,
    modes: LinkModes,
    interfaces: Interfaces,
}

/// Tells the loop, for as long as the daemon runs, when anything about the interfaces has changed.
///
/// `monitor` is opened before they are listed for the first time: what changes between the two would be seen by neither.
pub(crate) async fn watch(mut monitor: io::Result<Monitor>, inputs: Sender<Input>) {
    loop {
        let changed = match &mut monitor {
            Ok(monitor) => monitor.changed().await,
            Err(error) => Err(io::Error::from(error.kind())),
        };
        if let Err(error) = changed {
            log::warn!("no news of the interfaces from the kernel: {error}");
            tokio::time::sleep(Duration::from_secs(60)).await;
            monitor = Monitor::open();
            if monitor.is_err() {
                continue;
            }
            // What changed meanwhile nobody has told.
        }
        tokio::time::sleep(SETTLE).await;
        if inputs.send(Input::InterfacesChanged).await.is_err() {
            return;
        }
    }
}

// === impl Sampler ===

impl Sampler {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        Self { netlink: None, modes: LinkModes::open(), interfaces: Interfaces::default() }
    }

    /// Asks anew; what has changed goes into the log. Gives whether there is another way to the network than
    /// before: an address or the default route.
    ///
    /// # Errors
    /// Where the kernel does not answer; what was known stays.
    pub(crate) async fn refresh(&mut self) -> io::Result<bool> {
        let mut netlink = match self.netlink.take() {
            Some(netlink) => netlink,
            None => Netlink::open()?,
        };
        let interfaces = netlink.dump().await?;
        self.netlink = Some(netlink);
        // What is there at the start is no news.
        let level = if self.interfaces == Interfaces::default() { Level::Debug } else { Level::Info };
        for line in interfaces.changes_since(&self.interfaces) {
            log::log!(level, "{line}");
        }
        let before = std::mem::replace(&mut self.interfaces, interfaces);
        Ok(self.interfaces.leads_elsewhere_than(&before))
    }

    /// The selected interfaces as they stand now.
    ///
    /// # Errors
    /// As [`Sampler::refresh`].
    pub(crate) async fn sample(&mut self, selection: &Selection) -> io::Result<Vec<Network>> {
        self.refresh().await?;
        let Self { modes, interfaces, .. } = self;
        Ok(interfaces.reported(selection, |name| modes.mode(name)))
    }

    /// The box's own hardware address as last known, such as `02:00:00:00:00:01`; empty if it has none.
    pub(crate) fn mac(&self) -> String {
        let Some(mac) = self.interfaces.box_mac() else { return String::new() };
        mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}
