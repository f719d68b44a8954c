//! Sockets whose other side has to take what is sent, not slower than a least rate.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A socket. Writing fails when it is behind the rate by more than a time.
pub(crate) struct Paced<S> {
    socket: S,
    most: Duration,
    rate: f64,
    /// Time waited so far, less the time that what was sent after it may take.
    behind: Duration,
    /// Since when it waits to be written to.
    waiting: Option<Instant>,
    over: Pin<Box<Sleep>>,
    moved: Arc<AtomicU64>,
}

impl<S> Paced<S> {
    /// Bytes in both directions are added to `moved`.
    pub(crate) fn new(socket: S, most: Duration, rate: u64, moved: &Arc<AtomicU64>) -> Self {
        Self {
            socket,
            most,
            rate: rate.max(1) as f64,
            behind: Duration::ZERO,
            waiting: None,
            over: Box::pin(sleep_until(Instant::now())),
            moved: Arc::clone(moved),
        }
    }

    fn sent(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match sent {
            Poll::Ready(Ok(bytes)) => {
                let waited = self.waiting.take().map(|since| since.elapsed());
                let may_take = Duration::from_secs_f64(bytes as f64 / self.rate);
                self.behind = (self.behind + waited.unwrap_or_default()).saturating_sub(may_take);
                self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                if self.waiting.is_none() {
                    let now = Instant::now();
                    self.waiting = Some(now);
                    self.over
                        .as_mut()
                        .reset(now + self.most.saturating_sub(self.behind));
                }
                ready!(self.over.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.sent(cx, sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.socket).poll_write_vectored(cx, bytes);
        this.sent(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = to.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, to))?;
        let bytes = to.filled().len() - before;
        this.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Sends so much to one who takes a byte after each pause.
    fn send(bytes: usize, pause: Duration, most: Duration, rate: u64) -> io::Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        runtime.block_on(async {
            let (near, mut far) = duplex(1);
            let moved = Arc::default();
            let mut near = Paced::new(near, most, rate, &moved);
            let taking = tokio::spawn(async move {
                while far.read_u8().await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
            });
            let sent = near.write_all(&vec![0; bytes]).await;
            taking.abort();
            sent.map(|()| moved.load(Ordering::Relaxed))
        })
    }

    #[test]
    fn who_takes_nothing_or_too_little_is_cut() {
        let (hour, most) = (Duration::from_secs(3600), Duration::from_millis(50));
        let cut = |pause, rate| send(10_000, pause, most, rate).unwrap_err().kind();
        assert_eq!(cut(hour, 1), io::ErrorKind::TimedOut);
        // Each byte comes in time, all together do not.
        let pause = Duration::from_millis(1);
        assert_eq!(cut(pause, 1 << 20), io::ErrorKind::TimedOut);
        // The same is fast enough for another rate.
        assert_eq!(send(200, pause, hour, 1).unwrap(), 200);
    }
}
