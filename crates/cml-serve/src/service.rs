//! A service: from its start to its end.

use crate::config::Config;
use crate::error::ServeError;
use crate::listen::{self, Doors};
use crate::routes;
use crate::shared::Shared;
use crate::tls::Tls;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How often it is asked whether the work is done.
const POLL: Duration = Duration::from_millis(20);
/// How often answers that were kept for their time are dropped.
const SWEEP: Duration = Duration::from_secs(1);

/// A service with its store open, before it listens.
pub struct Service {
    shared: Arc<Shared>,
}

impl Service {
    /// Checks the configuration, opens the data folder, removes what was half received, and takes up jobs that
    /// were accepted.
    ///
    /// # Errors
    /// If a circuit does not fit the limits, or the data folder cannot be used.
    pub fn open(config: Config) -> Result<Self, ServeError> {
        let shared = Shared::open(config)?;
        let (keys, bytes) = shared.store.size();
        let (models, jobs) = (shared.models.len(), shared.desk.unfetched());
        tracing::info!(models, keys, bytes, jobs, "open");
        Ok(Self { shared })
    }

    /// Serves until `shutdown`. Then new work is refused, accepted work is finished and answered, and for
    /// [`crate::Limits::linger`] answers may be fetched.
    ///
    /// # Errors
    /// If there is no thread.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Tls>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Self { shared } = self;
        let worker = shared.start_worker()?;
        let (end, ending) = watch::channel(false);
        let doors = Doors {
            router: routes::router(&shared),
            tls: tls.map(|tls| tls.0),
            limits: shared.limits.clone(),
            connections: shared.metrics.connections.clone(),
            refused: shared.metrics.refused_connections.clone(),
            moved: Arc::default(),
        };
        let stopping = async {
            shutdown.await;
            tracing::info!("shutting down: new work is refused");
            shared.drain();
            while !shared.is_idle() {
                tokio::time::sleep(POLL).await;
            }
            let start = Instant::now();
            while shared.is_awaited() && start.elapsed() < shared.limits.linger {
                tokio::time::sleep(POLL).await;
            }
            tracing::info!("all accepted work is done");
            let _ = end.send(true);
        };
        let sweeper = tokio::spawn(sweep(Arc::clone(&shared)));
        tokio::join!(listen::accept(doors, listener, ending), stopping);
        sweeper.abort();
        // The queue is closed and empty, so the thread ends.
        let _ = tokio::task::spawn_blocking(move || worker.join()).await;
        Ok(())
    }
}

/// Nobody has to ask for answers to be dropped in time: they take memory and disk.
async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        shared.desk.expire();
    }
}
