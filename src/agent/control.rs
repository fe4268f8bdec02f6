//! The control socket: whoever connects is told the daemon's status, as one JSON object.

use std::io;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use crate::daemon::Input;

/// Where the daemon listens unless told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/stbeacon/control.sock";

/// The environment variable that overrides [`DEFAULT_SOCKET`].
pub(crate) const SOCKET_ENV: &str = "STBEACON_CONTROL";

/// Who does not read for this long is left.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers one after the other, for as long as the daemon runs.
pub(crate) async fn serve(listener: UnixListener, inputs: Sender<Input>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("cannot take a connection to the control socket: {error}");
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
        };
        let (ask, answer) = oneshot::channel();
        if inputs.send(Input::Status(ask)).await.is_err() {
            return;
        }
        let Ok(status) = answer.await else { continue };
        match tokio::time::timeout(PATIENCE, write_all(&stream, &status)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::debug!("status was not taken: {error}"),
            Err(_) => log::debug!("status was not taken in time"),
        }
    }
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
