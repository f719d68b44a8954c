//! Connections: accepted, encrypted, limited, ended.

use crate::ServeError;
use crate::config::Limits;
use crate::routes::Peer;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// After an answer to a request that was not read to its end: as long and as much is read and dropped,
/// so that the answer arrives before the connection breaks.
const LAST_READ: Duration = Duration::from_secs(2);
const LAST_BYTES: u64 = 64 << 20;
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
}

/// Accepts connections until `ending`; then waits for those that are open.
pub(crate) async fn accept(
    doors: Doors,
    listener: TcpListener,
    mut ending: Ending,
) -> Result<(), ServeError> {
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
        let (doors, ending) = (Arc::clone(&doors), ending.clone());
        tokio::spawn(async move {
            let _counted = Counted::new(&doors.connections);
            if let Err(error) = open(&doors, stream, peer.ip(), ending).await {
                tracing::debug!(%error, "connection");
            }
            drop(place);
        });
    }
    drop(listener);
    // Answers that are on their way arrive; who does not take them is not waited for.
    let gone = timeout(doors.limits.send_time, places.acquire_many(all)).await;
    if gone.is_err() {
        tracing::warn!("connections that would not end are cut");
    }
    Ok(())
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
    match &doors.tls {
        None => talk(doors, stream, peer, ending).await,
        Some(tls) => {
            let shaken = timeout(doors.limits.header_time, tls.accept(stream)).await;
            let stream = shaken.map_err(|_| io::Error::other("no TLS handshake in time"))??;
            talk(doors, stream, peer, ending).await
        }
    }
}

async fn talk<S>(doors: &Doors, stream: S, peer: IpAddr, mut ending: Ending) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(doors.limits.send_time));
    let service = service_fn(|mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        Box::pin(doors.router.clone().oneshot(request.map(Body::new)))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(doors.limits.header_time)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
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
