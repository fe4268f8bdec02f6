//! Connections: how many, how long, how large their heads, and their end in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::app::{App, Front};
use crate::keeper::Running;
use crate::patience::{Looks, Patience};
use crate::receive::home::Home;

/// Most connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 8192;
/// The same on a port beside.
const MAX_BESIDE: usize = 64;
/// With heads of requests and with idle connections.
const PATIENCE: Patience = Patience { head: Duration::from_secs(60), look_every: Duration::from_secs(15) };
/// How long it may take until both sides have agreed on TLS.
const SHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a head, the line included.
const MAX_HEAD: usize = 32 * 1024;
/// How long requests that have begun may take after we were asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Where accepting fails for want of something.
const BREATHER: Duration = Duration::from_millis(100);

/// The signals that ask for the end, from when this is made: who is told that we listen may send one.
pub(crate) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Serves until SIGTERM or SIGINT, or until the keeper is gone, and until all requests that have begun by then are
/// answered.
pub(crate) async fn serve(
    listener: TcpListener,
    app: App,
    keeper: &mut Running,
    tls: Option<TlsAcceptor>,
    Ends { mut terminate, mut interrupt }: Ends,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, stopped) = watch::channel(());
    let front = Arc::new(Front::new(app));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = keeper.ended() => break,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                log::warn!("a connection cannot be accepted: {error}");
                tokio::time::sleep(BREATHER).await;
                continue;
            }
        };
        let (front, stopped, tls) = (front.clone(), stopped.clone(), tls.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let talked = match tls {
                None => converse(stream, peer, front, stopped, PATIENCE).await,
                Some(tls) => match tokio::time::timeout(SHAKE_PATIENCE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, peer, front, stopped, PATIENCE).await,
                    Ok(Err(error)) => return log::debug!("{peer}: no TLS: {error}"),
                    Err(_) => return log::debug!("{peer}: no TLS within {} s", SHAKE_PATIENCE.as_secs()),
                },
            };
            if let Err(error) = talked {
                log::debug!("{peer}: {error}");
            }
            drop(permit);
        });
    }
    drop(listener);
    drop(stopped);
    // Each conversation holds a receiver: when all are gone, all are over.
    let _ = stop.send(());
    if tokio::time::timeout(STOP_PATIENCE, stop.closed()).await.is_err() {
        log::warn!("some requests were not over {} s after the end was asked for", STOP_PATIENCE.as_secs());
    }
    Ok(())
}

/// Serves on another port for as long as it is polled.
pub(crate) async fn serve_beside(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MAX_BESIDE));
    let (_stop, stopped) = watch::channel(());
    let front = Arc::new(Front::beside(router));
    loop {
        match accept(&listener, &room).await {
            Ok((stream, peer, permit)) => {
                let (front, stopped) = (front.clone(), stopped.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, peer, front, stopped, PATIENCE).await {
                        log::debug!("{peer}: {error}");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                log::warn!("a connection cannot be accepted: {error}");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    front: Arc<Front>,
    mut stopped: watch::Receiver<()>,
    patience: Patience,
) -> hyper::Result<()> {
    let home = Home::of(peer.ip());
    let answer = service_fn(move |request| front.answer(&home, request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(Looks)
            .header_read_timeout(patience.head)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            // Most answers are a picture of 43 bytes: copied behind its head, it is sent by the cheaper call.
            .writev(false)
            .serve_connection(TokioIo::new(stream), answer)
    );
    let mut looks = tokio::time::interval(patience.look_every);
    let mut is_over = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => return result,
            _ = stopped.changed(), if !is_over => {
                is_over = true;
                connection.as_mut().graceful_shutdown();
            }
            // With this, too, the connection is looked at.
            _ = looks.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("", 0)]
    #[case::half_a_head("GET / HTTP/1.1\r\nhost: a", 0)]
    #[case::idle("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1)]
    fn who_is_silent_is_cut_off(#[case] said: &str, #[case] answers: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        client.write_all(said.as_bytes()).unwrap();
        let patience = Patience { head: Duration::from_millis(60), look_every: Duration::from_millis(20) };
        let talked = runtime.block_on(async {
            let (_stop, stopped) = watch::channel(());
            let front = Arc::new(Front::beside(Router::new()));
            let talk = converse(TcpStream::from_std(stream).unwrap(), peer, front, stopped, patience);
            tokio::time::timeout(Duration::from_secs(20), talk).await
        });
        assert!(talked.is_ok(), "it is not waited for ever");
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        assert_eq!(told.matches("HTTP/1.1 404").count(), answers, "{told}");
    }
}
