//! Connections: accepted, encrypted, limited, ended.

use crate::config::Limits;
use crate::pace::Paced;
use crate::routes::Peer;
use crate::share::Shares;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// After an answer to a request that was not read to its end: as long and as much is read and dropped,
/// so that the answer arrives before the connection breaks.
const LAST_READ: Duration = Duration::from_secs(2);
const LAST_BYTES: u64 = 64 << 20;
/// At the end connections that still move are waited for, as many times `Limits::send_time`.
const LONGEST_END: u32 = 10;
/// Largest head of a request; bodies come in pieces of this size.
const HEAD_BYTES: usize = 64 << 10;
/// Pause after the system refused a connection, as when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Says to all connections that the current request is their last.
pub(crate) type Ending = watch::Receiver<bool>;

/// What each connection needs.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) router: Router,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) limits: Limits,
    pub(crate) connections: Gauge,
    /// Those over the share of their address.
    pub(crate) refused: Counter,
    /// Bytes of all connections, in both directions.
    pub(crate) moved: Arc<AtomicU64>,
}

/// Accepts connections until `ending`; then waits for those that are open.
pub(crate) async fn accept(doors: Doors, listener: TcpListener, mut ending: Ending) {
    let shares = Shares::new(doors.limits.address_connections());
    let doors = Arc::new(doors);
    let all = u32::try_from(doors.limits.connections).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(all as usize));
    loop {
        let accepted = tokio::select! {
            _ = ending.wait_for(|&over| over) => break,
            accepted = one(&places, &listener) => accepted,
        };
        let (place, stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(share) = shares.take(peer.ip()) else {
            doors.refused.inc();
            continue;
        };
        let (doors, ending) = (Arc::clone(&doors), ending.clone());
        tokio::spawn(async move {
            let _counted = Counted::new(&doors.connections);
            if let Err(error) = open(&doors, stream, peer.ip(), ending).await {
                tracing::debug!(%error, "connection");
            }
            drop((share, place));
        });
    }
    drop(listener);
    // Answers that are on their way arrive; who does not take them is not waited for.
    let moved = || doors.moved.load(Ordering::Relaxed);
    if !all_gone(&places, all, moved, doors.limits.send_time).await {
        tracing::warn!("connections that would not end are cut");
    }
}

/// Waits until all places are free, as long as bytes move; whether they are.
async fn all_gone(places: &Semaphore, all: u32, mut moved: impl FnMut() -> u64, silence: Duration) -> bool {
    let start = Instant::now();
    loop {
        let before = moved();
        if timeout(silence, places.acquire_many(all)).await.is_ok() {
            return true;
        }
        let is_silent = moved() == before;
        if is_silent || start.elapsed() >= silence * LONGEST_END {
            return false;
        }
    }
}

/// An open connection in the counters, however it ends.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn one(
    places: &Arc<Semaphore>,
    listener: &TcpListener,
) -> io::Result<(tokio::sync::OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((place, stream, peer))
}

async fn open(doors: &Doors, stream: TcpStream, peer: IpAddr, ending: Ending) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let limits = &doors.limits;
    let stream = Paced::new(stream, limits.send_time, limits.send_rate, &doors.moved);
    match &doors.tls {
        None => talk(doors, stream, peer, ending).await,
        Some(tls) => {
            let shaken = timeout(limits.header_time, tls.accept(stream)).await;
            let stream = shaken.map_err(|_| io::Error::other("no TLS handshake in time"))??;
            talk(doors, stream, peer, ending).await
        }
    }
}

async fn talk<S>(doors: &Doors, stream: S, peer: IpAddr, mut ending: Ending) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        Box::pin(doors.router.clone().oneshot(request.map(Body::new)))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(doors.limits.header_time)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let over = async { ending.wait_for(|&over| over).await.is_ok() };
    let early = tokio::select! {
        result = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(result),
        _ = over => None,
    };
    let result = match early {
        Some(result) => result,
        None => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    let mut stream = connection.into_parts().io.into_inner();
    let last = async {
        stream.shutdown().await?;
        let mut rest = stream.take(LAST_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // How it ends makes no difference any more.
    let _ = timeout(LAST_READ, last).await;
    result.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(200);

    /// Of one connection, which ends after a time, and where so many bytes move each time somebody looks.
    fn gone(end: Duration, bytes: u64) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (places, mut moved) = (Arc::new(Semaphore::new(1)), 0);
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(end).await;
                drop(place);
            });
            let moved = || {
                moved += bytes;
                moved
            };
            all_gone(&places, 1, moved, SILENCE).await
        })
    }

    #[test]
    fn who_moves_is_waited_for_but_not_for_ever() {
        assert!(gone(2 * SILENCE, 1));
        assert!(!gone(100 * SILENCE, 0));
        assert!(!gone(100 * SILENCE, 1));
    }
}
